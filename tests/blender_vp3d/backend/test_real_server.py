"""The life cycle with the real server: killed at every stage, orphaned, cancelled."""

import os
import subprocess
import sys
import time

import pytest
from processes import alive
from server_home import borrow_server

from blender_vp3d.backend.environment import read
from blender_vp3d.backend.job import Job, JobState
from blender_vp3d.backend.session import Session
from blender_vp3d.common import take as takes

STAGES = ("load", "detect", "lift", "refine")
GONE_SECONDS = 2.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The server that is installed on this computer, with caches of its own."""
    return read(borrow_server(tmp_path_factory.mktemp("borrowed")))


@pytest.fixture(scope="module")
def clip(repository):
    return repository / "install" / "demo" / "salsa.mp4"


@pytest.fixture
def session():
    one = Session()
    yield one
    one.close()


def begin(session, environment, clip, **options):
    session._may_start_at = 0.0
    job = Job(clip, environment.home / "take.vp3d", {"people": "main", "end": 24, "detail": "fast", **options})
    session.start(job, environment)
    return job


def wait(session, condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "took too long"
        session.tick()
        time.sleep(0.002)


def test_killed_at_every_stage_and_resumed(session, environment, clip):
    for stage in STAGES:
        job = begin(session, environment, clip)
        wait(session, lambda job=job, stage=stage: job.stage == stage or not job.active)
        assert job.stage == stage, job.message
        os.kill(session.server.pid, 9)
        wait(session, lambda job=job: not job.active)
        assert job.state is JobState.FAILED
        assert "signal 9" in job.message
        assert "goes on from there" in job.hint
        assert not job.take.exists()
    job = begin(session, environment, clip)
    wait(session, lambda: not job.active)
    assert job.state is JobState.DONE, job.report()
    take = takes.load(job.take)
    assert job.summary["people"][0]["frames"] > 0
    assert take.report["timings"]["detect"]["cached"], "what was finished before the kill was done again"
    assert take.report["timings"]["lift"]["cached"]


def test_cancel_is_honoured_and_the_server_stays(session, environment, clip):
    job = begin(session, environment, clip, detail="fine", end=None)
    wait(session, lambda: (job.stage == "detect" and job.done) or not job.active)
    assert job.active, job.message
    session.cancel()
    began = time.monotonic()
    wait(session, lambda: not job.active)
    assert job.state is JobState.CANCELLED
    assert time.monotonic() - began < 5.0
    assert alive(session.server.pid), "a cancelled job costs no server"


def test_a_mistake_of_the_user_comes_back_as_a_sentence(session, environment, tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    job = begin(session, environment, path)
    wait(session, lambda: not job.active)
    assert job.state is JobState.FAILED
    assert job.message.endswith(".")
    assert "notes.mp4" in job.message
    assert not job.details, "a trace is for our mistakes"


PARENT = """
import sys, time
from pathlib import Path
from blender_vp3d.backend.environment import read
from blender_vp3d.backend.job import Job
from blender_vp3d.backend.session import Session
session = Session()
job = Job(Path(sys.argv[1]), Path(sys.argv[2]) / "b.vp3d", {"detail": "fine", "every": 2})
session.start(job, read(Path(sys.argv[2])))
told = False
while job.active:
    session.tick()
    time.sleep(0.01)
    if job.stage == "detect" and job.done and not told:
        told = True
        print(session.server.pid, flush=True)
sys.exit(job.message)
"""


def test_the_server_does_not_outlive_a_killed_blender(environment, clip, repository):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(clip), str(environment.home)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    server = int(parent.stdout.readline())
    assert alive(server)
    parent.kill()
    parent.wait()
    end = time.monotonic() + GONE_SECONDS
    while alive(server):
        assert time.monotonic() < end, "the server outlives Blender"
        time.sleep(0.02)
