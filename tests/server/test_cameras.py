"""Projection against OpenCV, gradients against finite differences."""

import cv2
import numpy as np
import pytest
import torch
from vp3d.cameras import Camera, project_points, undistort_points

DISTORTIONS = [np.zeros(5), np.array([-0.28, 0.11, 0.001, -0.0007, -0.02]), np.array([0.12, -0.3, -0.002, 0.003, 0.2])]


def random_cameras(count: int, distortion: np.ndarray, seed: int = 0) -> Camera:
    rng = np.random.default_rng(seed)
    R = np.stack([cv2.Rodrigues(rng.normal(0, 0.3, 3))[0] for _ in range(count)])
    t = rng.normal(0, 0.3, (count, 3)) + np.array([0, 0, 5])
    K = np.tile([[1400.0, 0, 950], [0, 1390, 545], [0, 0, 1]], (count, 1, 1))
    return Camera(K, R, t, distortion)


@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("count", [1, 6])
def test_projects_as_opencv(distortion, count):
    camera = random_cameras(count, distortion)
    points = np.random.default_rng(1).normal(0, 0.8, (2, 6, 17, 3))
    pixels = camera.project(points)
    assert pixels.shape == (2, 6, 17, 2)
    for person in range(2):
        for frame in range(6):
            c = frame if count > 1 else 0
            rotation = cv2.Rodrigues(camera.R[c])[0]
            truth = cv2.projectPoints(points[person, frame], rotation, camera.t[c], camera.K[c], distortion)[0][:, 0]
            np.testing.assert_allclose(pixels[person, frame], truth, atol=1e-6)


def test_gradients_of_every_argument():
    camera = random_cameras(3, DISTORTIONS[1])
    points = np.random.default_rng(2).normal(0, 0.5, (3, 4, 3))
    arguments = [
        torch.tensor(array, dtype=torch.float64, requires_grad=True)
        for array in (points, camera.K, camera.R, camera.t, camera.distortion)
    ]
    assert torch.autograd.gradcheck(project_points, arguments)
    pixels = project_points(*arguments).detach().numpy()
    np.testing.assert_allclose(pixels, camera.project(points), atol=1e-9)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_undistorted_pixels_are_those_of_a_straight_lens(distortion):
    camera = random_cameras(1, distortion)
    points = np.random.default_rng(3).uniform([-1.5, -0.9, 0], [1.5, 0.9, 1], (50, 17, 3))
    pixels = camera.project(points)
    straight = Camera(camera.K, camera.R, camera.t, np.zeros(5)).project(points)
    pixels[3, 4] = np.nan
    undistorted = undistort_points(pixels, camera.K[0], distortion)
    assert np.isnan(undistorted[3, 4]).all()
    undistorted[3, 4] = straight[3, 4]
    np.testing.assert_allclose(undistorted, straight, atol=1e-5)


def test_undistorting_nothing_known():
    pixels = np.full((2, 3, 2), np.nan)
    assert np.isnan(undistort_points(pixels, np.eye(3), DISTORTIONS[1])).all()


def test_position_is_the_optical_centre():
    camera = random_cameras(4, np.zeros(5))
    centre = np.einsum("cij,cj->ci", camera.R, camera.position) + camera.t
    np.testing.assert_allclose(centre, 0, atol=1e-12)
