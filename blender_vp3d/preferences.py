"""What the user sets once for all files."""

import sys

import bpy

from .backend import environment, session
from .backend.installation import BACKENDS
from .data_home import PACKAGE
from .setup.panels import draw_server

_BACKENDS = {
    "auto": ("What Suits", "What suits this computer; an update keeps what there was"),
    "cpu": ("Processor", "Runs everywhere, and is the smallest"),
    "cuda": ("NVIDIA Card", "CUDA 13: cards since 2018 with a current driver"),
    "cuda-older": ("Older NVIDIA Card", "CUDA 12.6: cards since 2014; needs a package index that has it"),
    "rocm": ("AMD Card", "ROCm, Linux only; needs a package index that has it"),
    "mps": ("Apple Silicon", "Metal"),
}


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

    backend: bpy.props.EnumProperty(
        name="Compute On",
        description="Build of torch that the pose server gets. Another one than is installed takes a new installation",
        items=[(name, *_BACKENDS[name]) for name in ("auto", *BACKENDS.get(sys.platform, ()))],
    )
    python: bpy.props.StringProperty(
        name="Python",
        description=(
            "Interpreter to make the environment from, 3.10 to 3.12, or 3.13 without MediaPipe. Empty: the best one on "
            "this computer, or Blender's own"
        ),
        subtype="FILE_PATH",
    )
    index: bpy.props.StringProperty(
        name="Package Index",
        description="Address of an index of Python packages, besides those that pip's own settings name",
    )
    wheels: bpy.props.StringProperty(
        name="Offline Packages",
        description=(
            "Folder of packages to install from without a network, filled by `python3 -m install download` on another "
            "computer"
        ),
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the folder and the server in it."""
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "home", placeholder=str(environment.default_home()))
        column.prop(self, "idle_minutes")
        column.prop(self, "mirror", placeholder="https://")
        column.prop(self, "backend")
        column.prop(self, "python")
        column.prop(self, "index", placeholder="https://")
        column.prop(self, "wheels")
        draw_server(self.layout, context)


classes = (VP3D_AP_preferences,)
register, unregister = bpy.utils.register_classes_factory(classes)
