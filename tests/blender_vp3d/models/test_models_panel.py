"""The Models panel with the server that is installed here, and without one."""

import contextlib
import functools
import http.server
import threading
import time
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from layout_recorder import draw  # noqa: E402
from server_home import borrow_server  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d import data_home, ticker  # noqa: E402
from blender_vp3d.models import operators, panels  # noqa: E402

BUNDLED = Path(__file__).parents[3] / "server/vp3d/models/weights"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """The add-on, with the server that is installed here and an empty models folder."""
    yield from registered(borrow_server(tmp_path), monkeypatch)


@pytest.fixture
def empty_home(monkeypatch, tmp_path):
    yield from registered(tmp_path / "home", monkeypatch)


def registered(folder, monkeypatch):
    monkeypatch.setenv("VP3D_HOME", str(folder))
    monkeypatch.delenv("VP3D_MODELS_DIR", raising=False)
    data_home.look_again()
    blender_vp3d.register()
    yield folder
    blender_vp3d.unregister()
    data_home.look_again()


def row(name):
    return next(row for row in operators.rows if row["name"] == name)


def texts():
    return " ".join(draw(panels.VP3D_PT_models))


def test_without_a_server_the_panel_says_so(empty_home):
    assert "install it first" in texts()
    assert not bpy.ops.vp3d.models_verify.poll() and operators.task is None


def test_the_list_fills_itself_and_a_file_goes_in_and_out(home, tmp_path):
    draw(panels.VP3D_PT_models)
    assert operators.task is None, "nothing is started while a panel draws"
    ticker.tick()
    shown = texts()
    assert "VideoPose3D" in shown and "not commercial" in shown and "Commercial work: yes" in shown
    assert "Came with the add-on" in shown and "vp3d.model_remove" not in shown
    assert row("lifter")["origin"] == "bundled"

    renamed = tmp_path / "mein Lifter (1).safetensors"
    renamed.write_bytes((BUNDLED / "lifter-causal.safetensors").read_bytes())
    with pytest.raises(RuntimeError, match="is cut short"):
        bpy.ops.vp3d.model_import(name="keypoint-rcnn-torchvision", filepath=str(renamed))
    assert "is cut short" in texts() and row("keypoint-rcnn-torchvision")["state"] == "absent"
    assert bpy.ops.vp3d.model_import(name="lifter-causal", filepath=str(renamed)) == {"FINISHED"}
    assert row("lifter-causal")["origin"] == "own" and "vp3d.model_remove" in texts()
    assert "is cut short" not in texts()

    inside = home / "models/lifter/lifter-causal.safetensors"
    inside.write_bytes(inside.read_bytes()[:-100])
    assert bpy.ops.vp3d.models_verify() == {"FINISHED"}
    assert row("lifter-causal")["state"] == "damaged" and "does not hold lifter weights" in texts()
    assert bpy.ops.vp3d.model_remove(name="lifter-causal") == {"FINISHED"}
    assert row("lifter-causal")["origin"] == "bundled" and not inside.exists()


def test_a_list_that_fails_can_be_asked_for_again(home):
    operators._start("nonsense")
    assert not operators.rows and operators.task.message
    assert "vp3d.models_verify" in texts()


class _Site(http.server.SimpleHTTPRequestHandler):
    """A mirror that sends slowly."""

    pause = 0.0

    def copyfile(self, source, outputfile):
        with contextlib.suppress(ConnectionError):  # the download was stopped
            while block := source.read(100_000):
                outputfile.write(block)
                time.sleep(self.pause)

    def log_message(self, format, *args):
        pass


def test_download_is_refused_offline_and_shows_how_far_it_is(home, tmp_path, monkeypatch):
    """From a mirror on this computer, stopped in the middle; the file there is not the official one."""
    name = "keypoint-rcnn-torchvision"
    mirror = tmp_path / "mirror/keypoint-rcnn"
    mirror.mkdir(parents=True)
    with (mirror / "keypointrcnn_resnet50_fpn_coco-fc266e95.pth").open("wb") as file:
        file.truncate(237_034_793)
    ticker.watch(operators._list)
    ticker.tick()
    if not bpy.app.online_access:
        assert not bpy.ops.vp3d.model_download.poll() and "let Blender go online" in texts()
    monkeypatch.setattr(_Site, "pause", 0.02)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Site, directory=str(tmp_path / "mirror"))
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        monkeypatch.setattr(data_home, "mirror", lambda: f"http://127.0.0.1:{server.server_port}")
        operators.task = operators.ModelsTask(
            data_home.server_environment(), "download", name, mirror=data_home.mirror()
        )
        end = time.monotonic() + 60
        while operators.task.poll() and not operators.task.done:
            assert time.monotonic() < end
            time.sleep(0.02)
        shown = texts()
        assert "of 237.0 MB" in shown and "vp3d.models_cancel" in shown, operators.task.message
        assert not bpy.ops.vp3d.models_verify.poll(), "one thing at a time"
        assert bpy.ops.vp3d.models_cancel() == {"FINISHED"}
        assert "goes on from there" in texts()
        part = next((home / "models/keypoint-rcnn").iterdir())
        assert part.name.endswith(".part") and part.stat().st_size > 0
    finally:
        server.shutdown()
        server.server_close()


def test_unregistering_ends_the_child(home):
    task = operators.task = operators.ModelsTask(data_home.server_environment(), "verify")
    assert task.running
    blender_vp3d.unregister()
    assert not task.running and operators.task is None and operators.rows == []
    blender_vp3d.register()
