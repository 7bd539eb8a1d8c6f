"""Poses to render people in: out of motion capture, and made up from joint angles within limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vp3d.train.bodies import (
    HEAD,
    HIP,
    POINTS,
    SEGMENTS,
    SHOULDER_FROM_THORAX,
    SKULL_BASE_ABOVE_THORAX,
    SPINE_ABOVE_HIPS,
    STATURE,
    THORAX_ABOVE_SPINE,
)
from vp3d.train.recording import STORED_FPS, Recording

SAMPLED_S = 0.2
"""s between poses taken from a recording, and `DIFFERENT_M` m by which joints must have moved on average since."""
DIFFERENT_M = 0.05


@dataclass(frozen=True)
class Kind:
    """Ranges (degrees) of a kind of posture; positive bends forward, outward, and the way joints go.

    Attributes:
        lean, tilt: of the pelvis: forward and to a side.
        bend: of the chest on the pelvis, forward.
        hip, spread: of the thighs: forward and outward.
        knee: bend of the knees.
        alike: share of postures whose two legs are bent alike.
        arm, out: of the upper arms: forward and outward.
        elbow: bend of the elbows.
        share: of all made-up poses.
    """

    lean: tuple[float, float] = (-8, 15)
    tilt: tuple[float, float] = (-6, 6)
    bend: tuple[float, float] = (-15, 30)
    hip: tuple[float, float] = (-15, 35)
    spread: tuple[float, float] = (-3, 22)
    knee: tuple[float, float] = (0, 45)
    alike: float = 0.3
    arm: tuple[float, float] = (-40, 90)
    out: tuple[float, float] = (0, 60)
    elbow: tuple[float, float] = (0, 135)
    share: float = 1.0


KINDS = {
    "stand": Kind(share=2.0),
    "reach": Kind(arm=(-20, 40), out=(90, 172), elbow=(0, 110)),
    "forward": Kind(arm=(50, 170), out=(-10, 40), elbow=(0, 90)),
    "step": Kind(lean=(0, 30), hip=(-25, 100), knee=(0, 120), spread=(-3, 35)),
    "star": Kind(spread=(15, 50), arm=(-20, 20), out=(50, 150), elbow=(0, 40), hip=(-10, 20), knee=(0, 25)),
    "bow": Kind(lean=(35, 85), bend=(0, 50), hip=(35, 95), knee=(0, 50), alike=0.8, arm=(20, 110)),
    "sit": Kind(lean=(-20, 12), hip=(70, 100), knee=(55, 110), spread=(0, 28), alike=0.7, share=2.0),
    "crouch": Kind(lean=(10, 45), hip=(85, 125), knee=(95, 145), spread=(0, 35), alike=0.7),
    "kneel": Kind(lean=(-5, 20), hip=(-10, 40), knee=(85, 130), alike=0.5),
    "supine": Kind(lean=(-95, -75), tilt=(-15, 15), hip=(-5, 80), knee=(0, 110), arm=(-20, 170), out=(0, 120)),
    "prone": Kind(lean=(75, 95), tilt=(-15, 15), hip=(-15, 30), knee=(0, 90), arm=(-10, 170), out=(0, 120)),
    "side": Kind(tilt=(70, 110), hip=(0, 100), knee=(0, 120), arm=(-20, 120), out=(-5, 60)),
    "crawl": Kind(
        lean=(70, 95), bend=(-15, 20), hip=(60, 110), knee=(70, 110), alike=0.6, arm=(60, 110), elbow=(0, 35)
    ),
}
"""Made-up postures by name; "sit" gets a seat."""


def from_recordings(recordings: Sequence[Recording]) -> np.ndarray:
    """Poses (N, 22, 3) m of `bodies.POINTS`, hips at the origin, each different from the one before it in time."""
    poses = []
    step = round(SAMPLED_S * STORED_FPS)
    for recording in recordings:
        last = None
        for points in recording.points[::step]:
            centred = points - points[0]
            if last is None or np.linalg.norm(centred - last, axis=-1).mean() > DIFFERENT_M:
                poses.append(centred)
                last = centred
    return np.array(poses, np.float32)


def make_up(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Random poses (N, 22, 3) m like those of `from_recordings`, and the kind of each."""
    rng = np.random.default_rng(seed)
    shares = np.array([kind.share for kind in KINDS.values()])
    names = [str(name) for name in rng.choice(list(KINDS), size=count, p=shares / shares.sum())]
    return np.array([_posture(KINDS[name], rng) for name in names], np.float32), names


def _posture(kind: Kind, rng: np.random.Generator) -> np.ndarray:
    def draw(limits: tuple[float, float]) -> float:
        return float(rng.uniform(*limits))

    def turn(axes: str, *degrees: float) -> np.ndarray:
        return Rotation.from_euler(axes, degrees, degrees=True).as_matrix()

    # Capital letters: turned axes follow each other, as joints do.
    pelvis = turn("YX", draw(kind.tilt), draw(kind.lean))
    chest = pelvis @ turn("XYZ", draw(kind.bend), *rng.normal(0, (8, 14)))
    head = chest @ turn(
        "ZXY", np.clip(rng.normal(0, 28), -70, 70), np.clip(rng.normal(5, 18), -45, 50), rng.normal(0, 8)
    )
    limbs = {}
    legs = [(draw(kind.hip), draw(kind.knee), draw(kind.spread)) for _ in range(2)]
    if rng.random() < kind.alike:
        legs[1] = tuple(angle + rng.normal(0, 5) for angle in legs[0])
    for (hip, knee, spread), side, sign in zip(legs, ("left", "right"), (1, -1), strict=True):
        thigh = pelvis @ turn("XYZ", -hip, -sign * spread, sign * rng.normal(5, 12))
        limbs[f"{side}_knee"] = thigh
        limbs[f"{side}_ankle"] = thigh @ turn("X", max(knee, 0))
        arm = chest @ turn("XYZ", -draw(kind.arm), -sign * draw(kind.out), -sign * rng.normal(10, 35))
        limbs[f"{side}_elbow"] = arm
        limbs[f"{side}_wrist"] = arm @ turn("X", -draw(kind.elbow))
    return assemble(pelvis, chest, head, limbs)


def assemble(pelvis: np.ndarray, chest: np.ndarray, head: np.ndarray, limbs: dict[str, np.ndarray]) -> np.ndarray:
    """Points (22, 3) m of an average adult, hips at the origin, Z up.

    Args:
        pelvis, chest, head: orientations (3, 3); unturned, people face -Y with their left at +X.
        limbs: orientation of the segment that ends at the joint; unturned, it hangs down.
    """

    def own(offset: Sequence[float], mirrored: bool = False) -> np.ndarray:
        left, up, forward = offset
        return np.array([-left if mirrored else left, -forward, up]) * STATURE

    points = {"hip": np.zeros(3)}
    points["spine"] = pelvis @ own(SPINE_ABOVE_HIPS)
    points["thorax"] = points["spine"] + chest @ own(THORAX_ABOVE_SPINE)
    up = chest[:, 2] + head[:, 2]
    skull = points["thorax"] + up / np.linalg.norm(up) * SKULL_BASE_ABOVE_THORAX * STATURE
    points |= {name: skull + head @ own(offset) for name, offset in HEAD.items()}
    for side in ("left", "right"):
        points[f"{side}_hip"] = pelvis @ own(HIP, side == "right")
        points[f"{side}_shoulder"] = points["thorax"] + chest @ own(SHOULDER_FROM_THORAX, side == "right")
        for segment, start, end in (
            ("thigh", "hip", "knee"),
            ("shin", "knee", "ankle"),
            ("upper_arm", "shoulder", "elbow"),
            ("forearm", "elbow", "wrist"),
        ):
            down = limbs[f"{side}_{end}"] @ np.array([0, 0, -SEGMENTS[segment] * STATURE])
            points[f"{side}_{end}"] = points[f"{side}_{start}"] + down
    return np.stack([points[name] for name in POINTS])
