"""The session against `peer.py`, a process that misbehaves in a chosen way over a real socket."""

import os
import sys
import time
from pathlib import Path

import pytest
from processes import alive

from blender_vp3d.backend import client, session
from blender_vp3d.backend.client import Phase, Server, ServerError
from blender_vp3d.backend.environment import Environment, Remedy, State
from blender_vp3d.backend.job import Job, JobState
from blender_vp3d.backend.session import Session

PEER = Path(__file__).with_name("peer.py")
TICK_LIMIT = 0.05


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Servers that do not end by themselves are told to after a moment."""
    monkeypatch.setattr(client, "STOP_SECONDS", 0.3)


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path, State.READY)


@pytest.fixture
def sessions():
    """A function that makes a session with a misbehaving server; all of them are closed at the end."""
    made = []

    def make(mode):
        made.append(Session(lambda environment: Server(environment, [sys.executable, "-u", str(PEER), mode])))
        return made[-1]

    yield make
    for one in made:
        one.close()


def new_job(tmp_path):
    return Job(tmp_path / "a.mp4", tmp_path / "a.vp3d", {"people": "main"})


def run(one, job, environment, until=lambda job: not job.active, seconds=120.0):
    one.start(job, environment)
    wait(one, lambda: until(job), seconds)


def wait(one, condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "took too long"
        one.tick()
        time.sleep(0.005)


@pytest.mark.parametrize("mode", ["in pieces", "in one burst", "dies after the result"])
def test_result_however_the_bytes_arrive(sessions, environment, tmp_path, mode):
    one, job = sessions(mode), new_job(tmp_path)
    run(one, job, environment)
    assert job.state is JobState.DONE, job.message
    assert (job.stage, job.done, job.total, job.fps) == ("détect", 50, 50, 12.5)
    assert job.summary == {"people": [], "warnings": []}


@pytest.mark.parametrize("mode", ["in pieces", "in one burst", "dies at start", "refuses", "not JSON"])
def test_no_tick_waits(sessions, environment, tmp_path, monkeypatch, mode):
    """A busy machine may interrupt any tick; one that waits is long every time."""
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.1)
    longest = []
    while not longest or (min(longest) > TICK_LIMIT and len(longest) < 5):
        one = sessions(mode)
        run(one, new_job(tmp_path), environment)
        longest.append(one.longest_tick)
    assert min(longest) < TICK_LIMIT


def test_one_server_serves_the_next_job(sessions, environment, tmp_path):
    one = sessions("in one burst")
    run(one, new_job(tmp_path), environment)
    pid, again = one.server.pid, new_job(tmp_path)
    run(one, again, environment)
    assert (again.state, one.server.pid) == (JobState.DONE, pid)


def test_another_environment_gets_a_server_of_its_own(sessions, environment, tmp_path):
    one = sessions("in one burst")
    run(one, new_job(tmp_path), environment)
    old = one.server
    one._may_start_at = 0.0
    run(one, new_job(tmp_path), Environment(tmp_path / "other", State.READY))
    assert one.server.pid != old.pid
    wait(one, lambda: old.phase is Phase.GONE)
    assert not alive(old.pid)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("dies at start", "stopped unexpectedly (exit code 1)"),
        ("refuses", "does not accept a connection"),
        ("not JSON", "cannot be understood"),
        ("endless line", "too long"),
        ("damaged ready file", "ready file is damaged"),
    ],
)
def test_a_server_that_does_not_come_up_is_tried_twice_and_no_more(
    sessions, environment, tmp_path, monkeypatch, mode, words
):
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.3)
    one, job = sessions(mode), new_job(tmp_path)
    began = time.monotonic()
    run(one, job, environment)
    assert job.state is JobState.FAILED
    assert words in job.message
    assert job.hint.startswith("It was started 2 times.")
    assert one._attempts == session.ATTEMPTS
    assert time.monotonic() - began >= 0.3, "the second start came too soon"
    wait(one, lambda: not one.tick())


@pytest.mark.parametrize(
    ("mode", "remedy", "hint"),
    [
        ("older", Remedy.UPDATE, "Update the environment of the pose server."),
        ("newer", None, "Update the add-on."),
    ],
)
def test_another_protocol_needs_an_update_and_no_second_start(sessions, environment, tmp_path, mode, remedy, hint):
    one, job = sessions(mode), new_job(tmp_path)
    run(one, job, environment)
    assert f"is {mode} than this add-on" in job.message
    assert (job.remedy, job.hint, job.lost) == (remedy, hint, True)
    assert one._attempts == 1


def test_trying_again_is_a_start_like_the_first(sessions, environment, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.1)
    one, job = sessions("dies at start"), new_job(tmp_path)
    run(one, job, environment)
    assert job.remedy is Remedy.REPAIR
    again = job.again()
    assert (again.video, again.take, again.options) == (job.video, job.take, job.options)
    assert again.id != job.id
    run(one, again, environment)
    assert (again.state, one._attempts) == (JobState.FAILED, session.ATTEMPTS)


def test_a_server_that_dies_before_it_began_is_replaced(sessions, environment, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.1)
    one, job = sessions("dies once"), new_job(tmp_path)
    run(one, job, environment)
    assert (job.state, one._attempts) == (JobState.DONE, 2)


def test_a_home_where_nothing_can_be_written(sessions, tmp_path):
    home = tmp_path / "home"
    home.touch()
    one, job = sessions("in one burst"), new_job(tmp_path)
    run(one, job, Environment(home, State.READY))
    assert job.message.startswith(f"Nothing can be written to {home}")
    assert "Data Folder" in job.hint
    assert one._attempts == 1


def test_a_hung_server_is_ended_and_a_pause_of_blender_is_no_silence(sessions, environment, tmp_path, monkeypatch):
    one, job = sessions("slow"), new_job(tmp_path)
    run(one, job, environment, until=lambda job: job.done)
    monkeypatch.setattr(session, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(session, "_LONGEST_PAUSE", 0.1)
    pid = one.server.pid
    time.sleep(0.7)  # as in a long render
    one.tick()
    one.tick()
    assert job.active
    wait(one, lambda: not job.active)
    assert job.message == "The pose server does not answer any more."
    assert "goes on from there" in job.hint
    wait(one, lambda: not one.tick())
    assert not alive(pid)


@pytest.mark.parametrize(("mode", "limit"), [("never ready", "START_SECONDS"), ("says nothing", "HELLO_SECONDS")])
def test_a_server_that_hangs_at_its_start(sessions, environment, tmp_path, monkeypatch, mode, limit):
    monkeypatch.setattr(client, limit, 0.5)
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.1)
    one, job = sessions(mode), new_job(tmp_path)
    run(one, job, environment)
    assert job.message == "The pose server takes too long to start."


def test_the_environment_has_no_python(environment, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.1)
    one, job = Session(), new_job(tmp_path)
    run(one, job, environment)
    assert job.message.startswith("The pose server cannot be started")
    assert "preferences" in job.hint


def test_a_server_that_dies_while_working(sessions, environment, tmp_path):
    one, job = sessions("dies while working"), new_job(tmp_path)
    run(one, job, environment)
    assert job.message == "The pose server stopped unexpectedly (exit code 7)."
    assert "last words" in job.details
    assert job.stage == "détect"
    assert one._attempts == 1, "a job that had begun is never started again by itself"


def test_a_killed_server(sessions, environment, tmp_path):
    one, job = sessions("slow"), new_job(tmp_path)
    run(one, job, environment, until=lambda job: job.done)
    os.kill(one.server.pid, 9)
    wait(one, lambda: not job.active)
    assert job.state is JobState.FAILED
    assert "signal 9" in job.message
    assert "Try again" in job.hint


def test_a_server_that_died_between_jobs_is_replaced(sessions, environment, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "RESPAWN_SECONDS", 0.1)
    one = sessions("in one burst")
    run(one, new_job(tmp_path), environment)
    os.kill(one.server.pid, 9)
    time.sleep(0.1)
    job = new_job(tmp_path)
    run(one, job, environment)
    assert job.state is JobState.DONE


def test_cancel(sessions, environment, tmp_path):
    one, job = sessions("slow"), new_job(tmp_path)
    run(one, job, environment, until=lambda job: job.done)
    one.cancel()
    assert job.state is JobState.CANCELLING
    wait(one, lambda: not job.active)
    assert job.state is JobState.CANCELLED
    assert one.server.phase is Phase.READY


def test_cancel_before_the_server_is_up(sessions, environment, tmp_path):
    one, job = sessions("never ready"), new_job(tmp_path)
    one.start(job, environment)
    one.tick()
    one.cancel()
    assert job.state is JobState.CANCELLED


def test_a_server_deaf_to_cancel_is_killed(sessions, environment, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "CANCEL_SECONDS", 0.3)
    one, job = sessions("deaf"), new_job(tmp_path)
    run(one, job, environment, until=lambda job: job.done)
    pid = one.server.pid
    one.cancel()
    wait(one, lambda: not job.active)
    assert job.state is JobState.CANCELLED
    wait(one, lambda: not one.tick())
    assert not alive(pid)


def test_close_ends_even_a_deaf_server_in_bounded_time(sessions, environment, tmp_path):
    one, job = sessions("deaf"), new_job(tmp_path)
    run(one, job, environment, until=lambda job: job.done)
    pid, began = one.server.pid, time.monotonic()
    one.close()
    assert time.monotonic() - began < 2 * 0.3 + 0.5
    assert not alive(pid)
    assert job.state is JobState.CANCELLED


def test_an_idle_server_may_end(sessions, environment, tmp_path):
    one, job = sessions("tires of waiting"), new_job(tmp_path)
    one.idle_seconds = 0.2
    run(one, job, environment)
    pid = one.server.pid
    wait(one, lambda: not one.tick())
    assert one.server is None
    assert not alive(pid)
    assert (job.state, job.message) == (JobState.DONE, "")


def test_the_token_is_in_no_process_list(environment, monkeypatch):
    server = Server(environment, [sys.executable, "-u", str(PEER), "slow"])
    try:
        assert server._token not in " ".join(server._process.args)
    finally:
        server.stop()
    assert not server._folder.exists(), "the ready file's folder is removed"


def test_logs_do_not_pile_up(tmp_path):
    for _ in range(client.LOGS_KEPT + 3):
        client.new_log(tmp_path, "server").write_text("x")
    assert len(list(tmp_path.glob("server-*.log"))) == client.LOGS_KEPT


def test_polling_a_stopped_server_is_harmless(environment):
    server = Server(environment, [sys.executable, "-u", str(PEER), "slow"])
    server.stop()
    assert server.poll() == []
    server.stop()


def test_a_lost_server_raises_once(environment):
    server = Server(environment, [sys.executable, "-u", str(PEER), "dies at start"])
    end = time.monotonic() + 10
    with pytest.raises(ServerError):
        while time.monotonic() < end:
            server.poll()
            time.sleep(0.01)
    server.stop()
    assert server.poll() == []
