"""Cameras and time offsets found from a walking person whom known cameras see."""

import numpy as np
import pytest
import torch
from server.ring import K, ring
from server.walker import walking_points
from vp3d.common.skeletons import COCO_17
from vp3d.errors import UserError
from vp3d.stereo import relative_pose
from vp3d.stereo.relative_pose import FEWEST_POINTS, refine_offset, relative_poses, sample
from vp3d.stereo.synchronise import time_offset
from vp3d.stereo.triangulation import project
from vp3d.train.bodies import COCO_POINTS

FPS = 60.0


def walker(frames: int = 240) -> np.ndarray:
    """(T, 17, 3) m, a person who walks about the origin at `FPS`."""
    points = walking_points(frames, FPS)[:, COCO_POINTS]
    return points - [*points[..., :2].mean((0, 1)), 0.0]


def seen(angles: list[float], noise: float, points: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rays (V, T, J, 2) of a walker in a ring of cameras, and their matrices (V, 3, 4) of K and pose."""
    points = walker() if points is None else points
    P = ring(angles)
    pixels = project(torch.from_numpy(points.astype(float)), P).numpy().transpose(2, 0, 1, 3)
    pixels = pixels + np.random.default_rng(0).normal(size=pixels.shape) * noise
    return (pixels - K[:2, 2]) / [K[0, 0], K[1, 1]], P.numpy()


def truth(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    poses = np.linalg.inv(K) @ matrices
    R = poses[:, :, :3] @ poses[0, :, :3].T
    t = poses[:, :, 3] - R @ poses[0, :, 3]
    return R, t / np.linalg.norm(t[1])


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))


@pytest.mark.parametrize("angles", [[0, 35], [0, 90], [0, 60, 130]])
def test_cameras_are_found_from_people(angles: list[float]) -> None:
    rays, matrices = seen(angles, noise=2.0)
    found = relative_poses(rays, np.ones(rays.shape[:-1]))
    R, t = truth(matrices)
    for v in range(1, len(angles)):
        assert angle(found.R[v], R[v]) < 1.0
        assert np.linalg.norm(found.t[v] - t[v]) < 0.03
    assert found.residual * K[0, 0] < 3


def test_bones_keep_their_lengths_on_both_sides() -> None:
    points = walker(20)
    usual = relative_pose._stretched(points)
    assert usual.shape == (20, 2, 4) and np.abs(usual).max() < 0.02
    knee, ankle = COCO_17.index("left_knee"), COCO_17.index("left_ankle")
    points[7, ankle] += 0.5 * (points[7, ankle] - points[7, knee])
    points[3, ankle] = np.nan
    found = relative_pose._stretched(points)
    assert found[7, 0, 3] == pytest.approx(0.5, abs=0.03)
    assert found[3, 0, 3] == 0
    assert np.abs(np.delete(found, 7, 0)).max() < 0.02


def test_a_view_that_knows_little_is_named() -> None:
    rays, _ = seen([0, 40], noise=0)
    confidence = np.ones(rays.shape[:-1])
    confidence[1].flat[FEWEST_POINTS - 1 :] = 0
    with pytest.raises(UserError, match="View 2"):
        relative_poses(rays, confidence)


def test_unrelated_clips_are_refused() -> None:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 30, 17, 2))
    with pytest.raises(UserError, match="cannot be told"):
        relative_poses(noise, np.ones((2, 30, 17)))


@pytest.mark.parametrize("late", [0.0, 0.55, -1.3])
def test_the_offset_between_two_phones_is_found(late: float) -> None:
    points = walker(400)
    # Steps repeat, and any of them would fit: two hops tell which is which.
    seconds = np.arange(400) / FPS
    hops = 0.3 * np.exp(-(((seconds - 2.3) / 0.12) ** 2)) + 0.15 * np.exp(-(((seconds - 3.1) / 0.1) ** 2))
    points[..., 2] += hops[:, None]
    rays, _ = seen([0, 70], noise=1.0, points=points)
    rays = rays + np.random.default_rng(1).normal(size=rays.shape) * 1e-4
    confidence = np.ones(rays.shape[:-1])
    # The second phone takes 30 pictures a second and starts `late` after (or before) the first.
    times = np.arange(0.0, 4.5, 1 / 30) + max(late, 0)
    second, trust = sample(rays[1], confidence[1], FPS, times)
    skipped = round(max(-late, 0) * FPS)
    first, sure = rays[0][skipped:], confidence[0][skipped:]
    expected = late if late >= 0 else -skipped / FPS
    rough, correlation = time_offset(first, second, (FPS, 30.0))
    assert correlation > 0.4
    assert abs(rough - expected) < 0.1
    fine = refine_offset((first, second), (sure, trust), (FPS, 30.0), rough)
    assert abs(fine - expected) < 0.5 / FPS


def test_clips_without_motion_have_no_offset() -> None:
    still = np.repeat(np.random.default_rng(0).uniform(0, 500, (1, 17, 2)), 100, 0)
    assert time_offset(still, still, (30, 30)) == (0.0, 0.0)


def test_joints_at_other_times() -> None:
    joints = np.arange(10.0)[:, None, None] * np.ones((1, 2, 2))
    confidence = np.full((10, 2), 0.8)
    joints[4, 1] = np.nan
    confidence[4, 1] = 0
    points, trust = sample(joints, confidence, 10.0, np.array([-0.1, 0.0, 0.25, 0.35, 0.3, 0.9, 0.95]))
    assert np.isnan(points[0]).all()
    assert np.allclose(points[[1, 2, 5], 0, 0], [0, 2.5, 9])
    assert np.isnan(points[3, 1]).all()
    assert trust[3, 1] == 0
    assert np.allclose(points[4, 1], 3)
    assert np.isnan(points[6]).all()
