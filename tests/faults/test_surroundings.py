"""Disks, clocks and neighbours that misbehave, and a server that hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from captures import begin, finish, wait
from processes import left_over

from blender_vp3d.backend import session
from blender_vp3d.backend.client import Server
from blender_vp3d.backend.environment import Environment
from blender_vp3d.backend.job import JobState
from blender_vp3d.backend.session import Session
from blender_vp3d.common import take as takes

FRAMES = 12
JUMPS = """
import time
real, turn = time.time, [0]
def jumping():
    turn[0] += 1
    return real() + (-1) ** turn[0] * 365 * 86400
time.time = jumping
"""
"""Puts every look at the clock a year ahead, then a year back."""
SMALL_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
"""
"""No file grows beyond 8 kB, as on a disk that is nearly full."""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="causes faults as Linux lets them be caused"),
    pytest.mark.faults,
]


@pytest.fixture
def sessions(home: Path) -> Iterator[Callable[..., Session]]:
    """Makes sessions whose servers first run some code; at the end nothing may be left of them."""
    made = []

    def make(before: str = "") -> Session:
        code = f"{before}\nimport runpy, sys\nsys.argv[0] = 'vp3d'\nrunpy.run_module('vp3d', run_name='__main__')"

        def start(environment: Environment) -> Server:
            return Server(environment, [str(environment.python), "-I", "-B", "-u", "-X", "utf8", "-c", code, "serve"])

        made.append(Session(start))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert not left_over(home)


def work(stage: str) -> Callable[[object], bool]:
    return lambda job: job.stage == stage or not job.active


def orphans_of(one: Session, home: Path) -> int:
    """End a session; how many processes stay behind in a home folder, where none may."""
    one.close()
    orphans = left_over(home)
    assert not orphans
    return len(orphans)


def test_full_disk(
    sessions: Callable[..., Session], home: Path, clip: Path, small_disk: Path, tell: Callable[..., None]
) -> None:
    """The data folder's disk is full: the take goes elsewhere, and the next one home again."""
    for entry in home.iterdir():
        (small_disk / entry.name).symlink_to(entry)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space"):
        while True:
            ballast.write(bytes(4096))
    one = sessions()
    job = finish(one, begin(one, small_disk, clip, FRAMES))
    assert job.state is JobState.DONE, job.report()
    assert job.take.parent != small_disk / "takes"
    assert len(takes.load(job.take).frames) == FRAMES
    job.take.unlink()
    (small_disk / "ballast").unlink()
    again = finish(one, begin(one, small_disk, clip, FRAMES))
    assert again.take.parent == small_disk / "takes"
    tell("disk full", "write", orphans_of(one, small_disk), "kept elsewhere", job.summary["warnings"][0])


def test_no_room_for_any_file(
    sessions: Callable[..., Session], home: Path, clip: Path, tell: Callable[..., None]
) -> None:
    one = sessions(SMALL_FILES)
    job = finish(one, begin(one, home, clip, FRAMES))
    assert job.state is JobState.FAILED
    assert "cannot be written" in job.message
    assert not job.details
    assert not list((home / "takes").glob("*")), "no half of a take"
    orphans = orphans_of(one, home)
    again = sessions()
    assert finish(again, begin(again, home, clip, FRAMES)).state is JobState.DONE
    tell("no file over 8 kB", "write", orphans, "nothing could be kept", job.message)


def test_read_only_home(
    sessions: Callable[..., Session], home: Path, clip: Path, small_disk: Path, tell: Callable[..., None]
) -> None:
    for entry in home.iterdir():
        (small_disk / entry.name).symlink_to(entry)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    one = sessions()
    job = finish(one, begin(one, small_disk, clip, FRAMES))
    assert job.state is JobState.FAILED
    assert job.message.startswith(f"Nothing can be written to {small_disk}")
    assert "Data Folder" in job.hint
    tell("read-only home", "start", orphans_of(one, small_disk), "", f"{job.message} {job.hint}")


def test_jumping_clock(
    sessions: Callable[..., Session], home: Path, clip: Path, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On both sides, at every look."""
    jumping: dict = {}
    monkeypatch.setattr(time, "time", time.time)
    exec(JUMPS, jumping)
    one = sessions(JUMPS)
    job = finish(one, begin(one, home, clip, FRAMES))
    assert job.state is JobState.DONE, job.report()
    take = takes.load(job.take)
    assert all(timing["seconds"] < 1000 for timing in take.report["timings"].values())
    assert one.server is not None, "it did not count as idle"
    tell("clock jumps by years", "all", orphans_of(one, home), "not needed")


def test_three_blenders(
    home: Path, clip: Path, bpy_python: Path, tell: Callable[..., None], sessions: Callable[..., Session]
) -> None:
    """Of three that capture the same clip into the same folder one is killed; the others do not notice."""
    script = [bpy_python, Path(__file__).with_name("capture_in_blender.py"), clip, str(FRAMES)]
    first, *others = [
        subprocess.Popen(
            script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "VP3D_HOME": str(home)}
        )
        for _ in range(3)
    ]
    for line in first.stdout:
        if b'"detect"' in line:
            break
    first.kill()
    told = []
    for blender in others:
        lines = blender.communicate(timeout=300)[0].splitlines()
        told.append(json.loads(next(line for line in lines if b'"state"' in line or b'"error"' in line)))
    first.communicate()
    orphans = left_over(home)
    assert not orphans
    assert [one.get("state") for one in told] == ["done", "done"], told
    assert told[0]["take"] != told[1]["take"]
    assert all(len(takes.load(one["take"]).frames) == FRAMES for one in told)
    tell("three Blenders, one killed", "detect", len(orphans), "not needed")


def test_hung_server_is_cancelled(
    sessions: Callable[..., Session], home: Path, clip: Path, tell: Callable[..., None]
) -> None:
    one = sessions()
    job = begin(one, home, clip, FRAMES)
    wait(one, lambda: work("camera")(job))
    os.kill(one.server.pid, signal.SIGSTOP)
    began = time.monotonic()
    one.cancel()
    wait(one, lambda: not job.active)
    assert job.state is JobState.CANCELLED
    assert time.monotonic() - began < session.SILENCE_SECONDS, "Cancel ended it"
    orphans = left_over(home)
    assert not orphans
    again = finish(one, begin(one, home, clip, FRAMES))
    assert again.state is JobState.DONE, again.report()
    assert takes.load(again.take).report["timings"]["detect"]["cached"]
    tell("server stopped, Cancel", "camera", len(orphans), "yes", "Stopped; finished stages are kept")


def test_hung_server_is_noticed(
    sessions: Callable[..., Session],
    home: Path,
    clip: Path,
    tell: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "SILENCE_SECONDS", 20.0)  # above what a busy machine makes a sign of life wait
    one = sessions()
    job = begin(one, home, clip, FRAMES)
    wait(one, lambda: work("camera")(job))
    os.kill(one.server.pid, signal.SIGSTOP)
    wait(one, lambda: not job.active)
    assert job.state is JobState.FAILED
    orphans = left_over(home)
    assert not orphans
    again = finish(one, begin(one, home, clip, FRAMES))
    assert takes.load(again.take).report["timings"]["detect"]["cached"]
    tell("server stopped, left alone", "camera", len(orphans), "yes", f"{job.message} {job.hint}")


def test_hung_server_at_exit(
    sessions: Callable[..., Session], home: Path, clip: Path, tell: Callable[..., None]
) -> None:
    one = sessions()
    job = begin(one, home, clip, FRAMES)
    wait(one, lambda: work("detect")(job))
    os.kill(one.server.pid, signal.SIGSTOP)
    began = time.monotonic()
    one.close()
    assert time.monotonic() - began < 60, "it was not waited for"
    tell("server stopped, Blender quits", "detect", orphans_of(one, home))
