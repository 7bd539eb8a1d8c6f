"""Noise and pops taken out of a motion, hits left in. No bpy in here.

Signals are (T, C): what belongs together, such as the four numbers of a bone's quaternion, is judged together. All is
said in seconds, so that 30 and 60 frames per second give the same motion.
"""

import numpy as np

_POP_TIME = 0.05  # s, longest pop: two frames at 50 fps; what lasts longer may be meant
_POP_MADS = 6.0  # a pop sticks out of its surroundings by this many times what is usual there
_SURROUNDINGS = 0.5  # s, to each side
_NOISE_SHARE = 0.3  # of the frames are taken to show nothing but noise
_NOISE_MARGIN = 5.0  # times the power of the noise: what has less is not worth keeping
_TAIL = 3.0  # a Gaussian is cut off after this many standard deviations


def without_pops(values: np.ndarray, dt: float) -> np.ndarray:
    """Replace single outliers by what the frames around them let expect.

    The frames in question are left out and predicted by the cubic through two frames on each side. They are a pop if
    they miss it by more than the motion around them goes in that time, and by much more than is usual nearby (Hampel's
    test). A hit goes on for several frames, so it is met by its prediction.

    Args:
        values: (T, C), finite.
        dt: s between frames.
    """
    cleaned = np.array(values, float)
    for length in range(max(1, int(_POP_TIME / dt + 1e-6)), 0, -1):
        for _ in range(2):  # a pop spoils the predictions beside it: these are judged again
            cleaned = _without_pops(cleaned, length, max(2, round(_SURROUNDINGS / dt)))
    return cleaned


def _without_pops(values: np.ndarray, length: int, around: int) -> np.ndarray:
    count = len(values) - length - 3
    if count < 3:
        return values
    knots = np.array([-2, -1, length, length + 1])
    weights = np.array([_lagrange(knots, place) for place in range(length)])
    windows = np.stack([values[2 + k : 2 + k + count] for k in knots], axis=1)
    expected = np.einsum("lk,tkc->tlc", weights, windows)
    actual = np.stack([values[2 + n : 2 + n + count] for n in range(length)], axis=1)
    missed = np.linalg.norm((actual - expected).mean(1), axis=-1)

    steps = np.linalg.norm(windows[:, [1, 3]] - windows[:, [0, 2]], axis=-1).max(1)
    motion = np.maximum(steps * (length + 1) / 2, np.linalg.norm(windows[:, 2] - windows[:, 1], axis=-1) / 2)
    usual = _running_median(missed, around)
    worst = missed >= _running_maximum(missed, length)
    pops = np.flatnonzero(worst & (missed > motion) & (missed > _POP_MADS * usual) & (missed > 1e-6))
    cleaned = values.copy()
    for pop in pops:
        cleaned[2 + pop : 2 + pop + length] = expected[pop]
    return cleaned


def smooth(values: np.ndarray, dt: float, seconds: float) -> np.ndarray:
    """Smooth without delay; what stands out of the noise keeps its shape.

    A local quadratic fit with Gaussian weights gives the smooth motion, which keeps the height of arcs. What it takes
    away is given back where, over a while, it has more power than the noise (Wiener's gain); the noise is judged by
    the quieter frames.

    Args:
        values: (T, C), finite.
        dt: s between frames.
        seconds: standard deviation of the weights; 0 changes nothing.
    """
    values = np.asarray(values, float)
    if seconds <= 0 or len(values) < 3:
        return values.copy()
    soft = convolve(values, quadratic_kernel(seconds / dt))
    detail = values - soft
    power = convolve((detail**2).sum(-1, keepdims=True), gaussian_kernel(seconds / dt), mirrored=True)
    noise = np.quantile(power, _NOISE_SHARE)
    gain = np.clip(1 - _NOISE_MARGIN * noise / np.maximum(power, 1e-30), 0, 1)
    return soft + gain * detail


def smooth_quaternions(rotations: np.ndarray, dt: float, seconds: float) -> np.ndarray:
    """`smooth` for unit quaternions (T, 4) that are continuous in sign: their chord, normalised again, which over the
    few degrees between neighbouring frames is the rotation vector."""
    smoothed = smooth(rotations, dt, seconds)
    return smoothed / np.maximum(np.linalg.norm(smoothed, axis=-1, keepdims=True), 1e-12)


def gaussian_kernel(sigma: float) -> np.ndarray:
    """Weights of a Gaussian with `sigma` in frames; their sum is 1."""
    reach = int(np.ceil(_TAIL * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    return weights / weights.sum()


def quadratic_kernel(sigma: float) -> np.ndarray:
    """Weights that give the middle of the parabola fitted with Gaussian weights (Savitzky and Golay 1964)."""
    weights = gaussian_kernel(sigma)
    squares = (np.arange(len(weights)) - len(weights) // 2) ** 2
    weights = weights * ((weights * squares**2).sum() - squares * (weights * squares).sum())
    return weights / weights.sum()


def convolve(values: np.ndarray, kernel: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
    """(T, C) with a symmetric kernel; beyond the ends values go on turned about the end, or mirrored."""
    reach = min(len(kernel) // 2, len(values) - 1)
    middle = len(kernel) // 2
    kernel = kernel[middle - reach : middle + reach + 1]
    kernel = kernel / kernel.sum()
    before, after = values[reach:0:-1], values[-2 : -2 - reach : -1]
    if not mirrored:
        before, after = 2 * values[0] - before, 2 * values[-1] - after
    padded = np.concatenate([before, values, after])
    result = np.zeros_like(values)
    for place, weight in enumerate(kernel):
        result += weight * padded[place : place + len(values)]
    return result


def _lagrange(knots: np.ndarray, place: int) -> list[float]:
    """Weights of values at `knots` for the value at `place`."""
    return [float(np.prod([(place - other) / (knot - other) for other in knots if other != knot])) for knot in knots]


def _running_median(values: np.ndarray, reach: int) -> np.ndarray:
    reach = min(reach, (len(values) - 1) // 2)
    return np.median(_windows(values, reach), axis=-1)


def _running_maximum(values: np.ndarray, reach: int) -> np.ndarray:
    return _windows(values, reach).max(-1)


def _windows(values: np.ndarray, reach: int) -> np.ndarray:
    padded = np.pad(values, reach, mode="reflect" if reach < len(values) else "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
