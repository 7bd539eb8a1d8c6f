"""A take becomes a .blend file, and pictures of it, without a window.

    python -m blender_vp3d.batch TAKE --blend OUT.blend [--render FOLDER --width 640]

runs in a Python with Blender's `bpy` module. Progress goes to stdout as JSON lines, {"stage", "done", "total"};
everything that Blender says goes to stderr. An error is one sentence on stderr and exit status 1.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy

from . import picture
from .common import armature
from .common import take as takes
from .skeleton import Applied, apply_take

Progress = Callable[[str, int, int], None]
_FRAME_START = 1


def build(take: takes.Take, take_path: Path, blend: Path | None, person_ids: Sequence[int] | None = None) -> Applied:
    """Build a take into an empty scene and save it; the file names the video relative to itself.

    Raises:
        TakeError: when the take has nobody, or the file cannot be written.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    applied = apply_take(bpy.context, take, take_path, person_ids, frame_start=_FRAME_START)
    if blend:
        for clip in bpy.data.movieclips:
            clip.filepath = _relative(clip.filepath, blend.parent)
        try:
            blend.parent.mkdir(parents=True, exist_ok=True)
            bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=False)
        except (OSError, RuntimeError) as error:
            raise takes.TakeError(f"{blend} cannot be written: {error}") from error
    return applied


def render(take: takes.Take, applied: Applied, folder: Path, width: int, progress: Progress) -> None:
    """Render every frame of the take through its camera as `folder`/NUMBER.png, NUMBER being the video's frame.

    The scene is no longer fit to be saved afterwards.
    """
    scene, people = (
        bpy.context.scene,
        [take.person_ids.tolist().index(person["vp3d_person"]) for person in applied.people],
    )
    shapes = picture.set_stage(scene, applied.people, width)
    times = take.frames / float(take.fps)
    seen = [armature.keyed(take.joints3d[i], times) for i in people]
    for done, (number, *visible) in enumerate(zip(take.frames.tolist(), *seen, strict=True), 1):
        for shape, show in zip(shapes, visible, strict=True):
            shape.hide_render = not show
        picture.render(scene, _FRAME_START + number, folder / f"{number:06d}.png")
        progress("render", done, len(take.frames))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m blender_vp3d.batch", description=__doc__.split("\n", 1)[0])
    parser.add_argument("take", type=Path, help="the take, NAME.vp3d")
    parser.add_argument("--blend", type=Path, help="Blender file to write")
    parser.add_argument("--people", help="ids of the people to build, such as 1,3; default: everyone")
    parser.add_argument("--render", type=Path, metavar="FOLDER", help="render every frame into this folder")
    parser.add_argument("--width", type=int, default=640, help="width of the pictures in px (default: %(default)s)")
    options = parser.parse_args(arguments)
    ids = [int(number) for number in options.people.split(",")] if options.people else None
    progress = _json_lines()
    try:
        take_path = options.take.resolve()
        take = takes.load(take_path)
        progress("blend", 0, 1)
        applied = build(take, take_path, options.blend.resolve() if options.blend else None, ids)
        progress("blend", 1, 1)
        for warning in applied.warnings:
            sys.stderr.write(f"{warning}\n")
        if options.render:
            render(take, applied, options.render.resolve(), options.width, progress)
    except takes.TakeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _relative(path: str, folder: Path) -> str:
    try:
        return bpy.path.relpath(path, start=str(folder))
    except ValueError:  # another drive on Windows
        return path


def _json_lines() -> Progress:
    """Progress on what is stdout now; from here on Blender's own chatter on stdout goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def progress(stage: str, done: int, total: int) -> None:
        stream.write(json.dumps({"stage": stage, "done": done, "total": total}) + "\n")
        stream.flush()

    return progress


if __name__ == "__main__":
    status = main()
    # Blender's module before 5.0 crashes while the interpreter shuts down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
