"""Where the plate and the armatures put the joints of a frame, as the view through the camera shows them."""

from dataclasses import dataclass

import bpy
import numpy as np

from ..common.skeletons import COCO_17
from . import lens as lenses
from . import observed

_BONES = {
    "shoulder": "upper_arm", "elbow": "forearm", "wrist": "hand", "hip": "thigh", "knee": "shin", "ankle": "foot",
}  # fmt: skip
"""The bone that begins at a joint."""

JOINTS = {
    COCO_17.index(f"{side}_{joint}"): f"{bone}.{side[0].upper()}"
    for side in ("left", "right")
    for joint, bone in _BONES.items()
}
"""Joints that can be compared, by their place in COCO's order, with the bones of the armature that begin there."""


@dataclass(frozen=True)
class Compared:
    """A person at a frame, in px of the plate as it is shown, (0, 0) the centre of its top-left pixel.

    Attributes:
        seen: (17, 2) detected joints, NaN where there is none.
        solved: (17, 2) the armature's joints, NaN where there is none.
        confidence: (17,) 0..1.
    """

    seen: np.ndarray
    solved: np.ndarray
    confidence: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """(17,) px, NaN where there is nothing to compare."""
        return np.linalg.norm(self.seen - self.solved, axis=1)


def compare(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, camera: bpy.types.Object, person: bpy.types.Object
) -> Compared | None:
    """Compare a person with the plate at the scene's frame; None where that frame was not captured.

    Camera and armature count as they are now, with all that was done to them since the capture. Where the plate is
    shown undistorted, detected joints are, too; where it is shown as filmed, the armature's are distorted.
    """
    plate, seen = observed.plate_of(camera), observed.read(person)
    row = seen.row(scene.frame_current_final) if seen else None
    if plate is None or row is None:
        return None
    eye = camera.evaluated_get(depsgraph)
    K = lenses.to_matrix(view_frame(scene, eye), plate.width, plate.height)
    points = _heads(person.evaluated_get(depsgraph))
    local = (points - np.array(eye.matrix_world.translation)) @ np.array(eye.matrix_world.to_3x3().normalized())
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = np.where(local[:, 2:] < 0, local[:, :2] / -local[:, 2:] * [1, -1], np.nan)
    joints = seen.joints[row].astype(float)
    if shows_undistorted(camera):
        joints = lenses.to_pixels(lenses.undistort(lenses.to_plane(joints, plate.K), plate.distortion), plate.K)
    else:
        plane = lenses.distort(plane, plate.distortion)
    return Compared(joints, lenses.to_pixels(plane, K), seen.confidence[row])


def view_frame(scene: bpy.types.Scene, camera: bpy.types.Object) -> np.ndarray:
    """(4, 3) corners of a camera's frame, in its own axes."""
    return np.array([tuple(corner) for corner in camera.data.view_frame(scene=scene)])


def shows_undistorted(camera: bpy.types.Object) -> bool:
    """Whether the camera's plate is shown without the lens's distortion; a camera without plate has none."""
    plates = [shown for shown in camera.data.background_images if shown.source == "MOVIE_CLIP" and shown.clip]
    return plates[0].clip_user.use_render_undistorted if plates else True


def _heads(person: bpy.types.Object) -> np.ndarray:
    """(17, 3) m, joints in the world, NaN where the armature has no bone for one."""
    points = np.full((len(COCO_17), 3), np.nan)
    for joint, name in JOINTS.items():
        if bone := person.pose.bones.get(name):
            points[joint] = person.matrix_world @ bone.head
    return points
