"""From a rig's motion to the legs that `feet` holds, and from their turns to what pose bones hold. No bpy in here."""

import numpy as np

from ..retarget import rotations as rot
from ..retarget.frames import rest_axes
from ..retarget.rig import Chains, Motion
from ..retarget.transfer import ankle_height
from .feet import Leg, Turns

SIDES = (".L", ".R")
_SHORT_TOES = 0.1  # of the way from ankle to toes: these are drawn to somewhere else
_TOES, _HEEL, _WIDTH = 0.6, 0.5, 0.6  # of that way: soles of Rocketbox's bodies, for what bones do not tell
BONES = ("hips", *(bone + side for side in SIDES for bone in ("thigh", "shin", "foot", "toe")))
"""Canonical bones that holding feet reads and moves, if the rig has them."""


def legs(motion: Motion, chains: Chains) -> list[Leg]:
    """Left and right leg.

    Args:
        motion: at least of the bones that `chains` has for `BONES`; the toes may be missing.
        chains: canonical bone → bones of the rig, from the body outward; also those of the arms, which tell the body's
            axes.
    """
    rig = motion.rig
    axes = rest_axes(rig, chains)
    height = ankle_height(rig, chains)

    def carried(name: str) -> np.ndarray:
        bone = chains[name][0]
        own = rot.multiply(rot.conjugate(rig.rest[bone]), rot.matrix_to_quaternion(axes[name]))
        return rot.multiply(motion.rotation(bone), own)

    made = []
    for side in SIDES:
        foot, toe = f"foot{side}", f"toe{side}"
        ahead, start = axes[foot][:, 2], rig.heads[chains[foot][0]]
        toes = toe in chains
        ball = (rig.heads[chains[toe][0]] if toes else rig.tails[chains[foot][-1]]) - start
        tip = rig.tails[chains[toe if toes else foot][-1]] - start
        ball, tip = (max(0.0, rig.scale * float(end @ ahead)) for end in (ball, tip))
        if toes and tip - ball < _SHORT_TOES * ball:
            tip = (1 + _TOES) * ball
        made.append(
            Leg(
                hip=motion.head(chains[f"thigh{side}"][0]),
                knee=motion.head(chains[f"shin{side}"][0]),
                ankle=motion.head(chains[foot][0]),
                hinge=rot.rotate(carried(f"thigh{side}"), [1.0, 0, 0]),
                foot=carried(foot),
                toe=carried(toe) if toes else carried(foot),
                height=height,
                ball=ball,
                tip=max(ball, tip),
                heel=_HEEL * ball,
                width=_WIDTH * ball,
            )
        )
    return made


def turned(motion: Motion, chains: Chains, turns: list[Turns], held: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """What pose bones hold when bones of the legs turn in the world; what hangs on them goes along.

    Args:
        motion: before.
        chains: see `legs`.
        turns: left and right.
        held: bone → (T, 4) what its pose bone holds before.

    Returns:
        bone → (T, 4) after, of the first bone of each part of the leg.
    """
    found = {}
    for side, turn in zip(SIDES, turns, strict=True):
        above = rot.IDENTITY
        for name, own in (("thigh", turn.thigh), ("shin", turn.shin), ("foot", turn.foot), ("toe", turn.toe)):
            if name + side not in chains:
                continue
            bone = chains[name + side][0]
            world = motion.rotation(bone)
            carried = above if motion.rig.inherits[bone] else rot.IDENTITY
            relative = rot.multiply(rot.conjugate(carried), own)
            found[bone] = rot.multiply(held[bone], rot.conjugate(world), relative, world)
            above = own
    return found


def shifted(motion: Motion, bone: int, root: np.ndarray, held: np.ndarray, location: np.ndarray) -> np.ndarray:
    """(T, 3) location that a pose bone holds when it is moved by `root` (T, 3) m in the world.

    Args:
        motion: before.
        bone: the bone.
        root: (T, 3) m.
        held: (T, 4) rotation that its pose bone holds.
        location: (T, 3) that it holds before.
    """
    rig = motion.rig
    axes = rot.multiply(motion.rotation(bone), rot.conjugate(held)) if rig.local_location[bone] else rig.orientation
    return location + rot.rotate(rot.conjugate(axes), root / rig.scale)
