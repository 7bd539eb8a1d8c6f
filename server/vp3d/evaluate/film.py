"""Clips with known 3D poses: recorded motion seen by static virtual cameras, as a lifter gets to see a video."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from vp3d.common.skeletons import BODY_21, COCO_17, H36M_17
from vp3d.evaluate.postures import postures
from vp3d.train.augment import seat, tip_over
from vp3d.train.bodies import COCO_POINTS
from vp3d.train.dice import Dice
from vp3d.train.recording import STORED_FPS, Recording, resample
from vp3d.train.views import NoiseModel, ViewModel, corrupt, random_views

SIZE = (1280, 720)
"""px"""
FIELDS_OF_VIEW = (35.0, 90.0)
"""Degrees across the image; log-uniform."""
LONGEST, SHORTEST = 4.0, 1.0
"""s; recordings are cut into clips, and what is left over is kept where it is long enough."""
_NEAREST = 0.5
"""m between the camera and the nearest joint."""
_FARTHER = 1.6
"""Up to this factor farther away than where the person just fits into the image."""

_UPRIGHT = replace(ViewModel(), canted=(0.0, 0.0))

DETECTOR = NoiseModel(strength=(1.0, 1.0), perfect=0.0)
"""The modelled errors of a detector, at full strength."""

CHANGES = {
    "recorded": lambda points, dice: None,
    "bent to sit": partial(seat, share=1.0),
    "tipped over": partial(tip_over, share=1.0),
}
"""What is done to windows (B, W, 22, 3) of recorded motion before it is filmed, in place."""

_ACTIONS = {
    "001": "climbing",
    "002-01": "walking",
    "002-02": "walking",
    "002": "everyday",
    "003": "uneven ground",
    "005": "modern dance",
    "006": "basketball",
    "007": "walking",
}
"""Beginnings of CMU takes by what mocap.cs.cmu.edu says of them, the longer first."""


@dataclass(frozen=True)
class Clip:
    """One person seen by one camera.

    Attributes:
        name: of the recording or video.
        action: what errors are grouped by.
        joints: (T, 21, 2) px, `BODY_21`, lens distortion removed, NaN where missing.
        confidence: (T, 21), 0 to 1.
        K: (3, 3) px.
        size: width and height, px.
        fps: Hz.
        poses: (T, 17, 3) m, the truth in camera axes with the hip at 0; NaN for joints and frames that nobody knows.
        posture: (T,) indices into `postures.POSTURES`.
    """

    name: str
    action: str
    joints: np.ndarray
    confidence: np.ndarray
    K: np.ndarray
    size: tuple[int, int]
    fps: float
    poses: np.ndarray
    posture: np.ndarray


def film(
    recordings: Sequence[Recording],
    fps: float = 50.0,
    cameras: int = 2,
    noise: NoiseModel | None = None,
    change: str = "recorded",
    fields_of_view: tuple[float, float] = FIELDS_OF_VIEW,
    frames: int | None = None,
    seed: int = 0,
) -> list[Clip]:
    """Clips of recordings.

    Directions of view are those of `ViewModel`, but none is canted; the camera stands as far away as it takes to keep
    the person in the image all the time, or up to 1.6 times that, and what is known of it is exact. The same seed gives
    the same clips and cameras whatever the other arguments are.

    Args:
        recordings: harmonised motion.
        fps: of the clips, Hz.
        cameras: for every clip.
        noise: errors of the detector; None for perfect joints.
        change: a name in `CHANGES`.
        fields_of_view: smallest and largest, degrees.
        frames: about how many in all; clips are taken at random. None for all.
        seed: of cameras and errors.
    """
    pieces = [(recording, piece) for recording in recordings for piece in _cut(recording.points, fps)] * cameras
    rng = np.random.default_rng(seed)
    draws = [(int(rng.integers(2**31)), *rng.random(2)) for _ in pieces]
    order = rng.permutation(len(pieces))
    clips: list[Clip] = []
    for i in order:
        if frames is not None and sum(len(clip.joints) for clip in clips) >= frames:
            break
        clips.append(_clip(*pieces[i], fps, noise, change, fields_of_view, *draws[i]))
    return clips


def action_of(take: str) -> str:
    """What is done in a take, as far as its name tells."""
    named = take.rpartition("-")[0] or take
    return next((action for start, action in _ACTIONS.items() if take.startswith(start)), named)


def _cut(points: np.ndarray, fps: float) -> list[np.ndarray]:
    resampled = resample(points, STORED_FPS, fps)
    longest = round(LONGEST * fps)
    pieces = [resampled[start : start + longest] for start in range(0, len(resampled), longest)]
    return [piece for piece in pieces if len(piece) >= SHORTEST * fps]


def _clip(
    recording: Recording,
    points: np.ndarray,
    fps: float,
    noise: NoiseModel | None,
    change: str,
    fields_of_view: tuple[float, float],
    seed: int,
    zoom: float,
    farther: float,
) -> Clip:
    dice = Dice(seed)
    rotation = random_views(1, torch.zeros(1), _UPRIGHT, dice).rotation[0].numpy().astype(float)
    windows = torch.from_numpy(np.array(points, np.float32))[None]
    CHANGES[change](windows, dice)
    world = windows[0].numpy().astype(float)
    seen = (world - world[:, 0].mean(0)) @ rotation.T
    narrowest, widest = np.radians(fields_of_view)
    half_width = np.tan(narrowest ** (1 - zoom) * widest**zoom / 2)
    edge = half_width * np.array([1, SIZE[1] / SIZE[0]])
    closest = max((np.abs(seen[..., :2]) / edge - seen[..., 2:]).max(), (_NEAREST - seen[..., 2]).max())
    distance = closest * _FARTHER**farther
    seen[..., 2] += distance
    rays = (seen[..., :2] / seen[..., 2:])[:, COCO_POINTS]
    sure = np.ones(rays.shape[:2])
    if noise is not None:
        metre = torch.tensor([1 / distance], dtype=torch.float32)
        reported, confidence = corrupt(torch.from_numpy(rays.astype(np.float32))[None], metre, noise, dice)
        rays, sure = reported[0].numpy().astype(float), confidence[0].numpy().astype(float)

    focal = SIZE[0] / 2 / half_width
    centre = (np.array(SIZE) - 1) / 2
    joints = np.full((len(rays), len(BODY_21), 2), np.nan)
    confidence = np.zeros(joints.shape[:2])
    joints[:, : len(COCO_17)], confidence[:, : len(COCO_17)] = rays * focal + centre, sure
    return Clip(
        name=recording.name,
        action=action_of(recording.take),
        joints=joints,
        confidence=confidence,
        K=np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]),
        size=SIZE,
        fps=fps,
        poses=seen[:, : len(H36M_17)] - seen[:, :1],
        posture=postures(world[:, : len(H36M_17)], fps),
    )
