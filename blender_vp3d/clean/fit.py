"""Few keys instead of many: piecewise cubics through some of a signal's samples, within a bound. No bpy in here.

With its handles a third of the way to the neighbouring keys, a Bezier segment of an F-curve is a cubic polynomial of
time: Hermite's, with the handles' directions as its slopes. Given the keys, the slopes that miss the samples least
follow from a tridiagonal system; keys are added where the curve misses by too much, until it nowhere does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_KEEP_SLOPE = 1e-2  # weight of the signal's own slope, against a sample's: decides where there are no samples between
_NEARBY = 4  # keys to each side are fitted anew when one between them goes


@dataclass(frozen=True)
class Curve:
    """Keys of C channels at common times.

    Attributes:
        keys: (K,) indices of the samples that are keys.
        times: (K,)
        values: (K, C)
        slopes: (K, C) change of value per unit of time.
    """

    keys: np.ndarray
    times: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Values (T, C) at times (T,) between the first and the last key."""
        if len(self.times) == 1:
            return np.broadcast_to(self.values, (len(times), self.values.shape[1]))
        place = np.clip(np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 2)
        y0, y1, m0, m1 = _basis(self.times, place, times)
        values, slopes = self.values, self.slopes
        return y0 * values[place] + y1 * values[place + 1] + m0 * slopes[place] + m1 * slopes[place + 1]

    def handles(self) -> tuple[np.ndarray, np.ndarray]:
        """Left and right Bezier handles, (K, C, 2) of time and value each."""
        steps = np.diff(self.times) / 3 if len(self.times) > 1 else np.ones(1)
        both = []
        for reach in (-np.append(steps[:1], steps), np.append(steps, steps[-1:])):
            reach = reach[: len(self.times), None]
            time = np.broadcast_to(self.times[:, None] + reach, self.values.shape)
            both.append(np.stack([time, self.values + reach * self.slopes], axis=-1))
        return both[0], both[1]


Error = Callable[[np.ndarray, slice], np.ndarray]
"""How far values (n, C) are from a signal's samples in a slice of its time, (n,)."""


def reduce(times: np.ndarray, values: np.ndarray, error: Error, limit: float) -> Curve:
    """A curve with few keys.

    Args:
        times: (T,) increasing.
        values: (T, C).
        error: from the samples.
        limit: largest error allowed at any of `times`.
    """
    keys = _filled(np.unique([0, len(times) - 1]), times, values, error, limit)
    keys = _filled(_thinned(keys, times, values, error, limit), times, values, error, limit)
    return _curve(keys, times, values)


def _curve(keys: np.ndarray, times: np.ndarray, values: np.ndarray) -> Curve:
    return Curve(keys, times[keys], values[keys], _slopes(times, values, keys))


def _filled(keys: np.ndarray, times: np.ndarray, values: np.ndarray, error: Error, limit: float) -> np.ndarray:
    """Keys, and more where the curve misses by too much: at the worst samples of the worst segments around."""
    while True:
        missed = error(_curve(keys, times, values)(times), slice(0, len(times)))
        missed[keys] = 0
        worst = np.array([a + int(np.argmax(missed[a:b])) for a, b in pairwise(keys)], int)
        size = np.pad(missed[worst], 1)
        new = worst[(size[1:-1] > limit) & (size[1:-1] >= size[:-2]) & (size[1:-1] >= size[2:])]
        if not len(new):
            return keys
        keys = np.unique([*keys, *new])


def _thinned(keys: np.ndarray, times: np.ndarray, values: np.ndarray, error: Error, limit: float) -> np.ndarray:
    """Keys without those that the curve, near them, does without: slopes hardly depend on keys farther away."""
    kept, i = keys.tolist(), 1
    while i < len(kept) - 1:
        low = max(0, i - _NEARBY)
        near = [key for key in kept[low : i + _NEARBY + 1] if key != kept[i]]
        part = slice(near[0], near[-1] + 1)
        curve = _curve(np.array(near) - near[0], times[part], values[part])
        if error(curve(times[part]), part).max() <= limit:
            del kept[i]
        else:
            i += 1
    return np.array(kept)


def _slopes(times: np.ndarray, values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(K, C) slopes at the keys that miss the samples least, in the sense of least squares."""
    if len(keys) == 1:
        return np.zeros((1, values.shape[1]))
    place = np.clip(np.searchsorted(keys, np.arange(len(times)), side="right") - 1, 0, len(keys) - 2)
    y0, y1, m0, m1 = _basis(times[keys], place, times)
    rest = values - y0 * values[keys][place] - y1 * values[keys][place + 1]

    def sums(products: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(place, column, len(keys) - 1) for column in products.T], axis=-1)

    diagonal = np.full((len(keys), 1), _KEEP_SLOPE)
    diagonal[:-1] += sums(m0 * m0)
    diagonal[1:] += sums(m1 * m1)
    beside = sums(m0 * m1)
    right = _KEEP_SLOPE * np.gradient(values, times, axis=0)[keys]
    right[:-1] += sums(m0 * rest)
    right[1:] += sums(m1 * rest)
    for k in range(len(keys) - 1):
        factor = beside[k] / diagonal[k]
        diagonal[k + 1] -= factor * beside[k]
        right[k + 1] -= factor * right[k]
    right[-1] /= diagonal[-1]
    for k in range(len(keys) - 2, -1, -1):
        right[k] = (right[k] - beside[k] * right[k + 1]) / diagonal[k]
    return right


def _basis(knots: np.ndarray, place: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hermite's four polynomials (T, 1): of the values before and after, and of the slopes before and after."""
    span = knots[place + 1] - knots[place]
    u = ((times - knots[place]) / span)[:, None]
    v, span = 1 - u, span[:, None]
    return v * v * (1 + 2 * u), u * u * (1 + 2 * v), span * u * v * v, -span * u * u * v
