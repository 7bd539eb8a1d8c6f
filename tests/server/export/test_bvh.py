"""BVH files, read back by a reader of our own that knows only the format."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walker
from vp3d.common.skeletons import H36M_17
from vp3d.export import bvh

TO_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) / 100  # Y up, cm → Z up, m
JOINT_AT = {
    "hips": "hip", "chest": "spine", "neck": "thorax", "head": "neck",
    "upper_arm.L": "left_shoulder", "forearm.L": "left_elbow", "hand.L": "left_wrist",
    "upper_arm.R": "right_shoulder", "forearm.R": "right_elbow", "hand.R": "right_wrist",
    "thigh.L": "left_hip", "shin.L": "left_knee", "foot.L": "left_ankle",
    "thigh.R": "right_hip", "shin.R": "right_knee", "foot.R": "right_ankle",
}  # fmt: skip


def read(path: Path) -> tuple[dict[str, np.ndarray], float]:
    """World positions (T, 3) m by joint, and the frame time."""
    words = path.read_text().split()
    split = words.index("MOTION")
    count, step = int(words[split + 2]), float(words[split + 5])
    values = np.array(words[split + 6 :], float).reshape(count, -1)
    stack, found, name, column = [], {}, "", 0
    state: dict[str, tuple[np.ndarray, Rotation]] = {}
    iterator = iter(words[1:split])
    for word in iterator:
        if word in ("ROOT", "JOINT"):
            name = next(iterator)
        elif word == "End":
            next(iterator)
            name = ""
        elif word == "{":
            stack.append(name)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            offset = np.array([float(next(iterator)) for _ in range(3)])
        elif word == "CHANNELS":
            channels = [next(iterator) for _ in range(int(next(iterator)))]
            mine = values[:, column : column + len(channels)]
            column += len(channels)
            order = "".join(c[0] for c in channels if c.endswith("rotation"))
            turn = Rotation.from_euler(order, mine[:, -3:], degrees=True)
            if len(channels) == 6:
                assert [c[0] for c in channels[:3]] == ["X", "Y", "Z"]
                state[name] = (mine[:, :3] + offset, turn)
            else:
                position, orientation = state[stack[-2]]
                state[name] = (position + orientation.apply(offset), orientation * turn)
            found[name] = state[name][0] @ TO_WORLD.T
    assert column == values.shape[1]
    return found, step


def test_every_joint_is_where_the_take_has_it(tmp_path: Path) -> None:
    take = walker(50, people=2)
    bvh.write(take, tmp_path / "two.bvh", 1)
    found, step = read(tmp_path / "two.bvh")
    assert step == pytest.approx(1 / 25)
    for bone, joint in JOINT_AT.items():
        np.testing.assert_allclose(found[bone], take.joints3d[1, :, H36M_17.index(joint)], atol=1e-4, err_msg=bone)


def test_a_pose_is_held_where_nobody_is_seen(tmp_path: Path) -> None:
    take = walker(60)
    take.joints3d[0, :5] = np.nan
    take.joints3d[0, 20:50] = np.nan
    bvh.write(take, tmp_path / "gap.bvh", 0)
    hips = read(tmp_path / "gap.bvh")[0]["hips"]
    assert len(hips) == 60
    np.testing.assert_allclose(hips[:5], np.broadcast_to(hips[5], (5, 3)), atol=1e-6)
    np.testing.assert_allclose(hips[20:50], np.broadcast_to(hips[19], (30, 3)), atol=1e-6)
    assert np.linalg.norm(hips[50] - hips[49]) > 0.5


def test_every_second_frame_is_played_at_half_the_rate(tmp_path: Path) -> None:
    bvh.write(walker(10, every=2), tmp_path / "half.bvh", 0)
    assert read(tmp_path / "half.bvh")[1] == pytest.approx(2 / 25)


def test_angles_do_not_jump(tmp_path: Path) -> None:
    bvh.write(walker(200), tmp_path / "long.bvh", 0)
    lines = (tmp_path / "long.bvh").read_text().split("Frame Time:")[1].splitlines()[1:]
    angles = np.array([[float(word) for word in line.split()[3:]] for line in lines])
    assert np.abs(np.diff(angles, axis=0)).max() < 25
