"""Where a rig's controls for inverse kinematics have to be for its limbs to be as they are posed. No bpy in here."""

from collections.abc import Iterable

import numpy as np

from . import body
from . import rotations as rot
from .reach import bend_normal
from .tables import Inverse
from .transfer import Posed


def controls(posed: Posed, limbs: Iterable[Inverse]) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Control bone → its heads (T, 3) m and rotations (T, 4) in the world; None for poles, which only have a place.

    Limbs that the rig or the mapping lacks are left out.
    """
    rig = posed.controls.rig
    found: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for limb in limbs:
        side = body.side(limb.end)
        upper, lower = (f"{bone}{side}" for bone in body.LIMB_OF[body.kind(limb.end)])
        if {limb.control, limb.pole} - set(rig.names) or {limb.end, upper, lower} - set(posed.chains):
            continue
        end, control = posed.chains[limb.end][0], rig.names.index(limb.control)
        turned, at = posed.rotations[:, posed.index(limb.end)], posed.heads[:, posed.index(limb.end)]
        carried = rot.multiply(turned, rot.conjugate(rig.rest[end]))
        offset = rig.scale * (rig.heads[control] - rig.heads[end])
        found[limb.control] = at + rot.rotate(carried, offset), rot.multiply(carried, rig.rest[control])

        first, middle = (posed.heads[:, posed.index(bone)] for bone in (upper, lower))
        normal = bend_normal(posed, upper, lower, limb.end)
        along = rot.unit(at - first)
        hip, knee, ankle = (rig.heads[posed.chains[bone][0]] for bone in (upper, lower, limb.end))
        far, angle = _pole_at_rest(hip, knee, ankle, rig.heads[rig.names.index(limb.pole)])
        toward = rot.rotate(rot.turn(along, angle), rot.unit(np.cross(along, normal)))
        found[limb.pole] = middle + rig.scale * far * toward, None
    return found


def _pole_at_rest(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, pole: np.ndarray) -> tuple[float, float]:
    """How far the pole is from the knee, and by which angle (rad) about the limb off from where the knee points."""
    along = rot.unit(ankle - hip)
    bend, toward = (at - (at @ along) * along for at in (knee - hip, pole - hip))
    angle = np.arctan2(np.cross(bend, toward) @ along, bend @ toward)
    return float(np.linalg.norm(pole - knee)), float(angle)
