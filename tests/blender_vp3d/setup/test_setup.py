"""The Setup panel and the installer as a child process."""

import json
import sys
import time
from pathlib import Path

import pytest

from blender_vp3d.backend.environment import python_of
from blender_vp3d.backend.installation import Installation

SCRIPT = """
import json, sys, time
assert sys.argv[1:] == ["setup", "--json"], sys.argv
def tell(**fields): print(json.dumps(fields), flush=True)
tell(type="say", text="Downloads 300 MB.")
print("a warning of some library")
tell(type="progress", stage="Installing packages", done=3, total=4, detail="torch")
mode = {mode!r}
if mode == "hangs": time.sleep(60)
if mode == "crashes": sys.exit(3)
if mode == "fails":
    tell(type="error", message="The disk is full.", hint="Free some space.", details="", cancelled=False)
    sys.exit(1)
tell(type="result", ready=["server"])
"""


def install(tmp_path, mode):
    folder = tmp_path / "install"
    folder.mkdir()
    (folder / "__main__.py").write_text(SCRIPT.format(mode=mode))
    (tmp_path / "home").mkdir()
    return Installation(tmp_path / "home", Path(sys.executable), folder)


def finish(run, condition=lambda run: False):
    end = time.monotonic() + 15
    while run.poll() and not condition(run):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("ends well", ""),
        ("fails", "The disk is full."),
        ("crashes", "The installer stopped unexpectedly (exit code 3)."),
    ],
)
def test_installer_to_its_end(tmp_path, mode, message):
    run = install(tmp_path, mode)
    finish(run)
    assert (run.message, run.stage, run.fraction) == (message, "Installing packages", 0.75)
    assert run.said == ["Downloads 300 MB."]
    assert bool(run.hint) == bool(message)


def test_stopping_the_installer(tmp_path):
    run = install(tmp_path, "hangs")
    finish(run, lambda run: run.done)
    run.stop()
    assert not run.running
    assert run._process.poll() is not None
    assert run.message == "The installation was stopped."
    run.stop()


def test_no_python_and_no_installer(tmp_path):
    assert "was not found" in Installation(tmp_path, tmp_path / "python", tmp_path).message
    (tmp_path / "file").touch()
    assert "cannot be started" in Installation(tmp_path / "file", Path(sys.executable), tmp_path).message


def test_the_real_installer_tells_what_it_will_download_and_can_be_stopped(tmp_path):
    run = Installation(tmp_path / "home", Path(sys.executable))
    finish(run, lambda run: run.said)
    run.stop()
    assert "MB" in " ".join(run.said), run.message
    assert str(tmp_path / "home") in run.said[0]


def test_panel_and_operator(tmp_path, monkeypatch):
    bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")
    from layout_recorder import Recorder, draw

    import blender_vp3d
    from blender_vp3d import data_home
    from blender_vp3d.setup import operators, panels

    monkeypatch.setenv("VP3D_HOME", str(tmp_path / "home"))
    data_home.look_again()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_vp3d.register()
    try:
        drawn = draw(panels.VP3D_PT_setup)
        assert "The pose server is not installed yet." in " ".join(drawn)
        assert str(tmp_path / "home") in drawn
        # Blender as a module starts offline, and nothing is downloaded without its consent
        assert bpy.ops.vp3d.install.poll() == bpy.app.online_access
        assert ("vp3d.install (greyed out)" in drawn) != bpy.app.online_access
        assert ("use_online_access" in drawn) == (not bpy.app.online_access and not bpy.app.online_access_override)

        operators.installation = install(tmp_path, "hangs")
        finish(operators.installation, lambda run: run.done)
        drawn = draw(panels.VP3D_PT_setup)
        assert {"Installing packages", "vp3d.cancel_install", "Downloads 300 MB."} <= set(drawn)
        assert bpy.ops.vp3d.cancel_install() == {"FINISHED"}
        assert "The installation was stopped." in " ".join(draw(panels.VP3D_PT_setup))

        (tmp_path / "home" / "install.json").write_text(json.dumps({"server": {"state": "incomplete"}}))
        data_home.look_again()
        assert "was not finished" in " ".join(draw(panels.VP3D_PT_setup))

        operators.installation = None
        python_of(tmp_path / "home" / "server").parent.mkdir(parents=True)
        python_of(tmp_path / "home" / "server").symlink_to(sys.executable)
        (tmp_path / "home" / "install.json").write_text(json.dumps({"server": {"state": "ready"}}))
        data_home.look_again()
        assert draw(panels.VP3D_PT_setup) == [], "once installed, the panel is out of the way"
        in_preferences = Recorder()
        panels.draw_server(in_preferences, bpy.context)
        assert "The pose server is installed." in " ".join(in_preferences.drawn)
    finally:
        blender_vp3d.unregister()
        data_home.look_again()
    assert operators.installation is None
