"""Settings of the overlay, which belong to the session: a file never opens with the overlay drawing; and of what is
done with the camera, which belong to the scene.
"""

import bpy
from bpy.props import BoolProperty, FloatProperty, PointerProperty

from .. import belongings
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


class VP3D_PG_camera(bpy.types.PropertyGroup):
    """What is done with a take's camera."""

    def _is_another(self, candidate: bpy.types.Object) -> bool:
        return candidate.type == "CAMERA" and not belongings.is_ours(candidate)

    target: PointerProperty(
        name="Camera",
        description="A camera of your own that is to move, and to see, as the take's camera does",
        type=bpy.types.Object,
        poll=_is_another,
    )


_register_classes, _unregister_classes = bpy.utils.register_classes_factory((VP3D_PG_overlay, VP3D_PG_camera))


def register() -> None:
    """Register the settings."""
    _register_classes()
    bpy.types.WindowManager.vp3d_overlay = PointerProperty(type=VP3D_PG_overlay)
    bpy.types.Scene.vp3d_camera = PointerProperty(type=VP3D_PG_camera)


def unregister() -> None:
    """Take the settings back."""
    del bpy.types.Scene.vp3d_camera
    del bpy.types.WindowManager.vp3d_overlay
    _unregister_classes()
