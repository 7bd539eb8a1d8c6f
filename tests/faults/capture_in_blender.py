"""A capture in Blender as a module, `python capture_in_blender.py CLIP FRAMES`: stages and end as JSON lines."""

import json
import os
import sys
from pathlib import Path

clip, frames = sys.argv[1:]
sys.path.insert(0, str(Path(__file__).parents[2]))

import bpy  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.backend.job import Job  # noqa: E402
from blender_vp3d.capture import running  # noqa: E402

_handle = Job.handle
_last = ""


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _handle_and_say(job: Job, message: dict) -> None:
    global _last
    _handle(job, message)
    if job.stage != _last:
        _last = job.stage
        _say(stage=job.stage)


Job.handle = _handle_and_say
bpy.ops.wm.read_factory_settings(use_empty=True)
blender_vp3d.register()
settings = bpy.context.scene.vp3d
settings.video, settings.detail = clip, "fast"
settings.use_range, settings.first, settings.last = True, 1, int(frames)
try:
    bpy.ops.vp3d.capture()
except RuntimeError as error:
    _say(error=str(error))
else:
    job = running.session.job
    _say(state=job.state.value, take=str(job.take))
blender_vp3d.unregister()
os._exit(0)  # Blender's module before 5.0 crashes while the interpreter shuts down
