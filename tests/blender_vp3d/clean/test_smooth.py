"""Noise and pops go, hits stay."""

import numpy as np
import pytest

from blender_vp3d.clean import smooth as s
from blender_vp3d.retarget import rotations as rot

RATES = (25.0, 30.0, 60.0, 120.0)


def punch(fps):
    """Reach (T, 1) m of a fist over 4 s: held still, 0.55 m out in 0.13 s, and back in 0.2 s, twice."""
    times = np.arange(0, 4, 1 / fps)
    reach = np.zeros_like(times)
    for start in (1.0, 2.6):
        t = np.clip(np.minimum((times - start) / 0.13, (start + 0.33 - times) / 0.2), 0, 1)
        reach += 0.55 * t * t * t * (10 - 15 * t + 6 * t * t)
    return times, reach[:, None]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seed", range(3))
def test_a_punch_keeps_its_speed_and_its_reach(fps, seed):
    times, reach = punch(fps)
    noisy = np.hstack([reach, 0 * reach, 0 * reach])
    noisy = noisy + 0.004 * np.random.default_rng(seed).normal(size=noisy.shape)
    cleaned = s.smooth(s.without_pops(noisy, 1 / fps), 1 / fps, 0.06)
    assert cleaned[:, 0].max() >= 0.95 * reach.max()
    fastest = np.abs(np.diff(reach[:, 0])).max()
    assert np.abs(np.diff(cleaned[:, 0])).max() >= 0.95 * fastest
    jitter = [np.diff(signal[times < 0.7], 3, axis=0).std() for signal in (noisy, cleaned)]
    assert jitter[1] < 0.3 * jitter[0]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seed", range(3))
def test_a_punch_of_a_turning_arm_keeps_its_speed_and_its_reach(fps, seed):
    rng = np.random.default_rng(seed)
    _, reach = punch(fps)
    share, y = reach / reach.max(), np.array([0, 1.0, 0])
    true = [rot.turn(y, start + (end - start) * share[:, 0]) for start, end in ((1.2, 0.1), (-2.2, -0.1))]

    def fist(turns):
        return 0.3 * rot.rotate(turns[0], [1.0, 0, 0]) + 0.26 * rot.rotate(rot.multiply(*turns), [1.0, 0, 0])

    def trembling(turn):
        noise = np.radians(0.8) * rng.normal(size=(len(turn), 3))
        return rot.multiply(turn, rot.turn(rot.unit(noise), np.linalg.norm(noise, axis=-1)))

    cleaned = []
    for turn in map(trembling, true):
        quiet = s.without_pops(rot.continuous(turn), 1 / fps)
        cleaned.append(s.smooth_quaternions(quiet, 1 / fps, 0.05))
    way = [fist(turns) - fist(turns)[0] for turns in (true, cleaned)]
    extent = [np.linalg.norm(path, axis=-1).max() for path in way]
    fastest = [np.linalg.norm(np.diff(path, axis=0), axis=-1).max() for path in way]
    assert extent[1] >= 0.95 * extent[0] and fastest[1] >= 0.95 * fastest[0]


@pytest.mark.parametrize("fps", RATES)
def test_clean_motion_passes(fps):
    times, reach = punch(fps)
    motion = np.hstack([reach, np.sin(2 * times)[:, None], np.cos(5 * times)[:, None]])
    np.testing.assert_array_equal(s.without_pops(reach, 1 / fps), reach)
    assert np.abs(s.smooth(motion, 1 / fps, 0.06) - motion).max() < 0.005


def test_thirty_and_sixty_frames_per_second_give_the_same():
    rng = np.random.default_rng(4)
    slow = np.cumsum(rng.normal(size=(240, 3)), axis=0) * 0.01
    times = np.arange(240) / 60
    noise = 0.02 * np.sin(2 * np.pi * 11 * times)[:, None]
    sixty = s.smooth(slow + noise, 1 / 60, 0.08)[::2]
    thirty = s.smooth((slow + noise)[::2], 1 / 30, 0.08)
    assert np.abs(sixty - thirty).std() < 0.25 * np.abs(noise).max()


def test_nothing_is_delayed():
    times = np.arange(0, 3, 1 / 50)
    bump = np.exp(-0.5 * ((times - 1.5) / 0.2) ** 2)[:, None]
    noisy = bump + 0.02 * np.random.default_rng(0).normal(size=bump.shape)
    cleaned = s.smooth(noisy, 1 / 50, 0.08)
    np.testing.assert_allclose(s.smooth(noisy[::-1], 1 / 50, 0.08)[::-1], cleaned, atol=1e-12)
    assert abs((cleaned[:, 0] * times).sum() / cleaned.sum() - 1.5) < 0.01


def test_a_straight_line_stays_one_to_its_ends():
    line = np.stack([np.linspace(0, 3, 90), np.linspace(5, -1, 90)], axis=-1)
    np.testing.assert_allclose(s.smooth(line, 1 / 30, 0.2), line, atol=1e-9)


@pytest.mark.parametrize("fps", RATES)
def test_pops_go_and_nothing_else(fps):
    rng = np.random.default_rng(2)
    times = np.arange(0, 6, 1 / fps)
    angle = 0.8 * np.sin(2 * np.pi * 0.7 * times)
    truth = rot.turn(np.array([0, 0, 1.0]), angle)
    noisy = s.smooth_quaternions(rot.multiply(truth, rot.turn(rot.unit(rng.normal(size=(len(times), 3))), 0.005)), 1, 0)
    popped = noisy.copy()
    length = max(1, int(0.05 * fps))
    places = np.arange(len(times) // 8, len(times) - 8, len(times) // 8)
    for place in places:
        for n in range(length):
            popped[place + n] = rot.multiply(popped[place + n], rot.turn(np.array([1.0, 0, 0]), 0.6))
    cleaned = s.without_pops(popped, 1 / fps)
    spoiled = np.zeros(len(times), bool)
    spoiled[(places[:, None] + np.arange(length)).ravel()] = True
    assert np.abs(cleaned - noisy)[spoiled].max() < 0.06
    assert (cleaned != noisy)[~spoiled].any(-1).mean() < 0.01


def test_quaternions_stay_unit_and_near():
    q = rot.continuous(rot.unit(np.cumsum(np.random.default_rng(0).normal(size=(200, 4)), axis=0) + 9))
    cleaned = s.smooth_quaternions(q, 1 / 30, 0.05)
    np.testing.assert_allclose(np.linalg.norm(cleaned, axis=-1), 1, atol=1e-12)
    assert (cleaned * q).sum(-1).min() > 0.8


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_short_takes(count):
    values = np.random.default_rng(0).normal(size=(count, 3))
    cleaned = s.smooth(s.without_pops(values, 1 / 30), 1 / 30, 0.3)
    assert cleaned.shape == values.shape and np.isfinite(cleaned).all()
