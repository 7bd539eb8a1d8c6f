"""Server and Blender, killed outright in every stage of a capture: nothing stays behind, finished work is kept."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from captures import begin, finish, wait
from processes import left_over, working_in

from blender_vp3d.backend.client import Phase
from blender_vp3d.backend.job import Job, JobState
from blender_vp3d.backend.session import Session
from blender_vp3d.common import take as takes

STAGES = ("load", "detect", "track", "background", "camera", "lift", "refine", "write")
"""As the server names them, in their order."""
FRAMES = 12

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes as Linux shows them")
every_stage = pytest.mark.parametrize(
    "stages", [("camera",), pytest.param(STAGES, marks=pytest.mark.faults)], ids=["one stage", "every stage"]
)


class Saved:
    """Results of stages on disk, from kill to kill: each has a number, and another one when it is made anew."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "cache" / "stages"
        self._known: dict[str, int] = {}

    def look(self) -> str:
        """What is kept of the results that were there at the last look."""
        now = {path.name: path.stat().st_ino for path in self._folder.glob("*.npz")}
        kept = [name for name, number in self._known.items() if now.get(name) == number]
        assert len(kept) == len(self._known), "finished work was done again"
        told, self._known = f"{len(kept)} of {len(self._known)} results", now
        return told

    def expect(self, stage: str) -> None:
        """Every stage before `stage`, but loading, has left its result."""
        assert len(self._known) >= STAGES.index(stage) - 1


def reached(job: Job, stage: str) -> bool:
    """Whether a job is in a stage, or past it: short ones may come and go between two looks."""
    return job.stage in STAGES[STAGES.index(stage) :]


@every_stage
def test_server(home: Path, clip: Path, tell: Callable[..., None], stages: tuple[str, ...]) -> None:
    saved, before = Saved(home), None
    for stage in stages:
        session = Session()
        job = begin(session, home, clip, FRAMES)
        wait(session, lambda job=job, stage=stage: reached(job, stage) or not job.active)
        assert reached(job, stage), job.report()
        os.kill(session.server.pid, 9)
        wait(session, lambda job=job: not job.active)
        kept = saved.look()
        if before:
            tell(*before[:3], kept, before[3])
        saved.expect(stage)
        orphans = left_over(home)
        assert not orphans
        if job.state is not JobState.DONE:  # the last stage may end as the blow falls
            assert job.message.startswith("The pose server was ended by the system or by somebody (signal 9)")
            assert job.hint.endswith("the capture goes on from there.")
            assert not job.take.exists()
        before = ("server killed", stage, len(orphans), job.message)
        session.close()
    session = Session()
    job = finish(session, begin(session, home, clip, FRAMES))
    assert job.state is JobState.DONE, job.report()
    assert len(takes.load(job.take).frames) == FRAMES
    tell(*before[:3], saved.look(), before[3])
    session.close()
    assert not left_over(home)


@pytest.mark.faults
def test_server_before_it_answers(home: Path, clip: Path, tell: Callable[..., None]) -> None:
    session = Session()
    job = begin(session, home, clip, FRAMES)
    wait(session, lambda: session.server is not None)
    assert session.server.phase is not Phase.READY
    os.kill(session.server.pid, 9)
    finish(session, job)
    assert job.state is JobState.DONE, job.report()
    session.close()
    orphans = left_over(home)
    assert not orphans
    tell("server killed", "start", len(orphans), "by itself", job.message)


@every_stage
def test_blender(
    home: Path, clip: Path, bpy_python: Path, repository: Path, tell: Callable[..., None], stages: tuple[str, ...]
) -> None:
    saved, before = Saved(home), None
    script = [bpy_python, Path(__file__).with_name("capture_in_blender.py"), clip, str(FRAMES)]
    for stage in (*stages, None):
        with subprocess.Popen(
            script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "VP3D_HOME": str(home)}
        ) as blender:
            told: dict = {}
            while not ("state" in told or "error" in told or (stage and told.get("stage") == stage)):
                line = blender.stdout.readline()
                assert line, "Blender ended"
                told = json.loads(line) if line.startswith(b"{") else told
            if stage:
                assert len(working_in(home)) == 2, "Blender and one server"
                blender.kill()
        orphans = left_over(home)
        assert not orphans
        kept = saved.look()
        if before:
            tell(*before, kept)
        if stage:
            saved.expect(stage)
            before = ("Blender killed", stage, len(orphans))
    assert told["state"] == "done", told
    assert len(takes.load(told["take"]).frames) == FRAMES
