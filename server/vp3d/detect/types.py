"""What every detector gives and how it is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vp3d.common.skeletons import BODY_21

SEEN = 0.3
"""Confidence from which a joint counts as seen."""


@dataclass(frozen=True)
class People:
    """The people in one frame, surest first.

    Attributes:
        joints: (N, 21, 2) float32 px in `BODY_21` order, (0, 0) at the centre of the first pixel; NaN where not found.
        confidence: (N, 21) float32, 0…1; 0 where not found, from `SEEN` on good enough to use.
    """

    joints: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.joints)

    @classmethod
    def empty(cls, count: int = 0) -> "People":
        """`count` people of whom nothing is known yet."""
        return cls(np.full((count, len(BODY_21), 2), np.nan, np.float32), np.zeros((count, len(BODY_21)), np.float32))


class Detector(Protocol):
    """Finds people in images.

    Attributes:
        name: what `open_detector` calls it.
        description: one sentence for the panel and the report: which detector ran and what the other would give.
        licence: of its weights.
        weights: file that they are in.
        batch_size: how many images to pass at once for full speed.
    """

    name: str
    description: str
    licence: str
    weights: Path
    batch_size: int

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """Find people in (H, W, 3) uint8 RGB images of one size; a video's frames in their order."""
        ...

    def close(self) -> None:
        """Give back memory and threads; the detector is not used afterwards."""
        ...
