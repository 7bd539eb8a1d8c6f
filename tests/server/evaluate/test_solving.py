"""Trials of the solver before virtual cameras, and what its parts add on a take whose truth is known."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from server.walker import walking_points
from takes import walker
from vp3d.calibration import CalibratedCamera
from vp3d.errors import UserError
from vp3d.evaluate import solving, tables
from vp3d.evaluate.ablation import ablation
from vp3d.evaluate.reference import Reference
from vp3d.lift import load_weights
from vp3d.train.recording import STORED_FPS, Recording


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    """Somebody who walks 2.4 m and back."""
    there = walking_points(120, STORED_FPS)
    around = there * [-1, -1, 1] + [*there[-1, 0, :2], 0]
    return [Recording("walk", "walk", np.concatenate([there, around] * 2).astype(np.float32))]


def test_scenes_are_in_view_and_on_the_floor(recordings):
    scenes = solving.scenes(recordings, 12, seed=3)
    assert len(scenes) == 12
    heights = [camera.position[0, 2] for _, camera in scenes]
    assert min(heights) > 0.5 and np.ptp(heights) > 0.5
    for joints, camera in scenes:
        pixels = camera.project(joints)
        assert ((joints @ camera.R[0].T + camera.t[0])[..., 2] > 1).all()
        assert ((pixels > -300) & (pixels < np.array(solving.SIZE) + 300)).mean() > 0.95
        assert np.abs(joints[..., 2].min() - 0.085) < 0.05


def test_the_detector_of_trials_errs_as_it_says(recordings):
    joints, camera = solving.scenes(recordings, 1)[0]
    tracks = solving.film(joints, camera, np.random.default_rng(0))
    seen = tracks.joints[0][:, 5:17]
    off = seen - camera.project(joints)[:, [11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]]
    assert np.nanstd(off) == pytest.approx(solving.NOISE, rel=0.1)
    assert np.isnan(seen[..., 0]).mean() == pytest.approx(solving.MISSING, abs=0.03)


def test_known_lens(recordings):
    joints, camera = solving.scenes(recordings, 1)[0]
    result = solving.trial(joints, camera, 0, known_lens=True)
    assert result.rotation_deg < 2.5
    assert result.floor_deg < 1.5
    assert result.root_share < 0.02
    assert result.residual_ratio < 1.2
    assert result.focal_ratio == pytest.approx(1)
    assert result.focal_covered == 1


def test_unknown_lens(recordings):
    report = solving.evaluate(recordings, 3)
    assert report["trials"] == 3
    unknown = report["lens unknown"]
    assert unknown["focal_covered"] >= 0.6
    assert unknown["residual_ratio"][0] < 1.2
    assert unknown["focal_ratio"][0] != 1.0
    json.dumps(report, allow_nan=False)
    assert tables.solve_table(report).row_count == 9


def test_nobody_gets_about(recordings):
    still = [replace(recordings[0], points=recordings[0].points * 0 + recordings[0].points[:1])]
    with pytest.raises(UserError, match="gets about"):
        solving.scenes(still, 1)


def test_what_every_part_adds(tmp_path):
    folder = tmp_path / "plate"
    folder.mkdir()
    grey = np.full((720, 1280, 3), 128, np.uint8)
    for number in range(60):
        cv2.imwrite(str(folder / f"{number:04d}.png"), grey)
    take = walker(video=str(folder))
    noise = np.random.default_rng(0).normal(0, 1.5, take.joints2d.shape)
    take = replace(take, joints2d=take.joints2d + noise)
    reference = Reference(take.frames / 25, take.joints3d[0], take.camera_R)
    camera = CalibratedCamera("", (1280, 720), take.camera_K[0], np.zeros(5), take.camera_R[0], take.camera_t[0])
    parts = ablation(take, reference, camera, load_weights(), adapted=False)
    assert list(parts) == ["closed form", "+ extrinsics", "+ joints", "+ contacts", "+ foot lock"]
    assert parts["+ joints"]["px"] < parts["closed form"]["px"]
    assert parts["+ joints"]["jitter_mm"] < 0.5 * parts["closed form"]["jitter_mm"]
    assert parts["+ foot lock"]["foot_cm_s"] < parts["+ contacts"]["foot_cm_s"] < parts["+ joints"]["foot_cm_s"]
    assert abs(parts["+ contacts"]["roll_deg"]) < 4
    json.dumps(parts, allow_nan=False)
    assert tables.ablation_table("walk", parts).row_count == 5
    with pytest.raises(UserError, match="where the camera was"):
        ablation(take, reference, replace(camera, R=None), load_weights(), adapted=False)
    with pytest.raises(UserError, match="no frame in common"):
        ablation(take, Reference(take.frames + 1e3, take.joints3d[0]), camera, load_weights(), adapted=False)
