"""Retargeting in a real, windowed Blender, where undo exists: `VP3D_BLENDER` names the program."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

DRIVE = Path(__file__).with_name("drive_retarget.py")


@pytest.fixture(scope="module")
def told(repository, tmp_path_factory):
    """What the drive found."""
    program = os.environ.get("VP3D_BLENDER")
    if not program:
        pytest.skip("VP3D_BLENDER names no Blender with a window")
    result = tmp_path_factory.mktemp("retarget") / "result.json"
    command = [*shlex.split(program), "--factory-startup", "-p", "0", "0", "1200", "800", "--python", DRIVE]
    done = subprocess.run(
        [*command, "--", repository, result], cwd=repository, timeout=180, capture_output=True, text=True
    )
    assert result.exists(), done.stdout + done.stderr
    found = json.loads(result.read_text("utf-8"))
    assert "error" not in found, found["error"]
    return found


def test_every_operator_is_one_step_that_undo_takes_back(told):
    start, added, retargeted, again = told["states"]
    assert retargeted == again, "twice makes nothing twice"
    assert (added[0], retargeted[3] > 50) == (1, True)
    assert told["undone"] == [start, added, retargeted]
    assert told["redone"] == [added, retargeted, again]


def test_deleting_the_source_is_missed_in_words_and_undone(told):
    assert "Choose the armature with the motion" in told["without_source"]
    assert told["restored"] == told["states"][-1]
