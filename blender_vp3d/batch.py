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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m blender_vp3d.batch", description=__doc__.split("\n", 1)[0])
    parser.add_argument("take", type=Path, help="the take, NAME.vp3d")
    parser.add_argument("--blend", type=Path, help="Blender file to write")
    parser.add_argument("--people", type=_numbers, help="ids of the people to build, such as 1,3; default: everyone")
    parser.add_argument("--render", type=Path, metavar="FOLDER", help="render every frame into this folder")
    parser.add_argument("--width", type=int, help="width of the pictures in px (default: 640 for the longer side)")
    parser.add_argument("--frames", type=_numbers, help="frames of the video to render, such as 0,60; default: all")
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="render transparent pictures with the overlay, to lay over the undistorted plate",
    )
    options = parser.parse_args(arguments)
    progress = _json_lines()
    # Blender's module speaks on stdout as soon as it is imported.
    from . import headless
    from .common import take as takes

    try:
        take_path = options.take.resolve()
        take = takes.load(take_path)
        progress("blend", 0, 1)
        applied = headless.build(take, take_path, options.blend.resolve() if options.blend else None, options.people)
        progress("blend", 1, 1)
        for warning in applied.warnings:
            sys.stderr.write(f"{warning}\n")
        if options.render:
            headless.render(
                take,
                applied,
                options.render.resolve(),
                options.width,
                progress,
                overlay=options.overlay,
                frames=options.frames,
            )
    except takes.TakeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _json_lines() -> Callable[[str, int, int], None]:
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
