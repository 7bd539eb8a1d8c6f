import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from server.walker import walking_points
from vp3d.common.skeletons import COCO_17, H36M_17
from vp3d.errors import UserError
from vp3d.train import videopose3d
from vp3d.train.bodies import POINTS
from vp3d.train.videopose3d import read_keypoints, read_positions, with_face

COCO_SYMMETRY = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
H36M_SYMMETRY = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
rng = np.random.default_rng(0)


def test_human36m_s_32_joints_become_17_in_our_order(tmp_path):
    joints = walking_points(50, 50.0)[:, :17]
    wide = rng.normal(size=(50, 32, 3)).astype(np.float32)
    wide[:, KEPT] = joints
    actions = {"Walking 1": wide, "Directions": wide}
    np.savez_compressed(tmp_path / "data_3d_h36m.npz", positions_3d={"S9": {"Walking 1": wide}, "S11": actions})
    recordings = read_positions(tmp_path / "data_3d_h36m.npz")
    assert [recording.take for recording in recordings] == ["S9-Walking 1", "S11-Walking 1"], (
        "S11 Directions is corrupt"
    )
    assert [recording.performer for recording in recordings] == ["S9", "S11"]
    points = recordings[0].points
    assert points.shape == (59, len(POINTS), 3)
    assert points[::6, :17] == pytest.approx(joints[::5], abs=1e-5)


def test_17_joints_are_taken_as_they_are(tmp_path):
    joints = walking_points(30, 50.0)[:, :17]
    np.savez(tmp_path / "a.npz", positions_3d={"me": {"walk": joints}})
    assert read_positions(tmp_path / "a.npz")[0].points[0, :17] == pytest.approx(joints[0], abs=1e-5)


def test_faces_look_where_the_nose_points():
    joints = walking_points(1, 50.0)[:, :17].repeat(3, 0)
    neck, head, thorax = (H36M_17.index(name) for name in ("neck", "head", "thorax"))
    joints[:, thorax], joints[:, head] = [0, 0, 1.4], [0, 0, 1.7]
    joints[:, neck] = [0.08, 0, 1.55]
    points = with_face(joints)
    eyes, ears = (points[:, [POINTS.index(f"{side}_{part}") for side in ("left", "right")]] for part in ("eye", "ear"))
    assert points[:, :17] == pytest.approx(joints)
    # Somebody who faces +X has the left side at +Y.
    for pair in (eyes, ears):
        assert (pair[:, 0, 1] > 0.01).all()
        assert pair[:, 0, 1] == pytest.approx(-pair[:, 1, 1])
    assert (eyes[..., 0] > ears[..., 0] + 0.05).all()
    assert (eyes[..., 2] > joints[0, neck, 2]).all()


def test_key_points_of_own_videos(tmp_path):
    joints = rng.uniform(0, 1000, (20, 17, 2)).astype(np.float32)
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": COCO_SYMMETRY,
                "video_metadata": {"dance.mp4": {"w": 1280, "h": 720}}}  # fmt: skip
    np.savez_compressed(tmp_path / "a.npz", positions_2d={"dance.mp4": {"custom": [joints]}}, metadata=metadata)
    (sequence,) = read_keypoints(tmp_path / "a.npz")
    assert sequence.joints == pytest.approx(joints)
    assert (sequence.name, sequence.camera, sequence.size, sequence.fps) == ("dance.mp4/custom/1", 0, (1280, 720), 50)


def test_key_points_of_human36m_have_four_cameras_and_limbs(tmp_path):
    cameras = [rng.uniform(0, 1000, (10 + camera, 17, 2)) for camera in range(4)]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": H36M_SYMMETRY}
    np.savez(tmp_path / "a.npz", positions_2d={"S1": {"Walking": cameras}}, metadata=metadata)
    sequences = read_keypoints(tmp_path / "a.npz")
    assert [sequence.camera for sequence in sequences] == [0, 1, 2, 3]
    assert [len(sequence.joints) for sequence in sequences] == [10, 11, 12, 13]
    for name in ("left_wrist", "right_ankle", "left_hip"):
        seen = sequences[2].joints[:, COCO_17.index(name)]
        assert seen == pytest.approx(cameras[2][:, H36M_17.index(name)])
    assert np.isnan(sequences[0].joints[:, :5]).all()
    assert sequences[0].size is None


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


def write(path: Path, **arrays: object) -> Path:
    """An archive in NumPy's layout around ready-made pickles."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in arrays.items():
            header = BytesIO()
            description = {"descr": "|O", "fortran_order": False, "shape": ()}
            np.lib.format.write_array_header_1_0(header, description)
            archive.writestr(f"{name}.npy", header.getvalue() + content)
    return path


def test_code_in_a_pickle_does_not_run(tmp_path):
    trace = tmp_path / "ran"
    path = write(tmp_path / "bomb.npz", positions_3d=pickle.dumps({"S1": {"Walk": Bomb(trace)}}))
    with pytest.raises(UserError, match=r"bomb\.npz"):
        read_positions(path)
    assert not trace.exists()
    np.load(path, allow_pickle=True)["positions_3d"]
    assert trace.exists(), "the file would have run code in an ordinary unpickler"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path, protocol):
    joints = walking_points(30, 50.0)[:, :17]
    content = {"S1": {"Walk": joints, "Fortran": np.asfortranarray(joints), "Half": joints.astype(np.float16)}}
    path = write(tmp_path / "a.npz", positions_3d=pickle.dumps(np.array(content, object), protocol))
    recordings = read_positions(path)
    assert len(recordings) == 3
    assert recordings[1].points == pytest.approx(recordings[0].points)


def test_an_array_that_claims_to_be_huge_allocates_nothing(tmp_path):
    class Huge:
        def __reduce__(self):
            return np.zeros(0).__reduce__()[0], (np.ndarray, (1 << 45,), b"d")

    path = write(tmp_path / "huge.npz", positions_3d=pickle.dumps({"S1": {"Walk": Huge()}}))
    with pytest.raises(UserError, match=r"huge\.npz"):
        read_positions(path)


@pytest.mark.parametrize(
    "kind", ["missing", "text", "other keys", "not sorted", "joints", "strings", "numbers", "large"]
)
def test_a_file_of_something_else_is_named(tmp_path, monkeypatch, kind):
    path = tmp_path / "wrong.npz"
    walk = walking_points(30, 50.0)[:, :17]
    content = {
        "other keys": {"poses": {}},
        "not sorted": {"positions_3d": [1, 2]},
        "joints": {"positions_3d": {"S1": {"Walk": walk[:, :5]}}},
        "strings": {"positions_3d": {"S1": {"Walk": "walking"}}},
        "numbers": {"positions_3d": np.zeros(3)},
        "large": {"positions_3d": {"S1": {"Walk": walk}}},
    }
    if kind == "text":
        path.write_text("these are no arrays")
    elif kind != "missing":
        np.savez(path, **content[kind])
    if kind == "large":
        monkeypatch.setattr(videopose3d, "_LARGEST", 1000)
    with pytest.raises(UserError, match=r"wrong\.npz") as caught:
        read_positions(path)
    assert caught.value.hint
