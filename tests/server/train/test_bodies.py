import zipfile

import numpy as np
import pytest
from vp3d.train.bodies import LOWEST_GAZE, POINTS, SEGMENTS, SOURCES, STATURE, harmonise
from vp3d.train.motion import Motion, read_amc, read_bvh


def at(points, name):
    return points[:, POINTS.index(name)]


def length(points, start, end):
    return np.linalg.norm(at(points, end) - at(points, start), axis=-1)


@pytest.fixture(scope="module", params=["daz-60", "daz-120", "character-creator", "acclaim"])
def recorded(request, shared):
    """One real recording of every source skeleton, harmonised."""
    mocap = shared / "mocap"
    if request.param == "acclaim":
        with zipfile.ZipFile(mocap / "cmu-asfamc.zip") as archive:
            folder = "cmu-asfamc/asfamc/subjects/02/"
            motion = read_amc(archive.read(folder + "02.asf").decode(), archive.read(folder + "02_01.amc").decode())
    else:
        name = {
            "daz-60": "cmu-bvh/salsa/10.bvh",
            "daz-120": "cmu-bvh/martial/04.bvh",
            "character-creator": "cmu-bvh-60fps/subjects/002/002_01.bvh",
        }[request.param]
        with zipfile.ZipFile(mocap / f"{name.split('/')[0]}.zip") as archive:
            motion = read_bvh(archive.read(name).decode())
    return harmonise(motion, SOURCES[request.param])


def test_every_source_becomes_the_same_body(recorded):
    for side in ("left", "right"):
        assert length(recorded, f"{side}_hip", f"{side}_knee") == pytest.approx(SEGMENTS["thigh"] * STATURE)
        assert length(recorded, f"{side}_elbow", f"{side}_wrist") == pytest.approx(SEGMENTS["forearm"] * STATURE)
    assert np.median(length(recorded, "left_shoulder", "right_shoulder")) == pytest.approx(0.35, abs=0.02)


def test_every_source_stands_on_its_feet_and_looks_ahead(recorded):
    assert np.median(at(recorded, "head")[:, 2] - at(recorded, "left_ankle")[:, 2]) > 1.2
    left = at(recorded, "left_hip") - at(recorded, "right_hip")
    forward = np.cross(left, (0, 0, 1))
    nose = at(recorded, "nose") - (at(recorded, "left_ear") + at(recorded, "right_ear")) / 2
    assert np.median((nose * forward).sum(-1)) > 0
    knee_bend = at(recorded, "left_knee") - (at(recorded, "left_hip") + at(recorded, "left_ankle")) / 2
    assert np.median((knee_bend * forward).sum(-1)) > 0
    assert np.arcsin(np.median(nose[:, 2] / np.linalg.norm(nose, axis=-1))) > LOWEST_GAZE - 0.03


def test_two_conversions_of_one_take_agree(shared):
    """CMU's own ASF/AMC and somebody's conversion to another rig show the same movement of the same person."""
    with zipfile.ZipFile(shared / "mocap/cmu-asfamc.zip") as archive:
        folder = "cmu-asfamc/asfamc/subjects/02/"
        one = read_amc(archive.read(folder + "02.asf").decode(), archive.read(folder + "02_01.amc").decode())
    with zipfile.ZipFile(shared / "mocap/cmu-bvh-60fps.zip") as archive:
        two = read_bvh(archive.read("cmu-bvh-60fps/subjects/002/002_01.bvh").decode())
    one = harmonise(one, SOURCES["acclaim"])[::2]
    two = harmonise(two, SOURCES["character-creator"])
    count = min(len(one), len(two))
    one, two = one[:count] - one[:count, :1], two[:count] - two[:count, :1]
    # The two are cut at different frames; rigs differ, a wrong frame rate or joint would give far more.
    shifts = [
        np.linalg.norm(one[10 + s : count - 10 + s] - two[10 : count - 10], axis=-1).mean() for s in range(-10, 11)
    ]
    assert min(shifts) < 0.06


def test_a_skeleton_without_a_joint_is_refused():
    motion = Motion(("hip",), np.zeros((20, 1, 3)), np.tile(np.eye(3), (20, 1, 1, 1)))
    with pytest.raises(ValueError, match="chest"):
        harmonise(motion, SOURCES["daz-60"])
