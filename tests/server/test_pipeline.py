"""The whole chain on real frames, and what bad input gets."""

import dataclasses
import json
import resource
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from vp3d import export, paths, pipeline
from vp3d.common import take as takes
from vp3d.errors import Cancelled, UserError
from vp3d.media import read_frames
from vp3d.pipeline import Options


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv("VP3D_MODELS_DIR", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def clip(repository: Path) -> Path:
    return repository / "install/demo/salsa.mp4"


def write_video(path: Path, images: Iterable[np.ndarray], fps: int = 30) -> Path:
    with av.open(str(path), "w") as container:
        stream = None
        for image in images:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps))
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_capture_of_the_demo_clip(clip: Path, tmp_path: Path) -> None:
    calls = []
    take = pipeline.capture(clip, Options(detector="mediapipe", end=45), lambda *call: calls.append(call))
    assert take.joints3d.shape == (1, 45, 17, 3)
    assert take.frames.tolist() == list(range(45))
    assert take.present(0).mean() >= 0.95
    assert np.nanmedian(take.residual_px) < 12
    heights = take.joints3d[0, :, :, 2]
    assert np.nanmin(heights) > -0.1 and 1.2 < np.nanmedian(np.nanmax(heights, 1)) < 2.2, "standing on the floor, Z up"
    ended = dict.fromkeys(stage for stage, done, total in calls if done == total)
    assert list(ended) == ["detect", "background", "camera", "lift", "refine"]
    takes.save(take, tmp_path / "take.vp3d")
    report = takes.load(tmp_path / "take.vp3d").report
    assert report["people"][0]["frames"] >= 43 and report["detector"]["licence"] and report["lens"]["note"]


def test_a_second_capture_and_another_lens_detect_nothing_again(clip: Path) -> None:
    options = {"detector": "mediapipe", "end": 20}
    first = pipeline.capture(clip, Options(**options))
    again = pipeline.capture(clip, Options(**options))
    other = pipeline.capture(clip, Options(**options, fov_deg=40.0))
    cached = [
        {name: timing["cached"] for name, timing in take.report["timings"].items()} for take in (first, again, other)
    ]
    assert not any(cached[0].values())
    assert all(cached[1].values())
    assert cached[2] == {
        "detect": True,
        "track": True,
        "background": True,
        "camera": True,
        "lift": False,
        "refine": False,
    }
    np.testing.assert_array_equal(first.joints3d, again.joints3d)


def test_a_camera_that_is_given_stays_as_it_is(clip: Path, tmp_path: Path) -> None:
    """A take's own camera, moved elsewhere, given for the same clip: people come along, and are as large."""
    solved = pipeline.capture(clip, Options(detector="mediapipe", end=45))
    turn = cv2.Rodrigues(np.array([0, 0, 0.8]))[0]
    moved = dataclasses.replace(
        solved,
        camera_R=solved.camera_R @ turn.T,
        camera_t=solved.camera_t - solved.camera_R @ turn.T @ [3.0, -2, 0],
    )
    (path,) = export.write(moved, tmp_path / "camera.json", "json")
    take = pipeline.capture(clip, Options(detector="mediapipe", end=45, camera_file=str(path)))
    for name in ("camera_K", "camera_R", "camera_t"):
        np.testing.assert_allclose(getattr(take, name), getattr(moved, name), atol=1e-9)
    assert take.report["lens"]["source"] == "given"
    wanted = solved.joints3d[0] @ turn.T + [3.0, -2, 0]
    assert np.nanmedian(np.linalg.norm(take.joints3d[0] - wanted, axis=-1)) < 0.2
    assert np.nanmedian(take.residual_px) < 1.2 * np.nanmedian(solved.residual_px)
    with pytest.raises(UserError, match="brings its lens"):
        pipeline.capture(clip, Options(camera_file=str(path), focal_px=900.0))


def test_an_adapted_lifter_is_kept_beside_the_take(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vp3d.lift.adaptation._STEPS", 15)
    monkeypatch.setattr("vp3d.lift.adaptation._WORTH", 2.0)
    weights = tmp_path / "take.lifter.safetensors"
    plain = pipeline.capture(clip, Options(detector="mediapipe", end=45))
    take = pipeline.capture(clip, Options(detector="mediapipe", end=45, adapt=str(weights)))
    adapted = take.report["lifter"]["adapted"]
    assert adapted["kept"] and adapted["steps"] == 15
    assert f"{adapted['held_out_px'][1]:.1f} px off instead of" in take.report["lifter"]["description"]
    assert np.abs(take.joints3d - plain.joints3d).max() > 1e-3
    same = pipeline.capture(clip, Options(detector="mediapipe", end=45, lifter=str(weights)))
    np.testing.assert_allclose(same.joints3d, take.joints3d, atol=2e-3)
    monkeypatch.setattr("vp3d.lift.adaptation._STEPS", 0)
    weights.unlink()
    again = pipeline.capture(clip, Options(detector="mediapipe", end=45, adapt=str(weights)))
    np.testing.assert_array_equal(again.joints3d, take.joints3d)
    assert weights.is_file(), "the fit comes from the cache, and its weights are written again"


def test_a_cancelled_detection_goes_on_from_its_last_chunk(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 10)

    def cancel_at(limit: int):
        def progress(stage: str, done: int, total: int) -> None:
            if stage == "detect" and done >= limit:
                raise Cancelled

        return progress

    options = Options(detector="mediapipe", end=30)
    with pytest.raises(Cancelled):
        pipeline.capture(clip, options, cancel_at(25))
    seen = []
    again = pipeline.capture(clip, options, lambda stage, done, total: seen.append(done) if stage == "detect" else None)
    assert not {1, 5, 11, 15} & set(seen), "the first two chunks came from the cache"
    assert {21, 25, 30} & set(seen)
    assert again.report["timings"]["detect"]["frames"] == 10


def test_nobody_in_the_video(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    video = write_video(tmp_path / "empty.mp4", (rng.integers(90, 110, (240, 320, 3), np.uint8) for _ in range(12)))
    with pytest.raises(UserError, match=r"No person was found in empty\.mp4") as error:
        pipeline.capture(video, Options(detector="mediapipe"))
    assert error.value.hint


def test_a_person_in_three_frames_only(tmp_path: Path, clip: Path) -> None:
    person = [frame.image for frame in read_frames(clip, 0, 3)]
    empty = [np.full_like(person[0], 100)] * 8
    video = write_video(tmp_path / "glimpse.mp4", [*empty, *person, *empty])
    with pytest.raises(UserError, match=r"only \d of 19 frames|No person"):
        pipeline.capture(video, Options(detector="mediapipe"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": 5, "end": 5}, "holds no frame"),
        ({"start": -1}, "holds no frame"),
        ({"every": 0}, "holds no frame"),
        ({"start": 9999}, "starts after the end"),
        ({"people": "4,9", "end": 10}, "person|people"),
        ({"people": "who", "end": 10}, "person|people"),
        ({"detector": "magic"}, "magic"),
        ({"detail": "extreme"}, "extreme"),
        ({"fov_deg": 200.0}, "field of view"),
        ({"motion": "wild"}, "wild"),
        ({"lifter": "nowhere.bin"}, "nowhere"),
        ({"stereo": "network.safetensors"}, "other views"),
        ({"camera_file": "camera.json", "views": ("aside.mp4",)}, "beside it"),
    ],
)
def test_impossible_options_are_one_sentence(clip: Path, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        pipeline.capture(clip, Options(**{"detector": "mediapipe", **options}))
    assert error.value.message.endswith(".")


def test_what_is_not_a_video(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("hello")
    with pytest.raises(UserError, match=r"text\.mp4"):
        pipeline.capture(text)
    with pytest.raises(UserError, match=r"missing\.mp4"):
        pipeline.capture(tmp_path / "missing.mp4")


def test_unreadable_weights(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "human-pose-estimation-0001" / "FP16"
    folder.mkdir(parents=True)
    (folder / "human-pose-estimation-0001.xml").write_text("<net/>")
    (folder / "human-pose-estimation-0001.bin").write_bytes(b"12")
    monkeypatch.setenv("VP3D_MODELS_DIR", str(tmp_path / "models"))
    with pytest.raises(UserError, match="human-pose-estimation-0001"):
        pipeline.capture(clip, Options(detector="bottom-up", end=5))
    bad = tmp_path / "lifter.bin"
    bad.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"lifter\.bin"):
        pipeline.capture(clip, Options(detector="mediapipe", end=10, lifter=str(bad)))


def test_a_full_disk_costs_the_cache_but_not_the_capture(clip: Path, home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # every write past 100 bytes fails
    try:
        take = pipeline.capture(clip, Options(detector="mediapipe", end=12))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert take.present(0).any()
    assert not list(home.rglob("*.npz")) and not list(home.rglob("*.part"))


def test_an_image_sequence_at_its_own_rate(clip: Path, tmp_path: Path) -> None:
    for frame in read_frames(clip, 0, 16):
        cv2.imwrite(str(tmp_path / f"shot_{frame.index + 1001}.png"), frame.image[..., ::-1])
    options = Options(detector="mediapipe", fps=29.97)
    first = pipeline.capture(tmp_path / "shot_####.png", options)
    assert first.fps == Fraction(30000, 1001)
    assert first.video["path"] == str(tmp_path / "shot_1001.png")
    assert len(first.frames) == 16
    cv2.imwrite(str(tmp_path / "shot_1003.png"), np.zeros((360, 640, 3), np.uint8))
    assert not pipeline.capture(tmp_path / "shot_####.png", options).report["timings"]["detect"]["cached"]


def test_options_from_a_message() -> None:
    message = {"people": "all", "end": None, "fov_deg": 60, "focal_px": 900.5, "every": 2}
    assert Options.from_message(json.loads(json.dumps(message))) == Options(
        people="all", fov_deg=60, focal_px=900.5, every=2
    )
    views = {"views": ["a.mp4", "b.mp4"], "offsets": [None, 0.25]}
    assert Options.from_message(views) == Options(views=("a.mp4", "b.mp4"), offsets=(None, 0.25))
    wrong_views = ({"views": ["a.mp4"], "offsets": ["0"]}, {"views": [None]})
    for wrong in ({"colour": 1}, {"start": "3"}, {"people": 3}, {"every": True}, {"fov_deg": "wide"}, *wrong_views):
        with pytest.raises(UserError):
            Options.from_message(wrong)


def test_two_people_share_a_world(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VP3D_MODELS_DIR", str(shared / "models"))
    take = pipeline.capture(shared / "clips/sports2d/demo.mp4", Options(people="all", start=45, end=75, detail="fast"))
    assert take.report["detector"]["name"] == "bottom-up"
    assert len(take.person_ids) >= 2
    assert len(take.camera_R) == 1
