"""Captures with the real server, without Blender."""

import time
from collections.abc import Callable
from pathlib import Path

from blender_vp3d.backend.environment import read
from blender_vp3d.backend.job import Job
from blender_vp3d.backend.session import Session


def begin(session: Session, home: Path, clip: Path, frames: int | None = 24, **options: object) -> Job:
    """Start a capture of the first frames; at once, even where the server was started just before."""
    session._may_start_at = 0.0
    job = Job(clip, home / "takes" / "take.vp3d", {"people": "main", "end": frames, "detail": "fast", **options})
    session.start(job, read(home))
    return job


def wait(session: Session, condition: Callable[[], bool], seconds: float = 240.0) -> None:
    """Let a session work until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "took too long"
        session.tick()
        time.sleep(0.002)


def finish(session: Session, job: Job) -> Job:
    """Let a session work until the job has ended."""
    wait(session, lambda: not job.active)
    return job
