"""Readers of public data sets, each on a miniature in the real format."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from server.ring import K, ring
from vp3d.cameras import project_points
from vp3d.common.skeletons import COCO_17, MADS_19, MPII_16
from vp3d.errors import UserError
from vp3d.train.public_sets import read_mads, read_mads_camera, read_mpii, read_pose2sim
from vp3d.train.stereo_sets import collect, read_set, write_set

SIZE = (1000, 960)


def test_joint_sets_have_two_sides() -> None:
    for skeleton, pairs in ((MPII_16, [(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)]),):
        for right, left in pairs:
            assert skeleton.mirrored[right] == left
    # Flip pairs as the set is used elsewhere.
    for right, left in [(2, 6), (3, 7), (4, 8), (5, 9), (10, 14), (11, 15), (12, 16), (13, 17)]:
        assert MADS_19.mirrored[right] == left


def test_mpii(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.jpg"), np.full((80, 100, 3), (10, 20, 200), np.uint8))
    joints = (np.arange(32).reshape(16, 2) * 2 + 5).astype(float)
    joints[3] = -1
    visible = [1] * 16
    visible[3] = 0
    person = {"image": "one.jpg", "joints": joints.tolist(), "joints_vis": visible, "center": [50, 40], "scale": 0.3}
    nobody = {**person, "joints_vis": [0] * 16}
    (tmp_path / "train.json").write_text(json.dumps([person, nobody]))
    (found,) = read_mpii(tmp_path / "train.json", tmp_path)
    (view,) = found.views
    assert np.allclose(view.pixels[0], joints[0] - 1)  # the file counts from 1
    assert np.isnan(view.pixels[3]).all() and not view.visible[3]
    assert view.image[5, 5].tolist() == pytest.approx([200, 20, 10], abs=6)  # red first
    views = collect([found], 64)
    assert views.crops.shape[:3] == (1, 1, 3)


def test_mpii_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(UserError, match="no MPII annotations"):
        list(read_mpii(tmp_path / "train.json", tmp_path))
    person = {"image": "absent.jpg", "joints": [[5, 5]] * 16, "joints_vis": [1] * 16}
    (tmp_path / "train.json").write_text(json.dumps([person]))
    with pytest.raises(UserError, match="can be read"):
        list(read_mpii(tmp_path / "train.json", tmp_path))


def mads(folder: Path, frames: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A miniature of one action: three cameras, a film each, and a cell of poses in mm."""
    action = folder / "multi_view_data/Jazz"
    action.mkdir(parents=True)
    poses = np.linalg.inv(K) @ ring([0, 60, 120]).numpy()
    joints = np.random.default_rng(0).uniform(-0.8, 0.8, (frames, len(MADS_19), 3))
    joints[2, 5] = np.nan
    cell = np.empty((frames, 1), object)
    for i, pose in enumerate(joints):
        cell[i, 0] = pose * 1000
    savemat(action / "Jazz_Jazz1_GT.mat", {"GTpose2": cell})
    for c, pose in enumerate(poses):
        om, _ = cv2.Rodrigues(pose[:, :3])
        calibration = {
            "fc": [[K[0, 0]], [K[1, 1]]], "cc": [[K[0, 2]], [K[1, 2]]], "alpha_c": 0.0, "kc": np.zeros((5, 1)),
            "om_ext": om, "T_ext": pose[:, 3:] * 1000,
        }  # fmt: skip
        savemat(action / f"Calib_Cam{c}.mat", calibration)
        film = cv2.VideoWriter(str(action / f"Jazz_Jazz1_C{c}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 15, SIZE)
        for i in range(frames):
            film.write(np.full((SIZE[1], SIZE[0], 3), 40 * i, np.uint8))
        film.release()
    return joints, poses


def test_mads(tmp_path: Path) -> None:
    joints, poses = mads(tmp_path)
    found = list(read_mads(tmp_path / "multi_view_data", every=2))
    assert [action for action, _ in found] == ["Jazz"] * 3
    for (_, instant), number in zip(found, (0, 2, 4), strict=True):
        assert np.allclose(instant.joints, joints[number], equal_nan=True)
        assert len(instant.views) == 3
        for view, pose in zip(instant.views, poses, strict=True):
            expected = project_points(joints[None, number], K[None], pose[None, :, :3], pose[None, :, 3], np.zeros(5))[
                0
            ]
            assert np.allclose(view.pixels, expected, equal_nan=True)
            assert abs(int(view.image.mean()) - 40 * number) < 4
    assert not found[1][1].views[0].visible[5]


def test_mads_camera_is_opencvs(tmp_path: Path) -> None:
    _, poses = mads(tmp_path, 3)
    camera = read_mads_camera(tmp_path / "multi_view_data/Jazz/Calib_Cam1.mat")
    assert np.allclose(camera.K, K)
    assert np.allclose(np.c_[camera.R, camera.t], poses[1])


def test_mads_that_is_incomplete(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing of MADS"):
        list(read_mads(tmp_path))
    mads(tmp_path, 3)
    (tmp_path / "multi_view_data/Jazz/Jazz_Jazz1_C1.avi").unlink()
    with pytest.raises(UserError, match="3 calibrations and 2 videos"):
        list(read_mads(tmp_path))
    (tmp_path / "notes.mat").write_text("no matrix")
    with pytest.raises(UserError, match="no MATLAB file"):
        read_mads_camera(tmp_path / "notes.mat")


def test_pose2sim(shared: Path) -> None:
    folder = shared / "clips/pose2sim-single"
    videos = {name: folder / f"{name}.mp4" for name in ("cam01", "cam02")}
    found = list(read_pose2sim(folder / "cameras.json", folder / "single_filt.trc", videos, every=50))
    assert len(found) == 2
    for instant in found:
        assert np.isfinite(instant.joints[COCO_17.index("left_wrist")]).all()
        for view in instant.views:
            assert view.visible.sum() == 12


def test_any_set_is_written_and_read_back_alike(tmp_path: Path) -> None:
    joints, _ = mads(tmp_path / "mads")
    found = list(read_mads(tmp_path / "mads", every=2))
    entries = [("test" if i == 2 else "train", action, instant) for i, (action, instant) in enumerate(found)]
    write_set(tmp_path / "set", MADS_19, entries)
    skeleton, splits = read_set(tmp_path / "set", 64)
    assert skeleton == MADS_19
    assert {name: len(views) for name, views in splits.items()} == {"train": 2, "test": 1}
    direct = collect([instant for _, instant in found[:2]], 64)
    read = splits["train"]
    assert np.allclose(read.joints, direct.joints, atol=1e-4, equal_nan=True)
    assert np.allclose(read.pixels, direct.pixels, atol=0.05, equal_nan=True)
    assert np.allclose(read.projections, direct.projections, rtol=1e-3, atol=0.05)
    assert (read.visible == direct.visible).all()
    assert abs(read.crops.float().mean() - direct.crops.float().mean()) < 3
    assert joints.shape[1] == 19


def test_one_view_without_3d_is_a_set_too(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.jpg"), np.full((80, 100, 3), 90, np.uint8))
    person = {"image": "one.jpg", "joints": [[20 + 3 * i, 70 - 4 * i] for i in range(16)], "joints_vis": [1] * 16}
    (tmp_path / "train.json").write_text(json.dumps([person]))
    found = list(read_mpii(tmp_path / "train.json", tmp_path))
    write_set(tmp_path / "set", MPII_16, [("train", "", found[0])])
    skeleton, splits = read_set(tmp_path / "set", 64)
    assert skeleton == MPII_16
    assert np.allclose(splits["train"].pixels, collect(found, 64).pixels, atol=0.05)
    assert np.isnan(splits["train"].joints).all()
