"""One body for all motion capture: skeletons that place joints differently become the same anatomical person.

What a source skeleton calls a hip or a shoulder lies where its rig wanted it. Only what rigs agree on is taken from
it: the orientation of pelvis, chest and head, and the directions of the limbs. Positions follow from the proportions
below, fractions of stature after Drillis and Contini (1966) as Winter tabulates them, with the limb joints where
people who label photographs (COCO) put them: shoulders a hand's breadth inside the deltoid, hips at the joint's
centre.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vp3d.common.skeletons import COCO_17, H36M_17
from vp3d.train.motion import Motion

STATURE = 1.7
"""m; every recording is scaled to it, because one view cannot tell size from distance."""

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
POINTS = (*H36M_17.joints, *FACE)
"""What a harmonised recording holds: the 3D joints and, behind them, the points of the face that detectors also see."""
COCO_POINTS = tuple(POINTS.index(joint) for joint in COCO_17.joints)
"""Where each COCO joint stands in `POINTS`."""

SEGMENTS = {"thigh": 0.245, "shin": 0.246, "upper_arm": 0.172, "forearm": 0.150}
"""Limb lengths, fractions of stature."""

# Offsets in fractions of stature: left, up, forward in the named body part's own axes.
HIP = (0.056, 0.0, 0.0)
SPINE_ABOVE_HIPS = (0.0, 0.146, 0.0)
THORAX_ABOVE_SPINE = (0.0, 0.171, 0.0)
SHOULDER_FROM_THORAX = (0.103, -0.022, 0.0)
SKULL_BASE_ABOVE_THORAX = 0.078
HEAD = {
    "nose": (0.0, 0.012, 0.075),
    "left_eye": (0.019, 0.032, 0.058),
    "right_eye": (-0.019, 0.032, 0.058),
    "left_ear": (0.044, 0.020, 0.005),
    "right_ear": (-0.044, 0.020, 0.005),
    "neck": (0.0, -0.004, 0.030),
    "head": (0.0, 0.088, 0.010),
}
LOWEST_GAZE = np.radians(-8.0)
"""rad; see `Source.level_head`."""


@dataclass(frozen=True)
class Source:
    """Names in one family of recordings.

    Attributes:
        pelvis, chest, head: joints whose rotations are those of the body parts (left, up, forward at rest).
        limbs: by side, the joints hip, knee, ankle, shoulder, elbow, wrist.
        fps: true frame rate, Hz; None to believe the file.
        skip: leading frames that are a rest pose or a blend out of it.
        level_head: the head's rest orientation differs per performer (a marker cap put on by eye), so a recording whose
            median gaze is far below the horizon has it lifted to `LOWEST_GAZE`.
    """

    pelvis: str
    chest: str
    head: str
    limbs: dict[str, tuple[str, ...]]
    fps: float | None
    skip: int = 0
    level_head: bool = False

    @property
    def joints(self) -> set[str]:
        """All joints that it needs."""
        return {self.pelvis, self.chest, self.head, *self.limbs["left"], *self.limbs["right"]}

    def fits(self, motion: Motion) -> bool:
        """Whether a recording has all its joints."""
        return self.joints.issubset(motion.joints)


def _both_sides(pattern: tuple[str, ...], left: str, right: str) -> dict[str, tuple[str, ...]]:
    return {
        "left": tuple(name.format(left) for name in pattern),
        "right": tuple(name.format(right) for name in pattern),
    }


DAZ = _both_sides(("{}Thigh", "{}Shin", "{}Foot", "{}Shldr", "{}ForeArm", "{}Hand"), "l", "r")
CHARACTER_CREATOR = _both_sides(
    tuple(f"CC_Base_{{}}_{part}" for part in ("Thigh", "Calf", "Foot", "Upperarm", "Forearm", "Hand")), "L", "R"
)
MIXAMO = _both_sides(
    tuple(f"{{}}{part}" for part in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")), "Left", "Right"
)
MOTION_BUILDER = _both_sides(
    tuple(f"{{}}{part}" for part in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist")), "Left", "Right"
)
ACCLAIM = _both_sides(("{}hipjoint", "{}femur", "{}tibia", "{}clavicle", "{}humerus", "{}wrist"), "l", "r")

SOURCES = {
    "daz-120": Source("hip", "chest", "head", DAZ, 120.0, skip=12),
    "daz-60": Source("hip", "chest", "head", DAZ, 60.0, skip=12),
    "character-creator": Source(
        "CC_Base_Hip", "CC_Base_Spine02", "CC_Base_Head", CHARACTER_CREATOR, 60.0, skip=2, level_head=True
    ),
    "mixamo": Source("Hips", "Spine2", "Head", MIXAMO, None),
    "motion-builder": Source("Hips", "Chest2", "Head", MOTION_BUILDER, 120.0, skip=2, level_head=True),
    "acclaim": Source("root", "thorax", "head", ACCLAIM, 120.0, level_head=True),
}


def harmonise(motion: Motion, source: Source) -> np.ndarray:
    """Points (T, 22, 3) of `POINTS`, metres, world with Z up, from a recording whose Y axis points up.

    Raises:
        ValueError: the recording lacks a joint of the source skeleton.
    """
    if absent := sorted(source.joints.difference(motion.joints)):
        raise ValueError(f"its skeleton has no {absent[0]}")

    def at(name: str) -> np.ndarray:
        return motion.positions[source.skip :, motion.index(name)]

    def frame(name: str) -> np.ndarray:
        return motion.rotations[source.skip :, motion.index(name)]

    def unit(vector: np.ndarray) -> np.ndarray:
        return vector / np.linalg.norm(vector, axis=-1, keepdims=True)

    def mirrored(offset: tuple[float, float, float], side: str) -> np.ndarray:
        return np.array(offset) * ((1, 1, 1) if side == "left" else (-1, 1, 1)) * STATURE

    pelvis, chest, head = frame(source.pelvis), frame(source.chest), frame(source.head)
    if source.level_head:
        gaze = np.median(np.arcsin(np.clip(head[:, 1, 2], -1, 1)))
        lift = Rotation.from_euler("x", min(gaze - LOWEST_GAZE, 0.0)).as_matrix()
        head = head @ lift
    hips = [at(source.limbs[side][0]) for side in ("left", "right")]
    legs = [at(source.limbs[side][i + 1]) - at(source.limbs[side][i]) for side in source.limbs for i in (0, 1)]
    leg_length = np.mean([np.linalg.norm(leg, axis=-1).mean() for leg in legs]) * 2
    scale = (SEGMENTS["thigh"] + SEGMENTS["shin"]) * STATURE / leg_length

    points = {"hip": (hips[0] + hips[1]) / 2 * scale}
    points["spine"] = points["hip"] + pelvis @ (np.array(SPINE_ABOVE_HIPS) * STATURE)
    points["thorax"] = points["spine"] + chest @ (np.array(THORAX_ABOVE_SPINE) * STATURE)
    skull = points["thorax"] + unit(chest[..., 1] + head[..., 1]) * SKULL_BASE_ABOVE_THORAX * STATURE
    for name, offset in HEAD.items():
        points[name] = skull + head @ (np.array(offset) * STATURE)
    for side, (hip, knee, ankle, shoulder, elbow, wrist) in source.limbs.items():
        points[f"{side}_hip"] = points["hip"] + pelvis @ mirrored(HIP, side)
        # A shrug or a reach moves the shoulder in the chest: keep the movement, not the rig's idea of where it rests.
        in_chest = np.einsum("tji,tj->ti", chest, at(shoulder) - at(source.chest)) * scale
        moved = mirrored(SHOULDER_FROM_THORAX, side) + in_chest - np.median(in_chest, axis=0)
        points[f"{side}_shoulder"] = points["thorax"] + np.einsum("tij,tj->ti", chest, moved)
        for segment, start, near, end, far in (
            ("thigh", "hip", hip, "knee", knee),
            ("shin", "knee", knee, "ankle", ankle),
            ("upper_arm", "shoulder", shoulder, "elbow", elbow),
            ("forearm", "elbow", elbow, "wrist", wrist),
        ):
            direction = unit(at(far) - at(near))
            points[f"{side}_{end}"] = points[f"{side}_{start}"] + direction * SEGMENTS[segment] * STATURE
    y_up = np.stack([points[name] for name in POINTS], axis=1)
    return np.stack([y_up[..., 0], -y_up[..., 2], y_up[..., 1]], axis=-1)
