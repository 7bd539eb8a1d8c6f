import json

import numpy as np
import pytest
from takes import walker
from vp3d.common import take as takes
from vp3d.common.skeletons import COCO_17, H36M_17, H36M_FROM_COCO
from vp3d.errors import UserError
from vp3d.evaluate.reference import read_reference

MARKERS = {"RHip": 1, "RKnee": 2, "RAnkle": 3, "LHip": 4, "LKnee": 5, "LAnkle": 6, "LShoulder": 11, "LElbow": 12,
           "LWrist": 13, "RShoulder": 14, "RElbow": 15, "RWrist": 16}  # fmt: skip


def write_trc(path, joints, rate=25.0, units="mm", first=1, hole=None):
    """A marker file of joints (T, 17, 3) m, Z up, as Pose2Sim writes it: Y up."""
    scale = {"m": 1, "mm": 1000}[units]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate:g}\t{rate:g}\t{len(joints)}\t{len(MARKERS)}\t{units}\t{rate:g}\t0\t{len(joints)}",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(len(MARKERS)) for axis in "XYZ"),
    ]
    for t, frame in enumerate(joints):
        cells = [f"{value * scale:.6f}" for i in MARKERS.values() for value in frame[i, [1, 2, 0]]]
        if t == hole:
            cells[:3] = ["", "", ""]
        lines.append("\t".join([str(first + t), f"{(first + t) / rate:.6f}", *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def take():
    return walker(frames=30)


@pytest.mark.parametrize("units", ["m", "mm"])
def test_markers_are_read_in_metres_with_z_up(tmp_path, take, units):
    reference = read_reference(write_trc(tmp_path / "a.trc", take.joints3d[0], units=units, first=101, hole=4))
    limbs = list(H36M_FROM_COCO)
    expected = take.joints3d[0][:, limbs].astype(float)
    expected[4, limbs.index(1)] = np.nan
    assert reference.joints[:, limbs] == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert np.isnan(reference.joints[:, H36M_17.index("thorax")]).all()
    assert reference.joints[5, 0] == pytest.approx(reference.joints[5, [1, 4]].mean(0))
    assert reference.times[:3] == pytest.approx([0, 0.04, 0.08])
    assert reference.seen() is None


def test_instants_are_matched_and_none_is_made_up(tmp_path, take):
    reference = read_reference(write_trc(tmp_path / "a.trc", take.joints3d[0]))
    times = np.array([0, 0.041, 1.16, 1.19, 5.0])
    assert reference.nearest(times).tolist() == [0, 1, 29, -1, -1]


def test_takes_and_truth_files_know_their_cameras(tmp_path, take):
    takes.save(take, tmp_path / "a.vp3d")
    reference = read_reference(tmp_path / "a.vp3d")
    assert reference.seen() == pytest.approx(take.joints3d[0] @ take.camera_R[0].T, abs=1e-5)
    names = list(COCO_17.joints[5:])
    coco = [next(h for h, c in H36M_FROM_COCO.items() if COCO_17.joints[c] == name) for name in names]
    truth = {"fps": 25, "frames": list(range(30)), "joint_names": names, "camera_R": take.camera_R.tolist(),
             "joints3d": [take.joints3d[0][:, coco].tolist()]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(truth))
    known = read_reference(tmp_path / "a.json")
    assert known.seen()[:, 1:7] == pytest.approx(reference.seen()[:, 1:7], abs=1e-5)


@pytest.mark.parametrize("content", ["", "PathFileType\n1\n2\n3\n4\n5\n", "not\ta\ttrc\n" * 8])
def test_a_file_of_something_else_is_named(tmp_path, content):
    (tmp_path / "wrong.trc").write_text(content)
    with pytest.raises(UserError, match=r"wrong\.trc"):
        read_reference(tmp_path / "wrong.trc")
    for name in ("gone.trc", "picture.png"):
        with pytest.raises(UserError, match=name):
            read_reference(tmp_path / name)
