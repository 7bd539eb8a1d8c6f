"""The add-on in a real, windowed Blender: `VP3D_BLENDER` names the program, with arguments before its own if need be.

The server comes from the home folder, so `python3 -m install setup` has to have run.
"""

import json
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from server_home import borrow_server

DRIVE = Path(__file__).with_name("drive.py")


@pytest.fixture(scope="module")
def told(repository, tmp_path_factory):
    """What the drive through a windowed Blender found."""
    program = os.environ.get("VP3D_BLENDER")
    if not program:
        pytest.skip("VP3D_BLENDER names no Blender with a window")
    folder = tmp_path_factory.mktemp("desktop")
    home = borrow_server(folder)
    clip = repository / "install" / "demo" / "salsa.mp4"
    result = folder / "result.json"
    command = [*shlex.split(program), "--factory-startup", "-p", "0", "0", "1200", "800", "--python", DRIVE]
    done = subprocess.run(
        [*command, "--", repository, clip, result],
        env={**os.environ, "VP3D_HOME": str(home)},
        cwd=repository,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert result.exists(), done.stdout + done.stderr
    found = json.loads(result.read_text("utf-8"))
    assert "error" not in found, found["error"]
    return found


def test_a_capture_ends_well_across_a_file_load(told):
    assert told["state"] == "done", told["message"]


def test_blender_stays_responsive(told):
    assert told["longest_tick_s"] < 0.05


def test_apply_is_one_undo_step_and_shows_the_camera(told):
    assert told["view"] == "CAMERA"
    assert told["armatures"] == [1, 0, 1]
    assert told["people_after_undo"] == 1
    assert Path(told["video_after_undo"]).name == "salsa.mp4", "the choice of a video is a step of its own"


def test_no_server_outlives_blender(told):
    end = time.monotonic() + 2
    while Path(f"/proc/{told['server']}").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
