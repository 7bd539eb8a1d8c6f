"""Other videos of the same moment: the list, what goes to the server, and what comes back."""

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from layout_recorder import draw  # noqa: E402
from takes import walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.capture import panels  # noqa: E402
from blender_vp3d.common.take import save  # noqa: E402


@pytest.fixture
def settings():
    """The add-on's settings in an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_vp3d.register()
    yield bpy.context.scene.vp3d
    blender_vp3d.unregister()


@pytest.fixture
def clips(settings, tmp_path):
    """A main video and two others, `left.mp4` and `right.mp4`, in the list."""
    for name in ("front.mp4", "left.mp4", "right.mp4"):
        (tmp_path / name).touch()
    settings.video = str(tmp_path / "front.mp4")
    assert add(tmp_path, "left.mp4", "right.mp4") == {"FINISHED"}
    return tmp_path


def add(folder, *names):
    """What the file browser does with chosen files."""
    return bpy.ops.vp3d.add_views(directory=str(folder), files=[{"name": name} for name in names])


def test_chosen_files_come_into_the_list_once(clips, settings):
    assert [view.file.name for view in settings.views] == ["left.mp4", "right.mp4"]
    assert settings.view == settings.views[1]
    assert add(clips, "left.mp4", "front.mp4") == {"CANCELLED"}, "the main video is no other view"
    assert len(settings.views) == 2


def test_views_are_taken_off_the_list(clips, settings):
    settings.active_view = 0
    for left in (["right.mp4"], []):
        assert bpy.ops.vp3d.remove_view() == {"FINISHED"}
        assert [view.file.name for view in settings.views] == left
    assert settings.view is None
    assert not bpy.ops.vp3d.remove_view.poll()


def test_an_offset_that_is_not_ticked_is_left_to_the_server(clips, settings):
    options = settings.options()
    assert options["views"] == [str(clips / "left.mp4"), str(clips / "right.mp4")]
    assert options["offsets"] == [None, None]
    settings.views[1].use_offset, settings.views[1].offset = True, -0.25
    assert settings.options()["offsets"] == [None, -0.25]


def test_a_stereo_network_is_asked_for_where_there_are_views(clips, settings):
    assert "stereo" not in draw(panels.VP3D_PT_views)
    settings.joints_by, settings.stereo = "network", str(clips / "front.mp4")
    assert {"joints_by", "stereo"} <= set(draw(panels.VP3D_PT_views))
    assert settings.options()["stereo"] == str(clips / "front.mp4")
    settings.views.clear()
    assert settings.options()["stereo"] is None
    assert "joints_by" not in draw(panels.VP3D_PT_views)


@pytest.mark.filterwarnings("ignore:.*blend relative")
def test_paths_beside_the_scenes_file(clips, settings):
    bpy.ops.wm.save_as_mainfile(filepath=str(clips / "shot.blend"))
    settings = bpy.context.scene.vp3d
    settings.views[0].path = "//left.mp4"
    assert settings.options()["views"][0] == str(clips / "left.mp4")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: (s.views[0].file).unlink(), "There is no file left.mp4"),
        (lambda s: setattr(s.views[0], "path", ""), "Choose the file of every view"),
        (lambda s: setattr(s.views[0], "path", s.views[1].path), "right.mp4 is there twice"),
        (lambda s: setattr(s, "video", s.views[1].path), "right.mp4 is there twice"),
        (lambda s: setattr(s, "camera", "scene"), "need cameras that are solved"),
        (lambda s: setattr(s, "joints_by", "network"), "Choose the weights of the stereo network"),
    ],
)
def test_what_is_wrong_with_the_views(clips, settings, change, words):
    change(settings)
    with pytest.raises(ValueError, match=words):
        settings.options()


def test_offsets_of_a_take_are_shown_and_can_be_adjusted(clips, settings):
    take = walker(frames=5)
    one = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    camera = {"K": one, "R": one, "t": [0.0, 0.0, 4.0], "distortion": [0.0] * 5}
    about = {"width": 64, "height": 48, "rotation": 0, "fps": 25.0, "frame_count": 5, "offset_s": 0.125}
    take.report["views"] = [{"path": str((clips / "left.mp4").resolve()), "name": "left.mp4", **camera, **about}]
    save(take, clips / "two.vp3d")
    settings.active_view = 0
    assert "From the motion" in draw(panels.VP3D_PT_views)
    bpy.ops.vp3d.import_take(filepath=str(clips / "two.vp3d"))
    assert {"+0.125 s", "+0.125 s in the take"} <= set(draw(panels.VP3D_PT_views))
    settings.active_view = 1
    assert "From the motion" in draw(panels.VP3D_PT_views), "the other clip is not in the take"
    settings.views[0].use_offset = settings.views[1].use_offset = True
    assert settings.options()["offsets"] == [0.125, 0.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "by the people they see"),
        ({"lens": "file", "calibration": "/rig/Calib.toml"}, "placed by Calib.toml"),
        ({"camera": "clip"}, "need cameras that are solved"),
    ],
)
def test_the_panel_tells_where_the_cameras_come_from(clips, settings, change, words):
    for name, value in change.items():
        setattr(settings, name, value)
    drawn = " ".join(draw(panels.VP3D_PT_views))
    assert words in drawn and "All cameras must stand still." in drawn
    assert {"vp3d.add_views", "vp3d.remove_view", "path", "use_offset"} <= set(draw(panels.VP3D_PT_views))


def test_nothing_of_the_views_is_left_behind(settings):
    blender_vp3d.unregister()
    names = ("VP3D_PG_view", "VP3D_PG_seen", "VP3D_UL_views", "VP3D_PT_views")
    left = [name for name in names if hasattr(bpy.types, name)]
    left += [name for name in ("add_views", "remove_view") if name in dir(bpy.ops.vp3d)]
    blender_vp3d.register()
    assert not left
