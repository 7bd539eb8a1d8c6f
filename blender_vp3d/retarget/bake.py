"""A posed target becomes keyframes: in bulk, in the user's rotation modes, with nothing else left behind."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from .. import animation
from ..animation import Channel
from . import body, inverse
from . import rotations as rot
from .rig import Controls
from .tables import Inverse, Switch
from .transfer import Posed

MADE_FOR = "vp3d_retarget"  # on an action: the rig and the name it was made for
_STOOD = "vp3d_stood"  # on an action that moves the object: the transform it had before

PARTS = ("path", *body.PARTS)
"""What can be baked apart; "path" is where the person goes."""


@dataclass(frozen=True)
class Destination:
    """Where the keys go.

    Attributes:
        into: "ACTION" (an action of their own), "NLA" (the same, as a strip) or "CURRENT" (over the present action,
            only the chosen parts and only between the first and the last frame).
        parts: which of `PARTS`.
        name: what the action is called, and by what it is found again.
    """

    into: str = "ACTION"
    parts: Collection[str] = PARTS
    name: str = "VP3D"


def standing(target: bpy.types.Object) -> Matrix | None:
    """The object's transform from before it was carried along by an action of ours; None where none does that."""
    action = target.animation_data.action if target.animation_data else None
    stood = action.get(_STOOD) if action else None
    return None if stood is None else Matrix(np.reshape(list(stood), (4, 4)).tolist())


def bake(
    target: bpy.types.Object,
    posed: Posed,
    destination: Destination,
    switches: Collection[Switch] = (),
    limbs: Collection[Inverse] = (),
) -> None:
    """Write keyframes of a posed target; what an earlier call wrote under the same name is replaced.

    Args:
        target: the armature object that `posed.controls.rig` was read from.
        posed: what to bake.
        destination: where to.
        switches: custom properties that are set and keyed at the first frame.
        limbs: limbs whose controls for inverse kinematics get keys too.
    """
    stood = standing(target) or target.matrix_basis.copy()
    data = target.animation_data or target.animation_data_create()
    before = data.action, getattr(data, "action_slot", None)
    merge = destination.into == "CURRENT" and before[0] is not None
    if not merge:
        _take_own_action(target, destination.name)
    curves, groups = animation.keyed(target, destination.name)
    if _travels(posed):
        data.action[_STOOD] = np.ravel(stood).tolist()
    elif not merge:
        data.action.pop(_STOOD, None)
        target.matrix_basis = stood
    frames = posed.frames
    held = np.zeros(len(frames), bool)
    animation.put(curves, groups, frames, held, _channels(target, posed, destination.parts), merge=merge)
    if limbs:
        animation.put(curves, groups, frames, held, _limb_channels(posed, limbs, destination.parts), merge=merge)
    first = np.ones(1, bool)
    animation.put(curves, groups, frames[:1], first, _switched(target, switches), merge=merge)
    if destination.into == "NLA":
        _to_strip(target, destination.name, frames, before)


def _take_own_action(target: bpy.types.Object, name: str) -> None:
    """Assign the action that belongs to this target and name, emptied; the one there before stays in the file."""
    data = target.animation_data
    own = next((a for a in bpy.data.actions if a.get(MADE_FOR) == f"{target.name_full} {name}"), None)
    if data.action and data.action != own:
        data.action.use_fake_user = True
    if own is None:
        own = bpy.data.actions.new(name)
        own[MADE_FOR] = f"{target.name_full} {name}"
    data.action = own
    if hasattr(data, "action_slot"):
        slot = next((s for s in own.slots if s.target_id_type == "OBJECT"), None)
        data.action_slot = slot or own.slots.new(id_type="OBJECT", name=target.name)
    curves, groups = animation.keyed(target, name)
    for group in list(groups):
        groups.remove(group)
    curves.clear()


def _to_strip(target: bpy.types.Object, name: str, frames: np.ndarray, before: tuple) -> None:
    """Move the assigned action into a strip of its own track, and give the target back what it had before."""
    data = target.animation_data
    action, slot = data.action, getattr(data, "action_slot", None)
    track = next((t for t in data.nla_tracks if any(s.action == action for s in t.strips)), None)
    if track is None:
        track = data.nla_tracks.new()
        track.name = name
    for strip in list(track.strips):
        if strip.action == action:
            track.strips.remove(strip)
    strip = track.strips.new(action.name, int(np.floor(frames[0])), action)
    if slot is not None:
        strip.action_slot = slot
    strip.frame_start, strip.frame_end = frames[0], max(frames[-1], frames[0] + 1)
    data.action = before[0] if before[0] != action else None
    if data.action and before[1] is not None:
        data.action_slot = before[1]


def _channels(target: bpy.types.Object, posed: Posed, parts: Collection[str]) -> Iterator[Channel]:
    rig, controls = posed.controls.rig, posed.controls
    rotations, locations = controls.pose(posed.rotations, posed.heads, posed.base, posed.moved)
    wanted = {bone for part in parts if part in body.PARTS for bone in body.PARTS[part]}
    wanted |= {"root"} if "path" in parts else set()
    canonical = {bone: body.kind(name) for name, chain in posed.chains.items() for bone in chain}
    for n, bone in enumerate(controls.bones):
        name, kind = rig.names[bone], canonical[bone]
        path = f'pose.bones["{bpy.utils.escape_identifier(name)}"].'
        if n in posed.moved and ("path" if kind == "hips" else kind) in {*wanted, *parts}:
            for axis in range(3):
                yield Channel(f"{path}location", axis, name, locations[n][:, axis])
        if kind not in wanted:
            continue
        values = rot.in_mode(rotations[:, n], rig.modes[bone])
        for axis in range(values.shape[1]):
            yield Channel(path + rot.attribute(rig.modes[bone]), axis, name, values[:, axis])
    if "path" in parts and _travels(posed):
        yield from _object_channels(target, posed.base)


def _limb_channels(posed: Posed, limbs: Collection[Inverse], parts: Collection[str]) -> Iterator[Channel]:
    rig = posed.controls.rig
    wanted = [limb for limb in limbs if ("arms" if body.kind(limb.end) == "hand" else "legs") in parts]
    places = inverse.controls(posed, wanted)
    carriers = {} if "root" not in posed.chains else {posed.chains["root"][0]: "root"}
    bones = {rig.names.index(name): name for name in places}
    controls = Controls(rig, (*carriers, *bones), {limb.control: limb.follows for limb in wanted}
                        | {limb.pole: limb.follows for limb in wanted})  # fmt: skip
    heads = np.empty((len(posed.frames), len(controls.bones), 3))
    rotations = np.tile(rot.IDENTITY, (*heads.shape[:2], 1))
    for n, bone in enumerate(controls.bones):
        if bone in carriers:
            heads[:, n], rotations[:, n] = posed.heads[:, posed.index("root")], posed.rotations[:, posed.index("root")]
            continue
        heads[:, n], turned = places[bones[bone]]
        if turned is not None:
            rotations[:, n] = turned
    moved = [n for n, bone in enumerate(controls.bones) if bone in bones]
    held, locations = controls.pose(rotations, heads, posed.base, moved)
    for n in moved:
        name = bones[controls.bones[n]]
        path = f'pose.bones["{bpy.utils.escape_identifier(name)}"].'
        for axis in range(3):
            yield Channel(f"{path}location", axis, name, locations[n][:, axis])
        if places[name][1] is not None:
            mode = rig.modes[controls.bones[n]]
            values = rot.in_mode(held[:, n], mode)
            for axis in range(values.shape[1]):
                yield Channel(path + rot.attribute(mode), axis, name, values[:, axis])


def _travels(posed: Posed) -> bool:
    return bool(np.ptp(posed.base, axis=0).any())


def _object_channels(target: bpy.types.Object, base: np.ndarray) -> Iterator[Channel]:
    """The object's own channels for it to be at `base` in the world."""
    parent = np.array(target.matrix_world @ target.matrix_basis.inverted_safe())
    scale = np.cbrt(np.linalg.det(parent[:3, :3]))
    axes = rot.matrix_to_quaternion(parent[:3, :3] / scale)
    at = rot.rotate(rot.conjugate(axes), base[:, :3] - parent[:3, 3]) / scale
    turned = rot.continuous(rot.multiply(rot.conjugate(axes), base[:, 3:]))
    for axis in range(3):
        yield Channel("location", axis, "Object Transforms", at[:, axis])
    values = rot.in_mode(turned, target.rotation_mode)
    for axis in range(values.shape[1]):
        yield Channel(rot.attribute(target.rotation_mode), axis, "Object Transforms", values[:, axis])


def _switched(target: bpy.types.Object, switches: Collection[Switch]) -> Iterator[Channel]:
    for switch in switches:
        bone = target.pose.bones.get(switch.bone)
        if bone is None or switch.property not in bone.keys():  # noqa: SIM118
            continue
        bone[switch.property] = type(bone[switch.property])(switch.value)
        path = f'pose.bones["{bpy.utils.escape_identifier(switch.bone)}"]["{switch.property}"]'
        yield Channel(path, 0, switch.bone, np.array([switch.value]))
