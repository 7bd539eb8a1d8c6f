"""Feet that stand, held where they stand: what it gives where a contact is true and what it costs where it is not."""

import numpy as np
import pytest
from takes import walk, walk_contacts
from vp3d.refine import skeleton
from vp3d.refine.foot_lock import REACH, lock

FPS = 25
UP = np.array([0, 0, 1.0])
LINKED = np.ones(99, bool)


@pytest.fixture
def times() -> np.ndarray:
    return np.arange(100) / FPS


def sliding(times: np.ndarray) -> np.ndarray:
    """The walker, drifting by up to 1.5 cm as a root that is slightly wrong makes him drift."""
    return walk(times) + 0.015 * np.stack([np.sin(5 * times), np.cos(4 * times), 0.3 * np.sin(7 * times)], -1)[:, None]


def slide(joints: np.ndarray, contact: np.ndarray) -> float:
    """cm/s, median of planted ankles."""
    speed = np.linalg.norm(np.diff(joints[:, skeleton.ANKLES], axis=0), axis=-1) * FPS
    return float(np.median(speed[np.minimum(contact[1:], contact[:-1]) > 0]) * 100)


def test_planted_feet_stand_still(times):
    joints, contact = sliding(times), walk_contacts(times)
    held = lock(joints, contact, LINKED, 1 / FPS, UP)
    assert slide(joints, contact) > 3
    assert slide(held, contact) < 0.2
    halfway = lock(joints, contact, LINKED, 1 / FPS, UP, 0.5)
    assert slide(held, contact) < slide(halfway, contact) < slide(joints, contact)


def test_bones_keep_their_lengths_and_knees_their_side(times):
    joints = sliding(times)
    held = lock(joints, walk_contacts(times), LINKED, 1 / FPS, UP)
    for parent, child in (skeleton.HIPS, skeleton.KNEES), (skeleton.KNEES, skeleton.ANKLES):
        before, after = (np.linalg.norm(p[:, child] - p[:, parent], axis=-1) for p in (joints, held))
        np.testing.assert_allclose(after, before, atol=1e-6)
    ahead = skeleton.forward(held, UP)
    middle = (held[:, skeleton.HIPS] + held[:, skeleton.ANKLES]) / 2
    assert ((held[:, skeleton.KNEES] - middle) * ahead[:, None]).sum(-1).min() > 0


def test_a_wrong_contact_costs_two_centimetres(times):
    """A foot that swings is taken for planted: no joint of the leg moves further than the lock may reach."""
    joints, contact = walk(times), walk_contacts(times)
    wrong = contact.copy()
    wrong[30:55] = 1.0
    held = lock(joints, wrong, LINKED, 1 / FPS, UP)
    moved = np.linalg.norm(held - joints, axis=-1)
    assert moved[:, skeleton.ANKLES].max() < REACH + 1e-6
    others = np.delete(moved, [*skeleton.ANKLES, *skeleton.KNEES], axis=1)
    assert others.max() < REACH + 1e-6
    assert moved[:, skeleton.KNEES].max() < 3 * REACH


def test_nothing_jumps(times):
    """The lock lets go over several frames: no frame moves more than half of it against the one before."""
    joints = sliding(times)
    added = lock(joints, walk_contacts(times), LINKED, 1 / FPS, UP) - joints
    assert np.linalg.norm(np.diff(added, axis=0), axis=-1)[:, skeleton.ANKLES].max() < 0.02
    root = np.linalg.norm(np.diff(added[:, 0], axis=0), axis=-1)
    assert root.max() < 0.008


def test_off_and_airborne(times):
    joints = sliding(times)
    assert lock(joints, walk_contacts(times), LINKED, 1 / FPS, UP, 0.0) is joints
    assert lock(joints, np.zeros((100, 2)), LINKED, 1 / FPS, UP) is joints


def test_a_gap_parts_two_contacts(times):
    joints, contact = walk(times), np.ones((100, 2))
    joints[:] = joints[:1]
    joints[50:] += [0.5, 0, 0]
    linked = LINKED.copy()
    linked[49] = False
    np.testing.assert_allclose(lock(joints, contact, linked, 1 / FPS, UP), joints, atol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frames", [1, 2])
def test_shortest_clips(frames):
    joints = np.zeros((frames, 17, 3))
    assert np.isfinite(lock(joints, np.ones((frames, 2)), np.ones(frames - 1, bool), 1 / FPS, UP)).all()
