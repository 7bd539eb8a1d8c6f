"""What the capture saw of a person, kept with the armature: the file, its copies and undo carry it along."""

from dataclasses import dataclass

import bpy
import numpy as np

from .. import animation
from ..animation import Channel
from ..common.skeletons import COCO_17
from ..common.take import Take
from .residual import mean, median

RESIDUAL = "residual_px"
"""Custom property, with keys: how far the solved joints lie from the plate's in a frame (px, mean)."""

_PATH = f'["{RESIDUAL}"]'
_FRAMES, _PIXELS, _CONFIDENCE, _RESIDUAL = "vp3d_frames", "vp3d_joints", "vp3d_confidence", "vp3d_residual"
_OVER_CLIP = "vp3d_residual_of_joints"
_PLATE = "vp3d_plate"


@dataclass(frozen=True)
class Observed:
    """A person in the plate, over T captured frames, in COCO's order.

    Attributes:
        frames: (T,) scene frames.
        joints: (T, 17, 2) px of the plate as filmed, (0, 0) the centre of the top-left pixel; NaN where absent.
        confidence: (T, 17) 0..1.
        residual: (T, 17) px from the solved joint, NaN where nothing was compared.
    """

    frames: np.ndarray
    joints: np.ndarray
    confidence: np.ndarray
    residual: np.ndarray

    def row(self, frame: float) -> int | None:
        """Which row is a scene frame; None where it was not captured."""
        row = int(np.searchsorted(self.frames, frame))
        return row if row < len(self.frames) and self.frames[row] == frame else None


@dataclass(frozen=True)
class Plate:
    """The lens that filmed the plate: width and height (px), K (3, 3) px of the first frame, distortion (5,)."""

    width: int
    height: int
    K: np.ndarray
    distortion: np.ndarray


def keep(person: bpy.types.Object, take: Take, index: int, frame_start: int) -> None:
    """Put what the take saw of the person at `index` into an armature object."""
    joints = len(COCO_17)
    person[_FRAMES] = (frame_start + take.frames).astype(np.int32)
    person[_PIXELS] = take.joints2d[index, :, :joints].astype(np.float32).ravel()
    person[_CONFIDENCE] = take.confidence[index, :, :joints].astype(np.float32).ravel()
    person[_RESIDUAL] = take.residual_px[index].astype(np.float32).ravel()
    person[_OVER_CLIP] = median(take.residual_px[index])  # panels are drawn too often to work it out there


def read(person: bpy.types.Object) -> Observed | None:
    """What `keep` put there; None for an armature of another origin. The arrays are views: do not write to them."""
    if any(name not in person for name in (_FRAMES, _PIXELS, _CONFIDENCE, _RESIDUAL)):
        return None
    frames, joints, confidence, residual = (
        np.asarray(memoryview(person[name])) for name in (_FRAMES, _PIXELS, _CONFIDENCE, _RESIDUAL)
    )
    shape = (len(frames), len(COCO_17))
    return Observed(frames, joints.reshape(*shape, 2), confidence.reshape(shape), residual.reshape(shape))


def residual_of_joints(person: bpy.types.Object) -> np.ndarray:
    """(17,) px, median over the clip, of an armature that `keep` was called for; NaN where nothing was compared."""
    return np.array(person[_OVER_CLIP])


def key_residual(owner: bpy.types.Object, frames: np.ndarray, residual: np.ndarray) -> None:
    """Key the mean residual of frames (T,) into the assigned action, from (T, ...) px; none where nothing is known."""
    values = mean(residual, tuple(range(1, residual.ndim)))
    known = np.isfinite(values)
    owner[RESIDUAL] = float(values[known].mean()) if known.any() else 0.0
    owner.id_properties_ui(RESIDUAL).update(
        min=0.0, description="How far the solved joints lie from those in the plate, mean over the joints, px"
    )
    if known.any():
        held = np.zeros(known.sum(), bool)
        animation.write(owner, owner.name, frames[known], held, [Channel(_PATH, 0, "Residual", values[known])])
    else:
        animation.clear(owner, {_PATH})


def residual_keys(owner: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """Frames (K,) and values (K,) px of the keys that `key_residual` wrote; empty where there are none."""
    for curve in animation.curves_of(owner):
        if curve.data_path == _PATH:
            points = np.empty((len(curve.keyframe_points), 2), np.float32)
            curve.keyframe_points.foreach_get("co", points.ravel())
            return points[:, 0], points[:, 1]
    return np.zeros(0), np.zeros(0)


def keep_plate(camera: bpy.types.Object, take: Take) -> None:
    """Put the lens that filmed the plate into a camera object."""
    K = take.camera_K[0]
    size = (take.video["width"], take.video["height"])
    camera[_PLATE] = np.array([*size, K[0, 0], K[1, 1], K[0, 2], K[1, 2], *take.distortion], float)


def plate_of(camera: bpy.types.Object) -> Plate | None:
    """What `keep_plate` put there; None for a camera of another origin."""
    if _PLATE not in camera:
        return None
    width, height, fx, fy, cx, cy, *distortion = camera[_PLATE]
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return Plate(int(width), int(height), K, np.array(distortion))
