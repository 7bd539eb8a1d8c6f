"""What the buttons of the panel Camera do."""

import bpy
import numpy as np
from bpy.props import EnumProperty

from .. import belongings
from ..common.skeletons import COCO_17
from ..skeleton import confidence
from ..skeleton.person import colour_sides
from . import observed, residual

_APART = 0.5  # s, nearer peaks are one


def camera_at_hand(context: bpy.types.Context) -> bpy.types.Object | None:
    """The camera that the panel is about: the scene's if a take made it, else the first one that a take made."""
    return next(iter(belongings.cameras(context.scene)), None)


class _WithCamera:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a camera from a take."""
        if camera_at_hand(context) is None:
            cls.poll_message_set("Apply a take first.")
            return False
        return True


class VP3D_OT_worst_frame(_WithCamera, bpy.types.Operator):
    """Go to a frame where the armatures lie farthest from the joints in the plate"""

    bl_idname = "vp3d.worst_frame"
    bl_label = "Jump to Worst Frame"
    bl_options = {"REGISTER", "UNDO"}

    which: EnumProperty(
        name="Frame",
        description="Which frame to go to",
        items=(
            ("worst", "Worst", "Where the residual of the camera is highest"),
            ("next", "Next Worst", "From one of the worst frames on to the one that is next in rank"),
        ),
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Find the peaks of the residual and go to one."""
        scene, camera = context.scene, camera_at_hand(context)
        frames, values = observed.residual_keys(camera)
        if not len(frames):
            self.report({"WARNING"}, f"{camera.name} has no residual: in no frame was there anything to compare.")
            return {"CANCELLED"}
        peaks = residual.worst(frames, values, _APART * scene.render.fps / scene.render.fps_base)
        rank = 0
        if self.which == "next" and scene.frame_current in peaks:
            rank = (peaks.index(scene.frame_current) + 1) % len(peaks)
        scene.frame_set(peaks[rank])
        value = values[np.searchsorted(frames, peaks[rank])]
        self.report({"INFO"}, f"Number {rank + 1} of {len(peaks)}: {value:.1f} px" + self._where(context, camera))
        return {"FINISHED"}

    def _where(self, context: bpy.types.Context, camera: bpy.types.Object) -> str:
        """The joint that is worst in this frame, as the end of a sentence."""
        found = []
        for person in belongings.people_of(context.scene, camera):
            seen = observed.read(person)
            row = seen.row(context.scene.frame_current) if seen else None
            if row is not None and np.isfinite(seen.residual[row]).any():
                joint = int(np.nanargmax(seen.residual[row]))
                found.append((float(seen.residual[row, joint]), COCO_17.joints[joint], person.name))
        if not found:
            return "."
        value, joint, name = max(found)
        return f", most of it at the {joint.replace('_', ' ')} of {name}, {value:.1f} px."


class VP3D_OT_colour_bones(_WithCamera, bpy.types.Operator):
    """Choose what the colours of the captured armatures' bones show"""

    bl_idname = "vp3d.colour_bones"
    bl_label = "Bone Colours"
    bl_options = {"REGISTER", "UNDO"}

    show: EnumProperty(
        name="Show",
        description="What bone colours show",
        items=(
            ("side", "Side", "Left and right"),
            (
                "confidence",
                "Confidence",
                "How sure the detector was in each frame: green sure, yellow less, red hardly",
            ),
        ),
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Colour all people of the take."""
        for person in belongings.people_of(context.scene, camera_at_hand(context)):
            seen = observed.read(person)
            confidence.uncolour(person)
            colour_sides(person.data)
            if self.show == "confidence" and seen:
                confidence.colour(person, seen.frames, seen.confidence)
        context.scene.frame_set(context.scene.frame_current)
        return {"FINISHED"}


classes = (VP3D_OT_worst_frame, VP3D_OT_colour_bones)
register, unregister = bpy.utils.register_classes_factory(classes)
