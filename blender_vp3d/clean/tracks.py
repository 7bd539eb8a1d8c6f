"""The transforms that an armature's action animates, as arrays, and back into its keys."""

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from .. import animation
from ..animation import Channel
from ..retarget import rotations as rot
from ..retarget.read import sample
from .fit import Curve

_BEZIER, _ALIGNED = 2, 3  # values of Keyframe.interpolation and handle_left_type
_UNEVEN = 1e-3  # frames, how far keys may lie from an even spacing


@dataclass(frozen=True, eq=False)
class Track:
    """One animated location or rotation.

    Attributes:
        bone: name of the pose bone; "" for the object itself.
        attribute: "location" or what holds a rotation in `mode`.
        mode: Blender's rotation mode; "" for a location.
        path: data path.
        present: (C,) values without animation.
    """

    bone: str
    attribute: str
    mode: str
    path: str
    present: np.ndarray

    @property
    def group(self) -> str:
        """Of the dope sheet."""
        return self.bone or "Object Transforms"


@dataclass(frozen=True)
class Span:
    """The frames that are worked on.

    Attributes:
        frames: (T,) scene frames, ascending.
        held: (T,) bool, frames whose pose stays until the next one: a gap in the motion follows.
        fps: scene frames per second.
    """

    frames: np.ndarray
    held: np.ndarray
    fps: float

    def pieces(self) -> list[slice]:
        """Stretches between gaps."""
        ends = [*(np.flatnonzero(self.held[:-1]) + 1).tolist(), len(self.frames)]
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if end > start]

    @property
    def dt(self) -> float:
        """Seconds between frames."""
        return float(np.median(np.diff(self.frames))) / self.fps


def track(armature: bpy.types.Object, bone: str, attribute: str) -> Track:
    """A location ("location") or rotation ("rotation", in the mode that is set) of a bone or, with "", the object."""
    owner: Any = armature.pose.bones[bone] if bone else armature
    mode = "" if attribute == "location" else owner.rotation_mode
    attribute = rot.attribute(mode) if mode else attribute
    prefix = f'pose.bones["{bpy.utils.escape_identifier(bone)}"].' if bone else ""
    return Track(bone, attribute, mode, prefix + attribute, np.array(getattr(owner, attribute), float))


def tracks(armature: bpy.types.Object) -> list[Track]:
    """What the assigned action animates of what is in use: no rotations of another mode than is set."""
    animated = {curve.data_path for curve in animation.curves_of(armature) if len(curve.keyframe_points)}
    owners = ["", *(bone.name for bone in armature.pose.bones)]
    found = (track(armature, owner, kind) for owner in owners for kind in ("location", "rotation"))
    return [one for one in found if one.path in animated]


def span(armature: bpy.types.Object, fps: float, between: tuple[float, float] | None) -> Span:
    """The frames of the assigned action: its keys, where all transforms share evenly spaced ones; else every frame.

    Args:
        armature: the object.
        fps: scene frames per second.
        between: first and last frame to use; None for all.
    """
    low, high = between or (-np.inf, np.inf)
    paths = {one.path for one in tracks(armature)}
    keys, held = None, np.zeros(0, bool)
    first, last, common = np.inf, -np.inf, True
    for curve in animation.curves_of(armature):
        if curve.data_path not in paths or not len(curve.keyframe_points):
            continue
        co = np.empty(2 * len(curve.keyframe_points), np.float32)
        curve.keyframe_points.foreach_get("co", co)
        times = co[::2].astype(float)
        first, last = min(first, times[0]), max(last, times[-1])
        if keys is None:
            kinds = np.empty(len(times), np.int32)
            curve.keyframe_points.foreach_get("interpolation", kinds)
            keys, held = times, kinds == animation.CONSTANT
        common = common and len(times) == len(keys) and bool((times == keys).all())
    if keys is None or first > high or last < low:
        return Span(np.zeros(0), np.zeros(0, bool), fps)
    if common and _even(keys, held):
        inside = (keys >= low) & (keys <= high)
        return Span(keys[inside], held[inside], fps)
    frames = np.arange(np.ceil(max(first, low)), np.floor(min(last, high)) + 1)
    return Span(frames, np.zeros(len(frames), bool), fps)


def _even(keys: np.ndarray, held: np.ndarray) -> bool:
    steps = np.diff(keys)[~held[:-1]]
    return len(keys) > 2 and (len(steps) == 0 or bool(np.ptp(steps) < _UNEVEN))


def read(armature: bpy.types.Object, one: Track, frames: np.ndarray) -> np.ndarray:
    """(T, C) values at scene frames."""
    curves = {curve.array_index: curve for curve in animation.curves_of(armature) if curve.data_path == one.path}
    values = np.tile(one.present, (len(frames), 1))
    for i, curve in curves.items():
        values[:, i] = sample(curve, frames)
    return values


def rotation(one: Track, values: np.ndarray) -> np.ndarray:
    """(T, 4) quaternions of a rotation's values (T, C), continuous in sign."""
    return rot.continuous(rot.from_mode(values, one.mode))


def values_near(one: Track, rotations: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Values (T, C) in a track's mode for rotations (T, 4): of all that mean the same, those nearest to `before`."""
    if one.mode == "QUATERNION":
        values = rot.continuous(rotations)
        return values * (-1 if (values[0] * before[0]).sum() < 0 else 1)
    whole = 2 * np.pi
    values = rot.in_mode(rotations, one.mode)
    if one.mode == "AXIS_ANGLE":
        if (values[0, 1:] * before[0, 1:]).sum() < 0:
            values = -values
        values[:, 0] += whole * np.round((before[0, 0] - values[0, 0]) / whole)
        return values
    other = values + np.pi
    middle = "XYZ".index(one.mode[1])
    other[:, middle] = np.pi - values[:, middle]
    values, other = (found + whole * np.round((before - found) / whole) for found in (values, other))
    nearer = np.abs(other - before).sum(-1) < np.abs(values - before).sum(-1)
    return np.where(nearer[:, None], other, values)


def write(armature: bpy.types.Object, changed: dict[Track, np.ndarray], over: Span) -> None:
    """Key values (T, C) at the frames of a span; keys outside it stay."""
    curves, groups = animation.keyed(armature, armature.name)
    channels = (Channel(one.path, i, one.group, column) for one, values in changed.items()
                for i, column in enumerate(values.T))  # fmt: skip
    animation.put(curves, groups, over.frames, over.held, channels, merge=True)


def write_curves(armature: bpy.types.Object, path: str, group: str, pieces: list[Curve]) -> None:
    """Key fitted curves, one after the other with gaps between; keys outside them stay. All C channels get them."""
    curves, groups = animation.keyed(armature, armature.name)
    times = np.concatenate([piece.times for piece in pieces])
    last = np.cumsum([len(piece.times) for piece in pieces]) - 1
    values = np.concatenate([piece.values for piece in pieces])
    held = np.zeros(len(times), bool)
    held[last[:-1]] = True
    channels = [Channel(path, i, group, column) for i, column in enumerate(values.T)]
    animation.put(curves, groups, times, held, channels, merge=True)
    handles = [np.concatenate(side) for side in zip(*(piece.handles() for piece in pieces), strict=True)]
    for curve in curves:
        if curve.data_path == path:
            _bend(curve, times, held, [side[:, curve.array_index] for side in handles])


def _bend(curve: bpy.types.FCurve, times: np.ndarray, held: np.ndarray, handles: list[np.ndarray]) -> None:
    """Make keys at `times` Bezier keys with the handles given, (K, 2) each."""
    points = curve.keyframe_points
    co = np.empty(2 * len(points), np.float32)
    points.foreach_get("co", co)
    first = int(np.searchsorted(co[::2], np.float32(times[0])))
    place = slice(first, first + len(times))
    for name, width, new in (
        ("interpolation", 1, np.where(held, animation.CONSTANT, _BEZIER)),
        ("handle_left_type", 1, _ALIGNED),
        ("handle_right_type", 1, _ALIGNED),
        ("handle_left", 2, handles[0]),
        ("handle_right", 2, handles[1]),
    ):
        present = np.empty((len(points), width), np.int32 if width == 1 else np.float32)
        points.foreach_get(name, present.ravel())
        present[place] = np.reshape(new, (-1, width))
        points.foreach_set(name, present.ravel())
    curve.update()


def keys_of(armature: bpy.types.Object) -> int:
    """How many keys the assigned action has."""
    return sum(len(curve.keyframe_points) for curve in animation.curves_of(armature))
