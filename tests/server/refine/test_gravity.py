"""Gravity from bodies whose truth is known: the world's Z."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walk
from vp3d.refine import skeleton
from vp3d.refine.gravity import LEVEL, Gravity, balance, estimate, tangent_basis, tilt, world_rotation

FPS = 25
UP = np.array([0, 0, 1.0])


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def camera(pitch: float, roll: float) -> np.ndarray:
    """R (3, 3) world to camera; degrees, pitch up, roll clockwise as the picture shows the world's up."""
    p, r = np.radians([pitch, roll])
    return world_rotation(np.array([np.sin(r) * np.cos(p), -np.cos(r) * np.cos(p), np.sin(p)]))


def walking(frames: int = 100, heading: float = 0.0) -> np.ndarray:
    return walk(np.arange(frames) / FPS) @ Rotation.from_euler("z", heading, degrees=True).as_matrix().T


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (-25, 0), (15, 3), (-20, 14), (-20, -26)])
def test_up_from_a_walk(pitch, roll):
    """A walker whose mass is exactly above the feet: heading both ways, the ankle-to-midfoot offset cancels."""
    R = camera(pitch, roll)
    there_and_back = np.concatenate([walking(), walking(heading=180)])
    gravity = estimate([there_and_back[:100] @ R.T, there_and_back[100:] @ R.T], [np.ones(100)] * 2, 1 / FPS)
    assert angle(gravity.up, R[:, 2]) < 1.5
    assert gravity.postures > 4


def test_lying_does_not_count():
    R = camera(-10, 0)
    lying = walking() @ Rotation.from_euler("y", 90, degrees=True).as_matrix().T
    _, weight = balance(lying @ R.T, R[:, 2], 1 / FPS)
    assert weight.max() < 0.05
    _, weight = balance(walking() @ R.T, R[:, 2], 1 / FPS)
    assert weight.mean() > 0.7
    mixed = estimate([np.concatenate([walking(), lying]) @ R.T], [np.ones(200)], 1 / FPS)
    assert angle(mixed.up, R[:, 2]) < 5


def test_a_seat_carries_who_sits():
    R = camera(0, 0)
    sitting = np.repeat(walk(np.zeros(1)), 100, axis=0)
    ahead = skeleton.forward(sitting, UP)[0]
    for hip, knee, ankle in ((4, 5, 6), (1, 2, 3)):
        thigh = np.linalg.norm(sitting[0, knee] - sitting[0, hip])
        shin = np.linalg.norm(sitting[0, ankle] - sitting[0, knee])
        sitting[:, knee] = sitting[:, hip] + thigh * ahead
        sitting[:, ankle] = sitting[:, knee] - shin * UP
    gravity = estimate([sitting @ R.T], [np.ones(100)], 1 / FPS)
    assert gravity.postures < 1
    assert angle(gravity.up, LEVEL) < 3


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("heading", [0, 50, 90, 200])
def test_nobody_upright_means_a_level_camera(axis, heading):
    lying = walking(heading=heading) @ Rotation.from_euler(axis, 90, degrees=True).as_matrix().T
    gravity = estimate([lying @ camera(0, 0).T], [np.ones(100)], 1 / FPS)
    assert angle(gravity.up, LEVEL) < 10
    assert gravity.postures < 1


def test_one_leg_carries_when_the_other_stays_up():
    standing = np.repeat(walk(np.zeros(1)), 100, axis=0)
    standing[:, 6] += [0.1, 0.3, 0.4]
    right_leg = [2, 3]
    others = [joint for joint in range(17) if joint not in right_leg]
    for _ in range(30):  # lean until the mass is above the right foot
        off = standing[0, 3] + [skeleton.SUPPORT_AHEAD, 0, 0] - skeleton.MASSES @ standing[0]
        standing[:, others] += [*off[:2], 0]
    direction, _ = balance(standing, UP, 1 / FPS)
    assert angle(direction[50], UP) < 2


def test_imagined_feet_do_not_count():
    R = camera(-10, 0)
    poses = [walking() @ R.T] + [walking() @ camera(-10, 12).T] * 3
    all_seen = estimate(poses, [np.ones(100)] * 4, 1 / FPS)
    one_seen = estimate(poses, [np.ones(100)] + [np.zeros(100)] * 3, 1 / FPS)
    assert angle(one_seen.up, R[:, 2]) < 2.5
    assert angle(all_seen.up, R[:, 2]) > 5


def test_tangent_steps_turn_about_the_right_axes():
    for up in (LEVEL, camera(-30, 10)[:, 2], np.array([0, 0, -1.0])):
        basis = tangent_basis(up)
        np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)
        np.testing.assert_allclose(basis @ up, 0, atol=1e-12)
        assert angle(tilt(up, np.radians([1.0, 0])), up) == pytest.approx(1, abs=1e-3)


def test_pull_is_the_gradient_of_the_weighted_distance():
    gravity = Gravity(camera(-12, 3)[:, 2], np.array([[40.0, 5], [5, 20]]), 1.0)
    up = tilt(gravity.up, np.array([0.01, -0.02]))

    def cost(step):
        distance = tangent_basis(up) @ (tilt(up, step) - gravity.up)
        return distance @ gravity.information @ distance / 2

    numeric = [(cost(h) - cost(-h)) / 2e-6 for h in np.eye(2) * 1e-6]
    np.testing.assert_allclose(gravity.pull(up), numeric, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("up", [LEVEL, camera(-89.9, 0)[:, 2], np.array([0, 0, -1.0]), camera(20, 30)[:, 2]])
def test_world_rotation(up):
    R = world_rotation(up)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(R @ UP, up, atol=1e-12)
    ahead = R[2] if abs(up[2]) < 0.999 else -R[1] * np.sign(-up[2])
    assert abs(ahead[0]) < 1e-9, "the camera looks along world Y"
    assert ahead[1] > 0
