"""Takes that are off by known amounts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from takes import walker
from vp3d.common.skeletons import COCO_17, H36M_FROM_COCO
from vp3d.common.take import Take
from vp3d.errors import UserError
from vp3d.truth import compare


def truth_of(take: Take) -> dict:
    """A truth file that says what a take says; its joints in another order, the face left out."""
    limbs = {COCO_17.joints[coco]: h36m for h36m, coco in reversed(H36M_FROM_COCO.items())}
    coco = [COCO_17.index(name) for name in limbs]
    return {
        "frames": take.frames.tolist(),
        "joint_names": list(limbs),
        "joints2d": take.joints2d[:, :, coco].tolist(),
        "joints3d": take.joints3d[:, :, list(limbs.values())].tolist(),
        "camera_K": take.camera_K.tolist(),
        "camera_R": take.camera_R.tolist(),
        "camera_t": take.camera_t.tolist(),
    }


@pytest.fixture(params=[False, True], ids=["static", "moving"])
def take(request) -> Take:
    return walker(frames=30, people=2, moving_camera=request.param)


def test_where_the_world_begins_does_not_count(take):
    """Turning and moving people and camera together, in a plane, changes nothing that can be seen."""
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    shift = np.array([3.0, -2.0, 0])
    moved = replace(
        take,
        joints3d=take.joints3d @ turn.T + shift,
        camera_R=take.camera_R @ turn.T,
        camera_t=take.camera_t - (take.camera_R @ turn.T) @ shift,
    )
    for person, offsets in enumerate(compare(moved, truth_of(take))):
        assert (offsets.person_id, offsets.frames) == (person + 1, 30)
        assert offsets.joints2d_px == 0
        for value in (offsets.pose_m, offsets.shape_m, offsets.place_m, offsets.upright_deg, offsets.camera_height_m):
            assert value == pytest.approx(0, abs=2e-4)
        assert offsets.depth_ratio == pytest.approx(1) and offsets.focal_ratio == pytest.approx(1)


def test_a_world_that_is_too_large(take):
    large = replace(take, joints3d=take.joints3d * 1.1, camera_t=take.camera_t * 1.1)
    for person, offsets in enumerate(compare(large, truth_of(take))):
        hips = take.joints3d[person][:, [1, 4]].mean(1)
        R, t = (np.broadcast_to(a, (30, *a.shape[1:])) for a in (take.camera_R, take.camera_t))
        seen = np.einsum("tij,tj->ti", R, hips) + t
        assert offsets.depth_ratio == pytest.approx(1.1) and offsets.shape_m == pytest.approx(0, abs=1e-5)
        assert offsets.place_m == pytest.approx(np.median(0.1 * np.linalg.norm(seen, axis=-1)), rel=1e-3)
        limbs = take.joints3d[person][:, list(H36M_FROM_COCO)] - hips[:, None]
        assert offsets.pose_m == pytest.approx(np.median(0.1 * np.linalg.norm(limbs, axis=-1).mean(1)), rel=1e-3)


def test_lens_tilt_and_height(take):
    angle = np.radians(3)
    tilt = np.array([[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]])
    K = take.camera_K * np.array([1.2, 1.2, 1])[:, None]
    lower = take.camera_t + take.camera_R @ [0, 0, 0.3]  # as if the floor lay 0.3 m higher
    (first, _) = compare(replace(take, camera_K=K, camera_R=tilt @ take.camera_R), truth_of(take))
    assert first.focal_ratio == pytest.approx(1.2) and first.upright_deg == pytest.approx(3)
    (first, _) = compare(replace(take, camera_t=lower), truth_of(take))
    assert first.camera_height_m == pytest.approx(-0.3) and first.upright_deg == pytest.approx(0, abs=1e-5)


def test_people_are_paired_by_where_they_are_seen(take):
    swapped = {**truth_of(take)}
    swapped["joints2d"], swapped["joints3d"] = swapped["joints2d"][::-1], swapped["joints3d"][::-1]
    off = replace(take, joints2d=take.joints2d + np.array([3, 4], np.float32))
    assert [o.joints2d_px for o in compare(off, swapped)] == pytest.approx([5, 5], abs=1e-3)
    assert [o.place_m for o in compare(take, swapped)] == pytest.approx([0, 0], abs=1e-6)
    for name in ("joints2d", "joints3d"):
        swapped[name] = swapped[name][1:]
    assert [o.person_id for o in compare(take, swapped)] == [1]


def test_frames_in_common_only(take):
    truth = truth_of(take)
    some = replace(
        take, frames=take.frames + 20, joints2d=take.joints2d + 1000,
    )  # fmt: skip
    assert [o.frames for o in compare(some, truth)] == [10, 10]
    gone = replace(take, joints3d=np.full_like(take.joints3d, np.nan))
    (first, _) = compare(gone, truth)
    assert first.frames == 0 and math.isnan(first.pose_m) and math.isnan(first.shape_m) and first.joints2d_px == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"joint_names": ["elbow"] * 12},
        {"joints3d": [[[0, 0, 0]]]},
        {"camera_K": None},
        {"frames": "all"},
        {"frames": [999] * 30},
    ],
)
def test_a_truth_that_does_not_fit(take, broken):
    with pytest.raises(UserError, match="truth"):
        compare(take, {**truth_of(take), **broken})
    with pytest.raises(UserError, match="truth"):
        compare(take, [truth_of(take)])
