import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walk
from vp3d.common.skeletons import H36M_17
from vp3d.evaluate.postures import POSTURES, postures

FPS = 25.0
LEGS = {side: [H36M_17.index(f"{side}_{joint}") for joint in ("knee", "ankle")] for side in ("left", "right")}


def standing(frames: int = 20) -> np.ndarray:
    """Somebody who stands still and faces +X."""
    joints = walk(np.arange(frames) / FPS)[:1].repeat(frames, 0)
    joints -= joints[:, :1]
    for side, (knee, ankle) in LEGS.items():
        hip = joints[:, H36M_17.index(f"{side}_hip")]
        joints[:, knee], joints[:, ankle] = hip - (0, 0, 0.44), hip - (0, 0, 0.86)
    return joints


def seated(shins_down: bool) -> np.ndarray:
    joints = standing()
    for side, (knee, ankle) in LEGS.items():
        hip = joints[:, H36M_17.index(f"{side}_hip")]
        joints[:, knee] = hip + np.array([0.44, 0, 0])
        joints[:, ankle] = hip + np.array([0.44, 0, -0.42] if shins_down else [0.86, 0, 0])
    return joints


def names(joints: np.ndarray) -> set[str]:
    return {POSTURES[i] for i in postures(joints, FPS)}


def test_postures_are_told_apart():
    assert names(standing()) == {"standing"}
    assert names(seated(shins_down=True)) == {"sitting"}
    assert names(seated(shins_down=False)) == {"floor"}
    assert names(standing() @ Rotation.from_euler("x", 80, degrees=True).as_matrix().T) == {"lying"}
    assert names(walk(np.arange(50) / FPS)) == {"walking"}


@pytest.mark.parametrize("degrees", [0, 90, 200])
def test_where_and_which_way_does_not_matter(degrees):
    turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    for joints in (standing(), seated(True), seated(False), walk(np.arange(50) / FPS)):
        moved = joints @ turn.T + np.array([3, -2, 1.5])
        assert (postures(moved, FPS) == postures(joints, FPS)).all()


def test_bending_over_with_straight_legs_is_not_sitting():
    joints = standing()
    upper = [i for i, name in enumerate(H36M_17.joints) if not name.endswith(("hip", "knee", "ankle"))]
    joints[:, upper] = joints[:, upper] @ Rotation.from_euler("y", 90, degrees=True).as_matrix().T
    assert names(joints) == {"standing"}
