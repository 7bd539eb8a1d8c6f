"""What the buttons of the panel Camera do."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from .. import belongings, data_home
from ..backend.environment import SENTENCES, State
from ..common.skeletons import COCO_17
from ..skeleton import confidence
from ..skeleton.person import colour_sides
from . import handoff, observed, residual
from .over import write_over

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


class VP3D_OT_use_camera(_WithCamera, bpy.types.Operator):
    """Make the take's camera the scene's camera"""

    bl_idname = "vp3d.use_camera"
    bl_label = "Use as Scene Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only where it is not yet."""
        if not super().poll(context):
            return False
        if context.scene.camera == camera_at_hand(context):
            cls.poll_message_set("It is the scene's camera already.")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set it."""
        context.scene.camera = camera_at_hand(context)
        return {"FINISHED"}


class VP3D_OT_write_over_camera(_WithCamera, bpy.types.Operator):
    """Give a camera of your own the movement, the lens and the plate of the take's camera, in place of what it has"""

    bl_idname = "vp3d.write_over_camera"
    bl_label = "Write Over"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a camera to write over."""
        if not super().poll(context):
            return False
        if context.scene.vp3d_camera.target is None:
            cls.poll_message_set("Choose the camera to write over.")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Key it and make it the scene's camera."""
        source, target = camera_at_hand(context), context.scene.vp3d_camera.target
        if target.name not in context.scene.objects:
            self.report({"ERROR"}, f"{target.name} is not in this scene: choose another camera.")
            return {"CANCELLED"}
        for note in write_over(context, source, target):
            self.report({"WARNING"}, note)
        self.report({"INFO"}, f"{target.name} sees what {source.name} sees, and is the scene's camera.")
        return {"FINISHED"}


class _Export(_WithCamera, ExportHelper):
    check_extension = True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, beside the scene's file."""
        folder = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
        name = camera_at_hand(context).users_collection[0].name
        self.filepath = str(folder / f"{name}{self.filename_ext}")
        return super().invoke(context, event)

    def _hand_off(self, context: bpy.types.Context, write: Callable[..., None]) -> set[str]:
        camera, path = camera_at_hand(context), Path(bpy.path.abspath(self.filepath))
        try:
            write(context, [camera, *belongings.people_of(context.scene, camera)], path)
        except handoff.HandoffError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"Wrote {path.name}.")
        return {"FINISHED"}


class VP3D_OT_export_usd(_Export, bpy.types.Operator):
    """Write camera and skeletons as USD, over the scene's frame range; metres, Z up"""

    bl_idname = "vp3d.export_usd"
    bl_label = "Export USD"

    filename_ext = ".usdc"
    filter_glob: StringProperty(default="*.usd;*.usda;*.usdc", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        return self._hand_off(context, handoff.usd)


class VP3D_OT_export_alembic(_Export, bpy.types.Operator):
    """Write the camera and a solid for each bone as Alembic, over the scene's frame range; metres, Y up"""

    bl_idname = "vp3d.export_alembic"
    bl_label = "Export Alembic"

    filename_ext = ".abc"
    filter_glob: StringProperty(default="*.abc", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        return self._hand_off(context, handoff.alembic)


class VP3D_OT_export_nuke(_Export, bpy.types.Operator):
    """Write the camera of the take at hand for Nuke: metres, Y up, rotation order ZXY, sensor back in millimetres"""

    bl_idname = "vp3d.export_nuke"
    bl_label = "Export for Nuke"

    filename_ext = ".nk"
    filter_glob: StringProperty(default="*.nk;*.chan", options={"HIDDEN"})
    kind: EnumProperty(
        name="Format",
        description="What to write",
        items=(
            ("nk", "Nuke Script (.nk)", "A camera node with sensor back and lens shift"),
            ("chan", "Channels (.chan)", "A table that other programs read, too; without lens shift"),
        ),
    )
    first_frame: IntProperty(name="First Frame", description="Number of the video's first frame in the file", default=1)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a take, and with a server that writes it."""
        if not super().poll(context):
            return False
        if not context.window_manager.vp3d.take:
            cls.poll_message_set("Capture a video or import a take first.")
            return False
        if (state := data_home.server_environment().state) is not State.READY:
            cls.poll_message_set(f"{SENTENCES[state]} See the Setup panel.")
            return False
        return True

    def check(self, context: bpy.types.Context) -> bool:
        """Let the file's name follow the format."""
        path = str(Path(self.filepath).with_suffix(f".{self.kind}"))
        changed, self.filepath = path != self.filepath, path
        return changed

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Let the server write the file."""
        take, environment = Path(context.window_manager.vp3d.take), data_home.server_environment()

        def write(_context: bpy.types.Context, _objects: list[bpy.types.Object], path: Path) -> None:
            handoff.by_server(environment, take, self.kind, path, self.first_frame)

        return self._hand_off(context, write)


classes = (
    VP3D_OT_worst_frame,
    VP3D_OT_colour_bones,
    VP3D_OT_use_camera,
    VP3D_OT_write_over_camera,
    VP3D_OT_export_usd,
    VP3D_OT_export_alembic,
    VP3D_OT_export_nuke,
)
register, unregister = bpy.utils.register_classes_factory(classes)
