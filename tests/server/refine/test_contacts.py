"""Planted feet of a walker whose contacts are known."""

import numpy as np
import pytest
from takes import ANKLE, walk, walk_contacts
from vp3d.refine import skeleton
from vp3d.refine.contacts import camera_height, foot_speed, probabilities

FPS = 50
UP = np.array([0, -1.0, 0])
R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
HEIGHT = 1.3


@pytest.fixture
def times() -> np.ndarray:
    return np.arange(200) / FPS


@pytest.fixture
def joints(times) -> np.ndarray:
    """In the axes of a level camera 1.3 m above the floor, 5 m away."""
    return (walk(times) - [2, -5, HEIGHT]) @ R.T


def ankles(joints: np.ndarray) -> np.ndarray:
    """(n, 2, 1, 3): feet of which nothing but the ankles is known."""
    return joints[:, skeleton.ANKLES][:, :, None]


def contacts_of(
    joints: np.ndarray, height: float, confidence: np.ndarray, points: np.ndarray | None = None
) -> np.ndarray:
    together = linked(len(joints))
    speed = foot_speed(ankles(joints) if points is None else points, 1 / FPS, together)
    return probabilities(joints, UP, height, speed, confidence, 1 / FPS, together)


def linked(count: int) -> np.ndarray:
    return np.ones(count - 1, bool)


def test_speed_across_the_view_is_exact():
    moving = np.zeros((30, 17, 3)) + np.array([0, 0, 5])
    moving += np.linspace(-0.5, 0.5, 30)[:, None, None] * [1, 0, 0]
    speed = foot_speed(ankles(moving), 1 / FPS, linked(30))
    assert speed[15] == pytest.approx(FPS / 29, rel=0.02)


def test_speed_stops_at_a_gap():
    jumping = np.zeros((30, 17, 3)) + np.array([0, 0, 5])
    jumping[15:] += [1, 0, 0]
    together = linked(30)
    assert foot_speed(ankles(jumping), 1 / FPS, together).max() > 5
    together[14] = False
    assert foot_speed(ankles(jumping), 1 / FPS, together).max() == 0


def test_contacts_of_a_walk(times, joints):
    speed = foot_speed(ankles(joints), 1 / FPS, linked(len(joints)))
    height, frames = camera_height(joints, UP, speed, np.ones(speed.shape))
    assert height == pytest.approx(HEIGHT, abs=0.01 + abs(ANKLE - 0.085))
    assert frames > 100
    contact = contacts_of(joints, height, np.ones(speed.shape))
    right = (contact > 0) == (walk_contacts(times) > 0)
    assert right[5:-5].mean() > 0.85
    assert set(np.unique(contact[contact < 0.5])) <= {0.0}


def test_noise_does_not_make_contacts_flicker(times, joints):
    noisy = joints + np.random.default_rng(0).normal(0, 0.004, joints.shape)
    contact = contacts_of(noisy, HEIGHT, np.ones((len(joints), 2)))
    changes = np.abs(np.diff((contact > 0).astype(int), axis=0)).sum(0)
    truth = np.abs(np.diff(walk_contacts(times), axis=0)).sum(0)
    assert (changes <= truth + 1).all()


def test_unseen_feet_are_not_planted(joints):
    speed = foot_speed(ankles(joints), 1 / FPS, linked(len(joints)))
    nothing = np.zeros(speed.shape)
    assert camera_height(joints, UP, speed, nothing)[1] == 0
    assert not contacts_of(joints, HEIGHT, nothing).any()


def test_a_raised_resting_foot_is_not_planted(joints):
    still = np.repeat(joints[:1], 60, axis=0)
    still[:, 6] += 0.3 * UP
    contact = contacts_of(still, HEIGHT, np.ones((60, 2)))
    assert not contact[:, 0].any()
    assert (contact[:, 1] > 0.5).all()


def test_a_foot_that_rolls_over_its_toe_is_not_planted():
    """Ankle and heel rise and go on, the toe stays: two of three move."""
    foot = np.tile([0, 0, 5.0], (40, 2, 3, 1))
    foot[:, 0, :2] += np.linspace(0, 0.8, 40)[:, None, None] * [1.0, 0, 0]
    speed = foot_speed(foot, 1 / FPS, linked(40))
    assert speed[20, 0] == pytest.approx(0.8 / 39 * FPS, rel=0.02)
    assert speed[20, 1] == 0


def test_heels_and_toes_keep_a_trembling_ankle_planted(joints):
    rng = np.random.default_rng(0)
    still = np.repeat(joints[:1], 80, axis=0)
    still[:, skeleton.ANKLES] += rng.normal(0, 0.03, (80, 2, 3))
    soles = np.repeat(ankles(joints[:1]), 80, axis=0) + np.array([0.1, 0.05, 0])
    alone = contacts_of(still, HEIGHT, np.ones((80, 2)))
    points = np.concatenate([ankles(still), np.repeat(soles, 2, axis=2)], axis=2)
    helped = contacts_of(still, HEIGHT, np.ones((80, 2)), points)
    assert (helped > 0).mean() > (alone > 0).mean() + 0.1
    points[::2, :, 1:] = np.nan
    assert np.isfinite(foot_speed(points, 1 / FPS, linked(80))).all()
