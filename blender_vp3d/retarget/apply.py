"""Retargeting in one call: a source armature's animation becomes keyframes on a target armature."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import bpy
import numpy as np

from .. import contact_keys
from . import body
from . import rotations as rot
from .bake import PARTS, Destination, bake, standing
from .reach import reach
from .read import RetargetError, frame_range, read_motion, read_rig
from .tables import Bones, Inverse, Switch
from .transfer import Options, Posed, transfer

_FOLLOWS_DEG = 2.0  # a bone that is farther off than this after baking does not follow its keys


@dataclass(frozen=True)
class Job:
    """One source onto one target.

    Attributes:
        source: armature object with the motion.
        target: armature object that gets it.
        source_bones: canonical bone → bones of the source.
        target_bones: canonical bone → bones of the target.
        parents: see `tables.Table`.
        bends: see `tables.Table`.
        switches: see `tables.Table`.
        rest_frame: scene frame at which the source stands as others do at rest; None: its rest pose.
        inverse: limbs that follow inverse kinematics; see `tables.Table`.
        options: how to go from one body to the other.
        reach_feet: have the feet reach where the source's are, by bending the legs.
        reach_hands: the same for hands and arms.
        frames: first and last scene frame; None for all keys.
        step: every how many frames a key.
        destination: where the keys go.
    """

    source: bpy.types.Object
    target: bpy.types.Object
    source_bones: Bones
    target_bones: Bones
    parents: Mapping[str, str] = field(default_factory=dict)
    bends: Mapping[str, str] = field(default_factory=dict)
    switches: Collection[Switch] = ()
    inverse: Collection[Inverse] = ()
    options: Options = field(default_factory=Options)
    rest_frame: float | None = None
    reach_feet: bool = True
    reach_hands: bool = False
    frames: tuple[float, float] | None = None
    step: int = 1
    destination: Destination = field(default_factory=Destination)


def check(source: bpy.types.Object | None, target: bpy.types.Object | None) -> None:
    """Raise RetargetError, with a sentence, for objects that cannot be a source and a target."""
    if source is None or source.type != "ARMATURE":
        raise RetargetError("Choose the armature that has the motion.")
    if target is None or target.type != "ARMATURE":
        raise RetargetError("Choose the rig that shall get the motion.")
    if source == target:
        raise RetargetError("Source and rig are the same armature: choose another rig.")
    if target.library and not target.override_library:
        raise RetargetError(f"{target.name} is linked from another file: make a library override of it first "
                            "(Object, Library Override, Make).")  # fmt: skip
    if frame_range(source) is None and not source.constraints and not source.parent:
        posed = any(c for bone in source.pose.bones for c in bone.constraints)
        if not posed:
            raise RetargetError(f"{source.name} has no animation: choose an armature that moves.")


def missing(bones: Bones) -> list[str]:
    """Labels of the bones without which nothing can be retargeted and that a mapping lacks."""
    return [body.LABELS[bone] for bone in body.ESSENTIAL if not bones.get(bone)]


def _present(armature: bpy.types.Object, bones: Bones) -> Bones:
    """The mapped bones that the armature has; raises RetargetError where essential ones are not among them."""
    found = {bone: tuple(name for name in chain if name in armature.data.bones) for bone, chain in bones.items()}
    if lacking := missing(found):
        raise RetargetError(f"{armature.name} has no bone for {', '.join(lacking)}: fill these in the mapping.")
    return {bone: chain for bone, chain in found.items() if chain}


def pose_target(context: bpy.types.Context, job: Job) -> tuple[Posed, list[str]]:
    """The target's bones in the world, and sentences for the user; nothing in the file changes."""
    check(job.source, job.target)
    context.view_layer.update()
    source_bones, target_bones = _present(job.source, job.source_bones), _present(job.target, job.target_bones)
    if job.options.root_motion == "ROOT" and not target_bones.get("root"):
        raise RetargetError(f"{job.target.name} has no root bone in its mapping: let the object or the hips move.")
    span = job.frames or frame_range(job.source) or (context.scene.frame_start, context.scene.frame_end)
    frames = np.arange(np.floor(span[0]), np.ceil(span[1]) + 1, job.step)
    warnings = []
    names = [name for chain in source_bones.values() for name in chain]
    motion, stepped = read_motion(context, job.source, names, frames)
    if stepped:
        warnings.append(f"{job.source.name} was evaluated frame by frame, which takes longer: {stepped}.")
    if job.rest_frame is not None:
        stands, _ = read_motion(context, job.source, names, np.array([job.rest_frame], float))
        motion = replace(motion, rig=stands.as_rest())
    target = read_rig(job.target, standing(job.target))
    posed = transfer(
        motion,
        motion.rig.chains(source_bones),
        target,
        target.chains(target_bones),
        job.options,
        job.parents,
        job.bends,
    )
    ends = ("foot",) * job.reach_feet + ("hand",) * job.reach_hands
    for end in (f"{end}{side}" for end in ends for side in (".L", ".R")):
        if end in posed.chains and end in posed.joints:
            posed = reach(posed, end, posed.joints[end])
    return posed, warnings


def bake_target(context: bpy.types.Context, job: Job, posed: Posed) -> list[str]:
    """Bake what `pose_target` gave; sentences for the user where the rig does not follow its keys."""
    switches = {(switch.bone, switch.property): switch for switch in job.switches}
    switches |= {(switch.bone, switch.property): switch for limb in job.inverse for switch in limb.switches}
    bake(job.target, posed, job.destination, switches.values(), job.inverse)
    if job.destination.into == "ACTION":
        contact_keys.carry(job.source, job.target, posed.frames)
    off = _not_following(context, job, posed)
    if not off:
        return []
    names = ", ".join(off[:4]) + (f" and {len(off) - 4} more" if len(off) > 4 else "")
    return [f"{names} of {job.target.name} do not go where their keys say: "
            "look for constraints, locks or scaled bones."]  # fmt: skip


def retarget(context: bpy.types.Context, job: Job) -> list[str]:
    """Put a source's motion onto a target; the sentences returned are for the user.

    Raises:
        RetargetError: with a sentence; nothing has changed then.
    """
    posed, warnings = pose_target(context, job)
    return [*warnings, *bake_target(context, job, posed)]


def _not_following(context: bpy.types.Context, job: Job, posed: Posed) -> list[str]:
    """Driven bones that Blender evaluates to something else than was baked, at three frames."""
    if set(job.destination.parts) != set(PARTS) or job.destination.into == "NLA":
        return []
    rig, scene = posed.controls.rig, context.scene
    present, off = (scene.frame_current, scene.frame_subframe), {}
    for t in sorted({0, len(posed.frames) // 2, len(posed.frames) - 1}):
        frame = posed.frames[t]
        scene.frame_set(int(np.floor(frame)), subframe=float(frame % 1))
        seen = job.target.evaluated_get(context.evaluated_depsgraph_get())
        names = [rig.names[bone] for bone in posed.controls.bones]
        axes = np.array([(seen.matrix_world @ seen.pose.bones[name].matrix).to_3x3().normalized() for name in names])
        turned = rot.multiply(rot.conjugate(posed.rotations[t]), rot.matrix_to_quaternion(axes))
        angle = 2 * np.arctan2(np.linalg.norm(turned[:, 1:], axis=-1), np.abs(turned[:, 0]))
        off |= dict.fromkeys(name for name, a in zip(names, angle, strict=True) if np.degrees(a) > _FOLLOWS_DEG)
    scene.frame_set(present[0], subframe=present[1])
    return list(off)
