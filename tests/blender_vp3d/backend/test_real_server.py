"""A session with the real server; what kills it or Blender is in `tests/faults`."""

import pytest
from captures import begin, finish, wait
from processes import alive
from server_home import borrow_server

from blender_vp3d.backend.job import JobState
from blender_vp3d.backend.session import CANCEL_SECONDS, Session


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The server that is installed on this computer, with caches of its own."""
    return borrow_server(tmp_path_factory.mktemp("borrowed"))


@pytest.fixture
def session():
    one = Session()
    yield one
    one.close()


def test_cancel_is_honoured_and_the_server_stays(session, home, repository):
    job = begin(session, home, repository / "install" / "demo" / "salsa.mp4", None, detail="fine")
    wait(session, lambda: (job.stage == "detect" and job.done) or not job.active)
    assert job.active, job.message
    session.cancel()
    wait(session, lambda: not job.active, CANCEL_SECONDS)
    assert job.state is JobState.CANCELLED
    assert alive(session.server.pid), "a cancelled job costs no server"


def test_a_mistake_of_the_user_comes_back_as_a_sentence(session, home, tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    job = finish(session, begin(session, home, path))
    assert job.state is JobState.FAILED
    assert job.message.endswith(".")
    assert "notes.mp4" in job.message
    assert not job.details, "a trace is for our mistakes"
