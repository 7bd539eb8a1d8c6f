import numpy as np
import pytest
from vp3d.data import poses
from vp3d.data.blender import figures
from vp3d.data.blender.figures import BONES, POINTS, Figure

SEGMENTS = (
    ("upper_arm", "forearm", "shoulder", "elbow"),
    ("forearm", "hand", "elbow", "wrist"),
    ("thigh", "shin", "hip", "knee"),
    ("shin", "foot", "knee", "ankle"),
)


@pytest.fixture(scope="module")
def doll() -> Figure:
    """A figure whose vertices are the starts of its bones, and a point in the air beside each."""
    at = {
        "pelvis": (0, 0, 0.95), "spine": (0, 0, 1.0), "upper_spine": (0, 0, 1.1), "chest": (0, 0, 1.2),
        "neck": (0, 0, 1.45), "head": (0, 0, 1.55),
    }  # fmt: skip
    for side, sign in (("left", 1), ("right", -1)):
        for bone, place in {
            "clavicle": (0.02, 0, 1.42), "upper_arm": (0.17, 0, 1.42), "forearm": (0.35, 0.0, 1.22),
            "hand": (0.5, -0.1, 1.05), "thigh": (0.09, 0, 0.92), "shin": (0.1, -0.01, 0.5), "foot": (0.11, 0.01, 0.09),
            "toe": (0.11, -0.11, 0.02),
        }.items():  # fmt: skip
            at[f"{side}_{bone}"] = (sign * place[0], *place[1:])
    heads = np.array([at[bone] for bone in BONES], float)
    beside = heads + np.array([0.03, 0.02, 0.01])
    return Figure(
        "doll",
        np.concatenate([heads, beside]),
        np.array([[0, 1, 2]]),
        np.zeros(1, int),
        heads,
        np.tile(np.arange(len(BONES)), 2)[:, None],
        np.ones((2 * len(BONES), 1)),
        {"left_hip": ("pelvis", at["left_thigh"]), "left_knee": ("left_thigh", np.array(at["left_shin"]))},
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_a_posed_figure_has_the_limbs_of_the_points(doll):
    made_up, _ = poses.make_up(60, seed=3)
    for points in made_up.astype(float):
        pose = figures.pose_figure(doll, points)
        for side in ("left", "right"):
            for bone, child, start, end in SEGMENTS:
                new = pose.heads[BONES.index(f"{side}_{child}")] - pose.heads[BONES.index(f"{side}_{bone}")]
                wanted = points[POINTS.index(f"{side}_{end}")] - points[POINTS.index(f"{side}_{start}")]
                assert unit(new) == pytest.approx(unit(wanted), abs=1e-6)


def test_bones_turn_and_keep_their_lengths(doll):
    points = poses.make_up(20, seed=4)[0][7].astype(float)
    pose = figures.pose_figure(doll, points, turn=0.7, ankles=(0.3, 0.1))
    turns = pose.rotations
    assert np.einsum("bij,bkj->bik", turns, turns) == pytest.approx(np.tile(np.eye(3), (len(BONES), 1, 1)), abs=1e-9)
    assert np.linalg.det(turns) == pytest.approx(1)
    for b, parent in enumerate(figures.PARENTS):
        if parent >= 0:
            rest = np.linalg.norm(doll.heads[b] - doll.heads[parent])
            assert np.linalg.norm(pose.heads[b] - pose.heads[parent]) == pytest.approx(rest)


def test_standing_upright_is_nearly_the_rest_pose(doll):
    hanging = {
        f"{side}_{joint}": np.eye(3) for side in ("left", "right") for joint in ("knee", "ankle", "elbow", "wrist")
    }
    points = poses.assemble(np.eye(3), np.eye(3), np.eye(3), hanging)
    rotations = figures.pose_figure(doll, points).rotations
    for bone in ("pelvis", "spine", "chest", "neck", "head", "left_clavicle", "left_thigh", "right_foot"):
        angle = np.degrees(np.arccos(np.clip((np.trace(rotations[BONES.index(bone)]) - 1) / 2, -1, 1)))
        assert angle < 5, bone


def test_a_turn_turns_everything(doll):
    points = poses.make_up(5, seed=6)[0][0].astype(float)
    straight, turned = figures.pose_figure(doll, points), figures.pose_figure(doll, points, turn=1.1)
    about_z = figures.turned("z", 1.1)
    # feet that stand are put level by the shank's direction, which turns with the rest
    assert turned.rotations == pytest.approx(about_z @ straight.rotations, abs=1e-9)
    assert turned.heads == pytest.approx(straight.heads @ about_z.T, abs=1e-9)


def test_skin_and_labels_move_with_their_bones(doll):
    points = poses.make_up(5, seed=8)[0][2].astype(float)
    pose = figures.pose_figure(doll, points).moved(np.array([1.0, 2, 3]))
    vertices = figures.skin(doll, pose)
    assert vertices[: len(BONES)] == pytest.approx(pose.heads)
    offset = np.einsum("bij,j->bi", pose.rotations, (0.03, 0.02, 0.01))
    assert vertices[len(BONES) :] == pytest.approx(pose.heads + offset)
    hip, knee = figures.place_labels(doll, pose, ("left_hip", "left_knee"))
    assert hip == pytest.approx(pose.heads[BONES.index("left_thigh")])
    assert knee == pytest.approx(pose.heads[BONES.index("left_shin")])


def test_weights_are_the_strongest_four():
    chest = BONES.index("chest")
    listed = [(b, np.array([0]), np.array([0.1 * (b + 1)])) for b in range(6)] + [
        (chest, np.array([1]), np.array([0.5]))
    ]
    bones, weights = figures.collapse_weights(listed, 3)
    assert set(bones[0]) == {2, 3, 4, 5} and weights[0].sum() == pytest.approx(1)
    assert bones[1, 0] == chest and weights[1] == pytest.approx((1, 0, 0, 0))
    assert bones[2, 0] == BONES.index("pelvis")
