import numpy as np
import pytest
import torch
from server.walker import film
from vp3d import models
from vp3d.common.skeletons import BODY_21, H36M_17
from vp3d.errors import UserError
from vp3d.evaluate.metrics import mpjpe, mpjve, p_mpjpe
from vp3d.lift import lifter as lifter_module
from vp3d.lift import load_lifter
from vp3d.lift.checkpoint import Checkpoint, save
from vp3d.lift.lifter import Lifter, to_rays
from vp3d.lift.model import Architecture, TemporalModel

SIZE = (1280, 720)


def untrained(convention: str = "canonical", causal: bool = False, trajectory: bool = False) -> Lifter:
    torch.manual_seed(0)
    features = 52 if convention == "canonical" else 34

    def weights(joints: int) -> dict[str, torch.Tensor]:
        return TemporalModel(Architecture(features, joints, (3, 3, 3), 32, causal)).state_dict()

    extra = weights(1) if trajectory else None
    return Lifter(Checkpoint(weights(17), extra, convention=convention, causal=causal, fps=30.0), "untrained")


@pytest.fixture(scope="module")
def scene():
    return film(90, 30.0)


@pytest.fixture(scope="module")
def bundled():
    return load_lifter()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("convention", ["canonical", "width-normalised"])
def test_chunks_change_nothing(scene, monkeypatch, convention, causal):
    joints, confidence, K, _ = scene
    lifter = untrained(convention, causal)
    whole = lifter.lift(joints, confidence, K, SIZE, 30)
    for chunk in (1, 7, 40):
        monkeypatch.setattr(lifter_module, "CHUNK", chunk)
        assert lifter.lift(joints, confidence, K, SIZE, 30) == pytest.approx(whole, abs=1e-5)


def test_causal_form_never_sees_the_future(scene):
    joints, confidence, K, _ = scene
    changed = joints.copy()
    changed[60:] += 50
    for causal in (True, False):
        lifter = untrained(causal=causal)
        before, after = (lifter.lift(j, confidence, K, SIZE, 30) for j in (joints, changed))
        assert np.array_equal(before[:60], after[:60]) == causal
        assert not np.allclose(before[60:], after[60:])


def test_mirrored_video_gives_mirrored_poses(scene):
    joints, confidence, K, _ = scene
    lifter = untrained()
    mirrored = joints[:, list(BODY_21.mirrored)] * (-1, 1) + (SIZE[0], 0)
    poses = lifter.lift(joints, confidence, K, SIZE, 30)
    other = lifter.lift(mirrored, confidence[:, list(BODY_21.mirrored)], K, SIZE, 30)
    assert other == pytest.approx(poses[:, list(H36M_17.mirrored)] * (-1, 1, 1), abs=1e-4)


def test_frames_without_the_person_are_nan_and_no_others(scene):
    joints, confidence, K, _ = (value.copy() for value in scene)
    joints[20:25] = np.nan
    confidence[50:52] = 0
    joints[70, 5:] = np.nan
    poses = untrained().lift(joints, confidence, K, SIZE, 30)
    absent = [*range(20, 25), 50, 51]
    assert np.flatnonzero(np.isnan(poses).any((1, 2))).tolist() == absent
    assert np.isnan(poses[absent]).all()
    nobody = untrained().lift(np.full_like(joints, np.nan), np.zeros_like(confidence), K, SIZE, 30)
    assert np.isnan(nobody).all()


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("fps", [15.0, 30.0, 120.0])
def test_short_clips_of_any_rate(frames, fps):
    joints, confidence, K, _ = film(frames, fps)
    poses = untrained().lift(joints, confidence, K, SIZE, fps)
    assert poses.shape == (frames, 17, 3)
    assert np.isfinite(poses).all()


def test_a_camera_matrix_per_frame(scene):
    joints, confidence, K, _ = scene
    lifter = untrained()
    one = lifter.lift(joints, confidence, K, SIZE, 30)
    assert np.array_equal(lifter.lift(joints, confidence, np.tile(K, (len(joints), 1, 1)), SIZE, 30), one)


def test_rays_follow_the_camera_matrix():
    K = np.array([[800, 2, 320], [0, 790, 250], [0, 0, 1.0]])
    points = np.random.default_rng(0).normal(size=(5, 4, 3)) + np.array([0, 0, 6])
    pixels = points @ K.T
    assert to_rays(pixels[..., :2] / pixels[..., 2:], K) == pytest.approx(points[..., :2] / points[..., 2:])


def test_trajectory_network_is_used_where_there_is_one(scene):
    joints, confidence, K, _ = scene
    lifter = untrained(trajectory=True)
    assert lifter.trajectory(joints, confidence, K, SIZE, 30).shape == (90, 3)
    assert not untrained().has_trajectory
    with pytest.raises(ValueError, match="trajectory"):
        untrained().trajectory(joints, confidence, K, SIZE, 30)


@pytest.mark.parametrize("convention", ["canonical", "width-normalised"])
def test_trajectory_comes_in_metres_along_the_ray_to_the_hips(convention):
    """A network that always says "straight ahead, 2 units away"."""
    canonical = convention == "canonical"
    weights = {
        joints: TemporalModel(Architecture(52 if canonical else 34, joints, (3, 3, 3), 8)).state_dict()
        for joints in (17, 1)
    }
    weights[1]["shrink.weight"].zero_()
    weights[1]["shrink.bias"].copy_(torch.tensor([0.0, 0, 2]))
    lifter = Lifter(Checkpoint(weights[17], weights[1], convention=convention, fps=30.0), "constant")
    joints, confidence, K, _ = film(40, 30.0)
    near, far = (lifter.trajectory(joints, confidence, lens, SIZE, 30) for lens in (K, K * [[2], [2], [1]]))
    assert near.shape == (40, 3)
    if not canonical:
        assert near == pytest.approx(np.tile([0, 0, 2], (40, 1)), abs=1e-5)
        return
    hips = to_rays(joints[:, [11, 12]], K).mean(1)
    assert near[:, :2] / near[:, 2:] == pytest.approx(hips, abs=0.01)
    # The same pixels through a lens twice as long are somebody twice as far away; perspective makes it a little more.
    assert np.linalg.norm(far, axis=1) / np.linalg.norm(near, axis=1) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("wrong", ["joints", "K", "fps"])
def test_wrong_arguments_are_refused(scene, wrong):
    joints, confidence, K, _ = scene
    arguments = {"joints": joints, "confidence": confidence, "K": K, "image_size": SIZE, "fps": 30.0}
    arguments[wrong] = {"joints": joints[:, :17], "K": np.full((3, 3), np.nan), "fps": 0.0}[wrong]
    with pytest.raises(ValueError, match=r"expected|camera"):
        untrained().lift(**arguments)


def test_digest_tells_weights_apart(tmp_path, scene):
    torch.manual_seed(1)
    save(Checkpoint(TemporalModel(Architecture(52, 17, (3, 3), 8)).state_dict()), tmp_path / "a.safetensors")
    lifter = load_lifter(tmp_path / "a.safetensors")
    assert lifter.name == "a"
    assert lifter.receptive_field == 9
    assert lifter.digest == load_lifter(tmp_path / "a.safetensors").digest != untrained().digest


def test_a_name_that_is_neither_file_nor_model(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        load_lifter(tmp_path / "nowhere.safetensors")


def test_bundled_weights_may_be_used_for_work(bundled):
    assert bundled.commercial
    assert bundled.licence == "GPL-3.0-or-later"
    assert bundled.receptive_field == 27


@pytest.mark.parametrize("fps", [15.0, 24.0, 30.0, 60.0, 120.0])
@pytest.mark.parametrize("azimuth", [0.0, 0.8, 1.6, 3.1])
def test_bundled_weights_lift_a_walk(bundled, fps, azimuth):
    joints, confidence, K, true = film(int(3 * fps), fps, azimuth)
    poses = bundled.lift(joints, confidence, K, SIZE, fps)
    assert np.abs(poses[:, 0]).max() == 0
    # Scale is not known from one view, so it is left to the alignment.
    assert p_mpjpe(poses, true).mean() < 0.075
    assert mpjpe(poses, true).mean() < 0.105
    assert mpjve(poses, true).mean() * fps < 0.45


def test_bundled_weights_with_a_detector_s_errors(bundled):
    joints, confidence, K, true = film(120, 30.0, 0.8)
    rng = np.random.default_rng(0)
    joints = joints + rng.normal(size=joints.shape) * 4
    joints[rng.random(joints.shape[:2]) < 0.08] = np.nan
    joints[40:60, [9, 15]] = np.nan
    confidence = np.where(np.isfinite(joints).all(-1), 0.7, 0)
    poses = bundled.lift(joints, confidence, K, SIZE, 30)
    assert p_mpjpe(poses, true).mean() < 0.075


def test_bundled_weights_without_a_face(bundled):
    joints, confidence, K, true = film(90, 30.0, 0.8)
    joints[:, :5] = np.nan
    assert p_mpjpe(bundled.lift(joints, confidence, K, SIZE, 30), true).mean() < 0.06


def test_bundled_weights_with_a_wrong_lens(bundled):
    joints, confidence, K, true = film(90, 30.0, 0.8)
    for zoom in (0.7, 1.4):
        wrong = K * np.array([[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]])
        poses = bundled.lift(joints, confidence, wrong, SIZE, 30)
        assert p_mpjpe(poses, true).mean() < 0.07


def test_bundled_weights_without_legs(bundled):
    joints, confidence, K, true = film(90, 30.0, 0.8)
    joints[:, 13:17] = np.nan
    confidence[:, 13:17] = 0
    poses = bundled.lift(joints, confidence, K, SIZE, 30)
    upper = [0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    assert p_mpjpe(poses[:, upper], true[:, upper]).mean() < 0.07


def test_bundled_causal_weights_lift_a_walk_as_it_comes_in():
    causal = load_lifter("lifter-causal")
    assert causal.architecture.causal
    assert causal.commercial
    joints, confidence, K, true = film(90, 30.0)
    poses = causal.lift(joints, confidence, K, SIZE, 30)
    assert p_mpjpe(poses, true)[10:].mean() < 0.075
    assert causal.lift(joints[:50], confidence[:50], K, SIZE, 30) == pytest.approx(poses[:50], abs=1e-5)


def test_bundled_weights_are_small():
    assert sum(models.require(name).stat().st_size for name in ("lifter", "lifter-causal")) < 20e6
