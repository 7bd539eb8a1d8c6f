"""What the user sets for a capture (kept with the scene) and the list of people found (kept with the session)."""

import math
from pathlib import Path

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..camera import plate
from ..frame_range import frame_range

_SOLVED = ("solve", "still")  # choices of the camera that leave it to the server


def _begin_with_found(view: "VP3D_PG_view", context: bpy.types.Context) -> None:
    found = context.window_manager.vp3d.offset_of(view.file)
    if view.use_offset and found is not None:
        view.offset = found


class VP3D_PG_view(bpy.types.PropertyGroup):
    """Another video of the same moment."""

    path: StringProperty(
        name="File",
        description="Another video of the same moment, from a camera that stands still",
        subtype="FILE_PATH",
    )
    use_offset: BoolProperty(
        name="Offset",
        description="Say when this clip starts; otherwise that is found from the motion",
        update=_begin_with_found,
    )
    offset: FloatProperty(
        name="Offset",
        description="Seconds from the start of the main video to the start of this clip; negative where this one "
        "starts first",
        soft_min=-60.0,
        soft_max=60.0,
        step=1,
        precision=3,
    )

    @property
    def file(self) -> Path:
        """Its path, with Blender's // for the folder of the scene's file replaced."""
        return _file(self.path)


class VP3D_PG_capture(frame_range("the video, counted from 1", least=1), bpy.types.PropertyGroup):
    """Settings of a capture."""

    video: StringProperty(
        name="Video",
        description="Video file, or a folder or numbered pattern of images, to capture the motion from",
    )
    views: CollectionProperty(type=VP3D_PG_view, name="Views", description="Other videos of the same moment")
    active_view: IntProperty(name="Active View", description="The highlighted row of the list")
    joints_by: EnumProperty(
        name="Joints",
        description="Who finds the joints that several views show",
        items=(
            ("detector", "Detector", "The detector looks at every view by itself, and the rays of all views meet"),
            ("network", "Stereo Network", "A network that you trained looks at the people in all views again; slower"),
        ),
    )
    stereo: StringProperty(
        name="Weights",
        description="Weights of the stereo network: CDRNet or its baseline, from “vp3d train cdrnet”",
        subtype="FILE_PATH",
    )
    every: IntProperty(
        name="Frame Step",
        description="Use every n-th frame; the motion in between is interpolated by the curves",
        default=1,
        min=1,
        soft_max=10,
    )
    fps: FloatProperty(
        name="Frame Rate",
        description="Frames per second that the images were shot at",
        default=24.0,
        min=1.0,
        max=1000.0,
        precision=3,
    )
    people: EnumProperty(
        name="People",
        description="Whose motion to capture",
        items=(
            ("main", "Main", "The person who is largest and longest in view"),
            ("all", "All", "Everybody who is in view long enough"),
            ("numbers", "Pick", "Certain people, by their numbers in the list of an earlier capture of all"),
        ),
    )
    numbers: StringProperty(
        name="Numbers", description="Numbers of people with commas between, such as 1,3", default="1"
    )
    use_height: BoolProperty(name="Height", description="How tall the main person is: it scales the whole world")
    height: FloatProperty(
        name="Height",
        description="Height of the main person, or of the first one picked",
        default=1.75,
        min=0.5,
        max=2.5,
        precision=3,
        subtype="DISTANCE",
        unit="LENGTH",
    )
    lens: EnumProperty(
        name="Lens",
        description="What is known of the lens of the camera that filmed the video",
        items=(
            ("auto", "Automatic", "Read the focal length from the video's metadata, or else assume an ordinary lens"),
            ("mm", "Focal Length", "Focal length and sensor width in millimetres"),
            ("fov", "Field of View", "Horizontal angle of view"),
            ("px", "Pixels", "Focal length in pixels of the video, from a calibration"),
            ("file", "Calibration File", "Focal length, centre and distortion from a calibration file"),
        ),
    )
    calibration: StringProperty(
        name="File",
        description="Calibration of the camera, or of all cameras where there are several views: "
        "OpenCV (YAML, XML, JSON), Pose2Sim (TOML) or Qualisys",
        subtype="FILE_PATH",
    )
    calibration_camera: StringProperty(
        name="Camera",
        description="Which camera of the file took the video; empty for the only one, or that of the video's name",
    )
    camera: EnumProperty(
        name="Camera",
        description="Where the movement of the camera comes from",
        items=(
            ("solve", "Automatic", "Find in the video whether it stands, turns, travels or zooms, and how"),
            ("still", "Stands Still", "It stood still: nothing in the background is looked at"),
            ("scene", "Scene Camera", "Take the scene's camera, its movement and its lens, and solve only the people"),
            ("clip", "Clip's Track", "Take the solved camera of the video's movie clip, and solve only the people"),
        ),
    )
    metres: BoolProperty(
        name="In Metres",
        description="The track was scaled to metres; otherwise the people give the scale",
    )
    focal_mm: FloatProperty(
        name="Focal Length",
        description="Focal length in millimetres",
        default=35.0,
        min=1.0,
        soft_max=300.0,
        subtype="DISTANCE_CAMERA",
    )
    sensor_mm: FloatProperty(
        name="Sensor Width",
        description="Width of the sensor in millimetres; 36 where the focal length is a 35 mm equivalent",
        default=36.0,
        min=1.0,
        soft_max=100.0,
        subtype="DISTANCE_CAMERA",
    )
    fov: FloatProperty(
        name="Angle",
        description="Horizontal angle of view",
        default=math.radians(60),
        min=math.radians(5),
        max=math.radians(170),
        subtype="ANGLE",
    )
    focal_px: FloatProperty(
        name="Focal Length",
        description="Focal length in pixels of the video",
        default=1500.0,
        min=1.0,
        soft_max=10000.0,
        subtype="PIXEL",
    )
    detail: EnumProperty(
        name="Detail",
        description="How closely each frame is looked at",
        items=(
            ("fast", "Fast", "Quickest; for people who fill much of the picture"),
            ("normal", "Normal", "For most footage"),
            ("fine", "Fine", "Slowest; for small or distant people"),
        ),
        default="normal",
    )
    detector: EnumProperty(
        name="Detector",
        description="What finds the joints in the picture",
        items=(
            ("auto", "Automatic", "Bottom-Up where its model is installed, otherwise MediaPipe"),
            ("bottom-up", "Bottom-Up", "Finds any number of people; its model (8 MB) is downloaded at setup"),
            ("mediapipe", "MediaPipe", "Finds one person, with heels and toes; needs no download"),
            (
                "bottom-up-int8",
                "Bottom-Up, 8 Bit",
                "Nearly twice as fast with nearly the same joints; its model (5 MB) has to be downloaded with "
                "`vp3d models download human-pose-estimation-0001-int8`",
            ),
        ),
    )

    adapt: BoolProperty(
        name="Adapt to Clip",
        description="First fit the network that lifts joints to 3D to this clip, by how well its poses fall on the "
        "joints in the video; takes longer, and is kept only where it helps",
    )
    foot_lock: FloatProperty(
        name="Foot Lock",
        description="How firmly feet that stand are held in their places; 0 leaves them as they were seen",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )

    def options(self) -> dict:
        """These settings as the protocol's `start.options`; raises ValueError, with a sentence, for wrong ones."""
        frames = self.chosen_frames
        numbers = [number.strip() for number in self.numbers.split(",")]
        if self.people == "numbers" and not all(number.isdecimal() and int(number) > 0 for number in numbers):
            raise ValueError("Write the numbers of people with commas between them, such as 1,3.")
        if self.lens_is("file") and not self.calibration:
            raise ValueError("Choose the calibration file, or another way to tell the lens.")
        self._check_views()
        is_sequence = plate.is_sequence(Path(bpy.path.abspath(self.video)))
        return {
            "people": ",".join(numbers) if self.people == "numbers" else self.people,
            "start": frames[0] - 1 if frames else 0,
            "end": frames[1] if frames else None,
            "every": self.every,
            "fps": self.fps if is_sequence else None,
            "motion": "still" if self.camera == "still" else "auto",
            "height_m": self.height if self.use_height else None,
            "foot_lock": self.foot_lock,
            "detail": self.detail,
            "detector": self.detector,
            "focal_px": self.focal_px if self.lens_is("px") else None,
            "focal_mm": self.focal_mm if self.lens_is("mm") else None,
            "sensor_mm": self.sensor_mm if self.lens_is("mm") else None,
            "fov_deg": math.degrees(self.fov) if self.lens_is("fov") else None,
            "calibration": bpy.path.abspath(self.calibration) if self.lens_is("file") else None,
            "camera": self.calibration_camera.strip() or None if self.lens_is("file") else None,
            "views": [str(view.file) for view in self.views],
            "stereo": bpy.path.abspath(self.stereo) if self.views and self.joints_by == "network" else None,
            "offsets": [round(view.offset, 6) if view.use_offset else None for view in self.views],
        }

    def _check_views(self) -> None:
        if self.views and self.gives_camera:
            raise ValueError("Several views need cameras that are solved: choose Automatic under Lens & Camera.")
        clips = {_file(self.video).resolve()}
        for view in self.views:
            if not view.path:
                raise ValueError("Choose the file of every view, or take it off the list.")
            if not view.file.exists() and not plate.is_sequence(view.file):
                raise ValueError(f"There is no file {view.file.name}: choose it again, or take it off the views.")
            if view.file.resolve() in clips:
                raise ValueError(f"{view.file.name} is there twice: take it off the views.")
            clips.add(view.file.resolve())
        if self.views and self.joints_by == "network" and not _file(self.stereo).is_file():
            raise ValueError("Choose the weights of the stereo network, or let the detector find the joints.")

    @property
    def view(self) -> VP3D_PG_view | None:
        """The highlighted view."""
        return self.views[self.active_view] if 0 <= self.active_view < len(self.views) else None

    @property
    def gives_camera(self) -> bool:
        """Whether a camera of Blender's goes with the capture."""
        return self.camera not in _SOLVED

    def lens_is(self, kind: str) -> bool:
        """Whether the lens is told in this way; a camera that is known already brings its lens."""
        return not self.gives_camera and self.lens == kind


class VP3D_PG_person(bpy.types.PropertyGroup):
    """One person of a take."""

    number: IntProperty(name="Number", description="Which person of the take this is, from 1")
    use: BoolProperty(name="Apply", description="Make an armature for this person", default=True)
    frames: IntProperty(name="Frames", description="In how many frames this person has a pose")
    confidence: FloatProperty(name="Confidence", description="How sure the detector was of the joints, 0 to 1")


class VP3D_PG_seen(bpy.types.PropertyGroup):
    """Another view of a take."""

    path: StringProperty(name="File", description="Where the video was")
    offset: FloatProperty(name="Offset", description="Seconds from the start of the main video to that of this one")


class VP3D_PG_result(bpy.types.PropertyGroup):
    """The take at hand. It belongs to the session, not to the file: undo and file loads leave it alone."""

    take: StringProperty(name="Take", description="File of the take")
    people: CollectionProperty(type=VP3D_PG_person, name="People", description="Who was found")
    active: IntProperty(name="Active Person", description="The highlighted row of the list")
    detector: StringProperty(name="Detector", description="What found the joints")
    lens: StringProperty(name="Lens", description="What is known of the lens")
    motion: StringProperty(name="Camera", description="How the camera moved")
    warnings: StringProperty(name="Warnings", description="What is worth knowing, one sentence a line")
    views: CollectionProperty(type=VP3D_PG_seen, name="Views", description="The other views")

    def show(self, path: Path, summary: dict) -> None:
        """Take in what was found. `summary` is the protocol's `result.summary`."""
        self.take = str(path)
        self.detector = str(summary.get("detector", ""))
        self.lens = str(summary.get("lens", ""))
        self.motion = str(summary.get("motion", ""))
        self.warnings = "\n".join(map(str, summary.get("warnings", [])))
        self.people.clear()
        for person in summary.get("people", []):
            row = self.people.add()
            row.number, row.frames, row.confidence = person["id"], person["frames"], person["confidence"]
        self.views.clear()
        for view in summary.get("views", []):
            row = self.views.add()
            row.path, row.offset = view["path"], view["offset_s"]

    def offset_of(self, file: Path) -> float | None:
        """Offset (s) of a clip in this take; None where it is no view of it."""
        return next((view.offset for view in self.views if Path(view.path) == file.resolve()), None)


def _file(path: str) -> Path:
    return Path(bpy.path.abspath(path))


classes = (VP3D_PG_view, VP3D_PG_capture, VP3D_PG_person, VP3D_PG_seen, VP3D_PG_result)
_register_classes, _unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    """Register the groups; settings belong to the scene, the result to the window manager."""
    _register_classes()
    bpy.types.Scene.vp3d = PointerProperty(type=VP3D_PG_capture)
    bpy.types.WindowManager.vp3d = PointerProperty(type=VP3D_PG_result)


def unregister() -> None:
    """Take the groups back."""
    del bpy.types.WindowManager.vp3d
    del bpy.types.Scene.vp3d
    _unregister_classes()
