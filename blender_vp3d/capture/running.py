"""The running capture: the session that outlives file loads, and how its state reaches the panels."""

import time
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from .. import data_home, ticker
from ..backend.environment import Environment
from ..backend.job import Job, JobState
from ..backend.session import Session

session = Session()
"""The one session of this Blender."""

_drawn: object = None  # what the panels show, to draw again only when it changes
_listed_job = ""  # the finished job whose people were put into the list
_listed: tuple[Path, dict] | None = None


def start(job: Job, environment: Environment) -> None:
    """Begin a capture. With a window this returns at once; in background mode it returns when the job has ended."""
    session.idle_seconds = data_home.idle_seconds()
    session.start(job, environment)
    ticker.watch(tick)
    if bpy.app.background:
        while session.busy:
            tick()
            time.sleep(0.02)


def tick() -> bool:
    """Advance the session and bring panels up to date; True while there is something left to watch."""
    global _drawn, _listed_job
    watching = session.tick()
    job = session.job
    if job and job.state is JobState.DONE and job.id != _listed_job:
        _listed_job = job.id
        show(job.take, job.summary)
    if job and (now := (job.id, job.state, job.stage, job.done)) != _drawn:
        _drawn = now
        ticker.redraw()
    return watching


def show(take: Path, summary: dict) -> None:
    """Put a take's people into the list. `summary` is the protocol's `result.summary`."""
    global _listed
    _listed = take, summary
    bpy.context.window_manager.vp3d.show(take, summary)


@persistent
def _after_load(_file: str) -> None:
    # Blender may bring the file's own window manager, and with it an empty list or an old one
    if _listed:
        bpy.context.window_manager.vp3d.show(*_listed)


@persistent
def _before_exit(*_arguments: object, session: Session = session) -> None:
    # Its own `session`: Blender as a Python module calls this when the names of modules are gone already.
    session.close()


_HANDLERS = {"load_post": _after_load, "exit_pre": _before_exit}  # exit_pre: Blender 5.1 and newer


def register() -> None:
    """Listen to file loads and to Blender's end."""
    for name, handler in _HANDLERS.items():
        if hasattr(bpy.app.handlers, name):
            getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """Stop the server, the timer and the listening."""
    ticker.unregister()
    session.close()
    for name, handler in _HANDLERS.items():
        if handler in getattr(bpy.app.handlers, name, ()):
            getattr(bpy.app.handlers, name).remove(handler)
