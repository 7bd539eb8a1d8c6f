"""Proportions, mass and what pixels say of a body."""

import numpy as np
import pytest
from takes import SHIN, THIGH, walk
from vp3d.common.skeletons import BODY_21, H36M_17
from vp3d.refine import skeleton


@pytest.fixture
def poses() -> np.ndarray:
    return walk(np.arange(50) / 25)


def test_mass_is_shared_out():
    assert skeleton.MASSES.sum() == pytest.approx(1)
    upright = walk(np.zeros(1))[0]
    assert 0.53 < skeleton.MASSES @ upright[:, 2] / upright[:, 2].max() < 0.63, "Winter: 0.55 to 0.58 of stature"


def test_bone_lengths_are_medians_of_both_sides(poses):
    poses[10, 2] += 1.0
    lengths = skeleton.bone_lengths(poses)
    for side in ("left", "right"):
        assert lengths[H36M_17.index(f"{side}_ankle")] == pytest.approx(SHIN)
        assert lengths[H36M_17.index(f"{side}_knee")] == pytest.approx(THIGH)
    assert skeleton.leg_length(lengths) == pytest.approx(SHIN + THIGH)
    assert lengths[0] == 0


def test_body_grows_with_the_person(poses):
    lengths, stature = skeleton.body(poses)
    twice, tall = skeleton.body(poses * 2)
    np.testing.assert_allclose(twice, lengths * 2)
    assert tall == pytest.approx(2 * stature)
    assert 1.55 < stature < 1.8


def test_noise_hardly_changes_the_stature(poses):
    noisy = poses + np.random.default_rng(0).normal(0, 0.03, poses.shape)
    assert skeleton.body(noisy)[1] == pytest.approx(skeleton.body(poses)[1], rel=0.04)


def test_pelvis_faces_the_way_it_walks(poses):
    np.testing.assert_allclose(skeleton.forward(poses, np.array([0, 0, 1.0])) @ [1, 0, 0], 1, atol=0.01)


def test_observations():
    rng = np.random.default_rng(0)
    pixels, confidence = rng.uniform(0, 500, (3, 21, 2)), np.full((3, 21), 0.8)
    pixels[1, :5] = np.nan
    pixels[2, [BODY_21.index("left_ear"), BODY_21.index("left_wrist")]] = np.nan
    confidence[0, BODY_21.index("nose")] = np.nan
    seen, trust = skeleton.observations(pixels, confidence)
    assert seen.shape == (3, 13, 2)
    assert np.isfinite(seen).all()
    names = [skeleton.NAMES[joint] for joint in skeleton.OBSERVED]
    for part in ("ankle", "hip", "wrist"):
        assert [names[i] for i in skeleton.observed(part)] == [f"left_{part}", f"right_{part}"]
    left_wrist = skeleton.observed("wrist")[0]
    np.testing.assert_array_equal(seen[0, left_wrist], pixels[0, BODY_21.index("left_wrist")])
    assert trust[2, left_wrist] == 0
    head = names.index("neck")
    np.testing.assert_allclose(seen[0, head], pixels[0, 1:5].mean(0))
    assert trust[1, head] == 0
    assert 0 < trust[2, head] < 0.8
