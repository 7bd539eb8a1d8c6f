"""People over time."""

from dataclasses import dataclass

import numpy as np

from vp3d.common.take import Source


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

    def split(self, shots: tuple[tuple[int, int], ...]) -> "Tracks":
        """Everybody once per shot, given by rows (start, end), where present: nobody is known again after a cut."""
        if len(shots) == 1:
            return self
        rows = np.arange(len(self.frames))
        parts = []
        for start, end in shots:
            inside = ((rows >= start) & (rows < end))[None, :, None]
            present = np.isfinite(self.joints[:, start:end]).any((1, 2, 3))
            parts.append(
                (
                    np.where(inside[..., None], self.joints, np.nan)[present],
                    np.where(inside, self.confidence, 0)[present],
                    np.where(inside, self.source, Source.ABSENT)[present].astype(np.uint8),
                )
            )
        return Tracks(self.frames, *(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
