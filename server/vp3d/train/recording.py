"""A harmonised recording of motion, at the rate that all are kept at."""

from dataclasses import dataclass

import numpy as np

STORED_FPS = 60.0
"""Hz; recordings are kept at this rate and resampled from it."""


@dataclass(frozen=True)
class Recording:
    """One harmonised recording.

    Attributes:
        name: its path in the archive.
        take: what was recorded; two files of one take (dance partners, two conversions) share it, and a split keeps
            them together.
        points: (T, 22, 3) float32 of `bodies.POINTS` at `STORED_FPS`, metres, Z up.
    """

    name: str
    take: str
    points: np.ndarray

    @property
    def performer(self) -> str:
        """Who was recorded: what takes of one person begin with."""
        return self.take.rpartition("-")[0] or self.take


def resample(points: np.ndarray, fps: float, new_fps: float) -> np.ndarray:
    """Linear interpolation of (T, ...) from one frame rate to another, starting at the same instant."""
    times = np.arange(int(np.floor((len(points) - 1) * new_fps / fps + 1e-6)) + 1) * fps / new_fps
    before = np.minimum(times.astype(int), len(points) - 1)
    after = np.minimum(before + 1, len(points) - 1)
    share = (times - before).reshape(-1, *[1] * (points.ndim - 1))
    return points[before] * (1 - share) + points[after] * share
