"""The raw and the cleaned action of an armature: every cleaning starts from the raw one, and both stay.

The armature remembers them by custom properties, so that files, undo and copies carry them along.
"""

import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from .. import animation, contact_keys
from ..retarget.bake import MADE_FOR

_RAW, _CLEAN = "vp3d_raw", "vp3d_clean"
_STEPS, _WRITTEN = "vp3d_steps", "vp3d_written"


def raw(armature: bpy.types.Object) -> bpy.types.Action | None:
    """What cleaning starts from: the raw action, or an assigned one that no cleaning knows yet."""
    action, known = _assigned(armature), armature.get(_RAW)
    return known if known and action in (known, armature.get(_CLEAN)) else action


def clean(armature: bpy.types.Object) -> bpy.types.Action | None:
    """The cleaned action that belongs to `raw`; None where there is none."""
    found = armature.get(_CLEAN)
    return found if found and armature.get(_RAW) and armature.get(_RAW) == raw(armature) else None


def steps(armature: bpy.types.Object) -> frozenset[str]:
    """What was done to the cleaned action."""
    action = clean(armature)
    return frozenset(action.get(_STEPS, "").split()) if action else frozenset()


def shows_clean(armature: bpy.types.Object) -> bool:
    """Whether the cleaned action is the assigned one."""
    action = clean(armature)
    return action is not None and action == _assigned(armature)


def edited(armature: bpy.types.Object) -> bool:
    """Whether somebody changed the cleaned action's curves by hand; moving contacts does not count."""
    action = clean(armature)
    return action is not None and action.get(_WRITTEN) != _checksum(armature, action)


def show(armature: bpy.types.Object, action: bpy.types.Action) -> None:
    """Assign one of the two."""
    data = armature.animation_data
    slot = getattr(data, "action_slot", None)
    data.action = action
    if slot is not None:
        _choose_slot(data, action, slot.identifier)


@contextmanager
def renewed(armature: bpy.types.Object, done: Collection[str]) -> Iterator[bpy.types.Action]:
    """A fresh copy of the raw action, assigned, to be changed; afterwards it takes the place of the cleaned one.

    An earlier cleaned action is replaced wherever it is used, unless it was edited by hand: then it stays in the file.
    When the change raises, all is as it was.

    Args:
        armature: the object.
        done: the steps that will have been done.
    """
    before, source, old = _assigned(armature), raw(armature), clean(armature)
    keep = old is not None and edited(armature)
    slot = getattr(armature.animation_data, "action_slot", None)
    identifier = slot.identifier if slot is not None else ""
    made = source.copy()
    for key in (MADE_FOR, _STEPS, _WRITTEN):
        made.pop(key, None)
    try:
        show(armature, made)
        yield made
    except BaseException:
        show(armature, before)
        bpy.data.actions.remove(made)
        raise
    made.name = f"{source.name} clean"
    if old is not None and not keep:
        name = old.name
        old.user_remap(made)
        bpy.data.actions.remove(old)
        made.name = name
    for other in {armature.get(_RAW), armature.get(_CLEAN)} - {None, source, made}:
        other.use_fake_user = True  # nothing else may refer to it, and files forget such actions
    made[_STEPS] = " ".join(sorted(done))
    armature[_RAW], armature[_CLEAN] = source, made
    if armature.animation_data.action != made:
        show(armature, made)
    if identifier:
        _choose_slot(armature.animation_data, made, identifier)
    made[_WRITTEN] = _checksum(armature, made)


def forget(armature: bpy.types.Object) -> None:
    """Go back to the raw action and remove the cleaned one; one that was edited by hand stays in the file."""
    source, old, keep = raw(armature), clean(armature), edited(armature)
    show(armature, source)
    for key in (_RAW, _CLEAN):
        armature.pop(key, None)
    if keep:
        old.use_fake_user = True
    elif old is not None and not old.users:
        bpy.data.actions.remove(old)


def _assigned(armature: bpy.types.Object) -> bpy.types.Action | None:
    return armature.animation_data.action if armature.animation_data else None


def _choose_slot(data: bpy.types.AnimData, action: bpy.types.Action, identifier: str) -> None:
    slots: Any = action.slots
    data.action_slot = next((slot for slot in slots if slot.identifier == identifier), data.action_slot)


def _checksum(armature: bpy.types.Object, action: bpy.types.Action) -> str:
    total = 0
    for curve in animation.curves_in(action, armature):
        if curve.data_path not in contact_keys.PATHS:
            co = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", co)
            total = zlib.crc32(co.tobytes(), total)
    return f"{total:08x}"
