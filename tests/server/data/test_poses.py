import numpy as np
import pytest
from vp3d.data import poses
from vp3d.train.bodies import POINTS, SEGMENTS, STATURE
from vp3d.train.recording import STORED_FPS, Recording


def at(points: np.ndarray, name: str) -> np.ndarray:
    return points[..., POINTS.index(name), :]


def bend(points: np.ndarray, first: str, middle: str, last: str) -> np.ndarray:
    """Degrees between two segments; 0 is straight."""
    a, b = at(points, middle) - at(points, first), at(points, last) - at(points, middle)
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_made_up_people_have_human_proportions_and_joints():
    points, kinds = poses.make_up(400, seed=1)
    assert points.shape == (400, len(POINTS), 3) and set(kinds) == set(poses.KINDS)
    for segment, start, end in (("thigh", "hip", "knee"), ("forearm", "elbow", "wrist")):
        lengths = np.linalg.norm(at(points, f"left_{end}") - at(points, f"left_{start}"), axis=-1)
        assert lengths == pytest.approx(SEGMENTS[segment] * STATURE, abs=1e-5)
    elbows = bend(points, "right_shoulder", "right_elbow", "right_wrist")
    knees = bend(points, "left_hip", "left_knee", "left_ankle")
    assert elbows.max() < 136 and np.ptp(elbows) > 50 and knees.max() < 165


def test_kinds_are_what_they_are_called():
    points, kinds = poses.make_up(900, seed=2)
    kinds = np.array(kinds)
    up = at(points, "thorax")[:, 2] - at(points, "hip")[:, 2]
    assert np.median(up[kinds == "stand"]) > 0.5 and np.abs(np.median(up[kinds == "supine"])) < 0.2
    sitting = points[kinds == "sit"]
    assert np.abs(at(sitting, "left_knee")[:, 2] - at(sitting, "left_hip")[:, 2]).mean() < 0.15
    forward = at(sitting, "left_knee")[:, 1] - at(sitting, "left_hip")[:, 1]
    assert np.median(forward) < -0.3  # people face -Y
    reaching = points[kinds == "star"]
    assert (at(reaching, "left_wrist")[:, 0] > at(reaching, "left_shoulder")[:, 0]).mean() > 0.9


def test_the_same_seed_makes_the_same_poses():
    first, again, other = poses.make_up(20, 5)[0], poses.make_up(20, 5)[0], poses.make_up(20, 6)[0]
    assert (first == again).all() and (first != other).any()


def test_still_people_are_taken_once():
    still = np.tile(poses.make_up(1, 1)[0], (int(4 * STORED_FPS), 1, 1))
    moving = still + np.linspace(0, 1, len(still))[:, None, None] * np.eye(len(POINTS))[:, :1] * (3.0, 0, 0)
    waving = still.copy()
    waving[:, POINTS.index("left_wrist")] += np.sin(np.arange(len(still)) / 15)[:, None] * (2.0, 0, 0)
    counts = [len(poses.from_recordings([Recording("x", "x", points)])) for points in (still, waving)]
    assert counts[0] == 1 and counts[1] > 5
    taken = poses.from_recordings([Recording("x", "x", moving)])
    assert np.abs(taken[:, 0]).max() < 1e-6  # the hips stay at the origin
