"""Bundle adjustment against OpenCV's projection, numeric derivatives and scenes whose truth is known."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vp3d.camera_motion.bundle import Cameras, Observations, Points, Unknown, _linearise, adjust, projected

FOCAL = 500.0


def scene(cameras: int = 6, points: int = 60, seed: int = 0) -> tuple[Cameras, Points, Observations]:
    """Cameras on an arc before a room of points, every point seen by every camera, without noise."""
    rng = np.random.default_rng(seed)
    along = np.linspace(0, 1, cameras)
    rotation = Rotation.from_rotvec(along[:, None] * [0.05, -0.3, 0.02]).as_matrix()
    place = along[:, None] * [0.8, 0.1, 0.1]
    truth = Cameras(rotation, place, 0.1 * along, FOCAL)
    X = rng.uniform([-1.5, -1, 2.5], [1.5, 1, 6], (points, 3))
    length = np.linalg.norm(X, axis=-1)
    known = Points(X / length[:, None], 1 / length)
    camera, point = np.divmod(np.arange(cameras * points), points)
    seen = Observations(camera, point, np.zeros((len(camera), 2)))
    seen.place, _ = projected(truth, known, seen)
    return truth, known, seen


def test_projection_is_opencv_s():
    cameras, points, seen = scene(2)
    X = points.direction / points.inverse[:, None]
    for index in range(2):
        K = np.diag([FOCAL * np.exp(cameras.log_zoom[index])] * 2 + [1])
        turn = Rotation.from_matrix(cameras.rotation[index]).as_rotvec()
        theirs, _ = cv2.projectPoints(X, turn, -cameras.rotation[index] @ cameras.place[index], K, None)
        np.testing.assert_allclose(seen.place[seen.camera == index], theirs[:, 0], atol=1e-9)


def test_gradient_is_the_numeric_one():
    cameras, points, seen = scene(3, 10)
    seen.place += np.random.default_rng(1).normal(0, 2, seen.place.shape)
    unknown = Unknown(place=True, zoom=True, depth=True, fixed=None, focal_prior=(0.0, 1e9))
    system = _linearise(cameras, points, seen, unknown, np.ones(len(seen.place)))

    def cost(step: np.ndarray) -> float:
        each = step[:21].reshape(3, 7)
        moved = Cameras(
            Rotation.from_rotvec(each[:, :3]).as_matrix() @ cameras.rotation,
            cameras.place + each[:, 3:6],
            cameras.log_zoom + each[:, 6],
            cameras.focal * np.exp(step[21]),
        )
        own = step[22:].reshape(-1, 3)
        direction = points.direction + np.einsum("pxa,pa->px", system.basis, own[:, :2])
        place, _ = projected(moved, Points(direction, points.inverse + own[:, 2]), seen)
        return 0.5 * ((place - seen.place) ** 2).sum()

    size = 22 + 30
    numeric = [(cost(h) - cost(-h)) / 2e-6 for h in np.eye(size) * 1e-6]
    ours = np.concatenate([system.gradient, system.point_gradient.ravel()])
    np.testing.assert_allclose(ours, numeric, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("wrong", [0.8, 1.0, 1.25])
def test_everything_from_a_rough_start(wrong):
    truth, known, seen = scene()
    rng = np.random.default_rng(2)
    cameras = Cameras(
        Rotation.from_rotvec(rng.normal(0, 0.03, (6, 3))).as_matrix() @ truth.rotation,
        truth.place + rng.normal(0, 0.05, truth.place.shape),
        np.zeros(6),
        FOCAL * wrong,
    )
    cameras.rotation[0], cameras.place[0] = truth.rotation[0], truth.place[0]
    points = Points(known.direction.copy(), known.inverse * np.exp(rng.normal(0, 0.2, known.inverse.shape)))
    wild = rng.random(len(seen.place)) < 0.1
    seen.place[wild] += rng.normal(0, 60, (wild.sum(), 2))
    prior = (np.log(FOCAL * wrong), 0.25)
    adjusted = adjust(cameras, points, seen, Unknown(place=True, zoom=True, depth=True, focal_prior=prior), 100)
    assert np.median(adjusted.error[~wild]) < 0.01
    assert adjusted.weight[wild].mean() < 0.1 * adjusted.weight[~wild].mean()
    assert cameras.focal == pytest.approx(FOCAL, rel=0.01)
    np.testing.assert_allclose(cameras.rotation, truth.rotation, atol=2e-3)
    scale = (cameras.place * truth.place).sum() / (truth.place**2).sum()
    np.testing.assert_allclose(cameras.place / scale, truth.place, atol=5e-3)
    assert 0 < adjusted.focal_sigma < 0.05


def test_cameras_alone_leave_the_points_where_they_are():
    truth, known, seen = scene()
    cameras = truth.at(slice(None))
    cameras.place = truth.place + 0.03
    before = known.direction.copy()
    adjust(cameras, known, seen, Unknown(place=True, points=False, fixed=None), 30)
    np.testing.assert_allclose(cameras.place, truth.place, atol=1e-4)
    np.testing.assert_allclose(known.direction, before, atol=1e-12)


def test_a_focal_length_that_nothing_tells_keeps_its_uncertainty():
    truth, known, seen = scene(4)
    truth.rotation[:], truth.place[:] = np.eye(3), 0.0
    seen.place, _ = projected(truth, known, seen)
    points = Points(known.direction, np.zeros(len(known.inverse)))
    adjusted = adjust(truth, points, seen, Unknown(zoom=True, focal_prior=(np.log(FOCAL), 0.2)), 20)
    assert adjusted.focal_sigma == pytest.approx(0.2, rel=0.05)
