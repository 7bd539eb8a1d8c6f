"""A take becomes a scene: armatures, camera, plate, frame rate, range and resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy

from .. import belongings
from ..camera.apply import apply_camera
from ..common.take import Take, TakeError
from ..texts import video_title
from .person import apply_person


@dataclass(frozen=True)
class Applied:
    """What `apply_take` made or updated.

    Attributes:
        collection: holds all of it.
        people: one armature object a person.
        camera: the camera object.
        warnings: sentences for the user.
    """

    collection: bpy.types.Collection
    people: tuple[bpy.types.Object, ...]
    camera: bpy.types.Object
    warnings: tuple[str, ...]


def apply_take(
    context: bpy.types.Context,
    take: Take,
    take_path: Path | str,
    person_ids: Sequence[int] | None = None,
    *,
    frame_start: int = 1,
) -> Applied:
    """Build a take into the scene, or update what an earlier call built from the same part of the same video.

    Video frame f shows, and has its keys, at scene frame `frame_start + f`.

    Args:
        context: its scene and view layer are used.
        take: what to build.
        take_path: where it was read from; a video that moved with it is found beside it.
        person_ids: whom to build; None for everyone with a pose.
        frame_start: scene frame of the video's first frame.

    Raises:
        TakeError: in a sentence, when there is nobody to build.
    """
    path = Path(take_path)
    ids = take.person_ids.tolist()
    people = [i for i, number in enumerate(ids) if person_ids is None or number in person_ids]
    posed = [i for i in people if take.present(i).any()]
    if not posed:
        raise TakeError(f"{path.name} has no 3D pose of the people chosen: choose others, or capture the video again.")
    warnings = [f"Person {ids[i]} has no 3D pose and was left out." for i in people if i not in posed]

    if context.object and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    identity = belongings.identity(take, path)
    title = video_title(take.video.get("name", "")) or path.stem
    collection = belongings.collection_of(context.scene, identity, f"VP3D {title}")
    armatures = [apply_person(context, collection, take, i, identity, frame_start) for i in posed]
    camera, notes = apply_camera(context.scene, collection, take, posed, path, identity, frame_start)
    _set_time(context.scene, take, frame_start)
    return Applied(collection, tuple(armatures), camera, (*warnings, *notes))


def _set_time(scene: bpy.types.Scene, take: Take, frame_start: int) -> None:
    render = scene.render
    render.fps = max(1, round(take.fps))
    render.fps_base = float(render.fps / take.fps)
    scene.frame_start = frame_start + int(take.frames[0])
    scene.frame_end = frame_start + int(take.frames[-1])
    scene.frame_set(min(max(scene.frame_current, scene.frame_start), scene.frame_end))
