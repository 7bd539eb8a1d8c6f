"""How sure the detector was of the joints that move a bone: a keyed custom property of each, and bone colours."""

import bpy
import numpy as np

from .. import animation
from ..animation import Channel
from ..common.armature import BONES, Bone
from ..common.skeletons import COCO_17

PROPERTY = "confidence"
"""Custom property of the armature and of each bone, 0 to 1."""

_CLASSES = (0.3, 0.6)  # below the first: unsure; from the second on: sure
_COLOURS = ((0.93, 0.26, 0.21), (0.98, 0.78, 0.22), (0.40, 0.80, 0.44))  # sRGB
_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_MIDDLE = {
    "hips": _HIPS,
    "spine": _HIPS + _SHOULDERS,
    "chest": _SHOULDERS,
    "neck": (*_SHOULDERS, "nose"),
    "head": _FACE,
}
_SIDE = {
    "shoulder": ("shoulder",), "upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("wrist",),
    "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "foot": ("ankle",), "toe": ("ankle",),
}  # fmt: skip
"""The joints in the plate that tell where a bone is."""


def of_bones(confidence: np.ndarray) -> np.ndarray:
    """(T, B) for `BONES`: mean over each one's joints, from (T, 17 or more) in COCO's order."""
    return np.stack([confidence[:, [COCO_17.index(joint) for joint in _joints(bone)]].mean(1) for bone in BONES], -1)


def write(person: bpy.types.Object, frames: np.ndarray, held: np.ndarray, confidence: np.ndarray) -> None:
    """Key the confidence of armature and bones; bone colours that show it follow.

    Args:
        person: the armature.
        frames: (K,) scene frames.
        held: (K,) bool, keys whose value stays until the next one.
        confidence: (K, 21) of the joints; an armature's is the mean over those that the detector reports at all.
    """
    reported = (confidence > 0).any(0)
    whole = confidence[:, reported].mean(1) if reported.any() else np.zeros(len(confidence))
    bones = of_bones(confidence)
    for owner, value in zip((person, *_bones(person)), (whole.mean(), *bones.mean(0)), strict=True):
        owner[PROPERTY] = float(value)
        owner.id_properties_ui(PROPERTY).update(
            min=0.0, max=1.0, description="How sure the detector was of the joints here, 0 to 1"
        )
    keys = [Channel(f'["{PROPERTY}"]', 0, "Capture", whole)]
    for bone, values in zip(BONES, bones.T, strict=True):
        keys.append(Channel(f'pose.bones["{bone.name}"]["{PROPERTY}"]', 0, bone.name, values))
    animation.write(person, person.name, frames, held, keys)
    if is_coloured(person):
        colour(person, frames, confidence)


def colour(person: bpy.types.Object, frames: np.ndarray, confidence: np.ndarray) -> None:
    """Key the bones' colours by confidence at scene frames (T,), where it passes from one class to another.

    `confidence` is (T, 17 or more) of the joints in COCO's order.
    """
    curves, groups = animation.keyed(person.data, person.data.name)
    for bone, values in zip(BONES, of_bones(confidence).T, strict=True):
        person.data.bones[bone.name].color.palette = "CUSTOM"
        level = np.digitize(values, _CLASSES)
        change = np.flatnonzero(np.append(True, np.diff(level) != 0))
        colours = np.array(_COLOURS)[level[change]]
        held = np.ones(len(change), bool)
        keys = [Channel(_path(bone), axis, bone.name, colours[:, axis]) for axis in range(3)]
        animation.put(curves, groups, frames[change], held, keys)


def uncolour(person: bpy.types.Object) -> None:
    """Take the keys of bone colours away."""
    animation.clear(person.data, {_path(bone) for bone in BONES})


def is_coloured(person: bpy.types.Object) -> bool:
    """Whether bone colours show confidence."""
    paths = {_path(bone) for bone in BONES}
    return any(curve.data_path in paths for curve in animation.curves_of(person.data))


def _bones(person: bpy.types.Object) -> list[bpy.types.PoseBone]:
    return [person.pose.bones[bone.name] for bone in BONES]


def _path(bone: Bone) -> str:
    return f'bones["{bone.name}"].color.custom.normal'


def _joints(bone: Bone) -> tuple[str, ...]:
    if not bone.side:
        return _MIDDLE[bone.name]
    side = {"L": "left", "R": "right"}[bone.side]
    return tuple(f"{side}_{joint}" for joint in _SIDE[bone.name.removesuffix(f".{bone.side}")])
