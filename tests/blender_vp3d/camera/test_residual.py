"""How far armatures lie from the plate: comparison at a frame, curves, worst frames, and the panel."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from layout_recorder import draw  # noqa: E402
from takes import walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.camera import compare, observed, operators, overlay, panels, residual  # noqa: E402
from blender_vp3d.common.skeletons import COCO_17, H36M_FROM_COCO  # noqa: E402
from blender_vp3d.skeleton import apply_take, confidence  # noqa: E402

OFF = np.array([3.0, -4.0])  # px
WRIST, ANKLE = COCO_17.index("left_wrist"), COCO_17.index("right_ankle")


@pytest.fixture(autouse=True)
def add_on():
    blender_vp3d.register()
    yield
    blender_vp3d.unregister()


def noisy(frames=60, **options):
    """A walker whose detected joints are off by known amounts, and whose residual says so."""
    take = walker(frames, **options)
    off = np.random.default_rng(5).normal(scale=3.0, size=take.joints2d[:, :, :17].shape)
    take.joints2d[:, :, :17] += off
    seen = np.isfinite(take.joints2d[:, :, :17, 0])
    take.residual_px = np.where(seen, np.linalg.norm(off, axis=-1), np.nan)
    take.residual_px[:, :, :5] = np.nan  # the face has no joint in 3D to compare with
    return take


def compared(applied, frame, person=0):
    bpy.context.scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    return compare.compare(bpy.context.scene, depsgraph, applied.camera, applied.people[person])


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_live_error_is_the_takes_residual(moving):
    take = noisy(people=2, moving_camera=moving, size=(1080, 1920))
    applied = apply_take(bpy.context, take, "/nowhere/a.vp3d")
    for person in (0, 1):
        for frame in (0, 33, 59):
            found = compared(applied, 1 + frame, person)
            wanted = take.residual_px[person, frame]
            assert np.isfinite(found.error).sum() == 12
            np.testing.assert_allclose(found.error[5:], wanted[5:], atol=0.02)
            np.testing.assert_allclose(found.seen, take.joints2d[person, frame, :17], atol=1e-3)


def opencv(points, K, distortion):
    """OpenCV's formulas, written out, for points (J, 3) in camera axes."""
    k1, k2, p1, p2, k3 = distortion
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent = np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2), y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y]
    )
    return bent.T * [K[0, 0], K[1, 1]] + K[:2, 2]


def test_a_bent_lens_agrees_with_the_plate_as_filmed_and_undistorted(tmp_path):
    image = bpy.data.images.new("frame", 128, 72)
    image.filepath_raw, image.file_format = str(tmp_path / "0001.png"), "PNG"
    image.save()
    take = walker(20, size=(1280, 720), video=str(tmp_path))
    take.distortion = np.array([-0.25, 0.08, 0.004, -0.003, 0.01])
    axes = np.einsum("ij,tkj->tki", take.camera_R[0], take.joints3d[0].astype(float)) + take.camera_t[0]
    for ours, coco in H36M_FROM_COCO.items():
        for frame in range(20):
            pixel = opencv(axes[frame, ours][None], take.camera_K[0], take.distortion)[0]
            take.joints2d[0, frame, coco] = pixel + OFF
    applied = apply_take(bpy.context, take, "/nowhere/a.vp3d")
    plate = applied.camera.data.background_images[0]
    assert plate.clip_user.use_render_undistorted
    straight = compared(applied, 11)
    plate.clip_user.use_render_undistorted = False
    bent = compared(applied, 11)
    np.testing.assert_allclose(bent.error[5:], 5, atol=0.02)
    np.testing.assert_allclose(bent.seen, take.joints2d[0, 10, :17], atol=1e-3)
    assert np.nanmax(np.abs(straight.seen - bent.seen)) > 1, "the plate's joints move with the plate"
    np.testing.assert_allclose(straight.error[5:], 5, rtol=0.25)


def test_what_is_done_to_the_armature_counts():
    applied = apply_take(bpy.context, noisy(), "/nowhere/a.vp3d")
    before = compared(applied, 21)
    applied.people[0].location.z += 0.2
    after = compared(applied, 21)
    assert np.nanmean(after.solved[:, 1] - before.solved[:, 1]) < -20
    np.testing.assert_array_equal(after.seen, before.seen)


def test_only_captured_frames_are_compared():
    applied = apply_take(bpy.context, noisy(10, every=3), "/nowhere/a.vp3d")
    assert compared(applied, 4) and compared(applied, 5) is None and compared(applied, 400) is None


def test_joints_behind_the_camera_are_left_out():
    applied = apply_take(bpy.context, noisy(10), "/nowhere/a.vp3d")
    applied.people[0].location.y -= 50
    assert np.isnan(compared(applied, 5).error).all()


def test_residual_curve_of_the_camera():
    take = noisy(people=2)
    take.residual_px[:, 7] = np.nan
    camera = apply_take(bpy.context, take, "/nowhere/a.vp3d", frame_start=101).camera
    frames, values = observed.residual_keys(camera)
    known = np.arange(60) != 7
    np.testing.assert_array_equal(frames, 101 + np.flatnonzero(known))
    np.testing.assert_allclose(values, np.nanmean(take.residual_px[:, known], axis=(0, 2)), rtol=1e-5)
    bpy.context.scene.frame_set(121)
    assert camera["residual_px"] == pytest.approx(float(values[19]), rel=1e-5)


def test_worst_frames_are_peaks_that_lie_apart():
    frames = np.arange(100, 200)
    values = np.ones(100)
    values[[10, 12, 40, 41, 80]] = [9, 8, 5, 6, 7]
    assert residual.worst(frames, values, apart=5)[:3] == [110, 180, 141]
    assert residual.worst(frames, values, apart=1)[:4] == [110, 112, 180, 141]
    assert residual.worst(frames[:1], values[:1], 5) == [100]


def test_jump_to_worst_and_on_to_the_next():
    take = noisy(people=2)
    take.residual_px[:] = 2.0
    take.residual_px[0, 20, WRIST], take.residual_px[1, 44, ANKLE], take.residual_px[0, 45] = 90, 200, 4
    apply_take(bpy.context, take, "/nowhere/a.vp3d")
    visited = []
    for which in ("worst", "next", "next"):
        assert bpy.ops.vp3d.worst_frame(which=which) == {"FINISHED"}
        visited.append(bpy.context.scene.frame_current)
    assert visited[:2] == [45, 21] and visited[2] not in visited[:2]
    assert bpy.ops.vp3d.worst_frame() == {"FINISHED"} and bpy.context.scene.frame_current == 45


def test_a_take_without_anything_compared():
    take = walker(10)
    take.residual_px[:] = np.nan
    camera = apply_take(bpy.context, take, "/nowhere/a.vp3d").camera
    assert camera["residual_px"] == 0 and not len(observed.residual_keys(camera)[0])
    assert bpy.ops.vp3d.worst_frame() == {"CANCELLED"}
    for panel in panels.classes:
        draw(panel)


def test_a_file_of_an_older_version():
    applied = apply_take(bpy.context, noisy(10), "/nowhere/a.vp3d")
    for thing in (applied.camera, *applied.people):
        for name in [name for name in thing.keys() if name not in ("vp3d_take", "vp3d_person")]:  # noqa: SIM118
            del thing[name]
    assert "Apply the take again to see how" in " ".join(draw(panels.VP3D_PT_camera))
    for panel in panels.classes:
        draw(panel)
    bpy.ops.vp3d.colour_bones(show="confidence")
    assert not confidence.is_coloured(applied.people[0])


def test_operators_wait_for_a_take():
    for name in ("worst_frame", "colour_bones"):
        assert not getattr(bpy.ops.vp3d, name).poll()
    assert "Apply a take" in draw(panels.VP3D_PT_camera)[0]
    assert draw(panels.VP3D_PT_camera_overlay) == draw(panels.VP3D_PT_camera_residual) == []


def test_the_panel_shows_each_person_and_the_active_ones_joints():
    take = noisy(people=2)
    applied = apply_take(bpy.context, take, "/nowhere/a.vp3d")
    bpy.context.scene.frame_set(11)
    bpy.context.view_layer.objects.active = applied.people[1]
    shown = draw(panels.VP3D_PT_camera_residual)
    assert "Joints of VP3D Person 2" in shown
    place = shown.index("Left wrist")
    median = np.median(take.residual_px[1, :, WRIST])
    assert shown[place + 1 : place + 3] == [f"{take.residual_px[1, 10, WRIST]:.1f} px", f"{median:.1f} px"]
    place = shown.index("VP3D Person 1")
    assert shown[place + 1] == f"{np.nanmean(take.residual_px[0, 10]):.1f} px"


def test_bone_colours_of_all_people_in_one_step():
    people = apply_take(bpy.context, noisy(people=2), "/nowhere/a.vp3d").people
    bpy.ops.vp3d.colour_bones(show="confidence")
    assert all(map(confidence.is_coloured, people))
    bpy.ops.vp3d.colour_bones(show="side")
    assert not any(map(confidence.is_coloured, people))


def test_the_overlay_is_off_in_a_new_file_and_draws_nothing_in_background():
    settings = bpy.context.window_manager.vp3d_overlay
    settings.show = True
    assert overlay._handle is None
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not bpy.context.window_manager.vp3d_overlay.show


def test_a_camera_of_the_users_own_is_no_camera_of_ours():
    camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    assert operators.camera_at_hand(bpy.context) is None
    applied = apply_take(bpy.context, noisy(10), "/nowhere/a.vp3d")
    bpy.context.scene.camera = camera
    assert operators.camera_at_hand(bpy.context) == applied.camera
