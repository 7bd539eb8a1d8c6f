"""When the feet of an armature stand, as keys that the user can move: a check box for each foot, and markers."""

import bpy
import numpy as np

from . import animation
from .animation import Channel

PROPERTIES = {"contact_left": "Left Foot Stands", "contact_right": "Right Foot Stands"}
"""Custom properties of the armature object, left and right, and what the panel calls them."""

PATHS = tuple(f'["{name}"]' for name in PROPERTIES)
"""Their data paths."""

_MARKERS = (("L down", "L up"), ("R down", "R up"))


def write(armature: bpy.types.Object, frames: np.ndarray, contacts: np.ndarray) -> None:
    """Key the contacts into the assigned action, where they change; other keys of them are taken away.

    Args:
        armature: the object.
        frames: (T,) scene frames, ascending.
        contacts: (T, 2) bool, left and right.
    """
    curves, groups = animation.keyed(armature, armature.name)
    for (name, label), path, down in zip(PROPERTIES.items(), PATHS, contacts.T, strict=True):
        if name not in armature:
            armature[name] = False
            armature.id_properties_ui(name).update(description=f"{label}: keys of this hold the foot in its place")
        change = np.flatnonzero(np.append(True, np.diff(down.astype(np.int8)) != 0))
        held = np.ones(len(change), bool)
        animation.put(curves, groups, frames[change], held, [Channel(path, 0, "Feet", down[change].astype(float))])
    _mark(armature.animation_data.action, frames, contacts)


def read(armature: bpy.types.Object, frames: np.ndarray) -> np.ndarray | None:
    """(T, 2) bool at scene frames (T,), as keyed in the assigned action; None where no foot has keys."""
    found = {curve.data_path: curve for curve in animation.curves_of(armature) if len(curve.keyframe_points)}
    if not any(path in found for path in PATHS):
        return None
    columns = []
    for path in PATHS:
        curve = found.get(path)
        columns.append([curve is not None and curve.evaluate(frame) >= 0.5 for frame in frames])
    return np.array(columns, bool).T.reshape(len(frames), 2)


def carry(source: bpy.types.Object, target: bpy.types.Object, frames: np.ndarray) -> None:
    """Key a source's contacts, if it has any, on a target that moves as the source does, at scene frames (T,)."""
    contacts = read(source, frames)
    if contacts is not None:
        write(target, frames, contacts)


def _mark(action: bpy.types.Action, frames: np.ndarray, contacts: np.ndarray) -> None:
    """Markers of the dope sheet where feet come down and leave."""
    ours = {name for names in _MARKERS for name in names}
    for marker in [marker for marker in action.pose_markers if marker.name in ours]:
        action.pose_markers.remove(marker)
    for names, down in zip(_MARKERS, contacts.T, strict=True):
        change = np.flatnonzero(np.diff(down.astype(np.int8)))
        for i in ([-1] if len(down) and down[0] else []) + change.tolist():
            marker = action.pose_markers.new(names[0] if down[i + 1] else names[1])
            marker.frame = round(float(frames[i + 1]))
