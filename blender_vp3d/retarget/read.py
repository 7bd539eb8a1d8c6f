"""An armature object and its animation as numbers.

The F-curves are evaluated and the bones posed in numpy, without stepping through the scene's frames. Only where
something else moves the bones (constraints, drivers, other actions in the NLA) is the scene evaluated frame by frame.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .. import animation
from . import rotations as rot
from .rig import Motion, Rig, forward

logger = logging.getLogger(__name__)

_SHEARED = 0.01  # how much an object's axes may differ in scale, relatively
_SAME = 1e-3  # of the rig's height: a closed form that is farther off than this at one frame is not trusted


class RetargetError(Exception):
    """Something about a rig or its animation; the message is a sentence for the user."""


def read_rig(armature: bpy.types.Object, basis: Matrix | None = None) -> Rig:
    """An armature object; raises RetargetError for one whose shape numbers cannot follow.

    Args:
        armature: the object.
        basis: its transform in place of the present one.
    """
    world = armature.matrix_world
    if basis is not None:
        world = world @ armature.matrix_basis.inverted_safe() @ basis
    world = np.array(world)
    scale = np.linalg.norm(world[:3, :3], axis=0)
    if np.linalg.det(world[:3, :3]) <= 1e-12:
        raise RetargetError(f"{armature.name} is mirrored or flattened by a scale: make its scale positive.")
    mean = float(np.cbrt(scale.prod()))
    if np.ptp(scale) > _SHEARED * mean:
        raise RetargetError(f"{armature.name} is scaled differently along its axes: give it one scale.")
    bones = armature.data.bones
    rest = np.array([bone.matrix_local for bone in bones]).reshape(-1, 4, 4)
    index = {bone.name: i for i, bone in enumerate(bones)}
    pose = [armature.pose.bones[bone.name] for bone in bones]
    return Rig(
        names=tuple(index),
        parents=tuple(index[bone.parent.name] if bone.parent else -1 for bone in bones),
        heads=rest[:, :3, 3],
        tails=np.array([bone.tail_local for bone in bones]).reshape(-1, 3),
        rest=rot.matrix_to_quaternion(rest[:, :3, :3]),
        connected=np.array([bone.use_connect and bone.parent is not None for bone in bones], bool),
        inherits=np.array([bone.use_inherit_rotation for bone in bones], bool),
        local_location=np.array([bone.use_local_location for bone in bones], bool),
        pose_location=np.array([bone.location for bone in pose]).reshape(-1, 3),
        pose_rotation=np.array([_pose_rotation(bone) for bone in pose]).reshape(-1, 4),
        modes=tuple(bone.rotation_mode for bone in pose),
        position=world[:3, 3],
        orientation=rot.matrix_to_quaternion(world[:3, :3] / scale),
        scale=mean,
    )


def _pose_rotation(bone: bpy.types.PoseBone) -> np.ndarray:
    mode = bone.rotation_mode
    return rot.from_mode(np.array(getattr(bone, rot.attribute(mode))), mode)


def frame_range(armature: bpy.types.Object) -> tuple[float, float] | None:
    """First and last key of an armature's animation, strips of the NLA included; None where it has none."""
    times = [point for curve in animation.curves_of(armature) if len(curve.keyframe_points) for point in curve.range()]
    if armature.animation_data and armature.animation_data.use_nla:
        strips = [s for track in armature.animation_data.nla_tracks if not track.mute for s in track.strips]
        times += [time for strip in strips for time in (strip.frame_start, strip.frame_end)]
    return (min(times), max(times)) if times else None


def read_motion(context: bpy.types.Context, armature: bpy.types.Object, bones: Iterable[str], frames: np.ndarray
                ) -> tuple[Motion, str]:  # fmt: skip
    """What bones do at scene frames, and why it had to be evaluated frame by frame ("" where it had not).

    Args:
        context: its scene is evaluated, and is left at the frame it was at.
        armature: the object.
        bones: names.
        frames: (T,) ascending.
    """
    rig = read_rig(armature)
    index = {name: i for i, name in enumerate(rig.names)}
    wanted = sorted(index[name] for name in bones)
    reason = _not_by_curves(armature, rig, wanted)
    if not reason:
        motion = _by_curves(armature, rig, wanted, frames)
        middle = len(frames) // 2
        seen = _by_stepping(context, armature, rig, wanted, frames[middle : middle + 1])
        tall = rig.scale * float(np.ptp(rig.heads, axis=0).max())
        off = np.abs(motion.heads[middle] - seen.heads[0]).max(initial=0.0)
        along = np.abs(
            rot.rotate(motion.rotations[middle], [0, 1.0, 0]) - rot.rotate(seen.rotations[0], [0, 1.0, 0])
        ).max(initial=0.0)
        if off <= _SAME * tall and along <= 10 * _SAME:
            return motion, ""
        reason = "its curves alone do not tell its motion"
    logger.info("%s is evaluated frame by frame: %s", armature.name, reason)
    return _by_stepping(context, armature, rig, wanted, frames), reason


def _not_by_curves(armature: bpy.types.Object, rig: Rig, wanted: list[int]) -> str:
    """Why curves do not tell the whole motion of bones; "" where they do."""
    involved = {rig.names[j] for i in wanted for j in (i, *rig.ancestors(i))}
    if any(not c.mute and c.influence > 0 for n in involved for c in armature.pose.bones[n].constraints):
        return "its bones have constraints"
    if armature.constraints or armature.parent:
        return "the object itself follows something"
    data = armature.animation_data
    if not data or (data.use_nla and any(not t.mute and t.strips for t in data.nla_tracks)):
        return "its animation is in the NLA"
    if len(data.drivers) and any(_bone_of(driver.data_path) in involved for driver in data.drivers):
        return "its bones have drivers"
    return ""


def _bone_of(path: str) -> str:
    match = re.match(r'pose\.bones\["(.*)"\]\.', path)
    return match.group(1) if match else ""


def _by_curves(armature: bpy.types.Object, rig: Rig, wanted: list[int], frames: np.ndarray) -> Motion:
    values = {(curve.data_path, curve.array_index): sample(curve, frames) for curve in animation.curves_of(armature)}
    count = len(frames)

    def channel(path: str, present: Iterable[float]) -> np.ndarray:
        return np.stack([values.get((path, i), np.full(count, p)) for i, p in enumerate(present)], axis=-1)

    def rotation(path: str, owner: Any) -> np.ndarray:
        attribute = rot.attribute(owner.rotation_mode)
        return rot.from_mode(channel(path + attribute, getattr(owner, attribute)), owner.rotation_mode)

    location, turned = list(rig.pose_location), list(rig.pose_rotation)
    keyed = {path for path, _ in values}
    for i, name in enumerate(rig.names):
        bone, path = armature.pose.bones[name], f'pose.bones["{bpy.utils.escape_identifier(name)}"].'
        if f"{path}location" in keyed:
            location[i] = channel(f"{path}location", bone.location)
        if path + rot.attribute(bone.rotation_mode) in keyed:
            turned[i] = rotation(path, bone)
    rotations, heads = forward(rig, wanted, location, turned)
    turns, places = np.empty((count, len(wanted), 4)), np.empty((count, len(wanted), 3))
    for n, i in enumerate(wanted):
        turns[:, n], places[:, n] = rotations[i], heads[i]

    at, axes, scale = rig.position, rig.orientation, rig.scale
    if keyed & set(_OBJECT_PATHS):
        at = (channel("location", armature.location) + np.array(armature.delta_location))[:, None]
        axes = rotation("", armature)[:, None]
        scale = channel("scale", armature.scale)[:, None, :1]
    return Motion(rig, tuple(wanted), frames, rot.multiply(axes, turns), at + rot.rotate(axes, scale * places))


_OBJECT_PATHS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


def sample(curve: bpy.types.FCurve, frames: np.ndarray) -> np.ndarray:
    """Values (T,) of a curve at frames; keys that are hit are read as they are, straight curves interpolated."""
    points = curve.keyframe_points
    if not len(points) or len(curve.modifiers):
        return np.array([curve.evaluate(frame) for frame in frames])
    co = np.empty(2 * len(points), np.float32)
    points.foreach_get("co", co)
    times, values = co[::2], co[1::2]
    if np.array_equal(times, frames):
        return values.astype(np.float64)
    at = np.clip(np.searchsorted(times, frames), 0, len(times) - 1)
    if (times[at] == frames).all():
        return values[at].astype(np.float64)
    kinds = np.empty(len(points), np.int32)
    points.foreach_get("interpolation", kinds)
    if (kinds == animation.LINEAR).all() and curve.extrapolation == "CONSTANT":
        return np.interp(frames, times, values)
    return np.array([curve.evaluate(frame) for frame in frames])


def _by_stepping(
    context: bpy.types.Context, armature: bpy.types.Object, rig: Rig, wanted: list[int], frames: np.ndarray
) -> Motion:
    scene, names = context.scene, [rig.names[i] for i in wanted]
    present = scene.frame_current, scene.frame_subframe
    matrices = np.empty((len(frames), len(wanted), 4, 4))
    for t, frame in enumerate(frames):
        scene.frame_set(int(np.floor(frame)), subframe=float(frame % 1))
        posed = armature.evaluated_get(context.evaluated_depsgraph_get())
        world: Matrix = posed.matrix_world
        for n, name in enumerate(names):
            matrices[t, n] = world @ posed.pose.bones[name].matrix
    scene.frame_set(present[0], subframe=present[1])
    axes = matrices[..., :3, :3] / np.linalg.norm(matrices[..., :3, :3], axis=-2, keepdims=True)
    rotations = rot.continuous(rot.matrix_to_quaternion(axes))
    return Motion(rig, tuple(wanted), frames, rotations, matrices[..., :3, 3])
