"""From the Capture button to keyframes, with the real server."""

import pytest
from server_home import borrow_server

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

import blender_vp3d  # noqa: E402
from blender_vp3d import data_home  # noqa: E402


def test_video_to_armature(tmp_path, monkeypatch, repository):
    monkeypatch.setenv("VP3D_HOME", str(borrow_server(tmp_path)))
    data_home.look_again()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_vp3d.register()
    try:
        settings = bpy.context.scene.vp3d
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
    finally:
        blender_vp3d.unregister()
        data_home.look_again()
