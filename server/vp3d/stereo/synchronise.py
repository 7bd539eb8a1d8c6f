"""By how much one clip started later than another, from how the person in both moves.

What a person does upwards and downwards looks alike from all sides, as long as cameras are held about level; so the
vertical speeds of all joints are correlated.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

FEWEST_SECONDS = 0.7
"""Of common footage that an offset must leave to be considered."""
_BLUR = 0.05
"""s, standard deviation of the filter before speeds are taken: detections shake."""


def time_offset(
    first: np.ndarray, second: np.ndarray, fps: tuple[float, float], longest: float = 10.0
) -> tuple[float, float]:
    """The offset between two clips of one person.

    Args:
        first, second: (T, J, 2) px, the person's joints in each clip; NaN where unknown.
        fps: frame rates.
        longest: s, offsets beyond which are not looked for.

    Returns:
        s to add to a time in the second clip to get the same instant's time in the first, to a fraction of a frame;
        and the correlation there, 0..1. Both are 0 where the clips share too little motion.
    """
    rate = max(fps)
    a, b = (_vertical_speed(joints, own, rate) for joints, own in zip((first, second), fps, strict=True))
    least = max(3, round(FEWEST_SECONDS * rate))
    reach = min(round(longest * rate), max(len(a), len(b)) - least)
    shifts = np.arange(-reach, reach + 1)
    scores = np.array([_correlation(a, b, shift, least) for shift in shifts])
    if not np.isfinite(scores).any() or np.nanmax(scores) <= 0:
        return 0.0, 0.0
    # A short overlap correlates by chance: what counts is how surely the correlation is not zero.
    common = np.minimum(len(a), len(b) + shifts) - np.maximum(0, shifts)
    best = int(np.nanargmax(np.arctanh(np.minimum(scores, 0.999)) * np.sqrt(np.maximum(common, 0))))
    between = 0.0
    if 0 < best < len(scores) - 1 and np.isfinite(scores[best - 1 : best + 2]).all():
        before, peak, after = scores[best - 1 : best + 2]
        bend = before - 2 * peak + after
        between = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float((shifts[best] + between) / rate), float(scores[best])


def _vertical_speed(joints: np.ndarray, fps: float, rate: float) -> np.ndarray:
    """(T', J) at `rate`, in heights of the person per second; NaN where a joint is unknown."""
    height = np.nanmedian(np.nanmax(joints[..., 1], 1) - np.nanmin(joints[..., 1], 1))
    y = joints[..., 1] / height
    times = np.arange(0, len(y) / fps, 1 / rate)
    own = np.arange(len(y)) / fps
    filled = np.full((len(times), y.shape[1]), np.nan)
    for j, column in enumerate(y.T):
        known = np.isfinite(column)
        if known.sum() >= 2:
            filled[:, j] = np.interp(times, own[known], column[known])
            gap = ~known[np.minimum(np.searchsorted(own, times), len(known) - 1)]
            smooth = gaussian_filter1d(filled[:, j], _BLUR * rate, mode="nearest")
            filled[:, j] = np.where(gap, np.nan, smooth)
    return np.gradient(filled, axis=0) * rate if len(filled) > 1 else filled


def _correlation(a: np.ndarray, b: np.ndarray, shift: int, least: int) -> float:
    """Of the second's frame t with the first's frame t + shift, over all joints."""
    start, stop = max(0, shift), min(len(a), len(b) + shift)
    if stop - start < least:
        return np.nan
    x, y = a[start:stop], b[start - shift : stop - shift]
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < least * a.shape[1] // 3:
        return np.nan
    count = np.maximum(both.sum(0), 1)
    x, y = np.where(both, x, 0), np.where(both, y, 0)
    x, y = (x - x.sum(0) / count) * both, (y - y.sum(0) / count) * both
    spread = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / spread) if spread > 0 else np.nan
