"""Walks a windowed Blender through the steps of a test by a timer; the scripts beside this run inside Blender."""

import json
import time
import traceback
from collections.abc import Generator
from pathlib import Path

import bpy

SECONDS = 240.0


def run(steps: Generator[None, None, dict], result: str) -> None:
    """Take one step after another, write what they return as JSON to `result`, and quit whatever happens."""
    began = time.monotonic()

    def advance() -> float | None:
        try:
            next(steps)
            if time.monotonic() - began < SECONDS:
                return 0.05
            told = {"error": "took too long"}
        except StopIteration as end:
            told = end.value
        except BaseException:  # it is told to the test, and Blender has to end
            told = {"error": traceback.format_exc()}
        Path(result).write_text(json.dumps(told), encoding="utf-8")
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(advance, first_interval=1.0, persistent=True)
