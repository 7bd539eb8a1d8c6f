"""detectron2 from its source: checked before, built beside the environment, and without a trace when it fails."""

import subprocess
import sys

import pytest

from install import detectron2
from install.environments import SERVER
from install.errors import InstallError
from install.requirement_files import key
from install.setup import _Build

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="refused there, as the panel says")


@pytest.fixture
def server(home, transcript):
    """An environment that counts as the server's, with nothing in it but pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home.folder(SERVER)], check=True)
    plain = detectron2.PLAIN_LOCK
    home.record(SERVER, {"state": "ready", "backend": "cuda", "lock": plain, "key": key(SERVER, plain)})
    home.log(SERVER).parent.mkdir()
    return sorted(path.name for path in home.packages(SERVER).iterdir())


def refused(home, source, transcript) -> InstallError:
    with pytest.raises(InstallError) as raised:
        detectron2.install(home, str(source), transcript)
    assert "built from its source" in transcript.text and "C++ compiler" in transcript.text
    return raised.value


def test_what_is_missing_is_said_before_anything_is_done(home, server, transcript, tmp_path, monkeypatch) -> None:
    assert "There is no " in refused(home, tmp_path / "nowhere", transcript).message
    monkeypatch.setenv("CXX", "no-such-compiler --with-options")
    error = refused(home, tmp_path, transcript)
    assert "There is no C++ compiler (no-such-compiler)." in error.message
    assert "g++" in error.hint
    home.record(SERVER, None)
    assert "not ready" in refused(home, tmp_path, transcript).message


def test_what_was_added_before_it_failed_is_taken_away_again(
    home, server, small, make_wheel, transcript, tmp_path
) -> None:
    """Also what a run left behind that was killed while it added."""
    packages = home.packages(SERVER)
    (packages / "before").mkdir()
    _Build(home, SERVER, transcript, None)._install_pip()
    there = sorted(path.name for path in packages.iterdir())
    wheels = tmp_path / "wheels"  # one module, in which nothing of the network is
    make_wheel(wheels, "detectron2", "0.6")
    with pytest.raises(InstallError):
        detectron2._add(home, sorted(wheels.glob("detectron2-*.whl")), home.log(SERVER), transcript)
    assert sorted(path.name for path in packages.iterdir()) == there
    assert "extras" not in home.entry(SERVER)
    assert home.entry(SERVER)["state"] == "ready"
