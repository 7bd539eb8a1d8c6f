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
    states = told["states"]
    _, added, retargeted, again, _, _, _, reduced, reduced_again, raw, discarded = states
    assert (retargeted, reduced) == (again, reduced_again), "twice makes nothing twice"
    assert (added[0], retargeted[3][0] > 50) == (1, True)
    assert reduced[3][1] < retargeted[3][1] / 2
    assert raw[3] == discarded[3]
    assert told["undone"] == states[:-1]
    assert told["redone"] == states[1:]


def test_deleting_the_source_is_missed_in_words_and_undone(told):
    assert "Choose the armature with the motion" in told["without_source"]
    assert told["restored"] == told["states"][-1]
