"""Few keys instead of many: piecewise cubics through some of a signal's samples, within a bound. No bpy in here.

With its handles a third of the way to the neighbouring keys, a Bezier segment of an F-curve is a cubic polynomial of
time: Hermite's, with the handles' directions as its slopes. Given the keys, the slopes that miss the samples least
follow from a tridiagonal system; keys are added where the curve misses by too much, until it nowhere does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_KEEP_SLOPE = 1e-2  # weight of the signal's own slope, against a sample's: decides where there are no samples between
_FIRST_KEYS = 8  # samples from key to key to begin with
_WORTH_GOING_ON = 0.01  # of the keys that a round has to save for another one
_NOTHING = 1e-15  # of the diagonal
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
        return _between(_basis(self.times, place, times), self.values.T, self.slopes.T, place).T

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
    signal = _Signal(times, np.ascontiguousarray(values.T), error, limit)
    keys = np.unique([0, len(times) - 1])
    fit = signal.fit(keys)
    if fit.missed.max() > limit:
        # halving from the ends would take a round for every doubling; of keys close together, many go again
        keys, fit = signal.filled(np.union1d(keys, np.arange(0, len(times), _FIRST_KEYS)))
    keys, fit = signal.thinned(keys, fit)
    return Curve(keys, times[keys], values[keys], fit.slopes.T)


@dataclass(frozen=True)
class _Fit:
    """Slopes (C, K) at keys and the error (T,) that is left; channels first, which keeps NumPy's loops long."""

    slopes: np.ndarray
    missed: np.ndarray


@dataclass(frozen=True)
class _Signal:
    """What is fitted: samples (C, T) at times (T,), what is allowed of an error, and how."""

    times: np.ndarray
    values: np.ndarray
    error: Error
    limit: float

    def fit(self, keys: np.ndarray) -> _Fit:
        """Slopes that miss the samples least, in the sense of least squares."""
        if len(keys) == 1:
            return _Fit(np.zeros((len(self.values), 1)), self.error(self.values.T))
        place = self._place(keys)
        basis = y0, y1, m0, m1 = _basis(self.times[keys], place, self.times)
        at = self.values[:, keys]
        rest = self.values - y0 * at[:, place] - y1 * at[:, place + 1]
        inside = np.add.reduceat(np.stack([m0 * m0, m1 * m1, m0 * m1]), keys[:-1], axis=1)
        sides = np.add.reduceat(np.concatenate([m0 * rest, m1 * rest]), keys[:-1], axis=1)
        diagonal = np.full(len(keys), _KEEP_SLOPE)
        diagonal[:-1] += inside[0]
        diagonal[1:] += inside[1]
        right = _KEEP_SLOPE * self._gradient(keys)
        right[:, :-1] += sides[: len(at)]
        right[:, 1:] += sides[len(at) :]
        slopes = _tridiagonal(inside[2], diagonal, right)
        return _Fit(slopes, self.error(_between(basis, at, slopes, place).T))

    def filled(self, keys: np.ndarray) -> tuple[np.ndarray, _Fit]:
        """Keys, and more where the curve misses by too much: at the worst sample of every such segment."""
        while True:
            fit = self.fit(keys)
            missed = fit.missed.copy()
            missed[keys] = 0
            if len(keys) < 2 or missed.max() <= self.limit:
                return keys, fit
            most = np.repeat(np.maximum.reduceat(missed, keys[:-1]), np.diff(np.append(keys[:-1], len(missed))))
            keys = np.union1d(keys, np.flatnonzero((missed > self.limit) & (missed == most)))

    def thinned(self, keys: np.ndarray, fit: _Fit) -> tuple[np.ndarray, _Fit]:
        """Keys without those that the curve does without, filled up again where it turns out that it does not.

        What it costs to lose a key is first judged with the slopes of the others as they are; these then adapt.
        """
        while len(keys) > 2:
            cost = np.full(len(keys), np.inf)
            for parity in (1, 2):
                gone = np.zeros(len(keys), bool)
                gone[parity:-1:2] = True
                rest = keys[~gone]
                place = self._place(rest)
                basis = _basis(self.times[rest], place, self.times)
                missed = self.error(_between(basis, self.values[:, rest], fit.slopes[:, ~gone], place).T)
                worst = np.maximum.reduceat(missed, rest[:-1])
                cost[gone] = worst[np.searchsorted(rest, keys[gone]) - 1]
            worth = cost[1:-1] <= _WORTH_TRYING * self.limit
            least = (cost[1:-1] <= cost[:-2]) & (cost[1:-1] < cost[2:]) & worth
            fewer, refit = self.filled(np.delete(keys, 1 + np.flatnonzero(least)))
            if len(fewer) < len(keys):
                gained = len(keys) - len(fewer)
                keys, fit = fewer, refit
                if gained > _WORTH_GOING_ON * len(keys):
                    continue
            break
        return keys, fit

    def _place(self, keys: np.ndarray) -> np.ndarray:
        """(T,) the segment, between one key and the next, that each sample is in; the last sample is in the last."""
        counts = np.diff(keys)
        counts[-1] += 1
        return np.repeat(np.arange(len(counts)), counts)

    def _gradient(self, keys: np.ndarray) -> np.ndarray:
        """(C, K) slopes of the samples themselves."""
        before, after = np.maximum(keys - 1, 0), np.minimum(keys + 1, len(self.times) - 1)
        return (self.values[:, after] - self.values[:, before]) / (self.times[after] - self.times[before])


def _between(basis: tuple[np.ndarray, ...], values: np.ndarray, slopes: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(C, T) of the curve with values and slopes (C, K) at the keys."""
    y0, y1, m0, m1 = basis
    after = place + 1
    return y0 * values[:, place] + y1 * values[:, after] + m0 * slopes[:, place] + m1 * slopes[:, after]


def _tridiagonal(beside: np.ndarray, diagonal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(C, K) solution of a symmetric system, diagonal (K,), beside it (K - 1,), by parallel cyclic reduction: every
    row gets rid of its neighbours, then of those that these had, twice as far away each time, until none count."""
    below, above = np.append(0, beside), np.append(beside, 0)
    step = 1
    while step < len(diagonal) and max(np.abs(below / diagonal).max(), np.abs(above / diagonal).max()) > _NOTHING:

        def shifted(rows: np.ndarray, by: int, fill: float = 0.0) -> np.ndarray:
            beyond = np.full((*rows.shape[:-1], abs(by)), fill)
            return np.concatenate([beyond, rows[..., :-by]] if by > 0 else [rows[..., -by:], beyond], axis=-1)

        low, high = -below / shifted(diagonal, step, 1.0), -above / shifted(diagonal, -step, 1.0)
        diagonal = diagonal + low * shifted(above, step) + high * shifted(below, -step)
        right = right + low * shifted(right, step) + high * shifted(right, -step)
        below, above = low * shifted(below, step), high * shifted(above, -step)
        step *= 2
    return right / diagonal


def _basis(knots: np.ndarray, place: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hermite's four polynomials (T,): of the values before and after, and of the slopes before and after."""
    span = np.diff(knots)[place]
    u = (times - knots[place]) / span
    v = 1 - u
    return v * v * (1 + 2 * u), u * u * (1 + 2 * v), span * u * v * v, -span * u * u * v
