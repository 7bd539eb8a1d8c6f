"""What the user sets once for all files."""

import bpy

from .backend import environment
from .data_home import PACKAGE
from .setup.panels import draw_server


class VP3D_AP_preferences(bpy.types.AddonPreferences):
    """Preferences of the add-on."""

    bl_idname = PACKAGE

    home: bpy.props.StringProperty(
        name="Data Folder",
        description="Folder of the pose server, models, caches, logs and takes. Empty: the usual place on this system",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the folder and the server in it."""
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "home", placeholder=str(environment.default_home()))
        draw_server(self.layout, context)


classes = (VP3D_AP_preferences,)
register, unregister = bpy.utils.register_classes_factory(classes)
