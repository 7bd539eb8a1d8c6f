"""The same axes on every rig: what makes T-, A- and odd rest poses, and any roll of the bones, cancel. No bpy in here.

Every canonical bone gets axes in its rig's rest pose from points of the body alone. Limbs: Y along the bone, X the axis
of flexion. Torso, head, shoulders and feet: X to the left, Y up, Z forward, because how these lie at rest says more of
the person who made the rig than of the pose (feet take their heading from the bone). Two rigs do the same when these
axes, carried along by the bones, agree.
"""

import numpy as np

from . import body
from .rig import Chains, Rig

_BEND_SEEN_DEG = (10.0, 25.0)  # of an elbow or knee at rest: below, no axis of flexion can be told from it
_UPRIGHT_DEG = 30.0  # a body that leans less than this at rest stands upright: rigs are built along the axes

_NEXT = {"shoulder": "upper_arm", "upper_arm": "forearm", "forearm": "hand", "thigh": "shin", "shin": "foot"}


def rest_axes(rig: Rig, chains: Chains) -> dict[str, np.ndarray]:
    """Axes (3, 3), as columns in armature space, of every canonical bone in `chains`."""
    torso = body_axes(rig, chains)
    sides = dict.fromkeys(body.side(bone) for bone in chains if body.side(bone))
    limbs = {limb + side: _limb(rig, chains, limb, side, torso) for side in sides for limb in body.LIMBS}
    axes = {}
    for bone in chains:
        kind, side = body.kind(bone), body.side(bone)
        limb = kind.removesuffix("_twist")
        if limb in body.LIMBS:
            axes[bone] = limbs[limb + side]
        elif kind == "hand" or kind in body.FINGERS:
            # rolled as the forearm is: how far the palm is turned at rest is then kept
            axes[bone] = _frame(end_direction(rig, chains, bone), limbs[f"forearm{side}"][:, 0])
        elif kind in ("foot", "toe"):
            axes[bone] = _foot(rig, chains, side, torso)
        else:
            axes[bone] = torso
    return axes


def body_axes(rig: Rig, chains: Chains) -> np.ndarray:
    """Left, up and forward (3, 3), as columns in armature space, of the body at rest."""
    hips = [rig.heads[chains[f"thigh{side}"][0]] for side in (".L", ".R")]
    shoulders = [rig.heads[chains[f"upper_arm{side}"][0]] for side in (".L", ".R")]
    left = _unit(hips[0] - hips[1]) + _unit(shoulders[0] - shoulders[1])
    up = _unit(np.mean(shoulders, 0) - np.mean(hips, 0))
    nearest = np.eye(3)[np.argmax(np.abs(up))] * np.sign(up[np.argmax(np.abs(up))])
    if up @ nearest > np.cos(np.radians(_UPRIGHT_DEG)):
        up = nearest
    forward = _unit(_cross(left, up))
    return np.stack([_cross(up, forward), up, forward], axis=-1)


def end_direction(rig: Rig, chains: Chains, bone: str) -> np.ndarray:
    """(3,) unit, armature space: where a canonical bone points at rest.

    That is to where the next one starts. Without one it is to the fingers' middle or, since the tails of bones point
    anywhere in rigs that were made in other programs, along the bone before.
    """
    kind, side = body.kind(bone), body.side(bone)
    start = rig.heads[chains[bone][0]]
    if kind == "hand":
        knuckles = [chains[finger + side][0] for finger in body.FINGERS[1:] if finger + side in chains]
        if knuckles:
            return _unit(rig.heads[knuckles].mean(0) - start)
        return _tail_or(rig, chains, bone, f"forearm{side}")
    if kind in body.FINGERS:
        chain = chains[bone]
        if len(chain) > 1:
            return _unit(rig.heads[chain[-1]] - start)
        return _tail_or(rig, chains, bone, f"hand{side}")
    following = f"{_NEXT[kind]}{side}" if kind in _NEXT else ""
    if following in chains:
        return _unit(rig.heads[chains[following][0]] - start)
    return _unit(rig.tails[chains[bone][-1]] - start)


def _tail_or(rig: Rig, chains: Chains, bone: str, before: str) -> np.ndarray:
    """To the tail, unless that turns off from the bone before by more than a hand can."""
    own = _unit(rig.tails[chains[bone][-1]] - rig.heads[chains[bone][0]])
    previous = end_direction(rig, chains, before)
    return own if own @ previous > np.cos(np.radians(60)) else previous


def _limb(rig: Rig, chains: Chains, limb: str, side: str, torso: np.ndarray) -> np.ndarray:
    upper, lower = ("upper_arm", "forearm") if limb in ("upper_arm", "forearm") else ("thigh", "shin")
    first, second = (end_direction(rig, chains, f"{name}{side}") for name in (upper, lower))
    y = first if limb == upper else second
    assumed = _flexing(y, torso, side)[:, 0] if upper == "upper_arm" else _frame(y, torso[:, 0])[:, 0]
    normal = _cross(first, second)
    sine = np.sqrt(normal @ normal)
    bend = np.degrees(np.arctan2(sine, first @ second))
    t = np.clip((bend - _BEND_SEEN_DEG[0]) / (_BEND_SEEN_DEG[1] - _BEND_SEEN_DEG[0]), 0, 1)
    weight = t * t * (3 - 2 * t) if normal @ assumed > 0 else 0.0
    return _frame(y, weight * normal / max(sine, 1e-9) + (1 - weight) * assumed)


def _flexing(y: np.ndarray, torso: np.ndarray, side: str) -> np.ndarray:
    """Axes of an arm that points along `y`: Z would be forward if it hung or was held out to the side."""
    left, _, forward = torso.T
    out = left if side == ".L" else -left
    toward = forward if abs(y @ forward) < np.cos(np.radians(30)) else np.sign(y @ forward) * -out
    z = toward - (toward @ y) * y
    return _frame(y, _cross(y, z))


def _foot(rig: Rig, chains: Chains, side: str, torso: np.ndarray) -> np.ndarray:
    """Up is the body's; forward is where the foot points, seen from above."""
    _, up, forward = torso.T
    foot = chains.get(f"foot{side}")
    toe = chains.get(f"toe{side}")
    if not foot:
        return torso
    end = rig.heads[list(toe)].mean(0) if toe else rig.tails[foot[-1]]
    ahead = end - rig.heads[foot[0]]
    ahead = ahead - (ahead @ up) * up
    length = np.sqrt(ahead @ ahead)
    if length < 1e-6 or ahead @ forward < 0.5 * length:
        return torso
    ahead /= length
    return np.stack([_cross(up, ahead), up, ahead], axis=-1)


def _frame(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    z = _unit(_cross(x, y))
    return np.stack([_cross(y, z), y, z], axis=-1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.sqrt(vector @ vector)), 1e-12)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """NumPy's own spends fifteen times as long on finding out that these are single vectors."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
