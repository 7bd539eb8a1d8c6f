from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walker
from vp3d.errors import UserError
from vp3d.evaluate.reference import Reference
from vp3d.evaluate.takes import clip_of, evaluate_take
from vp3d.lift import load_lifter


@pytest.fixture
def take():
    return walker(frames=40, people=2)


@pytest.fixture
def reference(take):
    return Reference(take.frames / float(take.fps), take.joints3d[1].astype(float), take.camera_R)


def test_a_perfect_take_has_no_error(take, reference):
    result = evaluate_take(take, reference)
    assert result["solved"]["frames"] == 40
    for name in ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve"):
        assert result["solved"][name] == pytest.approx(0, abs=0.01)
    assert result["solved"]["jitter"] == pytest.approx(result["solved"]["reference_jitter"])


def test_shape_and_size_are_told_from_direction(take, reference):
    turned = take.joints3d @ Rotation.from_euler("z", 30, degrees=True).as_matrix().T.astype(np.float32)
    result = evaluate_take(replace(take, joints3d=turned), reference)["solved"]
    assert result["p_mpjpe"] == pytest.approx(0, abs=0.01)
    assert result["mpjpe"] > 20
    larger = evaluate_take(replace(take, joints3d=take.joints3d * np.float32(1.1)), reference)["solved"]
    assert larger["n_mpjpe"] == pytest.approx(0, abs=0.01)
    assert larger["mpjpe"] > 20


def test_without_the_camera_only_shape_is_judged(take, reference):
    result = evaluate_take(take, replace(reference, R=None))["solved"]
    assert "mpjpe" not in result
    assert result["p_mpjpe"] == pytest.approx(0, abs=0.01)
    with_camera = evaluate_take(take, replace(reference, R=None), take.camera_R[0])["solved"]
    assert with_camera["mpjpe"] == pytest.approx(0, abs=0.01)


def test_jitter_and_bones_of_a_shaking_take(take, reference):
    # A joint that moves by s to and fro has a second difference of 2 s.
    still = take.joints3d[:, :1].repeat(len(take.frames), axis=1)
    shaking = still.copy()
    shaking[:, ::2, 13] += np.float32([0, 0, 0.02])
    calm, shaken = (evaluate_take(replace(take, joints3d=j), reference)["solved"] for j in (still, shaking))
    assert calm["jitter"] == 0
    assert shaken["jitter"] == pytest.approx(40 / 16, abs=0.01)
    assert calm["bone_spread"] < 1e-5 < 1e-3 < shaken["bone_spread"]


def test_the_lifter_alone_is_measured_too(take, reference):
    result = evaluate_take(take, reference, lifter=load_lifter())
    assert 5 < result["lifted"]["p_mpjpe"] < 120


def test_lens_distortion_is_taken_out(take, reference):
    clip = clip_of(take, 1, reference)
    bent = clip_of(replace(take, distortion=np.array([-0.2, 0, 0, 0, 0])), 1, reference)
    shown = np.isfinite(clip.joints).all(-1)
    assert np.array_equal(clip.joints[shown], take.joints2d[1][shown].astype(float))
    assert not np.allclose(bent.joints[shown], clip.joints[shown], atol=0.1)
    assert np.isnan(clip.poses[:, 0]).all()


def test_a_reference_of_another_time_is_refused(take, reference):
    with pytest.raises(UserError, match="no frame in common"):
        evaluate_take(take, replace(reference, times=reference.times + 100))
