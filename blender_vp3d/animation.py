"""Keyframes in bulk, in every Blender from 4.2 on."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import bpy
import numpy as np

CONSTANT, LINEAR = 0, 1  # values of Keyframe.interpolation
_AUTO_CLAMPED = 4  # of Keyframe.handle_left_type: smooth for whoever changes the interpolation


class Channel(NamedTuple):
    """One animated number: RNA path, index in it (0 for a scalar), group in the dope sheet, a value per key."""

    path: str
    index: int
    group: str
    values: np.ndarray


def write(
    datablock: bpy.types.ID, name: str, frames: np.ndarray, held: np.ndarray, channels: Iterable[Channel]
) -> None:
    """Write keyframes of some channels of a datablock in place of the present ones; its other channels stay.

    Args:
        datablock: what is animated; its present action is used.
        name: name of the action, where it has to be made.
        frames: (K,) scene frames of the keys, ascending.
        held: (K,) bool, keys whose value stays until the next one; the others lead there in a straight line.
        channels: the values, (K,) each.
    """
    curves, groups = keyed(datablock, name)
    put(curves, groups, frames, held, channels)


def put(
    curves: Any, groups: Any, frames: np.ndarray, held: np.ndarray, channels: Iterable[Channel], *, merge: bool = False
) -> None:
    """Add keyframes to what `keyed` gives, in place of the same channels' present ones.

    Args:
        curves: F-curves.
        groups: their groups.
        frames: (K,) scene frames of the keys, ascending.
        held: (K,) bool, keys whose value stays until the next one; the others lead there in a straight line.
        channels: the values, (K,) each.
        merge: leave present keys before the first and after the last frame.
    """
    known = {group.name: group for group in groups}
    present = {(curve.data_path, curve.array_index): curve for curve in curves}
    points = np.empty((len(frames), 2), np.float32)
    points[:, 0] = frames
    new = {  # as Blender holds these: other types are converted key by key
        "co": points.ravel(),
        "interpolation": np.where(held, CONSTANT, LINEAR).astype(np.uint8),
        "handle_left_type": np.full(len(frames), _AUTO_CLAMPED, np.uint8),
        "handle_right_type": np.full(len(frames), _AUTO_CLAMPED, np.uint8),
    }
    for channel in channels:
        points[:, 1] = channel.values
        keys = new
        if old := present.get((channel.path, channel.index)):
            if merge and len(old.keyframe_points):
                keys = _merged(old, new)
            if len(old.keyframe_points) != len(keys["interpolation"]):
                old.keyframe_points.clear()
        curve = old or curves.new(channel.path, index=channel.index)
        if not old:
            if channel.group not in known:
                known[channel.group] = groups.new(channel.group)
            curve.group = known[channel.group]
        if not len(curve.keyframe_points):
            curve.keyframe_points.add(len(keys["interpolation"]))
        for attribute, values in keys.items():
            curve.keyframe_points.foreach_set(attribute, values)
        # else they are in order, and no handle has a say until somebody changes the interpolation, which places them:
        # Blender would take as long to place them now as for all the rest
        if keys is not new:
            curve.update()
        else:
            curve.id_data.update_tag()


_HANDLES = ("handle_left", "handle_right")


def _merged(curve: bpy.types.FCurve, new: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The new keys, between those of the curve that lie outside them."""
    count = len(curve.keyframe_points)
    first, last = new["co"][0], new["co"][-2]
    merged, order = {}, None
    for attribute in (*new, *_HANDLES):
        wide = attribute in ("co", *_HANDLES)
        old = np.empty(count * (1 + wide), np.float32 if wide else np.uint8)
        curve.keyframe_points.foreach_get(attribute, old)
        rows = np.concatenate([a.reshape(-1, 1 + wide) for a in (old, new["co"] if wide else new[attribute])])
        if order is None:
            keep = np.ones(len(rows), bool)
            keep[:count] = (rows[:count, 0] < first) | (rows[:count, 0] > last)
            order = np.flatnonzero(keep)[np.argsort(rows[keep, 0], kind="stable")]
        merged[attribute] = rows[order].ravel()
    return merged


def clear(datablock: bpy.types.ID, paths: Collection[str]) -> None:
    """Take away the keyframes of some RNA paths of a datablock, and the action that is left with nothing to do."""
    curves = curves_of(datablock)
    ours = [curve for curve in curves if curve.data_path in paths]
    for curve in ours:
        curves.remove(curve)
    if ours and not len(curves):
        action, datablock.animation_data.action = datablock.animation_data.action, None
        if not action.users:
            bpy.data.actions.remove(action)


def curves_of(datablock: bpy.types.ID) -> Any:
    """The F-curves that move a datablock; empty where nothing does."""
    animation = datablock.animation_data
    return curves_in(animation.action, datablock) if animation and animation.action else ()


def curves_in(action: bpy.types.Action, datablock: bpy.types.ID) -> Any:
    """The F-curves by which an action, assigned or not, moves a datablock."""
    if bpy.app.version < (4, 4):
        return action.fcurves
    slot = datablock.animation_data.action_slot
    if slot not in list(action.slots):
        slot = next((other for other in action.slots if slot and other.identifier == slot.identifier), None)
    bag = _channelbag(action, slot) if slot else None
    return bag.fcurves if bag else ()


def keyed(datablock: bpy.types.ID, name: str) -> tuple[Any, Any]:
    """F-curves of a datablock's action, and their groups; an action called `name` is made where there is none."""
    animation = datablock.animation_data or datablock.animation_data_create()
    action = animation.action
    if not action:
        action = animation.action = bpy.data.actions.new(name)
    if bpy.app.version < (4, 4):
        return action.fcurves, action.groups
    slot = animation.action_slot
    if not slot:
        slot = animation.action_slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
    bag = _channelbag(action, slot)
    return bag.fcurves, bag.groups


def _channelbag(action: bpy.types.Action, slot: Any) -> Any:
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)
