"""People over time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tracks:
    """P people over T processed frames, the main person first.

    Attributes:
        frames: (T,) int32 frame numbers of the video.
        joints: (P, T, 21, 2) float32 px, order `skeletons.BODY_21`, NaN where absent.
        confidence: (P, T, 21) float32 0..1, 0 where absent.
        source: (P, T, 21) uint8 of `take.Source`.
    """

    frames: np.ndarray
    joints: np.ndarray
    confidence: np.ndarray
    source: np.ndarray

    def people(self, which: list[int]) -> "Tracks":
        """The people at these positions, in this order."""
        return Tracks(self.frames, self.joints[which], self.confidence[which], self.source[which])
