"""Which objects of the scene come from which take: found again by what they carry, whatever the user called them."""

from pathlib import Path

import bpy

from .common.take import Take

_TAKE, _PERSON = "vp3d_take", "vp3d_person"


def identity(take: Take, path: Path) -> str:
    """What makes two takes the same one: the part of a video they show. A second capture updates the first."""
    video = take.video
    if not video.get("path"):
        return str(path.resolve())
    return f"{video['path']} {video.get('start')}:{video.get('end')}:{video.get('every')}"


def collection_of(scene: bpy.types.Scene, take: str, name: str) -> bpy.types.Collection:
    """The collection for a take, made where the scene has none."""
    for collection in scene.collection.children_recursive:
        if collection.get(_TAKE) == take:
            return collection
    collection = bpy.data.collections.new(name)
    collection[_TAKE] = take
    scene.collection.children.link(collection)
    return collection


def find(scene: bpy.types.Scene, kind: str, take: str, person: int = 0) -> bpy.types.Object | None:
    """The object of a kind ("ARMATURE", "CAMERA") that a take made for a person; 0 for what belongs to nobody."""
    for candidate in scene.objects:
        ours = candidate.get(_TAKE) == take and candidate.get(_PERSON) == person
        if ours and candidate.type == kind:
            return candidate
    return None


def people(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The armatures that takes made, in the order of the scene."""
    return [candidate for candidate in scene.objects if candidate.type == "ARMATURE" and candidate.get(_PERSON)]


def add(
    collection: bpy.types.Collection, name: str, data: bpy.types.ID, take: str, person: int = 0
) -> bpy.types.Object:
    """A new object that `find` will find."""
    made = bpy.data.objects.new(name, data)
    made[_TAKE], made[_PERSON] = take, person
    collection.objects.link(made)
    return made


def is_ours(candidate: bpy.types.Object) -> bool:
    """Whether a take made this object."""
    return _TAKE in candidate


def cameras(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The cameras that takes made, the scene's own camera first."""
    ours = [candidate for candidate in scene.objects if candidate.type == "CAMERA" and is_ours(candidate)]
    return sorted(ours, key=lambda camera: camera != scene.camera)


def people_of(scene: bpy.types.Scene, camera: bpy.types.Object) -> list[bpy.types.Object]:
    """The armatures of the take that a camera belongs to."""
    return [person for person in people(scene) if person.get(_TAKE) == camera.get(_TAKE)]
