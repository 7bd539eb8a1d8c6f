"""What the user sets once for all files."""

import time
from functools import lru_cache
from pathlib import Path

import bpy

from .backend import environment

PACKAGE = __package__


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
        from .setup.panels import draw_server  # a room builds on this module

        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "home", placeholder=str(environment.default_home()))
        draw_server(self.layout, context)


def home() -> Path:
    """The folder of environments, models, caches, logs and takes."""
    addon = bpy.context.preferences.addons.get(PACKAGE)  # absent where the package is registered without being enabled
    chosen = addon.preferences.home if addon else ""
    return Path(bpy.path.abspath(chosen)) if chosen else environment.default_home()


def server_environment() -> environment.Environment:
    """Where the server is and whether it can be started; read every two seconds, as panels ask at every redraw."""
    return _read(home(), int(time.monotonic() / 2))


def look_again() -> None:
    """Have the next `server_environment` read at once."""
    _read.cache_clear()


@lru_cache(maxsize=1)
def _read(folder: Path, _moment: int) -> environment.Environment:
    return environment.read(folder)


classes = (VP3D_AP_preferences,)
register, unregister = bpy.utils.register_classes_factory(classes)
