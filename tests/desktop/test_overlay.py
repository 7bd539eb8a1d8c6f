"""The overlay in a real, windowed Blender, which alone can draw it: `VP3D_BLENDER` names the program."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

DRIVE = Path(__file__).with_name("drive_overlay.py")
YELLOW = (1.0, 0.85, 0.15)  # half of the error that is all red


@pytest.fixture(scope="module")
def told(repository, tmp_path_factory):
    """What the drive found."""
    program = os.environ.get("VP3D_BLENDER")
    if not program:
        pytest.skip("VP3D_BLENDER names no Blender with a window")
    folder = tmp_path_factory.mktemp("overlay")
    result = folder / "result.json"
    command = [*shlex.split(program), "--factory-startup", "-p", "0", "0", "1200", "800", "--python", DRIVE]
    done = subprocess.run(
        [*command, "--", repository, folder, result], cwd=repository, timeout=300, capture_output=True, text=True
    )
    assert result.exists(), done.stdout + done.stderr
    found = json.loads(result.read_text("utf-8"))
    assert "error" not in found, found["error"]
    return found


def test_marks_lie_where_blender_shows_the_points(told):
    """Whatever zoom and offset of the view, shift of the lens, shape of the picture and of its pixels."""
    assert len(told["views"]) == 9
    for view, found in told["views"].items():
        assert found["dots"] < 0.05 and found["crosses"] < 0.05, view


def test_dots_are_drawn_in_the_colour_of_their_error(told):
    for view, found in told["views"].items():
        assert len(found["colours"]) >= 10, view
        for colour in found["colours"]:
            assert colour[:3] == pytest.approx(YELLOW, abs=0.05), view


def test_the_handler_is_there_only_while_the_overlay_is_on(told):
    *while_on, off, after_load, setting_after_load, after_unregister = told["handles"]
    assert all(while_on) and not (off or after_load or setting_after_load or after_unregister)
