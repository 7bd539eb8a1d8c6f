"""The sidebar in the bpy module: settings, operators, panels, and the way to a result through a real process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from layout_recorder import draw  # noqa: E402
from takes import walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d import data_home, preferences, ticker  # noqa: E402
from blender_vp3d.backend import environment  # noqa: E402
from blender_vp3d.backend.client import Server  # noqa: E402
from blender_vp3d.backend.job import Job, JobState  # noqa: E402
from blender_vp3d.capture import panels, properties, running, summary  # noqa: E402
from blender_vp3d.common.take import load, save  # noqa: E402

PEER = Path(__file__).parent.parent / "backend" / "peer.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder with an environment that is marked ready, and the add-on registered."""
    folder = tmp_path / "home"
    python = environment.python_of(folder / "server")
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (folder / "install.json").write_text(json.dumps({"server": {"state": "ready", "version": "0.1.0"}}))
    monkeypatch.setenv("VP3D_HOME", str(folder))
    data_home.look_again()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_vp3d.register()
    running.session.job = None
    yield folder
    blender_vp3d.unregister()
    data_home.look_again()


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "my dance ä.mp4"
    path.touch()
    bpy.context.scene.vp3d.video = str(path)
    return path


def serve(monkeypatch, mode):
    """Let the session start a peer that behaves in one chosen way."""
    monkeypatch.setattr(
        running.session, "_start_server", lambda found: Server(found, [sys.executable, "-u", str(PEER), mode])
    )
    running.session._may_start_at = 0.0


def save_take(path):
    """Two people on 30 frames, the second of them in the latter half only."""
    take = walker(frames=30, people=2)
    take.joints3d[1, :15] = np.nan
    take.report = {
        "detector": {"description": "MediaPipe."},
        "lens": {"note": "A guess."},
        "motion": {"note": "The camera stands still."},
        "warnings": ["Careful, and more."],
    }
    save(take, path)


def test_options_of_untouched_settings():
    assert bpy.context.scene.vp3d.options() == {
        "people": "main",
        "start": 0,
        "end": None,
        "every": 1,
        "fps": None,
        "motion": "auto",
        "height_m": None,
        "foot_lock": 1.0,
        "detail": "normal",
        "detector": "auto",
        "focal_px": None,
        "focal_mm": None,
        "sensor_mm": None,
        "fov_deg": None,
        "calibration": None,
        "camera": None,
        "views": [],
        "stereo": None,
        "offsets": [],
    }


def test_options_count_frames_from_zero():
    settings = bpy.context.scene.vp3d
    settings.use_range, settings.first, settings.last = True, 11, 20
    options = settings.options()
    assert range(options["start"], options["end"]) == range(10, 20)


@pytest.mark.parametrize(
    ("lens", "known"),
    [
        ("auto", set()),
        ("mm", {"focal_mm", "sensor_mm"}),
        ("fov", {"fov_deg"}),
        ("px", {"focal_px"}),
        ("file", {"calibration", "camera"}),
    ],
)
def test_only_the_chosen_lens_is_sent(lens, known):
    settings = bpy.context.scene.vp3d
    settings.lens, settings.calibration, settings.calibration_camera = lens, "/lab/Calib.toml", " left "
    names = ("focal_px", "focal_mm", "sensor_mm", "fov_deg", "calibration", "camera")
    options = settings.options()
    assert {name for name in names if options[name] is not None} == known
    assert options["camera"] in (None, "left")
    settings.camera = "scene"
    assert all(settings.options()[name] is None for name in names), "a camera that is given brings its lens"


def test_height_is_sent_when_it_is_known():
    settings = bpy.context.scene.vp3d
    settings.height = 1.82
    assert settings.options()["height_m"] is None
    settings.use_height = True
    assert settings.options()["height_m"] == pytest.approx(1.82)


def test_a_camera_that_stands_still_has_a_lens_of_its_own():
    settings = bpy.context.scene.vp3d
    settings.camera, settings.lens = "still", "px"
    options = settings.options()
    assert options["motion"] == "still" and options["focal_px"]


def test_the_scenes_camera_goes_with_the_capture(clip, home, monkeypatch, tmp_path):
    """The server finds the file where the message says; what the video's frames cannot have is said before."""
    bpy.context.scene.vp3d.camera = "scene"
    with pytest.raises(RuntimeError, match="cannot be read by Blender"):
        bpy.ops.vp3d.capture()
    image = bpy.data.images.new("frame", 64, 36)
    image.filepath_raw, image.file_format = str(tmp_path / "0001.png"), "PNG"
    image.save()
    bpy.context.scene.vp3d.video = str(tmp_path / "####.png")
    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.vp3d.capture()
    bpy.context.scene.camera = bpy.data.objects.new("Shot", bpy.data.cameras.new("Shot"))
    bpy.context.scene.collection.objects.link(bpy.context.scene.camera)
    serve(monkeypatch, "in one burst")
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    path = Path(running.session.job.options["camera_file"])
    assert path.parent == home / "takes" and json.loads(path.read_text("utf-8"))["name"] == "Shot"


def test_adapted_weights_are_kept_beside_the_take(clip, monkeypatch):
    serve(monkeypatch, "in one burst")
    bpy.ops.vp3d.capture()
    assert "adapt" not in running.session.job.options
    bpy.context.scene.vp3d.adapt = True
    bpy.ops.vp3d.capture()
    job = running.session.job
    assert Path(job.options["adapt"]) == job.take.with_suffix(".lifter.safetensors")


def test_a_calibration_needs_its_file():
    bpy.context.scene.vp3d.lens = "file"
    with pytest.raises(ValueError, match="Choose the calibration file"):
        bpy.context.scene.vp3d.options()


def test_images_have_the_frame_rate_that_the_user_says(tmp_path):
    settings = bpy.context.scene.vp3d
    settings.fps = 23.976
    for video, fps in ((tmp_path, 23.976), (tmp_path / "shot.####.png", 23.976), (tmp_path / "a.mp4", None)):
        settings.video = str(video)
        assert settings.options()["fps"] == (fps and pytest.approx(fps))
        assert ("fps" in draw(panels.VP3D_PT_capture)) == (fps is not None)


def test_the_server_gets_the_angle_in_degrees():
    bpy.context.scene.vp3d.lens = "fov"
    assert bpy.context.scene.vp3d.options()["fov_deg"] == pytest.approx(60)


def test_numbers_of_people():
    settings = bpy.context.scene.vp3d
    settings.people, settings.numbers = "numbers", " 1, 3"
    assert settings.options()["people"] == "1,3"
    for wrong in ("", "one", "1,,2", "0", "-1"):
        settings.numbers = wrong
        with pytest.raises(ValueError, match="commas"):
            settings.options()


def test_the_server_knows_every_option(repository):
    source = (repository / "server/vp3d/pipeline.py").read_text("utf-8")
    for name in bpy.context.scene.vp3d.options():
        assert f"    {name}: " in source


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": ""}, "Choose a video first"),
        ({"video": "/nowhere/gone.mp4"}, "There is no file gone.mp4"),
        ({"use_range": True, "first": 9, "last": 3}, "last frame comes before"),
        ({"people": "numbers", "numbers": "x"}, "commas"),
    ],
)
def test_capture_reports_what_is_wrong(clip, change, words):
    for name, value in change.items():
        setattr(bpy.context.scene.vp3d, name, value)
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.vp3d.capture()
    assert running.session.job is None


def test_capture_needs_a_server(home, clip):
    (home / "install.json").unlink()
    data_home.look_again()
    assert not bpy.ops.vp3d.capture.poll()
    assert "vp3d.capture (greyed out)" in draw(panels.VP3D_PT_capture)


def test_capture_and_its_result(clip, home, monkeypatch):
    serve(monkeypatch, "in pieces")
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    job = running.session.job
    assert job.state is JobState.DONE
    assert job.take.parent == home / "takes"
    assert job.take.name.startswith("my dance ä-")
    assert bpy.context.window_manager.vp3d.take == str(job.take)


def test_the_result_survives_a_file_load(clip, monkeypatch):
    serve(monkeypatch, "in one burst")
    bpy.ops.vp3d.capture()
    take = bpy.context.window_manager.vp3d.take
    bpy.ops.wm.read_homefile(use_empty=True)
    assert bpy.context.window_manager.vp3d.take == take
    assert bpy.ops.vp3d.apply_take.poll()


def test_a_running_job_survives_a_file_load(clip, monkeypatch):
    serve(monkeypatch, "slow")
    job = Job(clip, clip.with_suffix(".vp3d"), {})
    running.session.start(job, data_home.server_environment())
    end = time.monotonic() + 10
    while not job.done and time.monotonic() < end:
        running.tick()
    bpy.ops.wm.read_homefile(use_empty=True)
    running.tick()
    assert job.state is JobState.RUNNING
    assert bpy.ops.vp3d.cancel() == {"FINISHED"}
    while job.active and time.monotonic() < end:
        running.tick()
    assert job.state is JobState.CANCELLED


def test_a_lost_server_is_told_in_the_panel_and_in_the_report(clip, monkeypatch):
    serve(monkeypatch, "dies while working")
    with pytest.raises(RuntimeError, match="stopped unexpectedly"):
        bpy.ops.vp3d.capture()
    drawn = " ".join(draw(panels.VP3D_PT_capture))
    assert "stopped unexpectedly" in drawn
    assert "vp3d.copy_report" in drawn
    assert "vp3d.open_log" in drawn
    assert bpy.ops.vp3d.copy_report() == {"FINISHED"}
    assert "vp3d.try_again" in drawn
    serve(monkeypatch, "in one burst")
    bpy.context.scene.vp3d.video = ""  # as after a file load: the job knows what was asked
    assert bpy.ops.vp3d.try_again() == {"FINISHED"}
    assert running.session.job.state is JobState.DONE
    assert not bpy.ops.vp3d.try_again.poll()


def test_another_protocol_is_told_with_the_button_against_it(clip, monkeypatch):
    serve(monkeypatch, "older")
    with pytest.raises(RuntimeError, match="older than this add-on"):
        bpy.ops.vp3d.capture()
    drawn = " ".join(draw(panels.VP3D_PT_capture))
    assert "Update the environment" in drawn.replace("\n", " ")
    assert "vp3d.install" in drawn


@pytest.mark.parametrize("state", list(JobState))
def test_panels_in_every_state_of_a_job(clip, state):
    running.session.job = Job(clip, clip, {}, state=state, message="It failed.", hint="Try again.")
    parts = (panels.VP3D_PT_people, panels.VP3D_PT_views, panels.VP3D_PT_lens, panels.VP3D_PT_advanced)
    drawn = [text for panel in (panels.VP3D_PT_capture, *parts, panels.VP3D_PT_take) for text in draw(panel)]
    drawn += draw(panels.VP3D_PT_notes)
    assert ("vp3d.cancel" in drawn) == running.session.job.active
    assert ("vp3d.capture" in drawn) != running.session.job.active
    assert ("It failed." in drawn) == (state is JobState.FAILED)
    running.session.job = None


def test_progress_in_plain_words(clip):
    job = Job(clip, clip, {}, state=JobState.RUNNING, stage="detect", done=30, total=120, fps=9.53, remaining_s=75.2)
    assert summary.headline(job) == "Finding joints"
    assert summary.pace(job) == "30 of 120  ·  9.5 fps  ·  1:15 left"
    job.done, job.fps, job.remaining_s = 120, 23840.6, 0.0
    assert summary.pace(job) == "120 of 120", "a stage that was finished before has no speed"
    assert summary.clock(3725) == "1:02:05"


def test_every_stage_of_the_server_has_words(repository):
    source = "".join(path.read_text("utf-8") for path in (repository / "server/vp3d").glob("*.py"))
    stages = {part.split('"')[0] for part in source.split('progress("')[1:]}
    assert stages and stages <= summary.STAGES.keys()


def test_import_lists_the_people(tmp_path):
    save_take(tmp_path / "two.vp3d")
    assert bpy.ops.vp3d.import_take(filepath=str(tmp_path / "two.vp3d")) == {"FINISHED"}
    result = bpy.context.window_manager.vp3d
    assert [(row.number, row.frames, round(row.confidence, 3)) for row in result.people] == [(1, 30, 0.9), (2, 15, 0.9)]
    drawn = " ".join(draw(panels.VP3D_PT_take) + draw(panels.VP3D_PT_notes))
    about = ("MediaPipe.", "A guess.", "The camera stands still.", "Careful, and more.")
    for words in ("Person 2", "15 frames  ·  90% sure", *about):
        assert words in drawn


def test_a_take_dropped_onto_the_viewport_opens_without_a_file_browser(tmp_path):
    save_take(tmp_path / "two.vp3d")
    assert bpy.ops.vp3d.import_take("INVOKE_DEFAULT", filepath=str(tmp_path / "two.vp3d")) == {"FINISHED"}
    assert bpy.types.VP3D_FH_take.bl_import_operator == "vp3d.import_take"


@pytest.mark.parametrize("content", [None, b"", b"no zip"])
def test_import_of_no_take(tmp_path, content):
    path = tmp_path / "odd.vp3d"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"take at|is not a take"):
        bpy.ops.vp3d.import_take(filepath=str(path))
    assert not bpy.context.window_manager.vp3d.take


def test_save_take(tmp_path):
    source, target = tmp_path / "two.vp3d", tmp_path / "kept" / "two.vp3d"
    save_take(source)
    bpy.ops.vp3d.import_take(filepath=str(source))
    with pytest.raises(RuntimeError, match="cannot be saved"):
        bpy.ops.vp3d.save_take(filepath=str(target))
    target.parent.mkdir()
    assert bpy.ops.vp3d.save_take(filepath=str(target)) == {"FINISHED"}
    assert load(target).frames.tolist() == list(range(30))
    assert bpy.ops.vp3d.save_take(filepath=str(source)) == {"FINISHED"}, "onto itself"
    assert load(source).frames.tolist() == list(range(30))


def test_apply_without_a_take_or_a_person(tmp_path):
    assert not bpy.ops.vp3d.apply_take.poll()
    save_take(tmp_path / "two.vp3d")
    bpy.ops.vp3d.import_take(filepath=str(tmp_path / "two.vp3d"))
    for row in bpy.context.window_manager.vp3d.people:
        row.use = False
    with pytest.raises(RuntimeError, match="at least one person"):
        bpy.ops.vp3d.apply_take()


def test_apply_builds_the_chosen_people(tmp_path):
    save_take(tmp_path / "two.vp3d")
    bpy.ops.vp3d.import_take(filepath=str(tmp_path / "two.vp3d"))
    bpy.context.window_manager.vp3d.people[1].use = False
    assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
    assert len(bpy.data.armatures) == 1
    assert bpy.context.scene.camera is not None
    assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
    assert len(bpy.data.armatures) == 1, "applied again, it is updated in place"


def test_apply_begins_where_the_video_begins_in_this_file(tmp_path):
    """A shot that was tracked from frame 1001 on stays there, and the armatures come to it."""
    image = bpy.data.images.new("frame", 64, 36)
    image.filepath_raw, image.file_format = str(tmp_path / "0000.png"), "PNG"
    image.save()
    save(walker(frames=8, video=str(tmp_path)), tmp_path / "shot.vp3d")
    save_take(tmp_path / "two.vp3d")
    bpy.data.movieclips.load(str(tmp_path / "0000.png")).frame_start = 1001
    for name, start in (("shot", 1001), ("two", 1), ("shot", 1001)):
        bpy.ops.vp3d.import_take(filepath=str(tmp_path / f"{name}.vp3d"))
        assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
        assert bpy.context.scene.frame_start == start
    assert [clip.frame_start for clip in bpy.data.movieclips] == [1001]
    bpy.ops.vp3d.apply_take(frame_start=5)
    assert bpy.context.scene.frame_start == 5


def test_apply_selects_what_it_made(tmp_path):
    save_take(tmp_path / "two.vp3d")
    bpy.ops.vp3d.import_take(filepath=str(tmp_path / "two.vp3d"))
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("other", None))
    bpy.data.objects["other"].select_set(True)
    bpy.ops.vp3d.apply_take()
    assert {thing.type for thing in bpy.context.selected_objects} == {"ARMATURE"}
    assert bpy.context.object.type == "ARMATURE"
    bpy.context.view_layer.layer_collection.children["VP3D two"].exclude = True
    assert bpy.ops.vp3d.apply_take() == {"FINISHED"}, "nothing that the user excluded can be selected"


def test_apply_of_a_take_that_is_gone(tmp_path):
    path = tmp_path / "two.vp3d"
    save_take(path)
    bpy.ops.vp3d.import_take(filepath=str(path))
    path.unlink()
    with pytest.raises(RuntimeError, match="no take"):
        bpy.ops.vp3d.apply_take()


def test_open_log_without_a_log():
    with pytest.raises(RuntimeError, match="no log"):
        bpy.ops.vp3d.open_log()


def test_every_property_and_operator_explains_itself():
    groups = [*properties.classes, preferences.VP3D_AP_preferences]
    everything = [
        (group, p) for group in groups for p in group.bl_rna.properties if p.identifier not in ("rna_type", "name")
    ]
    own = [p for group, p in everything if p.identifier in group.__annotations__]
    assert own
    for one in own:
        assert one.description, one.identifier
        assert all(item.description for item in getattr(one, "enum_items", ()))
    for name in dir(bpy.ops.vp3d):
        assert getattr(bpy.ops.vp3d, name).get_rna_type().description, name


def test_the_timer_ends_when_all_is_quiet():
    left = [3]

    def step():
        left[0] -= 1
        return left[0] > 0

    ticker.watch(step)
    ticker.watch(step)
    assert [ticker.tick() for _ in range(3)] == [ticker.INTERVAL, ticker.INTERVAL, None]


def test_a_step_that_raises_does_not_stop_the_others(caplog):
    def broken():
        raise ValueError("broken")

    done = []
    ticker.watch(broken)
    ticker.watch(lambda: done.append(1))
    assert ticker.tick() is None
    assert done == [1]
    assert "a step of the timer failed" in caplog.text


def test_unregister_leaves_no_process(clip, monkeypatch):
    serve(monkeypatch, "in one burst")
    bpy.ops.vp3d.capture()
    pid = running.session.server.pid
    blender_vp3d.unregister()
    try:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        blender_vp3d.register()


def test_nothing_starts_at_import(repository):
    code = (
        "import subprocess, socket, threading, sys\n"
        "def refuse(*a, **k): raise SystemExit('started something at import')\n"
        "subprocess.Popen = socket.socket = threading.Thread.start = refuse\n"
        "import blender_vp3d, blender_vp3d.backend.session\n"
        "assert 'bpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)
