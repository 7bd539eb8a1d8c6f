"""Two-bone inverse kinematics, all frames at once. No bpy in here."""

import numpy as np

from . import body
from . import rotations as rot
from .frames import rest_axes
from .transfer import Posed

_SOFT = 0.02  # of a limb's length: within this of straight, reaching slows down instead of snapping the joint
_STRAIGHT = (0.05, 0.2)  # sine of the bend: below, the hinge at rest tells the plane; above, the bend does


def reach(posed: Posed, end: str, goals: np.ndarray, weight: np.ndarray | float = 1.0) -> Posed:
    """Bend a limb so that its end is at `goals`, in the plane it is bent in already; the end keeps its orientation.

    Args:
        posed: the body.
        end: "foot.L", "foot.R", "hand.L" or "hand.R".
        goals: (T, 3) m where its head shall be.
        weight: (T,) 0..1 of the way there.
    """
    side = body.side(end)
    upper, lower = (f"{bone}{side}" for bone in body.LIMB_OF[body.kind(end)])
    hip, knee, ankle = (posed.heads[:, posed.index(bone)] for bone in (upper, lower, end))
    goals = ankle + np.asarray(weight, float)[..., None] * (goals - ankle)
    turns = zip((upper, lower), bend_to(hip, knee, ankle, goals, _hinge(posed, upper)), strict=True)
    return posed.turned({bone: turn for limb, turn in turns for bone in (limb, f"{body.kind(limb)}_twist{side}")})


def bend_to(
    hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, goals: np.ndarray, hinge: np.ndarray, soft: float = _SOFT
) -> tuple[np.ndarray, np.ndarray]:
    """How the two bones of a limb turn in the world, (T, 4) each, for its end to be at `goals`; named as a leg is.

    A goal beyond the limb's length is neared as far as the limb goes; one where the end is already changes nothing.

    Args:
        hip: (T, 3) m, where the limb starts.
        knee: (T, 3) m.
        ankle: (T, 3) m, its end.
        goals: (T, 3) m.
        hinge: (T, 3) unit, axis of flexion: tells the plane of bending where the limb is straight.
        soft: share of the limb's length, short of straight, over which it slows down.
    """
    first, second = knee - hip, ankle - knee
    a, b = (np.linalg.norm(v, axis=-1) for v in (first, second))
    normal = _normal(first / a[:, None], second / b[:, None], hinge)
    bend = np.arctan2((np.cross(first, second) * normal).sum(-1), (first * second).sum(-1))
    to_goal = goals - hip
    far = np.maximum(np.linalg.norm(to_goal, axis=-1), 1e-9)
    distance = _soften(far, a + b, np.linalg.norm(ankle - hip, axis=-1), soft)
    distance = np.clip(distance, np.abs(a - b) + 1e-6, a + b - 1e-9)
    wanted = np.pi - np.arccos(np.clip((a * a + b * b - distance**2) / (2 * a * b), -1, 1))
    lower_bend = rot.turn(normal, wanted - bend)
    swing = rot.arc(rot.unit(first + rot.rotate(lower_bend, second)), to_goal / far[:, None])
    return swing, rot.multiply(swing, lower_bend)


def bend_normal(posed: Posed, upper: str, lower: str, end: str) -> np.ndarray:
    """(T, 3) unit: the axis that a limb of a posed body is bent about."""
    hip, knee, ankle = (posed.heads[:, posed.index(bone)] for bone in (upper, lower, end))
    return _normal(rot.unit(knee - hip), rot.unit(ankle - knee), _hinge(posed, upper))


def _hinge(posed: Posed, upper: str) -> np.ndarray:
    """(T, 3) the axis of flexion that the upper bone carries."""
    rig, bone = posed.controls.rig, posed.chains[upper][0]
    hinge = rest_axes(rig, posed.chains)[upper][:, 0]
    return rot.rotate(posed.rotations[:, posed.index(upper)], rot.rotate(rot.conjugate(rig.rest[bone]), hinge))


def _normal(first: np.ndarray, second: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """(T, 3) unit, across `first`: the axis the limb is bent about, or its hinge where it is straight."""
    across = np.cross(first, second)
    sine = np.linalg.norm(across, axis=-1, keepdims=True)
    t = np.clip((sine - _STRAIGHT[0]) / (_STRAIGHT[1] - _STRAIGHT[0]), 0, 1)
    normal = t * across / np.maximum(sine, 1e-9) + (1 - t) * hinge
    return rot.unit(normal - (normal * first).sum(-1, keepdims=True) * first)


def _soften(distance: np.ndarray, longest: np.ndarray, present: np.ndarray, soft: float) -> np.ndarray:
    """Distances that come near `longest` without reaching it, and stay exact up to the `present` one."""
    zone = np.maximum(np.minimum(soft * longest, (longest - present) / 2), 1e-9)
    over = np.maximum(distance - (longest - zone), 0)
    return np.where(over > 0, longest - zone * np.exp(-over / zone), distance)
