"""The program as a user starts it: from any folder, interrupted, without a network, under an old Python."""

import ast
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from install.environments import REPOSITORY


def start(*words: str, isolated: bool = False, **options: object) -> subprocess.Popen:
    command = [sys.executable, *(["-I"] if isolated else []), str(REPOSITORY / "install"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def run(*words: str, **options: object) -> tuple[int, str]:
    process = start(*words, **options)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.fixture
def deaf_index(no_index, monkeypatch: pytest.MonkeyPatch):
    """An index that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/")
        # A pip that outlives its killed parent gives up soon.
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "10")
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield


def state(home: Path) -> str:
    return json.loads((home / "install.json").read_text())["server"]["state"]


def test_help_from_another_folder_and_isolated(tmp_path: Path) -> None:
    status, output = run("--help", isolated=True, cwd=tmp_path)
    assert status == 0
    for word in ("setup", "demo", "test", "run", "extension", "remove", "PIP_EXTRA_INDEX_URL"):
        assert word in output


def start_setup(home: Path) -> subprocess.Popen:
    """A setup that waits for the index."""
    process = start("setup", "--prefix", str(home))
    said = ""
    while "packages: 0 of" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    assert state(home) == "incomplete"
    assert (home / "server").exists()
    return process


def test_killed_then_stopped(tmp_path: Path, deaf_index: None) -> None:
    home = tmp_path / "höme"
    process = start_setup(home)
    process.kill()
    process.communicate()
    assert state(home) == "incomplete"

    process = start_setup(home)
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped." in output
    assert "Traceback" not in output
    assert not (home / "server").exists()
    assert state(home) == "incomplete"


def test_no_network(tmp_path: Path, no_index: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/")
    monkeypatch.setenv("PIP_RETRIES", "1")
    status, output = run("--prefix", str(tmp_path), "setup", "--json")
    assert status == 1
    error = json.loads(output.splitlines()[-1])
    assert error["type"] == "error"
    assert error["message"] == "The package index could not be reached."
    assert f"127.0.0.1:{port}" in Path(error["details"]).read_text("utf-8")
    assert not (tmp_path / "server").exists()
    assert state(tmp_path) == "incomplete"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run",), "There is no command to run."),
        (("run", "--"), "There is no command to run."),
        (("demo", "no such clip.mp4"), "There is no video "),
        (("setup", "--prefix", os.devnull), f"The folder {os.devnull} cannot be written to"),
    ],
)
def test_a_mistake_is_a_sentence(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    status, output = run(*words, cwd=tmp_path)
    assert status == 1
    assert output.startswith(sentence)
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_an_old_python_is_told_so() -> None:
    source = (REPOSITORY / "install/__main__.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 4))
    old = source.replace("sys.version_info < (3, 10)", "sys.version_info < (99, 0)")
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("VP3D Mocap needs Python 3.10 or newer")
