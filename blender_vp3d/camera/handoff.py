"""Camera and skeletons for other programs: USD and Alembic by Blender's exporters, Nuke by the server's."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ..backend.environment import Environment, child_variables

_SECONDS = 120.0  # longest wait for the server's Python, which reads much from disk at its first start
_THICK = 0.1  # of a bone's length, half the width of what stands for it


class HandoffError(Exception):
    """What kept a file from being written; the message is a sentence for the user."""


def usd(context: bpy.types.Context, objects: Sequence[bpy.types.Object], path: Path) -> None:
    """Write objects over the scene's frame range, armatures as skeletons; metres, Z up. Raises HandoffError."""
    with _selected(context, objects):
        _run(
            bpy.ops.wm.usd_export,
            path,
            selected_objects_only=True,
            export_animation=True,
            export_armatures=True,
            export_materials=False,
            export_custom_properties=False,
        )


def alembic(context: bpy.types.Context, objects: Sequence[bpy.types.Object], path: Path) -> None:
    """Write objects over the scene's frame range; metres, Y up as Alembic has it. Raises HandoffError.

    Alembic knows no armatures: each bone becomes an object of its name, a slim solid that moves as the bone does.
    """
    people = [person for person in objects if person.type == "ARMATURE"]
    with _bones(context, people) as shapes, _selected(context, [*objects, *shapes]):
        _run(
            bpy.ops.wm.alembic_export,
            path,
            start=context.scene.frame_start,
            end=context.scene.frame_end,
            selected=True,
            export_custom_properties=False,
            as_background_job=False,
        )


def by_server(environment: Environment, take: Path, kind: str, path: Path, first_frame: int) -> None:
    """Let the server's Python write a take's camera as "nk" or "chan"; waits for it. Raises HandoffError."""
    arguments = ["export", str(take), "--to", kind, "--output", str(path), "--first-frame", str(first_frame)]
    try:
        done = subprocess.run(
            [str(environment.python), "-I", "-X", "utf8", "-m", "vp3d", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            env=child_variables(environment.home),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HandoffError(f"The server's Python cannot be run: {error}.") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason was given."]
        raise HandoffError(lines[-1].removeprefix("vp3d: "))


def _run(exporter: object, path: Path, **options: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if exporter(filepath=str(path), **options) != {"FINISHED"}:
            raise HandoffError(f"{path.name} was not written.")
    except (OSError, RuntimeError) as error:
        raise HandoffError(f"{path.name} cannot be written: {error}") from error


@contextmanager
def _selected(context: bpy.types.Context, objects: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Only these objects selected, and what was selected before again afterwards."""
    if context.object and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    layer = context.view_layer
    before, frame = [other for other in layer.objects if other.select_get()], context.scene.frame_current
    missing = [wanted.name for wanted in objects if wanted.name not in layer.objects or not wanted.visible_get()]
    if missing:
        raise HandoffError(f"{', '.join(missing)} cannot be written while hidden: show it first.")
    try:
        for other in before:
            other.select_set(False)
        for wanted in objects:
            wanted.select_set(True)
        yield
    finally:
        for wanted in objects:
            wanted.select_set(False)
        for other in before:
            other.select_set(True)
        context.scene.frame_set(frame)


@contextmanager
def _bones(context: bpy.types.Context, people: Sequence[bpy.types.Object]) -> Iterator[list[bpy.types.Object]]:
    """An object for each bone of some armatures, for as long as they are needed."""
    collection = bpy.data.collections.new("VP3D bones")
    context.scene.collection.children.link(collection)
    shapes = []
    try:
        for person in people:
            for bone in person.data.bones:
                mesh = bpy.data.meshes.new(bone.name)
                mesh.from_pydata(*_solid(bone.length))
                shape = bpy.data.objects.new(f"{person.name} {bone.name}", mesh)
                shape.parent, shape.parent_type, shape.parent_bone = person, "BONE", bone.name
                shape.matrix_parent_inverse = Matrix.Translation((0, -bone.length, 0))  # children start at the tail
                collection.objects.link(shape)
                shapes.append(shape)
        context.view_layer.update()
        yield shapes
    finally:
        for shape in shapes:
            bpy.data.meshes.remove(shape.data)
        bpy.data.collections.remove(collection)


def _solid(length: float) -> tuple[np.ndarray, list, list]:
    """Vertices, edges and faces of an octahedron from the origin to +Y `length`, as Blender draws bones."""
    w = _THICK * length
    corners = [(0, 0, 0), (w, w, w), (w, w, -w), (-w, w, -w), (-w, w, w), (0, length, 0)]
    sides = [(i, i % 4 + 1) for i in range(1, 5)]
    return np.array(corners), [], [(0, b, a) for a, b in sides] + [(5, a, b) for a, b in sides]
