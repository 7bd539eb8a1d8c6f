"""Planted feet of a walker whose contacts are known."""

import numpy as np
import pytest
from takes import ANKLE, walk, walk_contacts
from vp3d.refine.contacts import ankle_speed, camera_height, probabilities

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


def linked(count: int) -> np.ndarray:
    return np.ones(count - 1, bool)


def test_speed_across_the_view_is_exact():
    moving = np.zeros((30, 17, 3)) + np.array([0, 0, 5])
    moving += np.linspace(-0.5, 0.5, 30)[:, None, None] * [1, 0, 0]
    speed = ankle_speed(moving, 1 / FPS, linked(30))
    assert speed[15] == pytest.approx(FPS / 29, rel=0.02)


def test_speed_stops_at_a_gap():
    jumping = np.zeros((30, 17, 3)) + np.array([0, 0, 5])
    jumping[15:] += [1, 0, 0]
    together = linked(30)
    assert ankle_speed(jumping, 1 / FPS, together).max() > 5
    together[14] = False
    assert ankle_speed(jumping, 1 / FPS, together).max() == 0


def test_contacts_of_a_walk(times, joints):
    speed = ankle_speed(joints, 1 / FPS, linked(len(joints)))
    height, frames = camera_height(joints, UP, speed, np.ones(speed.shape))
    assert height == pytest.approx(HEIGHT, abs=0.01 + abs(ANKLE - 0.085))
    assert frames > 100
    contact = probabilities(joints, UP, height, np.ones(speed.shape), 1 / FPS, linked(len(joints)))
    right = (contact > 0) == (walk_contacts(times) > 0)
    assert right[5:-5].mean() > 0.85
    assert set(np.unique(contact[contact < 0.5])) <= {0.0}


def test_noise_does_not_make_contacts_flicker(times, joints):
    noisy = joints + np.random.default_rng(0).normal(0, 0.004, joints.shape)
    contact = probabilities(noisy, UP, HEIGHT, np.ones((len(joints), 2)), 1 / FPS, linked(len(joints)))
    changes = np.abs(np.diff((contact > 0).astype(int), axis=0)).sum(0)
    truth = np.abs(np.diff(walk_contacts(times), axis=0)).sum(0)
    assert (changes <= truth + 1).all()


def test_unseen_feet_are_not_planted(joints):
    speed = ankle_speed(joints, 1 / FPS, linked(len(joints)))
    nothing = np.zeros(speed.shape)
    assert camera_height(joints, UP, speed, nothing)[1] == 0
    assert not probabilities(joints, UP, HEIGHT, nothing, 1 / FPS, linked(len(joints))).any()


def test_a_raised_resting_foot_is_not_planted(joints):
    still = np.repeat(joints[:1], 60, axis=0)
    still[:, 6] += 0.3 * UP
    contact = probabilities(still, UP, HEIGHT, np.ones((60, 2)), 1 / FPS, linked(60))
    assert not contact[:, 0].any()
    assert (contact[:, 1] > 0.5).all()
