"""Root translation against the truth and against SciPy's minimum of the reprojection error."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from takes import project, walk
from vp3d.refine.closed_form import root_translation

K = np.array([[1100.0, 0, 639.5], [0, 1100, 359.5], [0, 0, 1]])


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root-relative poses in camera axes, true roots, pixels."""
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    joints = (walk(np.arange(40) / 25) - [1, -5, 1]) @ R.T
    return joints - joints[:, :1], joints[:, 0], project(K[None], np.eye(3)[None], np.zeros((1, 3)), joints)


def test_exact_without_noise(scene):
    pose, root, pixels = scene
    translation, residual = root_translation(pose, pixels, np.ones(pixels.shape[:2]), K)
    np.testing.assert_allclose(translation, root, atol=1e-6)
    assert residual.max() < 1e-3


def test_minimum_of_the_pixel_error(scene):
    pose, _, pixels = scene
    rng = np.random.default_rng(0)
    pixels = pixels + rng.normal(0, 3, pixels.shape)
    translation, _ = root_translation(pose, pixels, np.ones(pixels.shape[:2]), K)
    for frame in range(0, 40, 8):

        def error(t, frame=frame):
            seen = (pose[frame] + t) @ K.T
            return (seen[:, :2] / seen[:, 2:] - pixels[frame]).ravel()

        best = least_squares(error, translation[frame], loss="soft_l1", f_scale=5.0).x
        np.testing.assert_allclose(translation[frame], best, rtol=0.01, atol=0.01)


def test_outliers_and_missing_joints_do_not_move_it(scene):
    pose, root, pixels = scene
    pixels = pixels.copy()
    pixels[:, 13] += [250, -120]
    pixels[:, 6] = np.nan
    translation, _ = root_translation(pose, pixels, np.ones(pixels.shape[:2]), K)
    np.testing.assert_allclose(translation, root, rtol=0.005, atol=0.01)


def test_nan_where_it_cannot_be_known(scene):
    pose, root, pixels = scene
    confidence = np.ones(pixels.shape[:2])
    confidence[3, 3:] = 0
    pose[5] = np.nan
    pixels[7] = K[:2, 2] - (pixels[7] - K[:2, 2])  # upside down: only a body behind the camera looks so
    pixels[9] = [700, 300]
    translation, residual = root_translation(pose, pixels, confidence, K)
    lost = np.zeros(len(pose), bool)
    lost[[3, 5, 7, 9]] = True
    np.testing.assert_array_equal(np.isnan(translation).any(-1), lost)
    np.testing.assert_array_equal(np.isnan(residual), lost)
    np.testing.assert_allclose(translation[~lost], root[~lost], atol=1e-6)
