"""People as numbers: a clothed mesh, a skeleton of 22 bones, weights that tie them, and the labels that it carries.

A figure stands in its rest pose, metres, Z up, soles on z = 0, facing -Y with its left at +X. Posing takes 3D points of
a person (`POINTS`) and gives each bone the rotation that they imply; the mesh follows by linear blend skinning.
"""

from dataclasses import dataclass, field

import numpy as np

POINTS = (
    "hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "thorax", "neck",
    "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip
"""Points that describe a pose, as `vp3d.train.bodies` orders them."""

_SIDES = ("left", "right")
_SIDE_BONES = ("clavicle", "upper_arm", "forearm", "hand", "thigh", "shin", "foot", "toe")
BONES = (
    *("pelvis", "spine", "upper_spine", "chest", "neck", "head"),
    *(f"{side}_{bone}" for side in _SIDES for bone in _SIDE_BONES),
)
_PARENT_OF = {
    "spine": "pelvis", "upper_spine": "spine", "chest": "upper_spine", "neck": "chest", "head": "neck",
    "clavicle": "chest", "upper_arm": "clavicle", "forearm": "upper_arm", "hand": "forearm",
    "thigh": "pelvis", "shin": "thigh", "foot": "shin", "toe": "foot",
}  # fmt: skip


def _parent(bone: str) -> int:
    side, _, part = bone.partition("_")
    if side not in _SIDES:
        return BONES.index(_PARENT_OF[bone]) if bone in _PARENT_OF else -1
    above = _PARENT_OF[part]
    return BONES.index(above if above in BONES else f"{side}_{above}")


PARENTS = tuple(_parent(bone) for bone in BONES)

SKIN, TOP, BOTTOM, SHOES, HAIR, EYE, HEAD = range(7)
"""What a face of the mesh is made of; `HEAD` is skin whose features and hair line are painted."""


@dataclass(frozen=True)
class Figure:
    """A person in the rest pose.

    Attributes:
        name: who it is.
        vertices: (V, 3) m.
        triangles: (F, 3) vertex indices.
        materials: (F,) one of the constants above.
        heads: (22, 3) m, where the bones start, in the order of `BONES`.
        bones: (V, 4) indices of the bones that move a vertex.
        weights: (V, 4), rows add up to 1.
        labels: joint name: the bone that carries it and its place (m) in the rest pose.
        female: whether it is dressed and coiffed as a woman.
    """

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray
    heads: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    labels: dict[str, tuple[str, np.ndarray]] = field(repr=False)
    female: bool = False

    def head(self, bone: str) -> np.ndarray:
        """Where a bone starts (m)."""
        return self.heads[BONES.index(bone)]


@dataclass(frozen=True)
class Pose:
    """Rotations (22, 3, 3) from rest, and where the bones start (22, 3) m, world."""

    rotations: np.ndarray
    heads: np.ndarray

    def moved(self, offset: np.ndarray) -> "Pose":
        """The same pose elsewhere."""
        return Pose(self.rotations, self.heads + offset)


def skin(figure: Figure, pose: Pose) -> np.ndarray:
    """Vertices (V, 3) m of a posed figure: linear blend skinning."""
    moved = np.zeros_like(figure.vertices)
    for k in range(figure.bones.shape[1]):
        bone = figure.bones[:, k]
        local = figure.vertices - figure.heads[bone]
        turned = np.einsum("vij,vj->vi", pose.rotations[bone], local)
        moved += figure.weights[:, k, None] * (turned + pose.heads[bone])
    return moved


def place_labels(figure: Figure, pose: Pose, joints: tuple[str, ...]) -> np.ndarray:
    """Where the labels lie (J, 3) m, world."""
    places = []
    for joint in joints:
        bone, rest = figure.labels[joint]
        b = BONES.index(bone)
        places.append(pose.heads[b] + pose.rotations[b] @ (rest - figure.heads[b]))
    return np.array(places)


def pose_figure(figure: Figure, points: np.ndarray, turn: float = 0.0, ankles: tuple[float, float] = (0, 0)) -> Pose:
    """Give a figure the pose of a person's points, its pelvis at the origin.

    Args:
        figure: whom to pose.
        points: (22, 3) m, Z up, in the order of `POINTS`.
        turn: rad, about the vertical.
        ankles: rad, how far the left and the right foot point down, where they do not stand.
    """
    at = dict(zip(POINTS, points @ turned("z", turn).T, strict=True))
    rotations = dict.fromkeys(BONES, np.eye(3))
    rotations["pelvis"] = _frame(at["left_hip"] - at["right_hip"], at["spine"] - at["hip"])
    rotations["chest"] = _frame(at["left_shoulder"] - at["right_shoulder"], at["thorax"] - at["spine"])
    ears = (at["left_ear"] + at["right_ear"]) / 2
    sideways = at["left_ear"] - at["right_ear"]
    # the nose lies 7 cm before and 1.4 cm below the ears (vp3d.train.bodies)
    rotations["head"] = _frame(sideways, np.cross(at["nose"] - ears, sideways)) @ turned("x", -0.11)
    rotations["spine"] = _between(rotations["pelvis"], rotations["chest"], 1 / 3)
    rotations["upper_spine"] = _between(rotations["pelvis"], rotations["chest"], 2 / 3)
    rotations["neck"] = _between(rotations["chest"], rotations["head"], 1 / 2)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        chest = rotations["chest"]
        rest = chest @ np.array([sign * 0.103, 0, -0.022])
        rotations[f"{side}_clavicle"] = _swing(rest, at[f"{side}_shoulder"] - at["thorax"]) @ chest
        limbs = (("upper_arm", "forearm", "hand", "shoulder", "elbow", "wrist", chest),)
        limbs += (("thigh", "shin", "foot", "hip", "knee", "ankle", rotations["pelvis"]),)
        for upper, lower, end, start, middle, tip, base in limbs:
            upper_bone, lower_bone = f"{side}_{upper}", f"{side}_{lower}"
            rest_upper = figure.head(lower_bone) - figure.head(upper_bone)
            rest_lower = figure.head(f"{side}_{end}") - figure.head(lower_bone)
            new_upper = at[f"{side}_{middle}"] - at[f"{side}_{start}"]
            new_lower = at[f"{side}_{tip}"] - at[f"{side}_{middle}"]
            usual = np.array([-1.0 if upper == "upper_arm" else 1.0, 0, 0])
            hinge = _hinge(rest_upper, rest_lower, usual)
            carried = _swing(base @ rest_upper, new_upper) @ base @ hinge
            bent = _hinge(new_upper, new_lower, carried)
            rotations[upper_bone] = _limb_frame(new_upper, bent) @ _limb_frame(rest_upper, hinge).T
            rotations[lower_bone] = _limb_frame(new_lower, bent) @ _limb_frame(rest_lower, hinge).T
        rotations[f"{side}_hand"] = rotations[f"{side}_forearm"]
    pose = _assemble(figure, rotations)
    for side, ankle in zip(_SIDES, ankles, strict=True):
        foot = _foot(figure, pose, side, ankle)
        rotations[f"{side}_foot"] = rotations[f"{side}_toe"] = foot
    return _assemble(figure, rotations)


def _foot(figure: Figure, pose: Pose, side: str, ankle: float) -> np.ndarray:
    """Level where the foot stands, else bent down by `ankle` from a right angle to the shank."""
    shin, foot = BONES.index(f"{side}_shin"), BONES.index(f"{side}_foot")
    rotation = pose.rotations[shin]
    heights = pose.heads[:, 2]
    stands = heights[foot] - heights.min() < 0.5 * figure.heads[foot, 2] and rotation[2, 2] > 0.3
    if stands:
        forward = rotation @ np.array([0, -1.0, 0])
        return turned("z", np.arctan2(forward[0], -forward[1]))
    return rotation @ turned("x", ankle)


def _assemble(figure: Figure, rotations: dict[str, np.ndarray]) -> Pose:
    turns = np.stack([rotations[bone] for bone in BONES])
    heads = np.zeros((len(BONES), 3))
    for b, parent in enumerate(PARENTS):
        if parent >= 0:
            heads[b] = heads[parent] + turns[parent] @ (figure.heads[b] - figure.heads[parent])
    return Pose(turns, heads)


def turned(axis: str, angle: float) -> np.ndarray:
    """Rotation (3, 3) about a coordinate axis, rad."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    rotation = np.eye(3)
    rotation[j, j] = rotation[k, k] = np.cos(angle)
    rotation[k, j] = np.sin(angle)
    rotation[j, k] = -rotation[k, j]
    return rotation


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length 1."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _frame(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Rotation whose third axis is `up` and whose first leans towards `left`."""
    z = unit(up)
    y = unit(np.cross(z, left))
    return np.stack([np.cross(y, z), y, z], axis=1)


def _limb_frame(along: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    x = unit(along)
    z = unit(np.cross(x, hinge))
    return np.stack([x, np.cross(z, x), z], axis=1)


def _hinge(upper: np.ndarray, lower: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Axis a joint bends about: the normal of the bend, and `usual` in a straight limb, whose normal is noise."""
    normal = np.cross(unit(upper), unit(lower))
    share = np.clip((np.linalg.norm(normal) - 0.1) / 0.3, 0, 1)
    along = unit(upper)
    usual = unit(usual - along * (along @ usual))
    if normal @ usual < -0.5 * np.linalg.norm(normal):  # bent the wrong way by noise
        share = 0.0
    return unit(share * unit(normal) + (1 - share) * usual)


def _swing(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes one direction to another (Rodrigues)."""
    a, b = unit(old), unit(new)
    v, c = np.cross(a, b), float(a @ b)
    if c < -0.9999:
        other = unit(np.cross(a, [1.0, 0, 0] if abs(a[0]) < 0.9 else [0, 1.0, 0]))
        return 2 * np.outer(other, other) - np.eye(3)
    K = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + K + K @ K / (1 + c)


def _between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """A rotation on the way from one to another: the nearest to their mean (SVD)."""
    u, _, vt = np.linalg.svd((1 - share) * a + share * b)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def collapse_weights(groups: list[tuple[int, np.ndarray, np.ndarray]], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The four strongest bones of each vertex (V, 4) and their weights (V, 4) from (bone, vertices, weights)."""
    table = np.zeros((count, len(BONES)))
    for bone, vertices, weights in groups:
        np.add.at(table[:, bone], vertices, weights)
    table[table.sum(1) == 0, BONES.index("pelvis")] = 1
    bones = np.argsort(-table, axis=1)[:, :4]
    weights = np.take_along_axis(table, bones, axis=1)
    return bones, weights / weights.sum(1, keepdims=True)


_BENEATH_SKIN = {
    "nose": 0.03, "eye": 0.035, "ear": 0.04, "shoulder": 0.12, "elbow": 0.075, "wrist": 0.06, "hip": 0.17, "knee": 0.12,
    "ankle": 0.095, "heel": 0.04, "toe": 0.04,
}  # fmt: skip


def beneath_skin(joint: str) -> float:
    """How deep (m) below its own person's skin a joint lies at most where it counts as visible."""
    return _BENEATH_SKIN[joint.rsplit("_", 1)[-1]]


@dataclass(frozen=True)
class Seen:
    """Where people who label photographs, and detectors that learnt from them, see the joints of a rig (m).

    Attributes:
        torso: joint: how far (outward, back, up) from the start of its bone.
        along: joint: how far along the bone that ends there, away from the body.
    """

    torso: dict[str, tuple[float, float, float]]
    along: dict[str, float]


def joint_labels(
    heads: np.ndarray,
    face: dict[str, np.ndarray],
    vertices: np.ndarray,
    dominant: np.ndarray,
    seen: Seen,
) -> dict[str, tuple[str, np.ndarray]]:
    """Labels of a figure: COCO joints at the bones' starts, feet from the mesh.

    Args:
        heads: (22, 3) m.
        face: nose, eyes and ears (m).
        vertices: (V, 3) m.
        dominant: (V,) the bone that moves a vertex most.
        seen: how the joints of this rig lie to what is seen.
    """
    labels = {joint: ("head", place) for joint, place in face.items()}
    at = {bone: heads[b] for b, bone in enumerate(BONES)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, bone, carrier in (("shoulder", "upper_arm", f"{side}_clavicle"), ("hip", "thigh", "pelvis")):
            labels[f"{side}_{joint}"] = (carrier, at[f"{side}_{bone}"] + np.array(seen.torso[joint]) * (sign, 1, 1))
        for joint, upper, lower in (
            ("elbow", "upper_arm", "forearm"),
            ("wrist", "forearm", "hand"),
            ("knee", "thigh", "shin"),
            ("ankle", "shin", "foot"),
        ):
            along = unit(at[f"{side}_{lower}"] - at[f"{side}_{upper}"])
            place = at[f"{side}_{lower}"] + along * seen.along[joint]
            labels[f"{side}_{joint}"] = (f"{side}_{upper}", place)
        foot = [BONES.index(f"{side}_{part}") for part in ("foot", "toe")]
        labels |= {f"{side}_{point}": (f"{side}_foot", place) for point, place in
                   _foot_points(vertices[np.isin(dominant, foot)], sign).items()}  # fmt: skip
    return labels


def _foot_points(sole: np.ndarray, sign: float) -> dict[str, np.ndarray]:
    """Tips of the toes and the heel from the vertices of a foot that points to -Y (turned out a little)."""
    low = sole[sole[:, 2] < sole[:, 2].min() + 0.06]
    centred = low[:, :2] - low[:, :2].mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    along = axes[0] * np.sign(-axes[0, 1])
    outward = np.array([-along[1], along[0]])
    outward *= np.sign(outward[0] * sign)
    length, width = centred @ along, centred @ outward
    span = length.max() - length.min()

    def near(which: np.ndarray) -> np.ndarray:
        return low[which].mean(0)

    inner = width < np.median(width)
    toes = length > length.max() - 0.03 * span / 0.27
    little = (length > length.min() + 0.74 * span) & (length < length.min() + 0.86 * span)
    return {
        "heel": near(length < length.min() + 0.02),
        "big_toe": near(toes & inner) if (toes & inner).any() else near(toes),
        "small_toe": near(little & (width > width[little].max() - 0.012)),
    }
