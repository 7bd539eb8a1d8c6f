"""How far the solved joints lie from those in the plate, over a clip. No bpy in here."""

import numpy as np


def mean(residual: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Mean over some axes; NaN where nothing was compared."""
    known = np.isfinite(residual)
    count = known.sum(axis)
    return np.where(count > 0, np.where(known, residual, 0).sum(axis) / np.maximum(count, 1), np.nan)


def median(residual: np.ndarray) -> np.ndarray:
    """Median of each column of (T, J); NaN where nothing was compared."""
    return np.array([np.median(known) if len(known := c[np.isfinite(c)]) else np.nan for c in residual.T])


def worst(frames: np.ndarray, values: np.ndarray, apart: float) -> list[int]:
    """Frames at which a curve peaks, the highest first, none nearer than `apart` frames to a higher one.

    frames (K,) ascending and values (K,) are the curve's keys.
    """
    peaks: list[int] = []
    left, right = np.append(-np.inf, values[:-1]), np.append(values[1:], -np.inf)
    for key in np.argsort(-values, kind="stable"):
        is_peak = values[key] >= left[key] and values[key] >= right[key]
        if is_peak and all(abs(frames[key] - peak) >= apart for peak in peaks):
            peaks.append(round(float(frames[key])))
    return peaks
