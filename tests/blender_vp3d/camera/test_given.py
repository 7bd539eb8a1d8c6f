"""Cameras that Blender knows already, as the server is told of them: pixel for pixel what Blender sees."""

import json

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Vector  # noqa: E402
from takes import project  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.camera import given  # noqa: E402

POINTS = [Vector(point) for point in np.random.default_rng(0).uniform([-2, -1, 0], [2, 4, 3], (40, 3))]


@pytest.fixture(autouse=True)
def add_on():
    blender_vp3d.register()
    yield
    blender_vp3d.unregister()


@pytest.fixture
def clip(tmp_path):
    """Twelve numbered pictures, 64 x 36."""
    for number in range(12):
        image = bpy.data.images.new("frame", 64, 36)
        image.filepath_raw, image.file_format = str(tmp_path / f"{number:04d}.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)
    return tmp_path


def camera_in_scene(frames, **keys):
    """A camera 6 m before the origin, with keys at the first and the last frame."""
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 1280, 720
    camera = bpy.data.objects.new("Shot camera", bpy.data.cameras.new("Shot camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location, camera.rotation_euler, camera.data.lens = (-1, -6, 1.5), (np.radians(88), 0, np.radians(8)), 30
    for path, (owner, last) in keys.items():
        owner = camera if owner == "object" else camera.data
        owner.keyframe_insert(path, frame=frames[0])
        setattr(owner, path, last)
        owner.keyframe_insert(path, frame=frames[1])
    return camera


def check(found, frame_start):
    """Largest distance in px between where the numbers and where Blender see points, over all frames."""
    scene, worst = bpy.context.scene, 0.0
    pixels = project(found.K, found.R, found.t, np.tile(np.array(POINTS), (len(found.K), 1, 1)))
    for frame, seen in zip(found.frames, pixels, strict=True):
        scene.frame_set(frame_start + int(frame))
        view = np.array([world_to_camera_view(scene, scene.camera, point) for point in POINTS])
        wanted = np.stack([view[:, 0], 1 - view[:, 1]], -1) * found.size - 0.5
        worst = max(worst, np.abs(seen - wanted).max())
    return worst


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280)])
def test_the_scenes_camera_with_all_that_moves_it(fit, size):
    turned = (np.radians(80), 0.05, np.radians(-10))
    camera = camera_in_scene(
        (11, 30), location=("object", (1, -5, 2)), rotation_euler=("object", turned), lens=("data", 55)
    )
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = size
    render.pixel_aspect_x = 1.3
    camera.data.sensor_fit, camera.data.sensor_height, camera.data.shift_x = fit, 20, 0.07
    carrier = bpy.data.objects.new("dolly", None)
    bpy.context.scene.collection.objects.link(carrier)
    camera.parent, carrier.location.z, carrier.scale = carrier, 0.3, (1.5, 1.5, 1.5)
    bpy.context.scene.frame_set(17)
    found = given.scene_camera(bpy.context, range(0, 20, 3), 11)
    assert bpy.context.scene.frame_current == 17
    assert found.name == "Shot camera" and found.metres and found.frames.tolist() == list(range(0, 20, 3))
    assert np.ptp(found.K[:, 0, 0]) > 0 and check(found, 11) < 2e-3


def test_a_camera_that_nothing_moves_is_one():
    camera = camera_in_scene((1, 2))
    found = given.scene_camera(bpy.context, range(5, 900), 1)
    assert found.frames.tolist() == [5] and len(found.K) == 1 and check(found, 1) < 2e-3
    camera.constraints.new("COPY_LOCATION")
    assert len(given.scene_camera(bpy.context, range(5, 9), 1).K) == 4


def test_cameras_that_cannot_be_had():
    with pytest.raises(given.GivenError, match="no camera"):
        given.scene_camera(bpy.context, range(9), 1)
    camera_in_scene((1, 2)).data.type = "ORTHO"
    with pytest.raises(given.GivenError, match="no perspective camera"):
        given.scene_camera(bpy.context, range(9), 1)


def test_the_server_reads_what_is_written(tmp_path):
    camera_in_scene((1, 9), location=("object", (1, -5, 2)))
    found = given.scene_camera(bpy.context, range(9), 1)
    found.write(tmp_path / "new" / "a.json")
    content = json.loads((tmp_path / "new" / "a.json").read_text("utf-8"))
    assert content["format"] == "vp3d-camera" and content["video"] == {"width": 1280, "height": 720}
    for name in ("K", "R", "t"):
        np.testing.assert_array_equal(np.array(content["camera"][name]), getattr(found, name))
    with pytest.raises(given.GivenError, match="cannot be written"):
        found.write(tmp_path / "new" / "a.json" / "b.json")


def solve(clip, frames):
    """Let Blender solve a clip's camera from markers of `POINTS`, seen by the scene's camera."""
    scene, tracking = bpy.context.scene, clip.tracking
    tracks = [tracking.tracks.new(name=str(i), frame=1) for i in range(len(POINTS))]
    for frame in range(1, frames + 1):
        scene.frame_set(frame)
        for point, track in zip(POINTS, tracks, strict=True):
            view = world_to_camera_view(scene, scene.camera, point)
            track.markers.insert_frame(frame, co=(view.x, view.y))
    active = tracking.objects.active
    active.keyframe_a, active.keyframe_b = 1, frames
    window = bpy.context.window_manager.windows[0]
    window.workspace = bpy.data.workspaces["Motion Tracking"]
    area = next(
        area
        for area in window.screen.areas
        if area.type == "CLIP_EDITOR" and area.spaces.active.view == "CLIP" and area.spaces.active.mode == "TRACKING"
    )
    area.spaces.active.clip = clip
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        assert bpy.ops.clip.solve_camera("EXEC_DEFAULT") == {"FINISHED"}


def test_a_clips_own_track(clip):
    """Blender's solver on markers of known points: its camera sees its own points where the markers are."""
    bpy.ops.wm.read_homefile(app_template="VFX", use_factory_startup=True)
    scene = bpy.context.scene
    camera_in_scene(
        (1, 12), location=("object", (1, -5.5, 1.8)), rotation_euler=("object", (np.radians(85), 0.05, -0.1))
    )
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    movie = bpy.data.movieclips.load(str(clip / "0000.png"))
    movie.tracking.camera.sensor_width, movie.tracking.camera.focal_length = 36, 30
    with pytest.raises(given.GivenError, match="is not solved"):
        given.clip_track(movie, range(12), metres=False)
    solve(movie, 12)
    found = given.clip_track(movie, range(2, 10), metres=False)
    assert found.frames.tolist() == list(range(2, 10)) and found.size == (64, 36) and not found.metres
    tracks = [track for track in movie.tracking.tracks if track.has_bundle]
    assert len(tracks) > 30
    bundles = np.array([track.bundle for track in tracks], float)
    seen = project(found.K, found.R, found.t, np.tile(bundles, (len(found.K), 1, 1)))
    markers = np.array([[track.markers.find_frame(int(f) + 1).co for track in tracks] for f in found.frames])
    wanted = np.stack([markers[..., 0], 1 - markers[..., 1]], -1) * found.size - 0.5
    error = np.linalg.norm(seen - wanted, axis=-1).mean()
    assert error == pytest.approx(movie.tracking.reconstruction.average_error, abs=0.05)
    movie.tracking.camera.distortion_model = "DIVISION"
    with pytest.raises(given.GivenError, match="change it to Polynomial"):
        given.clip_track(movie, range(12), metres=False)


def test_the_camera_of_a_videos_frames(clip):
    camera_in_scene((1, 12), location=("object", (1, -5, 2)))
    settings = bpy.context.scene.vp3d
    settings.camera = "scene"
    found = given.for_video(bpy.context, clip / "####.png", settings)
    assert found.frames.tolist() == list(range(12))
    movie = bpy.data.movieclips[0]
    movie.frame_start = 101
    settings.use_range, settings.first, settings.last, settings.every = True, 3, 99, 4
    assert given.for_video(bpy.context, clip, settings).frames.tolist() == [2, 6, 10]
    assert len(bpy.data.movieclips) == 1
    settings.first = 13
    with pytest.raises(given.GivenError, match="no frame of the video"):
        given.for_video(bpy.context, clip, settings)
    with pytest.raises(given.GivenError, match="cannot be read by Blender"):
        given.for_video(bpy.context, clip / "gone.mp4", settings)
