"""Blender's camera against the pinhole camera of the take, pixel for pixel."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Vector  # noqa: E402
from takes import project, walker  # noqa: E402

from blender_vp3d import animation  # noqa: E402
from blender_vp3d.camera import lens  # noqa: E402
from blender_vp3d.skeleton import apply_take  # noqa: E402


def K(fx, fy, cx, cy):
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


SHOTS = {
    "landscape": (K(1100, 1100, 639.5, 359.5), (1280, 720)),
    "portrait, off centre": (K(1662.8, 1662.8, 543.3, 951.4), (1080, 1920)),
    "odd size, principal point far off": (K(900, 900, 200, 640), (1001, 667)),
    "wide pixels": (K(1000, 1300, 650, 330), (1280, 720)),
    "high pixels, portrait": (K(1500, 1100, 350, 700), (720, 1280)),
    "telephoto 4K": (K(5000, 5000, 1900, 1100), (3840, 2160)),
}


def check_pixels(take, applied, frame):
    """Largest distance in px between where Blender and where the take sees the joints of a frame."""
    scene = bpy.context.scene
    scene.frame_set(1 + int(take.frames[frame]))
    points = take.joints3d[0, frame].astype(float)
    i = frame if len(take.camera_K) > 1 else 0
    wanted = project(take.camera_K[i : i + 1], take.camera_R[i : i + 1], take.camera_t[i : i + 1], points[None])[0]
    seen = np.array([world_to_camera_view(scene, applied.camera, Vector(point)) for point in points])
    assert (seen[:, 2] > 0).all()
    size = np.array([scene.render.resolution_x, scene.render.resolution_y])
    found = np.stack([seen[:, 0], 1 - seen[:, 1]], -1) * size - 0.5
    return np.abs(found - wanted).max()


@pytest.mark.parametrize("shot", SHOTS)
@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_every_joint_is_on_its_pixel(shot, moving):
    intrinsics, size = SHOTS[shot]
    take = walker(25, size=size, K=intrinsics, moving_camera=moving)
    applied = apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    render = bpy.context.scene.render
    assert (render.resolution_x, render.resolution_y) == size
    assert bpy.context.scene.camera == applied.camera
    for frame in (0, 11, 24):
        assert check_pixels(take, applied, frame) < 1e-3


def paths(datablock):
    return {curve.data_path for curve in animation.curves_of(datablock)} - {'["residual_px"]'}


def test_only_what_changes_has_keys():
    still, moving = walker(10, video="/clips/a.mp4"), walker(10, moving_camera=True, video="/clips/a.mp4")
    camera = apply_take(bpy.context, still, "/takes/a.vp3d").camera
    assert not paths(camera) and not paths(camera.data)
    assert apply_take(bpy.context, moving, "/takes/a.vp3d").camera == camera
    assert paths(camera) == {"location", "rotation_quaternion"} and paths(camera.data) == {"lens"}
    moving.camera_K[:, 0, 2] += np.arange(10)
    apply_take(bpy.context, moving, "/takes/a.vp3d")
    assert paths(camera.data) == {"lens", "shift_x"}
    apply_take(bpy.context, still, "/takes/a.vp3d")
    assert not paths(camera) and not paths(camera.data) and len(bpy.data.cameras) == 1
    assert len(bpy.data.actions) == 2
    assert check_pixels(still, type("Applied", (), {"camera": camera}), 9) < 1e-3


def test_a_tripod_that_turns_all_the_way_round_while_it_zooms():
    """Quaternions must neither jump at half a turn nor lose pixels at a long focal length."""
    take = walker(40, size=(1920, 1080), K=K(1866.7, 1866.7, 951.2, 547.3), moving_camera=True)
    turn, zoom = np.linspace(0, 4 * np.pi, 40), np.linspace(1, 2, 40)
    forward = np.stack([np.sin(turn), np.cos(turn), -0.1 + 0 * turn], -1)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    take.camera_R = np.stack([right, np.cross(forward, right), forward], axis=1)
    take.camera_t = -np.einsum("tij,j->ti", take.camera_R, [0.3, -4, 1.6])
    take.camera_K[:, [0, 1], [0, 1]] = 1866.7 * zoom[:, None]
    ahead = np.array([0.3, -4, 1.6]) + 5 * forward
    take.joints3d = np.float32(ahead[None, :, None] + np.random.default_rng(3).normal(size=(1, 40, 17, 3)) * 0.5)
    applied = apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    assert max(check_pixels(take, applied, frame) for frame in range(40)) < 1e-3
    quaternions = []
    for frame in take.frames:
        bpy.context.scene.frame_set(1 + int(frame))
        quaternions.append(tuple(applied.camera.rotation_quaternion))
    assert (np.sum(np.array(quaternions)[1:] * np.array(quaternions)[:-1], -1) > 0.9).all()


def test_the_users_sensor_is_the_cameras():
    take = walker(5)
    take.settings = {"focal_mm": 24.0, "sensor_mm": 23.5}
    take.camera_K = K(24 / 23.5 * 1280, 24 / 23.5 * 1280, 639.5, 359.5)[None]
    applied = apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    assert applied.camera.data.sensor_width == 23.5
    assert applied.camera.data.lens == pytest.approx(24, rel=1e-6)
    assert check_pixels(take, applied, 3) < 1e-3


@pytest.mark.parametrize("shot", SHOTS)
def test_blenders_frame_gives_the_matrix_back(shot):
    intrinsics, size = SHOTS[shot]
    camera = apply_take(bpy.context, walker(3, size=size, K=intrinsics), "/nowhere/shot.vp3d").camera
    frame = np.array([tuple(corner) for corner in camera.data.view_frame(scene=bpy.context.scene)])
    np.testing.assert_allclose(lens.to_matrix(frame, *size), intrinsics, atol=2e-3)


def test_focus_that_the_user_animated_stays():
    moving, still = walker(10, moving_camera=True, video="/clips/a.mp4"), walker(10, video="/clips/a.mp4")
    data = apply_take(bpy.context, moving, "/takes/a.vp3d").camera.data
    data.keyframe_insert("dof.focus_distance", frame=4)
    for take in (moving, still):
        apply_take(bpy.context, take, "/takes/a.vp3d")
        assert "dof.focus_distance" in {curve.data_path for curve in animation.curves_of(data)}


@pytest.fixture
def images(tmp_path):
    """Eight numbered pictures, 64 x 36, the n-th of them grey of brightness n / 10."""
    folder = tmp_path / "shot ä"
    folder.mkdir()
    for number in range(8):
        image = bpy.data.images.new("frame", 64, 36)
        image.pixels.foreach_set(np.tile([number / 10, number / 10, number / 10, 1], 64 * 36).astype(np.float32))
        image.filepath_raw, image.file_format = str(folder / f"{number:04d}.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)
    return folder


def plate_take(source):
    return walker(8, size=(64, 36), K=K(50, 50, 31.5, 17.5), video=str(source))


@pytest.mark.parametrize("pattern", ["", "####.png", "%04d.png"])
def test_the_video_is_the_cameras_background(images, pattern):
    applied = apply_take(bpy.context, plate_take(images / pattern), "/nowhere/shot.vp3d", frame_start=101)
    assert applied.warnings == ()
    data = applied.camera.data
    assert data.show_background_images and len(data.background_images) == 1
    plate = data.background_images[0]
    assert plate.source == "MOVIE_CLIP" and plate.show_background_image
    assert tuple(plate.clip.size) == (64, 36)
    assert plate.clip.frame_start == 101 and plate.clip.frame_duration == 8
    assert not plate.clip_user.use_render_undistorted
    apply_take(bpy.context, plate_take(images / pattern), "/nowhere/shot.vp3d", frame_start=101)
    assert len(data.background_images) == 1 and len(bpy.data.movieclips) == 1


def shown(clip, frame, straight=False):
    """(H, W) what Blender's compositor shows of a grey clip at a scene frame."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.resolution_x, scene.render.resolution_y = width, height = clip.size
    scene.view_settings.view_transform = "Standard"
    if bpy.app.version < (5, 0):
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        output = tree.nodes.new("CompositorNodeComposite")
    else:
        tree = scene.compositing_node_group = bpy.data.node_groups.new("show", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        output = tree.nodes.new("NodeGroupOutput")
    node = tree.nodes.new("CompositorNodeMovieClip")
    node.clip = clip
    if straight:
        lens_node = tree.nodes.new("CompositorNodeMovieDistortion")
        lens_node.clip = clip
        tree.links.new(node.outputs[0], lens_node.inputs[0])
        node = lens_node
    tree.links.new(node.outputs[0], output.inputs[0])
    scene.frame_set(frame)
    scene.render.filepath = bpy.app.tempdir + "shown.png"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1, :, 0]


@pytest.mark.parametrize("number", [0, 3, 7])
def test_video_frame_f_shows_at_start_plus_f(images, number):
    applied = apply_take(bpy.context, plate_take(images), "/nowhere/shot.vp3d", frame_start=101)
    clip = applied.camera.data.background_images[0].clip
    assert shown(clip, 101 + number)[0, 0] == pytest.approx(number / 10, abs=0.01)


def test_a_video_that_moved_is_found_beside_the_take(images, tmp_path):
    take = plate_take("/gone/" + images.name)
    assert apply_take(bpy.context, take, tmp_path / "shot.vp3d").warnings == ()


def test_a_missing_video_leaves_the_camera_without_background():
    applied = apply_take(bpy.context, plate_take("/gone/clip.mp4"), "/nowhere/shot.vp3d")
    assert applied.warnings == (
        "clip.mp4 was not found, so the camera has no background: put the video beside the take.",
    )
    assert not applied.camera.data.background_images


def test_a_video_that_blender_cannot_read_is_said(tmp_path):
    path = tmp_path / "odd.mp4"
    path.write_text("no video")
    applied = apply_take(bpy.context, plate_take(path), "/nowhere/shot.vp3d")
    assert applied.warnings == ("odd.mp4 cannot be read by Blender, so the camera has no background.",)
    assert not applied.camera.data.background_images and not bpy.data.movieclips


def test_a_video_of_another_size_is_said(images):
    take = plate_take(images)
    take.video["width"] = 128
    assert "64 x 36" in apply_take(bpy.context, take, "/nowhere/shot.vp3d").warnings[0]


@pytest.mark.parametrize("rotation", [90, 270])
def test_a_video_that_blender_reads_on_its_side_is_turned_and_fills_the_frame(images, rotation):
    """As a phone's video in Blender 4.2, which does not know how the phone was held."""
    take = walker(8, size=(36, 64), K=K(50, 50, 17.5, 31.5), video=str(images))
    take.video["rotation"] = rotation
    applied = apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    plate = applied.camera.data.background_images[0]
    assert applied.warnings == ()
    assert np.sin(plate.rotation) == pytest.approx({90: -1, 270: 1}[rotation])
    assert plate.frame_method == "FIT" and plate.scale == pytest.approx(64 / 36)
    take = plate_take(images)
    take.video["rotation"] = rotation
    apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    assert plate.frame_method == "STRETCH" and plate.rotation == 0 and plate.scale == 1


def test_a_bent_lens_shows_the_undistorted_plate(images):
    take = plate_take(images)
    take.distortion = np.array([-0.2, 0.05, 0, 0, 0.01])
    applied = apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    plate = applied.camera.data.background_images[0]
    assert plate.clip_user.use_render_undistorted and "undistorted" in applied.warnings[0]
    model = plate.clip.tracking.camera
    np.testing.assert_allclose([model.brown_k1, model.brown_k2, model.brown_k3], [-0.2, 0.05, 0.01], atol=1e-6)
    np.testing.assert_allclose(model.focal_length_pixels, 50, rtol=1e-5)
    np.testing.assert_allclose(model.principal_point_pixels, [32, 18], atol=1e-4)
    take.distortion = np.array([1e-4, 0, 0, 0, 0])
    apply_take(bpy.context, take, "/nowhere/shot.vp3d")
    assert not plate.clip_user.use_render_undistorted


def test_displacement_is_opencvs_distortion():
    """The corner (-1, -1) px of a camera of focal length 1 px at (1, 1): x = y = -1, r² = 2, by OpenCV's formulas."""
    intrinsics = K(1, 1, 1, 1)
    k1, k2, p1, p2, k3 = distortion = np.array([0.01, 0.002, 0.003, -0.001, 0.0005])
    radial = 1 + 2 * k1 + 4 * k2 + 8 * k3
    x = -radial + 2 * p1 + p2 * (2 + 2)
    y = -radial + p1 * (2 + 2) + 2 * p2
    assert lens.displacement(intrinsics, distortion, 3, 3) >= np.hypot(x + 1, y + 1) > 0
    assert lens.displacement(intrinsics, 0 * distortion, 3, 3) == 0


def test_undistorting_is_the_inverse():
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (50, 2))
    distortion = np.array([-0.25, 0.08, 0.003, -0.002, 0.01])
    np.testing.assert_allclose(lens.undistort(lens.distort(points, distortion), distortion), points, atol=1e-9)


@pytest.mark.skipif(bpy.app.version >= (4, 3), reason="the compositor of later Blenders moves what it undistorts")
def test_blender_undistorts_as_the_take_says(tmp_path):
    """Spots where a bent lens with wide pixels puts five points come out where they belong."""
    width, height = 320, 180
    intrinsics, distortion = K(260, 340, 150, 95), np.array([-0.2, 0.05, 0.01, -0.008, 0.02])
    points = np.array([[40, 30], [280, 40], [160, 90], [60, 150], [270, 150]], float)
    bent = lens.to_pixels(lens.distort(lens.to_plane(points, intrinsics), distortion), intrinsics)
    v, u = np.mgrid[:height, :width]
    grey = sum(np.exp(-((u - x) ** 2 + (v - y) ** 2) / 12.5) for x, y in bent)
    image = bpy.data.images.new("spots", width, height)
    pixels = np.repeat(grey[::-1, :, None], 4, 2).astype(np.float32)
    pixels[..., 3] = 1
    image.pixels.foreach_set(pixels.ravel())
    image.filepath_raw, image.file_format = str(tmp_path / "0001.png"), "PNG"
    image.save()
    take = walker(8, size=(width, height), K=intrinsics, video=str(tmp_path))
    take.distortion = distortion
    clip = apply_take(bpy.context, take, "/nowhere/a.vp3d").camera.data.background_images[0].clip
    straight = shown(clip, 1, straight=True)
    for x, y in points:
        near = np.where(np.hypot(u - x, v - y) < 9, straight, 0)
        near[near < 0.1] = 0
        assert (near * u).sum() / near.sum() == pytest.approx(x, abs=0.1)
        assert (near * v).sum() / near.sum() == pytest.approx(y, abs=0.1)


def test_every_view_of_a_take_gets_its_camera_and_plate():
    take, other = walker(10), walker(10, K=K(800, 800, 500, 300), size=(1000, 600))
    turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
    R, t = other.camera_R[0] @ turn, other.camera_t[0] + [0.1, 0, 0.5]
    about = {"path": "/nowhere/left.mp4", "width": 1000, "height": 600, "rotation": 0, "fps": 25.0, "offset_s": 0.2}
    pose = {"K": other.camera_K[0].tolist(), "R": R.tolist(), "t": t.tolist(), "distortion": [0.0] * 5}
    take.report["views"] = [{"name": "left.mp4", "frame_count": 40, **about, **pose}]
    for _ in range(2):  # a second time updates the first
        applied = apply_take(bpy.context, take, "/nowhere/shot.vp3d")
        main, side = applied.camera, bpy.data.objects["VP3D Camera 2"]
        assert len(bpy.data.cameras) == 2
    assert bpy.context.scene.camera == main
    assert any("left.mp4 was not found" in warning for warning in applied.warnings)
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = 1000, 600
    bpy.context.view_layer.update()
    points = take.joints3d[0, 4].astype(float)
    wanted = project(other.camera_K[:1], R[None], t[None], points[None])[0]
    seen = np.array([world_to_camera_view(bpy.context.scene, side, Vector(point)) for point in points])
    found = np.stack([seen[:, 0], 1 - seen[:, 1]], -1) * [1000, 600] - 0.5
    assert np.abs(found - wanted).max() < 1e-3
