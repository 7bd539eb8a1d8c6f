"""What a body is like: bones, masses and proportions of the Human3.6M joints, as data.

Lengths are metres of an adult of `ADULT_STATURE`; the solver works in the units of the lifter's poses, which are close
to that, and scales each person once at the end.
"""

import numpy as np

from vp3d.common.skeletons import BODY_21, COCO_17, H36M_17, H36M_FROM_COCO

JOINTS = len(H36M_17)
NAMES = H36M_17.joints
PARENTS = np.maximum(H36M_17.parents, 0)
"""(17,) parent joint of each joint; the root is its own. A bone is named by the joint at its far end."""

MIRRORED = H36M_17.mirrored
"""(17,) each joint's counterpart on the other side."""

LIMBS = np.array(list(H36M_FROM_COCO))
LIMBS_COCO = np.array(list(H36M_FROM_COCO.values()))
"""Joints that the detector sees, in both joint sets."""
OBSERVED = np.append(LIMBS, H36M_17.index("neck"))
"""(13,) joints that pixels speak of: the limbs', and the neck, where `observations` sees the middle of the face."""
_FACE = [COCO_17.index(joint) for joint in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
_FACE_TRUST = 0.5
"""Share of the confidence that remains for the middle of the face: it is not quite Human3.6M's neck."""


def observations(pixels: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (T, 13, 2), 0 where unknown, and confidence (T, 13) of the `OBSERVED` joints.

    Args:
        pixels: (T, 21, 2) px in the order of `BODY_21`, NaN where unknown.
        confidence: (T, 21).
    """
    confidence = np.where(np.isfinite(pixels).all(-1), np.nan_to_num(confidence), 0.0)
    pixels = np.nan_to_num(pixels)
    face = confidence[:, _FACE]
    middle = np.einsum("tf,tfx->tx", face, pixels[:, _FACE]) / np.maximum(face.sum(-1), 1e-9)[:, None]
    return (
        np.concatenate([pixels[:, LIMBS_COCO], middle[:, None]], axis=1),
        np.concatenate([confidence[:, LIMBS_COCO], _FACE_TRUST * face.max(-1, keepdims=True)], axis=1),
    )


SOLES = np.array([[BODY_21.index(f"{side}_{part}") for part in ("heel", "toe")] for side in ("left", "right")])
"""(2, 2) heel and toe of the left and the right foot among the detector's joints."""


def observed(part: str) -> list[int]:
    """Where the left and the right joint of a body part stand among the observed ones."""
    return [list(OBSERVED).index(H36M_17.index(f"{side}_{part}")) for side in ("left", "right")]


ANKLES = np.array([H36M_17.index("left_ankle"), H36M_17.index("right_ankle")])
KNEES = np.array([H36M_17.index("left_knee"), H36M_17.index("right_knee")])
HIPS = np.array([H36M_17.index("left_hip"), H36M_17.index("right_hip")])
ANKLE_HEIGHT = 0.085
"""m, ankle joint above the sole."""
SUPPORT_AHEAD = 0.06
"""m, how far ahead of the ankles the middle of the foot is, where the weight rests on average (Winter 1995)."""

ADULT_STATURE = 1.70
STATURE_SIGMA = 0.06
"""Mean adult height (m) and its relative standard deviation over both sexes."""

_PROPORTIONS = {
    **dict.fromkeys(("left_hip", "right_hip"), 0.056),
    **dict.fromkeys(("left_knee", "right_knee"), 0.245),
    **dict.fromkeys(("left_ankle", "right_ankle"), 0.246),
    "spine": 0.146,
    "thorax": 0.180,
    "neck": 0.106,
    "head": 0.081,
    **dict.fromkeys(("left_shoulder", "right_shoulder"), 0.105),
    **dict.fromkeys(("left_elbow", "right_elbow"), 0.172),
    **dict.fromkeys(("left_wrist", "right_wrist"), 0.150),
}
PROPORTIONS = np.array([_PROPORTIONS.get(name, 0.0) for name in NAMES])
"""(17,) length of each joint's bone as a share of stature: Drillis and Contini (1966), as Winter tabulates them, for
the limbs; trunk and head where the bundled lifter's training puts their joints."""


def _masses() -> np.ndarray:
    """(17,) share of the body's mass at each joint: segments of Winter (2009, table 4.1) split over their two ends."""
    segments = [("hip", "thorax", 0.497, 0.5), ("thorax", "head", 0.081, 0.6)]
    for side in ("left", "right"):
        segments += [
            (f"{side}_shoulder", f"{side}_elbow", 0.028, 0.436),
            (f"{side}_elbow", f"{side}_wrist", 0.022, 0.682),
            (f"{side}_hip", f"{side}_knee", 0.100, 0.433),
            (f"{side}_knee", f"{side}_ankle", 0.061, 0.606),
        ]
    share = np.zeros(JOINTS)
    for proximal, distal, mass, centre in segments:
        share[H36M_17.index(proximal)] += mass * (1 - centre)
        share[H36M_17.index(distal)] += mass * centre
    return share / share.sum()


MASSES = _masses()


def bone_lengths(poses: np.ndarray) -> np.ndarray:
    """(17,) m, median length of each joint's bone over poses (T, 17, 3), left and right made equal; the root's is 0."""
    median = np.median(np.linalg.norm(poses - poses[:, PARENTS], axis=-1), axis=0)
    return (median + median[list(H36M_17.mirrored)]) / 2


def leg_length(lengths: np.ndarray) -> float:
    """Hip to ankle (m) with bone lengths (17,)."""
    return float(lengths[H36M_17.index("left_ankle")] + lengths[H36M_17.index("left_knee")])


def body(poses: np.ndarray) -> tuple[np.ndarray, float]:
    """Bone lengths (17,) m and stature (m) of the person with these poses (T, 17, 3).

    A lifter's bones are noisy, the more the shorter they are, so each counts as much as the average body's.
    """
    ratio = bone_lengths(poses)[1:] / (PROPORTIONS[1:] * ADULT_STATURE)
    order = np.argsort(ratio)
    size = ratio[order][np.searchsorted(np.cumsum(PROPORTIONS[1:][order]), PROPORTIONS.sum() / 2)]
    lengths = np.zeros(JOINTS)
    lengths[1:] = PROPORTIONS[1:] * ADULT_STATURE * np.sqrt(size * ratio)
    return lengths, float(size * ADULT_STATURE)


def forward(poses: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(T, 3) unit horizontal direction that the pelvis faces in poses (T, 17, 3); `up` (3,) in the same axes."""
    left = poses[:, H36M_17.index("left_hip")] - poses[:, H36M_17.index("right_hip")]
    ahead = np.cross(left, up)
    return ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
