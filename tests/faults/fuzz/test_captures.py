"""Whole captures through the add-on's session: damaged videos, and a server that crashes in native code."""

import os
import random
import signal
from pathlib import Path

import pytest
from captures import begin, finish, wait
from damage import damage
from processes import left_over

from blender_vp3d.backend.job import JobState
from blender_vp3d.backend.session import Session

pytestmark = pytest.mark.faults
FRAMES = 12


def test_a_server_that_crashes(home: Path, clip: Path, tally):
    """As a flaw in a video decoder would end it, while it reads the video; the next capture starts another one."""
    row = tally("server crashes in native code")
    session = Session()
    job = begin(session, home, clip, FRAMES)
    wait(session, lambda: job.stage == "detect" or not job.active)
    crashed = session.server.pid
    os.kill(crashed, signal.SIGSEGV)
    wait(session, lambda: not job.active)
    row.count("sentence" if job.message.endswith(".") and job.hint else "speechless")
    assert job.state is JobState.FAILED and "(signal 11)" in job.message
    again = finish(session, begin(session, home, clip, FRAMES))
    assert again.state is JobState.DONE and session.server.pid != crashed, again.report()
    session.close()
    assert not left_over(home)
    row.note = "the next capture runs"
    row.check()


def test_captures_of_damaged_videos(home: Path, clip: Path, tmp_path: Path, tally):
    """One server for all of them, whose pictures go through every stage as far as they can be read."""
    row = tally("captures of damaged videos")
    content, servers, session = clip.read_bytes(), set(), Session()
    for number in range(12):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(damage(content, content[::-1], random.Random(number)))
        job = finish(session, begin(session, home, path, FRAMES))
        servers.add(session.server.pid)
        refused = job.state is JobState.FAILED and job.message.endswith(".") and not job.details
        row.count("accepted" if job.state is JobState.DONE else "sentence" if refused else "speechless")
    session.close()
    row.note = f"{len(servers)} server"
    assert len(servers) == 1, "none of them ended the server"
    row.check()
