"""Keyframes in bulk, in every Blender from 4.2 on."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import bpy
import numpy as np

_CONSTANT, _LINEAR = 0, 1  # values of Keyframe.interpolation
_AUTO_CLAMPED = 4  # of Keyframe.handle_left_type: in place for whoever changes the interpolation


class Channel(NamedTuple):
    """One animated number: RNA path, index in it (0 for a scalar), group in the dope sheet, a value per key."""

    path: str
    index: int
    group: str
    values: np.ndarray


def write(
    datablock: bpy.types.ID, name: str, frames: np.ndarray, held: np.ndarray, channels: Iterable[Channel]
) -> None:
    """Replace a datablock's keyframes.

    Args:
        datablock: what is animated; its present action is emptied and used again.
        name: name of the action, where it has to be made.
        frames: (K,) scene frames of the keys, ascending.
        held: (K,) bool, keys whose value stays until the next one; the others lead there in a straight line.
        channels: the values, (K,) each.
    """
    curves, groups = _emptied(datablock, name)
    made: dict[str, Any] = {}
    points = np.empty((len(frames), 2), np.float32)
    points[:, 0] = frames
    interpolation = np.where(held, _CONSTANT, _LINEAR).astype(np.int32)
    handles = np.full(len(frames), _AUTO_CLAMPED, np.int32)
    for channel in channels:
        curve = curves.new(channel.path, index=channel.index)
        if channel.group not in made:
            made[channel.group] = groups.new(channel.group)
        curve.group = made[channel.group]
        points[:, 1] = channel.values
        curve.keyframe_points.add(len(frames))
        for attribute, values in (
            ("co", points.ravel()),
            ("interpolation", interpolation),
            ("handle_left_type", handles),
            ("handle_right_type", handles),
        ):
            curve.keyframe_points.foreach_set(attribute, values)
        curve.update()


def clear(datablock: bpy.types.ID) -> None:
    """Take away a datablock's keyframes, and the action if nothing else uses it."""
    action = datablock.animation_data.action if datablock.animation_data else None
    datablock.animation_data_clear()
    if action and not action.users:
        bpy.data.actions.remove(action)


def curves_of(datablock: bpy.types.ID) -> Any:
    """The F-curves that move a datablock; empty where nothing does."""
    animation = datablock.animation_data
    if not animation or not animation.action:
        return ()
    if bpy.app.version < (4, 4):
        return animation.action.fcurves
    bag = _channelbag(animation.action, animation.action_slot)
    return bag.fcurves if bag else ()


def _emptied(datablock: bpy.types.ID, name: str) -> tuple[Any, Any]:
    """F-curves and groups of a datablock's action, both empty."""
    animation = datablock.animation_data or datablock.animation_data_create()
    action = animation.action
    if not action:
        action = animation.action = bpy.data.actions.new(name)
    if bpy.app.version < (4, 4):
        holder = action
    else:
        slot = animation.action_slot
        if not slot:
            slot = animation.action_slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
        holder = _channelbag(action, slot)
    groups = holder.groups
    for group in list(groups):
        groups.remove(group)
    holder.fcurves.clear()
    return holder.fcurves, groups


def _channelbag(action: bpy.types.Action, slot: Any) -> Any:
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)
