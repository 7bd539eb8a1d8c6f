"""Candidate joints: local maxima of heatmaps, decoded to a fraction of a pixel."""

from dataclasses import dataclass

import numpy as np

MIN_SCORE = 0.1
"""Peaks below this are noise (Lightweight OpenPose uses the same)."""

# A peak between cells loses up to a third of its height to sampling (exp(-1/(4·0.875²)) = 0.72 at half a cell on both
# axes for the Gaussian this network was trained on), so cells are pre-selected lower than peaks are accepted.
_MIN_CELL = 0.7 * MIN_SCORE
_FLOOR = 1e-3
_NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
_CENTRE = _NEIGHBOURS.index((0, 0))


@dataclass(frozen=True)
class Peaks:
    """Candidate joints of one image.

    Attributes:
        kind: (N,) int, which heatmap each lies in; ascending.
        position: (N, 2) float64, u and v in pixels of the network's input, (0, 0) at the centre of its first pixel.
        score: (N,) float64, height of the peak, at most 1.
    """

    kind: np.ndarray
    position: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)


def find_peaks(heatmaps: np.ndarray, stride: int) -> Peaks:
    """Find and refine the local maxima of heatmaps.

    A parabola through the logarithms of a peak and its neighbours is exact for a Gaussian of any width, so position
    and height do not depend on where between the cells the joint lies (as in DARK, Zhang et al. 2020, eq. 9, here
    without the cross term).

    Args:
        heatmaps: (K, h, w) float, without the background map.
        stride: pixels of the network's input per cell.
    """
    height, width = heatmaps.shape[1:]
    padded = np.pad(heatmaps, ((0, 0), (1, 1), (1, 1)))
    kind, row, column = np.nonzero(heatmaps > _MIN_CELL)
    around = np.stack([padded[kind, row + 1 + dy, column + 1 + dx] for dy, dx in _NEIGHBOURS], axis=1)
    value = around[:, _CENTRE, None]
    # Strict on one side only, so that of two equal neighbours exactly one is the peak.
    peak = (value > around[:, :_CENTRE]).all(axis=1) & (value >= around[:, _CENTRE + 1 :]).all(axis=1)
    kind, row, column = kind[peak], row[peak], column[peak]

    logs = np.log(np.maximum(around[peak], _FLOOR)).reshape(-1, 3, 3).astype(np.float64)
    du, gain_u = _vertex(logs[:, 1, :], (column > 0) & (column < width - 1))
    dv, gain_v = _vertex(logs[:, :, 1], (row > 0) & (row < height - 1))
    score = np.minimum(np.exp(logs[:, 1, 1] + gain_u + gain_v), 1.0)
    position = (np.stack((column + du, row + dv), axis=1) + 0.5) * stride - 0.5
    keep = score > MIN_SCORE
    return Peaks(kind[keep], position[keep], score[keep])


def _vertex(logs: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset (cells) and rise of a parabola through three logarithms (N, 3); zero where a neighbour is outside."""
    before, at, after = logs.T
    slope, curvature = after - before, before - 2 * at + after
    usable = inside & (curvature < 0)
    offset = np.where(usable, -0.5 * slope / np.where(usable, curvature, 1.0), 0.0).clip(-0.5, 0.5)
    return offset, 0.25 * slope * offset
