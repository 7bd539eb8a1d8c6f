"""What the maps of bottom-up networks mean: joints, limbs, and where in its cell a value belongs."""

from dataclasses import dataclass

STRIDE = 8
"""Pixels of the input per cell of the maps."""

KEYPOINTS = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""Order of Lightweight OpenPose's heatmaps; one more, the last, is the background."""

FEET = ("right_heel", "left_heel", "right_toe", "left_toe")
"""Heatmaps that follow in our own network, in place of the background."""

ALL_KEYPOINTS = KEYPOINTS + FEET


@dataclass(frozen=True)
class Limb:
    """A pair of joints that part-affinity maps connect.

    Attributes:
        joints: indices into `ALL_KEYPOINTS`, from and to.
        channel: affinity map of the x component; y follows.
        tree: part of the tree that makes a body; the others only add evidence.
    """

    joints: tuple[int, int]
    channel: int
    tree: bool = True


LIMBS = (
    Limb((1, 8), 0), Limb((8, 9), 2), Limb((9, 10), 4),
    Limb((1, 11), 6), Limb((11, 12), 8), Limb((12, 13), 10),
    Limb((1, 2), 12), Limb((2, 3), 14), Limb((3, 4), 16), Limb((2, 16), 18, tree=False),
    Limb((1, 5), 20), Limb((5, 6), 22), Limb((6, 7), 24), Limb((5, 17), 26, tree=False),
    Limb((1, 0), 28), Limb((0, 14), 30), Limb((0, 15), 32), Limb((14, 16), 34), Limb((15, 17), 36),
)  # fmt: skip
"""The nineteen limbs of Lightweight OpenPose."""

FEET_LIMBS = (Limb((10, 18), 38), Limb((13, 19), 40), Limb((10, 20), 42), Limb((13, 21), 44))
"""From the ankles to the heels and toes."""


@dataclass(frozen=True)
class MapLayout:
    """How a network's maps are to be read.

    Attributes:
        joints: how many heatmaps, from the first, are joints.
        affinity_centre: where in its cell (px, along u and v) a value of the affinity maps belongs; for heatmaps it
            is (STRIDE - 1) / 2.
        multiple: both sides of the input are multiples of this, px.
    """

    joints: int
    affinity_centre: float
    multiple: int = STRIDE


LIGHTWEIGHT_OPENPOSE = MapLayout(len(KEYPOINTS), 1.25)
"""The published network learned its affinity maps with a shift: line integrals between its own heatmaps' peaks are
largest for 1.0…1.5 px and 5 % smaller for 3.5 px (4,000 limbs in ten clips)."""

BASIC = MapLayout(len(ALL_KEYPOINTS), (STRIDE - 1) / 2, multiple=32)
"""Our own network's maps."""
