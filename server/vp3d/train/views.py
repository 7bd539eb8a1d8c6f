"""Virtual cameras around a person, and what a detector would report of that person through them."""

from dataclasses import dataclass

import numpy as np

from vp3d.common.skeletons import COCO_17


@dataclass(frozen=True)
class ViewModel:
    """Distribution of cameras. Angles in degrees, lengths in metres.

    Attributes:
        pitch: mean and standard deviation of looking down.
        steep: share of cameras that look down by `steep_pitch` instead.
        distance: nearest and farthest, log-uniform.
        roll: standard deviation.
        focal_error: standard deviation of the log of assumed over true focal length.
        drift: share of hand-held cameras, and how far the person then drifts in the image per window, metres.
    """

    pitch: tuple[float, float] = (8.0, 11.0)
    steep: float = 0.12
    steep_pitch: tuple[float, float] = (20.0, 55.0)
    distance: tuple[float, float] = (1.6, 12.0)
    roll: float = 4.0
    focal_error: float = 0.12
    drift: tuple[float, float] = (0.4, 0.25)


@dataclass(frozen=True)
class NoiseModel:
    """Errors of a 2D detector. Lengths are at the person's distance, in metres; shares are of joints or windows.

    Attributes:
        strength: lowest and highest factor on all errors, log-uniform per window; 0 for both means perfect joints.
        jitter: standard deviation of the error that changes from frame to frame with correlation `correlation`.
        bias: standard deviation of the error that stays for a whole window.
        outliers: share of wild joints, and their standard deviation.
        missing: share of joints that go missing within a window, times the joint's own factor.
        absent: share of joints that are missing for the whole window.
        no_face: share of windows without one side of the face; as many without eyes and ears, and without any face.
        gaps: share of windows with frames in which nothing is found.
        hidden: share of windows of which one side lies outside the image or behind something.
        no_legs: share of windows without knees and ankles.
        guessed: share of windows in which a missing joint is guessed, badly and with low confidence, instead of left
            out.
        swaps: share of windows in which left and right legs, arms or everything are exchanged for a while.
        run: mean length of such episodes, frames.
    """

    strength: tuple[float, float] = (0.15, 1.6)
    jitter: float = 0.015
    correlation: float = 0.6
    bias: float = 0.025
    outliers: tuple[float, float] = (0.012, 0.2)
    missing: float = 0.20
    absent: float = 0.025
    no_face: float = 0.07
    gaps: float = 0.08
    hidden: float = 0.15
    no_legs: float = 0.08
    guessed: float = 0.5
    swaps: float = 0.015
    run: float = 6.0


PERFECT = NoiseModel(
    strength=(0.0, 0.0),
    outliers=(0.0, 0.0),
    missing=0.0,
    absent=0.0,
    no_face=0.0,
    gaps=0.0,
    hidden=0.0,
    no_legs=0.0,
    swaps=0.0,
)
"""A detector without faults."""

_FACTORS = {
    "nose": 0.5,
    "eye": 0.5,
    "ear": 0.7,
    "shoulder": 0.8,
    "elbow": 1.1,
    "wrist": 1.4,
    "hip": 1.3,
    "knee": 1.0,
    "ankle": 1.1,
}
"""How much harder than a knee a joint is to place, after the tables of WHAM (Shin et al., 2024)."""
_FACTOR = np.array([_FACTORS[name.split("_")[-1]] for name in COCO_17.joints], np.float32)
_LEGS = [i for i, name in enumerate(COCO_17.joints) if name.endswith(("hip", "knee", "ankle"))]
_LOWER_LEGS = [i for i, name in enumerate(COCO_17.joints) if name.endswith(("knee", "ankle"))]
_FACES = [
    [i for i, name in enumerate(COCO_17.joints) if name.startswith(sides) and name.endswith(("nose", "eye", "ear"))]
    for sides in (("left",), ("right",), ("left", "right"), ("left", "right", "nose"))
]
_ARMS = [i for i, name in enumerate(COCO_17.joints) if name.endswith(("elbow", "wrist"))]


def random_views(count: int, model: ViewModel, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (count, 3, 3) from the world to camera axes and distances (count,) in metres."""
    yaw = rng.uniform(0, 2 * np.pi, count)
    pitch = np.radians(rng.normal(*model.pitch, count))
    steep = rng.random(count) < model.steep
    pitch[steep] = np.radians(rng.uniform(*model.steep_pitch, steep.sum()))
    roll = np.radians(rng.normal(0, model.roll, count))
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)], -1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros(count)], -1)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    rotation = np.stack([cos * right + sin * down, cos * down - sin * right, forward], axis=1)
    return rotation, np.exp(rng.uniform(*np.log(model.distance), count))


def corrupt(
    rays: np.ndarray, metre: np.ndarray, model: NoiseModel, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What a detector would report of true joints.

    Args:
        rays: (N, W, 17, 2) true normalised coordinates, COCO order.
        metre: (N,) length of one metre at the person's distance in normalised coordinates.
        model: the errors.
        rng: source of randomness.

    Returns:
        Rays with errors, NaN where missing, and confidence (N, W, 17).
    """
    count, window, joints = rays.shape[:3]
    normal = lambda *shape: rng.standard_normal(shape, dtype=np.float32)  # noqa: E731
    low, high = model.strength
    strength = np.exp(rng.uniform(np.log(low), np.log(high), count)) if high > 0 else np.zeros(count)
    scale = (strength.astype(np.float32)[:, None] * _FACTOR)[:, None, :, None]

    error = normal(count, window, joints, 2)
    fresh = np.float32(np.sqrt(1 - model.correlation**2))
    for t in range(1, window):
        error[:, t] = model.correlation * error[:, t - 1] + fresh * error[:, t]
    error *= model.jitter
    error += model.bias * normal(count, 1, joints, 2)
    error *= scale
    share, wild = model.outliers
    error += (
        (rng.random((count, window, joints, 1), dtype=np.float32) < share) * normal(count, window, joints, 2) * wild
    )

    def episodes(probability: np.ndarray) -> np.ndarray:
        """Masks (..., W): with a probability each, a run of frames at a random place."""
        shape = probability.shape
        length = rng.geometric(1 / model.run, shape)
        start = np.floor(rng.random(shape) * (window + length)) - length
        frames = np.arange(window)
        inside = (frames >= start[..., None]) & (frames < (start + length)[..., None])
        return inside & (rng.random(shape) < probability)[..., None]

    missing = episodes(np.broadcast_to(model.missing * _FACTOR, (count, joints))).swapaxes(1, 2)
    missing |= (rng.random((count, joints)) < model.absent)[:, None]
    for part in _FACES:
        faceless = np.flatnonzero(rng.random(count) < model.no_face)
        missing[faceless[:, None], :, part] = True
    hidden = rng.random(count) < model.hidden
    if hidden.any():
        # A straight edge across the person: mostly the lower edge of the image or a table.
        angle = np.where(rng.random(count) < 0.65, np.pi / 2 + 0.1 * normal(count), rng.uniform(0, 2 * np.pi, count))
        along = rays[..., 0] * np.cos(angle)[:, None, None] + rays[..., 1] * np.sin(angle)[:, None, None]
        middle = along.mean((1, 2), keepdims=True)
        edge = middle + (rng.uniform(-0.3, 0.8, count) * metre)[:, None, None]
        while_hidden = episodes(np.full(count, 0.5)) | (rng.random(count) < 0.5)[:, None]
        missing |= (along > edge) & hidden[:, None, None] & while_hidden[:, :, None]
    no_legs = np.flatnonzero(rng.random(count) < model.no_legs)
    missing[no_legs[:, None], :, _LOWER_LEGS] = True

    guessed = missing & (rng.random(count) < model.guessed)[:, None, None]
    error += guessed[..., None] * (0.12 * normal(count, 1, joints, 2) + 0.06 * normal(count, window, joints, 2))
    missing &= ~guessed
    missing |= episodes(np.full(count, model.gaps))[:, :, None]

    # Confidence falls with the error (MotionBERT's formula), detectors differ in how they scale it, and some give none.
    distance = np.linalg.norm(error, axis=-1)
    confidence = 0.15 / (0.15 + distance) + 0.1 * normal(count, window, joints)
    confidence = np.clip(confidence, 0.05, 1.0) ** np.exp(rng.uniform(np.log(0.4), np.log(2.0), count))[:, None, None]
    confidence = np.where((rng.random(count) < 0.2)[:, None, None] & ~guessed, 1.0, confidence)
    confidence = np.where(guessed, confidence * rng.uniform(0.1, 0.6, count)[:, None, None], confidence)
    if high == 0:
        confidence = np.ones_like(confidence)

    rays = rays + error * metre[:, None, None, None]
    mirrored = list(COCO_17.mirrored)
    for group, rate in ((_LEGS, 1.0), (_ARMS, 0.5), (list(range(joints)), 0.5)):
        swapped = np.zeros((count, window, joints), bool)
        swapped[:, :, group] = episodes(np.full(count, model.swaps * rate))[:, :, None]
        if swapped.any():
            rays = np.where(swapped[..., None], rays[:, :, mirrored], rays)
            confidence = np.where(swapped, confidence[:, :, mirrored], confidence)
            missing = np.where(swapped, missing[:, :, mirrored], missing)
    rays[missing] = np.nan
    confidence[missing] = 0.0
    return rays.astype(np.float32), confidence.astype(np.float32)
