"""From nothing to a capture and back in a real, windowed Blender's Setup panel: `VP3D_BLENDER` names the program.

Installs the server for good, so pip has to find its packages: minutes, and some 450 MB.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

DRIVE = Path(__file__).with_name("drive_setup.py")


@pytest.fixture(scope="module")
def told(repository, tmp_path_factory):
    """What the drive found, in a home folder with a space and umlauts."""
    program = os.environ.get("VP3D_BLENDER")
    if not program:
        pytest.skip("VP3D_BLENDER names no Blender with a window")
    folder = tmp_path_factory.mktemp("setup")
    home, result = folder / "Zoë Müller" / "vp3d", folder / "result.json"
    command = [*shlex.split(program), "--factory-startup", "-p", "0", "0", "1200", "900", "--python", DRIVE, "--"]
    done = subprocess.run(
        [*command, repository, repository / "install/demo/salsa.mp4", folder, result],
        env={**os.environ, "VP3D_HOME": str(home)},
        cwd=repository,
        timeout=1800,
        capture_output=True,
        text=True,
    )
    assert result.exists(), done.stdout + done.stderr
    found = json.loads(result.read_text("utf-8"))
    assert "error" not in found, found["error"]
    return found | {"home": home}


def test_every_state_is_shown_in_its_turn(told):
    assert [state for _, state in told["states"]] == [
        "not installed", "installing", "ready", "ready", "ready", "ready", "not installed",
    ]  # fmt: skip


def test_the_installed_server_captures(told):
    assert told["capture"] == "done", told["message"]


def test_blender_goes_on_while_it_installs(told):
    assert told["frames_while_installing"] > 5


def test_remove_asks_first_and_takes_only_its_own(told):
    assert told["still_there"] == "ready"
    assert not (told["home"] / "server").exists()
    assert (told["home"] / "takes").is_dir()


def test_the_report_has_the_whole_log(told):
    assert "install-server.log" in told["report"] and "Zoë Müller" in told["report"]
