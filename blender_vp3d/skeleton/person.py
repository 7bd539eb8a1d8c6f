"""One person of a take as an armature object with baked keyframes."""

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Vector

from .. import animation, belongings, contact_keys
from ..animation import Channel
from ..camera import observed
from ..clean import versions
from ..clean.contacts import tidied
from ..common import armature as bones
from ..common.ends import seen_ends
from ..common.take import Take
from . import confidence as confidences

COLOURS = {"L": (0.35, 0.70, 0.98), "R": (0.98, 0.63, 0.35), "": (0.83, 0.83, 0.81)}
"""sRGB of the left side, the right side and the middle, as in the drawings of 2D skeletons."""


def apply_person(
    context: bpy.types.Context,
    collection: bpy.types.Collection,
    take: Take,
    index: int,
    identity: str,
    frame_start: int,
) -> bpy.types.Object:
    """Make or update the armature of the person at `index`; the object stands at the origin, the hips move."""
    number = int(take.person_ids[index])
    times = take.frames / float(take.fps)
    motion = bones.solve(take.joints3d[index], take.contacts[index], times, seen_ends(take, index))
    name = f"VP3D Person {number}"
    person = belongings.find(context.scene, "ARMATURE", identity, number)
    if person is None:
        person = belongings.add(collection, name, bpy.data.armatures.new(name), identity, number)
        person.show_in_front = True
        person.data.display_type = "STICK"
    elif versions.shows_clean(person):
        versions.show(person, versions.raw(person))
    _shape(context, person.data, motion.rest)

    keyed = np.flatnonzero(motion.keyed)
    frames, held = frame_start + take.frames[keyed], np.append(np.diff(keyed) > 1, False)
    animation.write(person, name, frames, held, _channels(motion, keyed))
    confidences.write(person, frames, held, take.confidence[index, keyed])
    if not confidences.is_coloured(person):
        colour_sides(person.data)
    observed.keep(person, take, index, frame_start)
    observed.key_residual(person, frame_start + take.frames, take.residual_px[index])
    dt = take.video.get("every", 1) / float(take.fps)
    contacts = np.stack([tidied(down >= 0.5, dt) for down in take.contacts[index][keyed].T], axis=-1)
    contact_keys.write(person, frame_start + take.frames[keyed], contacts)
    return person


def _channels(motion: bones.Motion, keyed: np.ndarray) -> Iterator[Channel]:
    rest = motion.rest
    location = (motion.location[keyed] - rest.heads[0]) @ rest.matrices[0]
    for axis in range(3):
        yield Channel(f'pose.bones["{rest.names[0]}"].location', axis, rest.names[0], location[:, axis])
    for i, name in enumerate(rest.names):
        for axis in range(4):
            path = f'pose.bones["{name}"].rotation_quaternion'
            yield Channel(path, axis, name, motion.rotations[keyed, i, axis])


def _shape(context: bpy.types.Context, data: bpy.types.Armature, rest: bones.Rest) -> None:
    """Give an armature the rest pose; bones that the user added stay."""
    with _editing(context, data):
        edit = data.edit_bones
        for i, name in enumerate(rest.names):
            bone = edit.get(name) or edit.new(name)
            bone.use_connect = False
            bone.head, bone.tail = Vector(rest.heads[i]), Vector(rest.tails[i])
            bone.align_roll(Vector(rest.matrices[i][:, 2]))
        for name, parent in zip(rest.names, rest.parents, strict=True):
            if parent >= 0:
                edit[name].parent = edit[rest.names[parent]]
                edit[name].use_connect = bool(np.allclose(edit[name].head, edit[name].parent.tail, atol=1e-6))


def colour_sides(data: bpy.types.Armature) -> None:
    """Give the bones the colours of their sides."""
    for bone in bones.BONES:
        colour = data.bones[bone.name].color
        colour.palette = "CUSTOM"
        normal = np.array(COLOURS[bone.side])
        colour.custom.normal, colour.custom.select, colour.custom.active = normal, (1 + normal) / 2, (2 + normal) / 3


@contextmanager
def _editing(context: bpy.types.Context, data: bpy.types.Armature) -> Iterator[None]:
    """Edit mode on an armature, by an object of its own: the real one may be hidden, excluded or protected."""
    layer = context.view_layer
    active, selected = layer.objects.active, [chosen for chosen in layer.objects if chosen.select_get()]
    stand_in = bpy.data.objects.new(data.name, data)
    context.scene.collection.objects.link(stand_in)
    for chosen in selected:
        chosen.select_set(False)
    layer.objects.active = stand_in
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        yield
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.data.objects.remove(stand_in)
        layer.objects.active = active
        for chosen in selected:
            chosen.select_set(True)
