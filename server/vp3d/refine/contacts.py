"""Which foot is planted when, and how high the floor is."""

import numpy as np

from vp3d.refine import skeleton

SPEED = 0.30
"""m/s, speed of a foot that is as likely planted as not: 1 cm a frame at 30 fps (WHAM, Shin et al. 2024)."""
LIFT = 0.07
"""m, height above its planted height at which an ankle is as likely planted as not."""
_STEEPNESS = 5.0
_DEPTH_SHARE = 0.3
"""How much motion along the line of sight counts: there, noise is several times larger than across it."""
_ENTER, _LEAVE = 0.6, 0.3
_SHORTEST = 0.1
"""s, the shortest contact."""
_SPEED_SPAN = 0.1
"""s over which speed is measured."""
SEEN = 0.2
"""Confidence of a joint below which nothing is known of it."""
_FLOOR_KERNEL = 0.05
"""m, spread of planted ankles' heights."""


def foot_speed(points: np.ndarray, step: float, linked: np.ndarray) -> np.ndarray:
    """Speed (n, 2) m/s of both feet, mostly as seen across the line of sight: the median of what is known of each.

    Args:
        points: (n, 2, S, 3) m of each foot, from the camera at rest: the ankle, then others such as heel and toe, NaN
            where unseen. A foot that rolls over its toe has a heel and an ankle that move, and is not planted.
        step: s between frames.
        linked: (n-1,) bool, whether a frame follows the one before; speed is never measured across a gap.
    """
    reach = max(round(_SPEED_SPAN / step / 2), 1)
    section = np.concatenate([[0], np.cumsum(~linked)])
    now = np.arange(len(points))
    before, after = (np.clip(now + shift, 0, len(now) - 1) for shift in (-reach, reach))
    before = np.where(section[before] == section, before, np.searchsorted(section, section))
    after = np.where(section[after] == section, after, np.searchsorted(section, section, "right") - 1)
    time = np.maximum(after - before, 1) * step
    velocity = (points[after] - points[before]) / time[:, None, None, None]
    sight = points / np.linalg.norm(points, axis=-1, keepdims=True)
    along = (velocity * sight).sum(-1, keepdims=True)
    speed = np.linalg.norm(velocity - (1 - _DEPTH_SHARE) * along * sight, axis=-1)
    known = np.isfinite(speed)
    speed = np.sort(np.where(known, speed, np.inf), axis=-1)
    middle = (known.sum(-1, keepdims=True) - 1) / 2
    low, high = (np.take_along_axis(speed, index.astype(int), -1) for index in (np.floor(middle), np.ceil(middle)))
    return ((low + high) / 2)[..., 0]


def camera_height(joints: np.ndarray, up: np.ndarray, speed: np.ndarray, confidence: np.ndarray) -> tuple[float, float]:
    """Height of the camera above the floor that the lower, resting foot of joints (n, 17, 3) most often stands on.

    Args:
        joints: camera axes, m; `up` (3,) in the same axes.
        speed: (n, 2) m/s of the feet.
        confidence: (n, 2) of the ankles in the picture.

    Returns:
        height (m) and the number of frames it rests on; 0 frames where no resting foot is seen, and the height is then
        that of the lowest ankles the lifter imagined.
    """
    elevation = joints[:, skeleton.ANKLES] @ up
    lower = elevation <= elevation.min(axis=1, keepdims=True) + 0.02
    weight = lower * (confidence >= SEEN) / (1 + np.exp(np.clip(_STEEPNESS * (speed / SPEED - 1), -50, 50)))
    found = weight.sum()
    if found < 1:
        return float(skeleton.ANKLE_HEIGHT - np.quantile(elevation, 0.1)), 0.0
    order = np.argsort(elevation, axis=None)
    share = np.cumsum(weight.ravel()[order]) / found
    floor = elevation.ravel()[order][np.searchsorted(share, 0.25)]
    for _ in range(20):
        near = weight / (1 + ((elevation - floor) / _FLOOR_KERNEL) ** 2) ** 2
        floor = (near * elevation).sum() / near.sum()
    return float(skeleton.ANKLE_HEIGHT - floor), float(found)


def probabilities(
    joints: np.ndarray,
    up: np.ndarray,
    height: float,
    speed: np.ndarray,
    confidence: np.ndarray,
    step: float,
    linked: np.ndarray,
) -> np.ndarray:
    """Probability (n, 2) that the left and the right foot is planted: slow, low and seen, with hysteresis.

    A foot that enters contact (above 0.6) stays in it down to 0.3, and contacts shorter than 0.1 s are none; what is in
    contact gets at least 0.5, what is not gets 0.

    Args:
        joints: (n, 17, 3) m, camera axes; `up` (3,) in the same axes.
        height: m, of the camera above the floor.
        speed: (n, 2) m/s of the feet.
        confidence: (n, 2) of the ankles in the picture.
        step: s between frames; `linked` (n-1,) whether a frame follows the one before without a gap.
    """
    lift = np.maximum(joints[:, skeleton.ANKLES] @ up + height - skeleton.ANKLE_HEIGHT, 0)
    slow = 1 / (1 + np.exp(np.clip(_STEEPNESS * (speed / SPEED - 1), -50, 50)))
    low = 1 / (1 + np.exp(np.clip(_STEEPNESS * (lift / LIFT - 1), -50, 50)))
    probability = slow * low * (confidence >= SEEN)
    shortest = max(round(_SHORTEST / step), 2)
    planted = np.stack([_hysteresis(foot, linked, shortest) for foot in probability.T], axis=-1)
    return np.where(planted, np.maximum(probability, 0.5), 0.0)


def _hysteresis(probability: np.ndarray, linked: np.ndarray, shortest: int) -> np.ndarray:
    """Runs above `_LEAVE` that somewhere exceed `_ENTER` and last at least `shortest` frames."""
    above = probability > _LEAVE
    starts = np.flatnonzero(above & ~np.concatenate([[False], above[:-1] & linked]))
    stops = np.flatnonzero(above & ~np.concatenate([above[1:] & linked, [False]])) + 1
    planted = np.zeros(len(probability), bool)
    for start, stop in zip(starts, stops, strict=True):
        if stop - start >= shortest and probability[start:stop].max() > _ENTER:
            planted[start:stop] = True
    return planted
