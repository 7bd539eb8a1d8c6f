"""When a foot stands. No bpy in here."""

from dataclasses import dataclass

import numpy as np

from .smooth import convolve, gaussian_kernel

_SPEED_TIME = 0.03  # s, over which speed is measured
_LEAST_TIME = 0.1  # s, shorter ones are no steps, and shorter breaks none either
_RELEASE = 1.5  # times the thresholds at which a foot that stands is taken to have left


@dataclass(frozen=True)
class Thresholds:
    """What counts as standing.

    Attributes:
        height: m over the floor, of the lowest point of the sole.
        speed: m/s, of the sole's slowest point.
        floor: m, height of the floor in the world.
    """

    height: float = 0.05
    speed: float = 0.3
    floor: float = 0.0


def find(sole: np.ndarray, dt: float, thresholds: Thresholds = Thresholds()) -> np.ndarray:
    """Frames (T,) bool in which a foot stands: low and slow, and then until it is clearly neither.

    Args:
        sole: (T, S, 3) m, points of the sole in the world; a foot that rolls stands on the slowest.
        dt: s between frames.
        thresholds: see there.
    """
    height = sole[..., 2].min(1) - thresholds.floor
    if len(sole) < 3:
        return height < thresholds.height
    flat = convolve(sole.reshape(len(sole), -1), gaussian_kernel(_SPEED_TIME / dt))
    velocity = np.gradient(flat, dt, axis=0).reshape(sole.shape)
    speed = np.linalg.norm(velocity, axis=-1).min(1)
    stands = (height < thresholds.height) & (speed < thresholds.speed)
    remains = (height < _RELEASE * thresholds.height) & (speed < _RELEASE * thresholds.speed)
    found = np.zeros(len(sole), bool)
    for start, end in runs(remains):
        longest = max((b - a for a, b in runs(stands[start:end])), default=0)
        found[start:end] = longest * dt >= _LEAST_TIME
    return tidied(found, dt)


def tidied(contacts: np.ndarray, dt: float) -> np.ndarray:
    """Contacts (T,) bool without those that are too short to be steps, and without breaks too short to be one."""
    tidy = contacts.copy()
    for value in (True, False):  # breaks are closed first: what is left of a flicker may still be a step
        for start, end in runs(tidy != value):
            inside = start > 0 and end < len(tidy)
            if (end - start) * dt < _LEAST_TIME and inside:
                tidy[start:end] = value
    return tidy


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Start and end (exclusive) of every stretch of True in (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
