"""Few keys within a bound."""

import numpy as np
import pytest

from blender_vp3d.clean.fit import _tridiagonal, reduce

TIMES = np.arange(1.0, 301.0)


def within(values):
    return lambda fitted: np.linalg.norm(fitted - values, axis=-1)


def test_a_cubic_needs_two_keys():
    t = (TIMES - 150) / 100
    values = np.stack([t**3 - t, 2 * t * t, 0 * t + 5], axis=-1)
    curve = reduce(TIMES, values, within(values), 1e-6)
    assert list(curve.keys) == [0, 299]
    np.testing.assert_allclose(curve(TIMES), values, atol=1e-6)


@pytest.mark.parametrize("limit", [1e-3, 1e-2, 0.1])
def test_the_bound_holds(limit):
    rng = np.random.default_rng(1)
    values = np.stack([np.sin(TIMES / 9), np.cos(TIMES / 13) + 0.3 * np.sin(TIMES / 3)], axis=-1)
    values[:, 1] += 2e-4 * rng.normal(size=len(TIMES))
    curve = reduce(TIMES, values, within(values), limit)
    assert np.linalg.norm(curve(TIMES) - values, axis=-1).max() <= limit
    assert len(curve.keys) < {1e-3: 260, 1e-2: 120, 0.1: 60}[limit]


def test_fewer_keys_for_a_looser_bound():
    values = np.sin(TIMES / 7)[:, None]
    counts = [len(reduce(TIMES, values, within(values), limit).keys) for limit in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert counts == sorted(counts, reverse=True) and counts[-1] < counts[0] / 3


def test_noise_ends_with_every_frame_a_key():
    values = np.random.default_rng(0).normal(size=(50, 3))
    curve = reduce(TIMES[:50], values, within(values), 1e-9)
    np.testing.assert_allclose(curve(TIMES[:50]), values, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_takes(count):
    values = np.arange(count * 2.0).reshape(count, 2)
    curve = reduce(TIMES[:count], values, within(values), 1e-6)
    np.testing.assert_allclose(curve(TIMES[:count]), values, atol=1e-6)
    left, right = curve.handles()
    assert left.shape == right.shape == (len(curve.keys), 2, 2) and np.isfinite([left, right]).all()


def test_handles_are_bezier_handles_of_the_same_curve():
    values = np.sin(TIMES / 20)[:, None]
    curve = reduce(TIMES, values, within(values), 1e-3)
    left, right = curve.handles()
    for k in range(len(curve.keys) - 1):
        points = np.array([[curve.times[k], curve.values[k, 0]], right[k, 0], left[k + 1, 0],
                           [curve.times[k + 1], curve.values[k + 1, 0]]])  # fmt: skip
        u = 0.37
        bernstein = np.array([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u * u * (1 - u), u**3])
        time, value = bernstein @ points
        assert curve(np.array([time]))[0, 0] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 33])
def test_tridiagonal_systems_are_solved(count):
    rng = np.random.default_rng(count)
    beside, diagonal = rng.uniform(-1, 1, count - 1), rng.uniform(2.5, 3, count)
    right = rng.normal(size=(4, count))
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    np.testing.assert_allclose(_tridiagonal(beside, diagonal, right) @ matrix, right, atol=1e-12)
