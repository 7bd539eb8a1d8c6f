"""The Setup panel and the installer as a child process."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from blender_vp3d.backend.environment import Environment, State, python_of
from blender_vp3d.backend.installation import BACKENDS, INDEX_VARIABLE, Installation, Wishes
from blender_vp3d.setup.report import report

SCRIPT = """
import json, sys, time
assert sys.argv[1:4] == ["setup", "--json", "--attached"], sys.argv
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
    (tmp_path / "home").mkdir(exist_ok=True)
    return Installation(tmp_path / "home", "setup", python=Path(sys.executable), folder=folder)


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
    assert (run.message, run.stage, run.fraction, run.detail) == (message, "Installing packages", 0.75, "torch")
    assert run.said == ["Downloads 300 MB."]
    assert bool(run.hint) == bool(message)


def test_stopping_the_installer(tmp_path):
    run = install(tmp_path, "hangs")
    finish(run, lambda run: run.done)
    run.stop()
    assert not run.running
    assert run._process.poll() is not None
    assert run.message == "It was stopped."
    run.stop()


def test_no_python_and_no_installer(tmp_path):
    assert "was not found" in Installation(tmp_path, "setup", python=tmp_path / "python", folder=tmp_path).message
    (tmp_path / "file").touch()
    assert "cannot be started" in Installation(tmp_path / "file", "setup", folder=tmp_path).message


def test_the_real_installer_tells_what_it_will_download_and_can_be_stopped(tmp_path):
    run = Installation(tmp_path / "home", "setup")
    finish(run, lambda run: run.said)
    run.stop()
    assert "MB" in " ".join(run.said), run.message
    assert str(tmp_path / "home") in run.said[0]


def test_the_real_installer_plans_as_the_user_wishes(tmp_path):
    backend = BACKENDS[sys.platform][0]
    run = Installation(tmp_path / "home", "plan", Wishes(backend))
    finish(run)
    assert run.result["backend"] == backend, run.message
    assert "as you chose" in run.said[0]
    assert str(tmp_path / "home") in run.said[-1]
    assert run.result["download_mb"] and run.result["disk_mb"] and run.result["free_mb"]
    assert [name for name, _ in run.result["backends"]] == list(BACKENDS[sys.platform])
    assert not (tmp_path / "home" / "install.json").exists()


def test_the_installer_knows_the_same_builds(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository))
    from install import backends

    assert {system: tuple(there) for system, there in backends.BACKENDS.items()} == BACKENDS


def test_an_index_is_added_to_the_users_own(monkeypatch):
    assert Wishes().variables() == {}
    monkeypatch.setenv(INDEX_VARIABLE, "https://mine.example")
    assert Wishes(index="https://more.example").variables() == {
        INDEX_VARIABLE: "https://mine.example https://more.example"
    }


def test_the_report_has_versions_and_the_whole_log(tmp_path):
    environment = Environment(tmp_path, State.BROKEN, "0.1.0")
    environment.log_folder.mkdir()
    (environment.log_folder / "install-server.log").write_text("line\n" * 100_000)
    (environment.log_folder / "installer-20260101-000000-aa.log").write_text("old")
    (environment.log_folder / "installer-20260102-000000-bb.log").write_text("Größe")
    (tmp_path / "install.json").write_text('{"server": {"state": "broken"}}')
    os.utime(environment.log_folder / "installer-20260101-000000-aa.log", (1, 1))
    text = report(environment, "Blender 5.2.3, Linux", "The disk is full. Free some space.")
    for part in ("The disk is full.", "state: broken", "Blender 5.2.3", str(tmp_path), "Größe", '"broken"', "line"):
        assert part in text
    assert "old" not in text
    assert len(text) < 420_000


@pytest.fixture
def addon(tmp_path, monkeypatch):
    """The add-on registered over a home folder of the test's own."""
    bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")
    import blender_vp3d
    from blender_vp3d import data_home

    monkeypatch.setenv("VP3D_HOME", str(tmp_path / "home"))
    data_home.look_again()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_vp3d.register()
    yield bpy
    blender_vp3d.unregister()
    data_home.look_again()


def text_of(panel):
    from layout_recorder import draw

    return " ".join(draw(panel))


def set_state(home, **entry):
    from blender_vp3d import data_home

    home.mkdir(exist_ok=True)
    (home / "install.json").write_text(json.dumps({"server": entry}))
    data_home.look_again()


def test_the_panel_before_and_while_installing(addon, tmp_path):
    from blender_vp3d import ticker
    from blender_vp3d.setup import operators, panels

    home = tmp_path / "home"
    drawn = text_of(panels.VP3D_PT_install)
    assert "The pose server is not installed yet." in drawn
    assert str(home) in drawn
    # Blender as a module starts offline, and nothing is downloaded without its consent
    assert addon.ops.vp3d.install.poll() == addon.app.online_access
    assert ("vp3d.install (greyed out)" in drawn) != addon.app.online_access
    allowed = not addon.app.online_access and not addon.app.online_access_override
    assert ("use_online_access" in drawn) == allowed
    while ticker.tick():  # the panel has asked the installer what it would do
        time.sleep(0.02)
    drawn = text_of(panels.VP3D_PT_install)
    assert "Downloads" in drawn and "free" in drawn and "Torch for" in drawn

    operators.installation = install(tmp_path, "hangs")
    finish(operators.installation, lambda run: run.done)
    drawn = text_of(panels.VP3D_PT_install)
    assert "Installing packages" in drawn and "vp3d.cancel_install" in drawn and "Downloads 300 MB." in drawn
    assert not addon.ops.vp3d.verify.poll()
    assert addon.ops.vp3d.cancel_install() == {"FINISHED"}
    drawn = text_of(panels.VP3D_PT_install)
    assert "It was stopped." in drawn and "vp3d.copy_setup_report" in drawn
    assert addon.ops.vp3d.copy_setup_report() == {"FINISHED"}


def test_the_panel_in_every_state(addon, tmp_path):
    from blender_vp3d import data_home
    from blender_vp3d.setup import panels

    home = tmp_path / "home"
    set_state(home, state="incomplete")
    drawn = text_of(panels.VP3D_PT_install)
    assert "is not whole" in drawn and "vp3d.repair" in drawn and "vp3d.remove" in drawn
    python_of(home / "server").parent.mkdir(parents=True)
    python_of(home / "server").symlink_to(sys.executable)
    set_state(home, state="ready", key="of another version", lock="torch.txt")
    drawn = text_of(panels.VP3D_PT_install)
    assert "needs an update" in drawn and "Update Pose Server" not in drawn  # a button's own text is not recorded
    assert "vp3d.install" in drawn
    set_state(home, state="ready", extras={"detectron2": "0.6"}, backend="cpu")
    assert text_of(panels.VP3D_PT_install) == "", "once installed, it is out of the way"
    drawn = text_of(panels.VP3D_PT_setup)
    assert "is installed" in drawn and "vp3d.verify" in drawn and "Torch: cpu" in drawn
    assert data_home.server_environment().extras == ("detectron2",)
    assert "vp3d.install_detectron2" in text_of(panels.VP3D_PT_extras)


def test_verify_and_remove_really_run(addon, tmp_path):
    home = tmp_path / "home"
    python_of(home / "server").parent.mkdir(parents=True)
    python_of(home / "server").symlink_to(sys.executable)
    (home / "models").mkdir()
    set_state(home, state="ready")
    with pytest.raises(RuntimeError, match="Repair"):  # a folder with nothing in it
        addon.ops.vp3d.verify()
    assert json.loads((home / "install.json").read_text())["server"]["state"] == "broken"
    assert addon.ops.vp3d.remove() == {"FINISHED"}
    assert not (home / "server").exists()
    assert (home / "models").exists()
    assert json.loads((home / "install.json").read_text()) == {}
