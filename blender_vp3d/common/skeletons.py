"""Joint sets as data: names, order, left/right pairs, parents and the lines that draw them.

Sources: COCO key-points (Lin et al. 2014) in 2D; the 17 joints of Human3.6M as VideoPose3D orders them in 3D.
A new joint set is a new `Skeleton` here, never new code elsewhere.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """A joint set.

    Attributes:
        name: what checkpoints and takes call it.
        joints: joint names in array order.
        parents: index of each joint's parent, -1 for the root; empty where the set is not a tree.
        lines: pairs of joint indices to draw.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...] = ()
    lines: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint by name; raises ValueError for a name the set does not have."""
        return self.joints.index(joint)

    @property
    def left(self) -> tuple[int, ...]:
        """Indices of the left joints, in the order of their right partners in `right`."""
        return tuple(i for i, name in enumerate(self.joints) if name.startswith("left_"))

    @property
    def right(self) -> tuple[int, ...]:
        """Indices of the right joints, in the order of their left partners in `left`."""
        return tuple(self.joints.index("right_" + self.joints[i][len("left_") :]) for i in self.left)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Joint order after swapping left and right: `array[..., mirrored, :]` relabels a mirrored person."""
        order = list(range(len(self.joints)))
        for a, b in zip(self.left, self.right, strict=True):
            order[a], order[b] = b, a
        return tuple(order)


_COCO_JOINTS = (
    "nose",
    "left_eye", "right_eye",
    "left_ear", "right_ear",
    "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow",
    "left_wrist", "right_wrist",
    "left_hip", "right_hip",
    "left_knee", "right_knee",
    "left_ankle", "right_ankle",
)  # fmt: skip

_COCO_LINES = (
    (0, 1), (0, 2), (1, 3), (2, 4),
    (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
    (5, 11), (6, 12), (11, 12),
    (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip

COCO_17 = Skeleton("coco-17", _COCO_JOINTS, lines=_COCO_LINES)

BODY_21 = Skeleton(
    "body-21",
    (*_COCO_JOINTS, "left_heel", "right_heel", "left_toe", "right_toe"),
    lines=(*_COCO_LINES, (15, 17), (17, 19), (16, 18), (18, 20)),
)
"""What every detector returns: COCO-17 first, then heels and toes (NaN from a detector that has none)."""

COCO_23 = Skeleton(
    "coco-23",
    (
        *_COCO_JOINTS,
        "left_big_toe", "left_small_toe", "left_heel",
        "right_big_toe", "right_small_toe", "right_heel",
    ),
    lines=(*_COCO_LINES, (15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22)),
)  # fmt: skip
"""COCO-17 and the feet as COCO-WholeBody (Jin et al. 2020) adds them: what rendered people are labelled with."""

H36M_17 = Skeleton(
    "h36m-17",
    (
        "hip",
        "right_hip", "right_knee", "right_ankle",
        "left_hip", "left_knee", "left_ankle",
        "spine", "thorax", "neck", "head",
        "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    lines=(
        (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10),
        (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16),
    ),
)  # fmt: skip
"""3D joints. `neck` is Human3.6M's "Neck/Nose": it lies at the height of the nose, in front of the spine's line."""

MPII_16 = Skeleton(
    "mpii-16",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "upper_neck", "head",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    ),
)  # fmt: skip
"""The MPII Human Pose data set's."""

MADS_19 = Skeleton(
    "mads-19",
    (
        "neck", "pelvis",
        "right_hip", "right_knee", "right_ankle", "right_toe",
        "left_hip", "left_knee", "left_ankle", "left_toe",
        "right_shoulder", "right_elbow", "right_wrist", "right_hand",
        "left_shoulder", "left_elbow", "left_wrist", "left_hand",
        "head",
    ),
    parents=(-1, 0, 1, 2, 3, 4, 1, 6, 7, 8, 0, 10, 11, 12, 0, 14, 15, 16, 0),
)  # fmt: skip
"""Of the Martial Arts, Dancing and Sports data set; the names are ours."""

SKELETONS = {s.name: s for s in (COCO_17, BODY_21, COCO_23, H36M_17, MPII_16, MADS_19)}

H36M_FROM_COCO = {
    H36M_17.index(name): COCO_17.index(name)
    for side in ("left", "right")
    for name in (f"{side}_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))
}
"""The twelve limb joints that both sets define alike: H36M-17 index to COCO-17 index. Reprojection compares these."""
