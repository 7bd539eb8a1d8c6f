"""From the Capture button to keyframes, with the real server."""

import json
from pathlib import Path

import numpy as np
import pytest
from server_home import borrow_server

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

import blender_vp3d  # noqa: E402
from blender_vp3d import data_home  # noqa: E402


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings in an empty file, with the server that is installed."""
    monkeypatch.setenv("VP3D_HOME", str(borrow_server(tmp_path)))
    data_home.look_again()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_vp3d.register()
    yield bpy.context.scene.vp3d
    blender_vp3d.unregister()
    data_home.look_again()


def test_video_to_armature(settings, repository):
    settings.video, settings.detail = str(repository / "install" / "demo" / "salsa.mp4"), "fast"
    settings.use_range, settings.first, settings.last = True, 11, 30
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    people = bpy.context.window_manager.vp3d.people
    assert [(row.number, row.frames) for row in people] == [(1, 20)]
    assert 0.3 < people[0].confidence <= 1
    assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (11, 30)
    assert [o.type for o in bpy.context.selected_objects] == ["ARMATURE"]
    assert bpy.context.scene.camera.data.background_images[0].clip is not None


def test_two_views_to_two_cameras(settings, shared):
    """The clips were filmed in step, and the calibration says how far apart the cameras stood."""
    folder = shared / "clips" / "pose2sim-single"
    settings.video, settings.detail, settings.detector = str(folder / "cam01.mp4"), "fast", "mediapipe"
    settings.every = 3
    settings.lens, settings.calibration = "file", str(folder / "cameras.json")
    assert bpy.ops.vp3d.add_views(directory=str(folder), files=[{"name": "cam04.mp4"}]) == {"FINISHED"}
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    result = bpy.context.window_manager.vp3d
    assert abs(result.offset_of(folder / "cam04.mp4")) < 0.05
    assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
    cameras = [thing for thing in bpy.context.scene.objects if thing.type == "CAMERA"]
    plates = {Path(camera.data.background_images[0].clip.filepath).name for camera in cameras}
    assert plates == {"cam01.mp4", "cam04.mp4"}
    known = json.loads((folder / "cameras.json").read_text("utf-8"))
    places = [-np.array(known[name]["R"]).T @ known[name]["t"] for name in ("cam01", "cam04")]
    apart = (cameras[0].matrix_world.translation - cameras[1].matrix_world.translation).length
    assert apart == pytest.approx(np.linalg.norm(places[0] - places[1]), rel=0.01)
