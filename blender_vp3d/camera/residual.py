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
    left, right = np.append(-np.inf, values[:-1]), np.append(values[1:], -np.inf)
    free, peaks = (values >= left) & (values >= right), []
    for key in np.argsort(-values, kind="stable"):
        if free[key]:
            peaks.append(round(float(frames[key])))
            free[np.abs(frames - frames[key]) < apart] = False
    return peaks
