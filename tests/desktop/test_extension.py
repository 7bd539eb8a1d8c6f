"""The extension's zip in a real, windowed Blender: built, validated, installed, enabled, used, disabled, removed."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from processes import alive
from server_home import borrow_server

from install import extension


@pytest.fixture(scope="module")
def blender(tmp_path_factory):
    """Runs Blender with settings of its own; returns what it said."""
    program = os.environ.get("VP3D_BLENDER")
    if not program:
        pytest.skip("VP3D_BLENDER names no Blender with a window")
    folder = tmp_path_factory.mktemp("blender")
    home = borrow_server(folder)

    def run(*words: object) -> str:
        done = subprocess.run(
            [*shlex.split(program), *map(str, words)],
            env={**os.environ, "VP3D_HOME": str(home), "BLENDER_USER_RESOURCES": str(folder / "settings")},
            timeout=400,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="module")
def archive(blender, tmp_path_factory):
    """The zip, built and validated by this Blender's commands."""
    folder = tmp_path_factory.mktemp("extension")
    extension.package_stage(folder / "stage")
    zipped = folder / "vp3d.zip"
    blender("--command", "extension", "build", "--source-dir", folder / "stage", "--output-filepath", zipped)
    assert "Success" in blender("--command", "extension", "validate", zipped)
    return zipped


def test_by_a_user(blender, archive, repository, tmp_path):
    result = tmp_path / "result.json"
    drive = Path(__file__).with_name("drive_extension.py")
    clip = repository / "install" / "demo" / "salsa.mp4"
    said = blender("--factory-startup", "-p", 0, 0, 1200, 800, "--python", drive, "--", archive, clip, result)
    assert result.exists(), said
    told = json.loads(result.read_text("utf-8"))
    assert "error" not in told, told["error"]
    assert told["before"] == told["disabled"] == []
    assert told["idle_s"] == 420
    assert told["armatures"] == 1
    assert told["written_into_it"] == []
    assert told["removed"]
    assert not alive(told["server"]), "the server goes with the add-on"


def test_by_commands(blender, archive):
    blender("--command", "extension", "install-file", "-r", "user_default", "--enable", archive)
    assert "blender_vp3d" in blender("--command", "extension", "list")
    blender("--command", "extension", "remove", "blender_vp3d")
    assert "blender_vp3d" not in blender("--command", "extension", "list")
