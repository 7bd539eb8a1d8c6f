"""Few keys instead of many: piecewise cubics through some of a signal's samples, within a bound. No bpy in here.

With its handles a third of the way to the neighbouring keys, a Bezier segment of an F-curve is a cubic polynomial of
time: Hermite's, with the handles' directions as its slopes. Given the keys, the slopes that miss the samples least
follow from a tridiagonal system; keys are added where the curve misses by too much, until it nowhere does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_KEEP_SLOPE = 1e-2  # weight of the signal's own slope, against a sample's: decides where there are no samples between
_WORTH_TRYING = 3.0  # times the bound: a key that costs less when it goes may cost nothing once slopes adapt


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


Error = Callable[[np.ndarray], np.ndarray]
"""How far values (T, C) are from a signal's samples, (T,)."""


def reduce(times: np.ndarray, values: np.ndarray, error: Error, limit: float) -> Curve:
    """A curve with few keys.

    Args:
        times: (T,) increasing.
        values: (T, C).
        error: from the samples.
        limit: largest error allowed at any of `times`.
    """
    keys = _filled(np.unique([0, len(times) - 1]), times, values, error, limit)
    return _curve(_thinned(keys, times, values, error, limit), times, values)


def _curve(keys: np.ndarray, times: np.ndarray, values: np.ndarray) -> Curve:
    return Curve(keys, times[keys], values[keys], _slopes(times, values, keys))


def _filled(keys: np.ndarray, times: np.ndarray, values: np.ndarray, error: Error, limit: float) -> np.ndarray:
    """Keys, and more where the curve misses by too much: at the worst sample of every such segment."""
    while True:
        missed = error(_curve(keys, times, values)(times))
        missed[keys] = 0
        if len(keys) < 2 or missed.max() <= limit:
            return keys
        most = np.repeat(np.maximum.reduceat(missed, keys[:-1]), np.diff(np.append(keys[:-1], len(times))))
        keys = np.union1d(keys, np.flatnonzero((missed > limit) & (missed == most)))


def _thinned(keys: np.ndarray, times: np.ndarray, values: np.ndarray, error: Error, limit: float) -> np.ndarray:
    """Keys without those that the curve does without, filled up again where it turns out that it does not.

    What it costs to lose a key is first judged with the slopes of the others as they are; these then adapt.
    """
    while len(keys) > 2:
        curve, cost = _curve(keys, times, values), np.full(len(keys), np.inf)
        for parity in (1, 2):
            gone = np.zeros(len(keys), bool)
            gone[parity:-1:2] = True
            rest = Curve(keys[~gone], curve.times[~gone], curve.values[~gone], curve.slopes[~gone])
            worst = np.maximum.reduceat(error(rest(times)), rest.keys[:-1])
            cost[gone] = worst[np.searchsorted(rest.keys, keys[gone]) - 1]
        least = (cost[1:-1] <= cost[:-2]) & (cost[1:-1] < cost[2:]) & (cost[1:-1] <= _WORTH_TRYING * limit)
        fewer = _filled(np.delete(keys, 1 + np.flatnonzero(least)), times, values, error, limit)
        if len(fewer) >= len(keys):
            break
        keys = fewer
    return keys


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
    right = _KEEP_SLOPE * np.gradient(values, times, axis=0)[keys]
    right[:-1] += sums(m0 * rest)
    right[1:] += sums(m1 * rest)
    return _tridiagonal(sums(m0 * m1), diagonal, right)


def _tridiagonal(beside: np.ndarray, diagonal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(K, C) solution of a symmetric system, diagonal (K, 1), beside it (K - 1, 1), by parallel cyclic reduction: every
    row gets rid of its neighbours, then of those that these had, twice as far away each time."""
    below, above = np.pad(beside, ((1, 0), (0, 0))), np.pad(beside, ((0, 1), (0, 0)))
    step = 1
    while step < len(right):

        def shifted(rows: np.ndarray, by: int, fill: float = 0.0) -> np.ndarray:
            beyond = np.full((abs(by), rows.shape[1]), fill)
            return np.concatenate([beyond, rows[:-by]] if by > 0 else [rows[-by:], beyond])

        low, high = -below / shifted(diagonal, step, 1.0), -above / shifted(diagonal, -step, 1.0)
        diagonal = diagonal + low * shifted(above, step) + high * shifted(below, -step)
        right = right + low * shifted(right, step) + high * shifted(right, -step)
        below, above = low * shifted(below, step), high * shifted(above, -step)
        step *= 2
    return right / diagonal


def _basis(knots: np.ndarray, place: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hermite's four polynomials (T, 1): of the values before and after, and of the slopes before and after."""
    span = knots[place + 1] - knots[place]
    u = ((times - knots[place]) / span)[:, None]
    v, span = 1 - u, span[:, None]
    return v * v * (1 + 2 * u), u * u * (1 + 2 * v), span * u * v * v, -span * u * u * v
