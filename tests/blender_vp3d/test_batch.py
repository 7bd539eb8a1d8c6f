"""The headless way from a take to a .blend and pictures, run as artists run it: as a process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from takes import project, walker  # noqa: E402
from vp3d.common.take import save  # noqa: E402

from blender_vp3d.common.skeletons import H36M_17  # noqa: E402


def batch(repository: Path, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "blender_vp3d.batch", *map(str, arguments)]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, encoding="utf-8", timeout=300)


@pytest.fixture
def take(tmp_path):
    """Two walkers, the second one out of sight in the last frames; the video beside the take."""
    folder = tmp_path / "my take ä"
    folder.mkdir()
    image = bpy.data.images.new("frame", 64, 36)
    image.filepath_raw, image.file_format = str(folder / "0000.png"), "PNG"
    image.save()
    made = walker(8, people=2, every=13, video=str(folder / "####.png"))
    for field in ("joints3d", "joints2d"):
        getattr(made, field)[1, 4:] = np.nan
    save(made, folder / "walk.vp3d")
    return made, folder


def test_a_take_becomes_a_file_and_pictures(repository, take, tmp_path):
    made, folder = take
    done = batch(
        repository, folder / "walk.vp3d", "--blend", folder / "walk.blend", "--render", tmp_path / "png", "--width", 320
    )
    assert done.returncode == 0, done.stderr
    progress = [json.loads(line) for line in done.stdout.splitlines()]
    assert progress[:2] == [{"stage": "blend", "done": 0, "total": 1}, {"stage": "blend", "done": 1, "total": 1}]
    assert progress[-1] == {"stage": "render", "done": 8, "total": 8} and len(progress) == 10
    assert sorted(int(path.stem) for path in (tmp_path / "png").iterdir()) == made.frames.tolist()

    bpy.ops.wm.open_mainfile(filepath=str(folder / "walk.blend"))
    assert sorted(thing.type for thing in bpy.data.objects) == ["ARMATURE", "ARMATURE", "CAMERA"]
    assert not bpy.data.meshes and not bpy.data.materials and not bpy.data.lights
    assert bpy.data.movieclips[0].filepath == "//0000.png"
    views = [area.spaces.active for screen in bpy.data.screens for area in screen.areas if area.type == "VIEW_3D"]
    assert views and all(view.region_3d.view_perspective == "CAMERA" for view in views)
    scene = bpy.context.scene
    assert (scene.render.resolution_x, scene.render.resolution_y) == (1280, 720)

    for step in (0, 4):
        image = bpy.data.images.load(str(tmp_path / "png" / f"{made.frames[step]:06d}.png"))
        assert tuple(image.size) == (320, 180)
        pixels = np.array(image.pixels[:]).reshape(180, 320, -1)[::-1]
        for person, visible in ((0, True), (1, step == 0)):
            # where the second person would be: a metre behind the first one
            joints = made.joints3d[0, step].astype(float) + np.array([0, person, 0])
            seen = project(made.camera_K, made.camera_R, made.camera_t, joints[None])[0] * 0.25
            for side, red_minus_blue in (("left", -1), ("right", 1)):
                knee, ankle = (seen[H36M_17.index(f"{side}_{joint}")] for joint in ("knee", "ankle"))
                u, v = np.round((knee + ankle) / 2).astype(int)
                tint = (pixels[v, u, 0] - pixels[v, u, 2]) * red_minus_blue
                assert (tint > 0.1) == visible, (step, person, side, pixels[v, u])


def test_pictures_to_lay_over_the_plate(repository, take, tmp_path):
    """Clear but for bodies one can see through and a dot on every detected joint, which is red where it is off."""
    made, folder = take
    wrist = made.joints2d[0, 0, 9].copy()
    made.joints2d[0, 0, 9] = wrist - [80, 0]
    save(made, folder / "walk.vp3d")
    arguments = ("--render", tmp_path / "png", "--width", 640, "--overlay", "--frames", "0,26")
    done = batch(repository, folder / "walk.vp3d", *arguments)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "png").iterdir()) == ["000000.png", "000026.png"]
    image = bpy.data.images.load(str(tmp_path / "png" / "000000.png"))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.array(image.pixels[:]).reshape(360, 640, 4)[::-1]
    assert (pixels[:20] == 0).all()
    bodies = pixels[(pixels[..., 3] > 0.59) & (pixels[..., 3] < 0.61)]
    assert len(bodies) > 2000
    for coco in range(5, 17):
        u, v = np.round(made.joints2d[0, 0, coco] / 2).astype(int)
        red, green, _, opacity = pixels[v, u]
        assert opacity > 0.9 and (red > green) == (coco == 9), coco


@pytest.mark.parametrize("option", ["--blend", "--render"])
def test_what_cannot_be_written_is_said_in_a_sentence(repository, take, tmp_path, option):
    (tmp_path / "file").touch()
    done = batch(repository, take[1] / "walk.vp3d", option, tmp_path / "file" / "out.blend")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_people_who_are_no_numbers_are_said(repository, take):
    done = batch(repository, take[1] / "walk.vp3d", "--people", "all")
    assert done.returncode == 2
    assert "--people" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_what_is_no_take_is_said_in_a_sentence(repository, tmp_path, content):
    if content:
        (tmp_path / "bad.vp3d").write_bytes(content)
    done = batch(repository, tmp_path / "bad.vp3d", "--blend", tmp_path / "bad.blend")
    assert done.returncode == 1 and not done.stdout
    assert "take" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "bad.blend").exists()
