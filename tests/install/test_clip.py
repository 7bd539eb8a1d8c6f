"""The demo clip and what is known of it agree."""

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from vp3d.common.skeletons import COCO_17
from vp3d.media import probe

from install.demonstration import CLIP, TRUTH
from install.environments import DEMO_BLENDER
from install.home import Home, default_home


def test_clip_and_truth_are_of_one_size_and_small() -> None:
    truth, info = json.loads(TRUTH.read_text("utf-8")), probe(CLIP)
    assert (info.width, info.height, info.fps) == (truth["width"], truth["height"], truth["fps"])
    assert info.frame_count == len(truth["frames"])
    assert CLIP.stat().st_size <= 1.2e6
    assert TRUTH.stat().st_size <= 0.6e6


def test_true_joints_project_to_true_pixels_inside_the_picture() -> None:
    truth = json.loads(TRUTH.read_text("utf-8"))
    assert sorted(truth["joint_names"]) == sorted(COCO_17.joints)
    joints, pixels = np.array(truth["joints3d"])[0], np.array(truth["joints2d"])[0]
    R, t, K = (np.array(truth[key])[0] for key in ("camera_R", "camera_t", "camera_K"))
    projected, _ = cv2.projectPoints(joints.reshape(-1, 3), cv2.Rodrigues(R)[0], t, K, np.zeros(5))
    np.testing.assert_allclose(projected.reshape(pixels.shape), pixels, atol=0.05)
    assert (pixels > 0).all() and (pixels < [truth["width"] - 1, truth["height"] - 1]).all()


def test_the_person_is_upright_and_large() -> None:
    truth = json.loads(TRUTH.read_text("utf-8"))
    place = truth["joint_names"].index
    joints, pixels = np.array(truth["joints3d"])[0], np.array(truth["joints2d"])[0]
    ankles = [place("left_ankle"), place("right_ankle")]
    assert (joints[:, place("nose"), 2] > joints[:, ankles, 2].max(1) + 1.0).all()
    assert -0.05 < joints[:, ankles, 2].min() < 0.15
    assert np.median(np.ptp(pixels[..., 1], axis=1)) > 0.5 * truth["height"]


def test_the_generator_makes_the_same_truth(shared: Path, tmp_path: Path) -> None:
    home = Home(default_home())
    if not home.python(DEMO_BLENDER).exists():
        pytest.skip(f"needs the environment {DEMO_BLENDER.name} in {home.path}")
    sources = [shared / "meshes/rocketbox/Male_Adult_06.fbx", shared / "mocap/cmu-bvh.zip", "cmu-bvh/salsa/04.bvh"]
    window = ["--first", "330", "--count", "144", "--turn", "-60", "--truth"]
    program = CLIP.with_name("render_clip.py")
    subprocess.run(
        [home.python(DEMO_BLENDER), program, *sources, *window, "-o", tmp_path / CLIP.name],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    made, kept = (json.loads(path.read_text("utf-8")) for path in (tmp_path / TRUTH.name, TRUTH))
    assert made.keys() == kept.keys()
    for name, value in kept.items():
        if isinstance(value, list) and name != "joint_names":
            np.testing.assert_allclose(made[name], value, atol=0.02 if name == "joints2d" else 2e-4, err_msg=name)
        else:
            assert made[name] == value
