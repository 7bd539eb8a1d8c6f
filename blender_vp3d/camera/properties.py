"""Settings of the overlay. They belong to the session: a file never opens with the overlay drawing."""

import bpy
from bpy.props import BoolProperty, FloatProperty, PointerProperty

from . import overlay


class VP3D_PG_overlay(bpy.types.PropertyGroup):
    """How the overlay looks."""

    def _switch(self, context: bpy.types.Context) -> None:
        overlay.switch(self.show)

    show: BoolProperty(
        name="Overlay",
        description="Draw over the plate, in the view through the camera, the joints found in the video (dots), those "
        "of the armatures (crosses), and the error between them",
        options={"SKIP_SAVE"},
        update=_switch,
    )
    opacity: FloatProperty(
        name="Opacity", description="Opacity of the overlay", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )
    limit: FloatProperty(
        name="Red From",
        description="Error, in pixels of the video, from which on the overlay is all red; half of it is yellow",
        default=20.0,
        min=0.5,
        soft_max=100.0,
        subtype="PIXEL",
    )


_register_classes, _unregister_classes = bpy.utils.register_classes_factory((VP3D_PG_overlay,))


def register() -> None:
    """Register the settings."""
    _register_classes()
    bpy.types.WindowManager.vp3d_overlay = PointerProperty(type=VP3D_PG_overlay)


def unregister() -> None:
    """Take the settings back."""
    del bpy.types.WindowManager.vp3d_overlay
    _unregister_classes()
