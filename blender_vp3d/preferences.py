"""What the user sets once for all files."""

import bpy

from .backend import environment, session
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
    idle_minutes: bpy.props.IntProperty(
        name="End Idle Server (min)",
        description=(
            "Minutes without a capture after which the pose server ends and gives all of its memory back. The next "
            "capture starts it again, which takes some seconds; a new value counts from the next capture on"
        ),
        default=round(session.IDLE_SECONDS / 60),
        min=1,
        soft_max=60,
        max=24 * 60,
    )
    mirror: bpy.props.StringProperty(
        name="Mirror of Models",
        description=(
            "Address of a copy of a models folder, to download weights from instead of their official addresses; they "
            "are checked all the same"
        ),
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the folder and the server in it."""
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "home", placeholder=str(environment.default_home()))
        column.prop(self, "idle_minutes")
        column.prop(self, "mirror", placeholder="https://")
        draw_server(self.layout, context)


classes = (VP3D_AP_preferences,)
register, unregister = bpy.utils.register_classes_factory(classes)
