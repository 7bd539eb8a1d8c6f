"""The camera for others: read back from each file, and seen through the user's own camera, joints keep their pixels."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from layout_recorder import draw  # noqa: E402
from mathutils import Vector  # noqa: E402
from server_home import borrow_server  # noqa: E402
from takes import project, walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d import animation, data_home  # noqa: E402
from blender_vp3d.camera import panels  # noqa: E402
from blender_vp3d.common.skeletons import H36M_17  # noqa: E402
from blender_vp3d.common.take import save  # noqa: E402
from blender_vp3d.skeleton import apply_take  # noqa: E402

K = np.array([[1100, 0, 655], [0, 1100, 340], [0, 0, 1.0]])


@pytest.fixture(autouse=True)
def add_on():
    blender_vp3d.register()
    yield
    blender_vp3d.unregister()


def shot(zoom=True, people=1):
    take = walker(20, moving_camera=True, K=K, people=people, video="/clips/shot.mp4")
    if not zoom:
        take.camera_K[:] = take.camera_K[:1]
    return take


def worst_pixel(take, camera, frame_start=1):
    """Largest distance in px, over all frames, between where Blender and where the take sees its joints."""
    scene = bpy.context.scene
    joints = take.joints3d[0].astype(float)
    wanted = project(take.camera_K, take.camera_R, take.camera_t, joints)
    worst = 0.0
    for frame, points, pixels in zip(take.frames, joints, wanted, strict=True):
        scene.frame_set(frame_start + int(frame))
        view = np.array([world_to_camera_view(scene, camera, Vector(point)) for point in points])
        found = np.stack([view[:, 0], 1 - view[:, 1]], -1) * [1280, 720] - 0.5
        worst = max(worst, np.abs(found - pixels).max())
    return worst


def again(importer, path, **options):
    """An empty scene of the take's size with what a file holds."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y, scene.render.fps = 1280, 720, 25
    assert importer(filepath=str(path), **options) == {"FINISHED"}
    return next(found for found in scene.objects if found.type == "CAMERA")


# the importers of Blenders before these leave a lens that zooms at its first value; the files have it
@pytest.mark.parametrize("zoom", [False, pytest.param(True, marks=pytest.mark.skipif(
    bpy.app.version < (4, 5), reason="this Blender's USD importer reads no zoom"))])  # fmt: skip
def test_usd_keeps_camera_and_skeleton(tmp_path, zoom):
    take = shot(zoom, people=2)
    apply_take(bpy.context, take, "/nowhere/a.vp3d")
    assert bpy.ops.vp3d.export_usd(filepath=str(tmp_path / "a.usda")) == {"FINISHED"}
    text = (tmp_path / "a.usda").read_text("utf-8")
    assert "metersPerUnit = 1\n" in text and 'upAxis = "Z"' in text and "timeCodesPerSecond = 25" in text
    camera = again(bpy.ops.wm.usd_import, tmp_path / "a.usda")
    assert worst_pixel(take, camera) < 1e-3
    skeletons = [found for found in bpy.context.scene.objects if found.type == "ARMATURE"]
    assert len(skeletons) == 2
    bpy.context.scene.frame_set(8)
    shin = next(bone for bone in skeletons[0].pose.bones if bone.name.replace("_", ".").endswith("shin.L"))
    knee = skeletons[0].matrix_world @ shin.head
    np.testing.assert_allclose(knee, take.joints3d[0, 7, H36M_17.index("left_knee")], atol=1e-4)


@pytest.mark.parametrize("zoom", [False, pytest.param(True, marks=pytest.mark.skipif(
    bpy.app.version < (5, 2), reason="this Blender's Alembic importer reads no zoom"))])  # fmt: skip
def test_alembic_keeps_camera_and_bones(tmp_path, zoom):
    take = shot(zoom)
    apply_take(bpy.context, take, "/nowhere/a.vp3d")
    before = {len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.collections)}
    assert bpy.ops.vp3d.export_alembic(filepath=str(tmp_path / "a.abc")) == {"FINISHED"}
    assert before == {len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.collections)}
    camera = again(bpy.ops.wm.alembic_import, tmp_path / "a.abc", as_background_job=False)
    assert worst_pixel(take, camera) < 1e-3
    bpy.context.scene.frame_set(8)
    shin = next(found for found in bpy.context.scene.objects if found.name.endswith("shin_L"))
    knee = shin.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world.translation
    np.testing.assert_allclose(knee, take.joints3d[0, 7, H36M_17.index("left_knee")], atol=1e-4)


def test_selection_and_frame_stay_and_hidden_people_are_said(tmp_path):
    applied = apply_take(bpy.context, shot(people=2), "/nowhere/a.vp3d")
    applied.camera.select_set(True)
    bpy.context.scene.frame_set(13)
    bpy.ops.vp3d.export_usd(filepath=str(tmp_path / "a.usdc"))
    assert bpy.context.selected_objects == [applied.camera] and bpy.context.scene.frame_current == 13
    applied.people[1].hide_set(True)
    with pytest.raises(RuntimeError, match="VP3D Person 2 cannot be written while hidden"):
        bpy.ops.vp3d.export_alembic(filepath=str(tmp_path / "a.abc"))
    assert not (tmp_path / "a.abc").exists() and not bpy.data.meshes
    assert bpy.context.selected_objects == [applied.camera]


def test_nuke_by_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("VP3D_HOME", str(borrow_server(tmp_path)))
    data_home.look_again()
    take = shot()
    save(take, tmp_path / "shot.vp3d")
    bpy.ops.vp3d.import_take(filepath=str(tmp_path / "shot.vp3d"))
    assert not bpy.ops.vp3d.export_nuke.poll(), "the camera has to be there"
    bpy.ops.vp3d.apply_take()
    path = tmp_path / "shöt.nk"
    assert bpy.ops.vp3d.export_nuke(filepath=str(path), kind="nk", first_frame=1001) == {"FINISHED"}
    assert path.read_text("utf-8").startswith("Camera2 {") and "{curve x1001 " in path.read_text("utf-8")
    with pytest.raises(RuntimeError, match="cannot be written"):
        bpy.ops.vp3d.export_nuke(filepath=str(path / "below.nk"), kind="nk")
    data_home.look_again()


def own_camera():
    """The user's camera: shared lens, on a scaled dolly, tracking something, with keys of its own."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Hero", bpy.data.cameras.new("Hero"))
    other = bpy.data.objects.new("B cam", camera.data)
    dolly = bpy.data.objects.new("Dolly", None)
    for thing in (camera, other, dolly):
        scene.collection.objects.link(thing)
    camera.parent, dolly.location, dolly.rotation_euler, dolly.scale = dolly, (3, 1, 0.5), (0.1, 0.2, 0.7), (2, 2, 2)
    dolly.keyframe_insert("location", frame=1)
    dolly.location = (5, 1, 0.5)
    dolly.keyframe_insert("location", frame=20)
    camera.keyframe_insert("rotation_euler", frame=5)
    camera.keyframe_insert("location", frame=5)
    camera.constraints.new("TRACK_TO").target = other
    camera.delta_location = (0, 0, 1)
    camera.data.sensor_fit, camera.data.lens = "VERTICAL", 85
    return camera


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_the_users_own_camera_sees_what_the_takes_camera_sees(moving):
    target = own_camera()
    take = shot() if moving else walker(20, K=K, video="/clips/shot.mp4")
    source = apply_take(bpy.context, take, "/nowhere/a.vp3d").camera
    bpy.context.scene.vp3d_camera.target = target
    if not moving:
        target.parent = None
    assert bpy.ops.vp3d.write_over_camera() == {"FINISHED"}
    assert bpy.context.scene.camera == target
    if not moving:
        take.camera_K, take.camera_R, take.camera_t = (
            np.repeat(part, 20, 0) for part in (take.camera_K, take.camera_R, take.camera_t)
        )
    assert worst_pixel(take, target) < 2e-3
    assert all(constraint.mute for constraint in target.constraints)
    assert bpy.data.objects["B cam"].data.lens == 85 and bpy.data.objects["B cam"].data != target.data
    paths = {curve.data_path for curve in animation.curves_of(target)}
    assert paths == ({"location", "rotation_quaternion"} if moving else set())
    assert bpy.ops.vp3d.use_camera() == {"FINISHED"} and bpy.context.scene.camera == source
    assert not bpy.ops.vp3d.use_camera.poll()


def test_writing_over_is_one_undo_step():
    target = own_camera()
    apply_take(bpy.context, shot(), "/nowhere/a.vp3d")
    bpy.context.scene.vp3d_camera.target = target
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.vp3d.write_over_camera()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    target = bpy.data.objects["Hero"]
    assert target.data.lens == 85 and not target.constraints[0].mute and bpy.context.scene.camera != target
    assert {curve.data_path for curve in animation.curves_of(target)} == {"location", "rotation_euler"}


def test_only_cameras_of_the_users_own_can_be_written_over():
    camera = apply_take(bpy.context, shot(), "/nowhere/a.vp3d").camera
    assert not bpy.ops.vp3d.write_over_camera.poll()
    assert "vp3d.write_over_camera (greyed out)" in draw(panels.VP3D_PT_camera_hand_off)
    assert not type(bpy.context.scene.vp3d_camera)._is_another(bpy.context.scene.vp3d_camera, camera)
