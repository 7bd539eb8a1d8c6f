import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation
from vp3d.evaluate.metrics import align, bone_spread, jitter, mpjpe, mpjve, n_mpjpe, p_mpjpe


@pytest.fixture
def poses():
    return np.random.default_rng(0).normal(size=(6, 17, 3))


def test_mpjpe_of_a_shift_is_its_length(poses):
    assert mpjpe(poses + np.array([3, 4, 0]), poses) == pytest.approx(5)


def test_alignment_undoes_any_similarity(poses):
    turned = 1.7 * poses @ Rotation.random(6, random_state=1).as_matrix() + np.arange(18).reshape(6, 1, 3)
    assert p_mpjpe(turned, poses) == pytest.approx(0, abs=1e-9)


def test_alignment_agrees_with_scipy(poses):
    noisy = poses + np.random.default_rng(1).normal(size=poses.shape) * 0.2
    for predicted, true in zip(noisy, poses, strict=True):
        standard, _, disparity = procrustes(true, predicted)
        norm = np.linalg.norm(true - true.mean(0))
        assert np.square((align(predicted, true) - true) / norm).sum() == pytest.approx(disparity)
        assert np.linalg.norm(standard) == pytest.approx(1)


def test_a_mirrored_pose_stays_wrong(poses):
    assert p_mpjpe(poses * (-1, 1, 1), poses).min() > 0.3


def test_n_mpjpe_ignores_scale_and_matches_a_search(poses):
    assert n_mpjpe(poses * 0.4, poses) == pytest.approx(0, abs=1e-9)
    noisy = poses + np.random.default_rng(2).normal(size=poses.shape) * 0.3
    scales = np.linspace(0.3, 1.5, 2001)
    squared = [np.square(scale * noisy[0] - poses[0]).sum() for scale in scales]
    best = scales[int(np.argmin(squared))]
    assert n_mpjpe(noisy, poses)[0] == pytest.approx(mpjpe(best * noisy, poses)[0], rel=1e-3)


def test_mpjve_of_constant_drift(poses):
    drift = np.arange(6)[:, None, None] * np.array([0.01, 0, 0])
    assert mpjve(poses + drift, poses) == pytest.approx(0.01)


def test_alignment_of_a_similarity_is_exact_to_a_nanometre(poses):
    turned = 0.31 * poses @ Rotation.random(6, random_state=2).as_matrix() - np.arange(18).reshape(6, 1, 3)
    assert p_mpjpe(turned, poses).max() * 1000 < 1e-6


def test_mpjve_of_a_constant_offset_is_nothing(poses):
    assert mpjve(poses + np.array([0.3, -1, 2]), poses) == pytest.approx(0, abs=1e-12)


def test_jitter_is_the_second_difference(poses):
    times = np.arange(10.0)[:, None, None]
    assert jitter(np.broadcast_to(0.5 * times**2 * [0, 0.02, 0], (10, 17, 3))) == pytest.approx(0.02)
    assert jitter(np.broadcast_to(3 * times, (10, 17, 3))) == pytest.approx(0)


def test_bone_spread_is_the_variation_of_lengths():
    length = 1 + 0.1 * np.sin(np.linspace(0, 20 * np.pi, 2000, endpoint=False))
    joints = np.zeros((2000, 3, 3))
    joints[:, 1, 0], joints[:, 2, 0] = length, length + 2
    assert bone_spread(joints, (-1, 0, 1)) == pytest.approx(0.1 / np.sqrt(2) / 2)
    joints[::2, 2] = np.nan
    joints[:, 0] = np.nan
    assert bone_spread(joints, (-1, 0, 1)) == pytest.approx(0)
