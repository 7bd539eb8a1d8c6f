"""Clips made on the spot: the brightness of every picture tells which one it is."""

import json
import logging
import os
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from vp3d.errors import UserError
from vp3d.media import probe, read_frames, video

STEP = 8  # grey levels between pictures: far above what lossy coding changes


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), number % 28 * STEP + 16, np.uint8)


def number_in(image: np.ndarray) -> int:
    return round((float(np.median(image)) - 16) / STEP)


def make_video(
    path: Path,
    pictures,
    fps: int = 25,
    times=None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: float = 0,
    metadata: dict | None = None,
    options: dict | None = None,
    container_options: dict | None = None,
) -> Path:
    """Write pictures at their indices, or at `times` in ticks of 1/1000 s."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, image in enumerate(pictures):
            if i == 0:
                stream.height, stream.width = image.shape[:2]
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = i if times is None else times[i]
            frame.time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(path: Path, **options) -> list[tuple[int, int]]:
    return [(frame.index, number_in(frame.image)) for frame in read_frames(path, **options)]


def test_every_picture_once_in_a_plain_clip(tmp_path):
    path = make_video(tmp_path / "plain ünïcode ✓ name.mp4", map(picture, range(25)))
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frame_count) == (64, 48, 25, 25)
    assert not info.variable_rate and info.rotation == 0 and info.focal_35mm is None
    assert numbers(path) == [(n, n) for n in range(25)]
    assert [f.time for f in read_frames(path)] == pytest.approx([n / 25 for n in range(25)])


@pytest.mark.parametrize("start", [0, 1, 5, 37, 99])
@pytest.mark.parametrize("every", [1, 7])
def test_trims_show_the_same_pictures(tmp_path, start, every):
    # Long groups of pictures with B-frames make seeking hard.
    path = make_video(tmp_path / "a.mp4", map(picture, range(100)), options={"g": "30", "bf": "3"})
    assert numbers(path, start=start, end=100, every=every) == [(n, n % 28) for n in range(start, 100, every)]


@pytest.mark.parametrize(
    "suffix,codec", [("mkv", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"), ("mov", "prores_ks")]
)
def test_containers(tmp_path, suffix, codec):
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = make_video(tmp_path / f"a.{suffix}", map(picture, range(20)), codec=codec, pix_fmt=pix_fmt)
    assert probe(path).frame_count == 20
    assert numbers(path, start=6) == [(n, n) for n in range(6, 20)]


def test_range_outside_the_clip_is_refused(tmp_path):
    path = make_video(tmp_path / "a.mp4", map(picture, range(5)))
    assert len(list(read_frames(path, end=99))) == 5
    for start, end in ((5, None), (3, 3), (-1, 4), (4, 2)):
        with pytest.raises(UserError, match="0 to 4"):
            read_frames(path, start, end)
    with pytest.raises(UserError, match="0th"):
        read_frames(path, every=0)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_metadata_turns_the_pictures(tmp_path, rotation):
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:20, :30] = (255, 0, 0)
    upright[-20:, :30] = (0, 255, 0)
    stored = np.rot90(upright, -rotation // 90)
    path = make_video(tmp_path / "a.mp4", [np.ascontiguousarray(stored)] * 3, rotation=rotation)
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (96, 64, rotation)
    image = next(iter(read_frames(path))).image
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 12


def test_variable_rate_shows_the_picture_that_is_due(tmp_path):
    times = [0, 40, 80, 90, 300, 340, 700, 740, 780, 820]  # ms
    path = make_video(tmp_path / "a.mp4", map(picture, range(len(times))), times=times)
    info = probe(path)
    assert info.variable_rate
    frames = list(read_frames(path))
    assert [f.index for f in frames] == list(range(info.frame_count))
    for frame in frames:
        due = round(frame.index / info.fps * 1000)
        shown = max(i for i, time in enumerate(times) if time <= due)
        assert number_in(frame.image) == shown
        assert frame.time == pytest.approx(times[shown] / 1000)
    assert numbers(path, start=10) == [(f.index, number_in(f.image)) for f in frames[10:]]


@pytest.mark.parametrize(
    "codec,pix_fmt,size",
    [
        ("ffv1", "gray", (64, 48)),
        ("ffv1", "yuv420p10le", (64, 48)),
        ("ffv1", "yuv444p", (63, 47)),
        ("ffv1", "bgr0", (33, 35)),
    ],
)
def test_grey_ten_bit_and_odd_sizes(tmp_path, codec, pix_fmt, size):
    path = make_video(tmp_path / "a.mkv", (picture(n, *size) for n in range(6)), codec=codec, pix_fmt=pix_fmt)
    frames = list(read_frames(path))
    assert frames[0].image.shape == (size[1], size[0], 3) and frames[0].image.dtype == np.uint8
    assert [number_in(f.image) for f in frames] == list(range(6))


def test_lens_and_camera_from_metadata(tmp_path):
    metadata = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 15 Pro",
        "com.apple.quicktime.camera.focal_length.35mm_equivalent": "26",
    }
    path = make_video(
        tmp_path / "a.mov",
        map(picture, range(3)),
        metadata=metadata,
        container_options={"movflags": "use_metadata_tags"},
    )
    info = probe(path)
    assert (info.focal_35mm, info.camera_model) == (26.0, "Apple iPhone 15 Pro")


def test_not_a_video(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for name, words in (
        ("notes.mp4", "not a video"), ("empty.mp4", "not a video"), ("sound.wav", "no pictures"), ("no.mp4", "no file"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words) as caught:
            probe(tmp_path / name)
        assert caught.value.hint
        with pytest.raises(UserError, match=words):
            read_frames(tmp_path / name)


def test_video_without_frames(tmp_path):
    path = make_video(tmp_path / "a.avi", map(picture, range(3)), codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(UserError, match=r"no frames|not a video"):
        probe(path)


@pytest.mark.parametrize("wanted", ["address as name", "playlist", "playlist with another file"])
def test_a_video_leads_to_no_other_place(tmp_path, wanted):
    """Neither a name that is an address nor a playlist inside makes the reader ask a server or open another file."""
    clip = make_video(tmp_path / "secret.ts", [picture(n) for n in range(10)])
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path = tmp_path / "clip.mp4"
        path.write_text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
            f"{address if wanted == 'playlist' else f'concat:{clip}'}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(UserError):
            probe(Path(address) if wanted == "address as name" else path)
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_pictures_larger_than_any_cameras_are_refused(tmp_path, monkeypatch):
    clip = make_video(tmp_path / "clip.mp4", [picture(0)])
    monkeypatch.setattr(video, "MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(UserError, match="64 × 48 px"):
        probe(clip)


def test_texts_in_another_encoding_are_no_obstacle(tmp_path):
    clip = make_video(tmp_path / "a.mp4", [picture(0)], metadata={"title": "Maerz"})
    clip.write_bytes(clip.read_bytes().replace(b"Maerz", b"M\xe4rz "))
    assert probe(clip).frame_count == 1


def test_pictures_in_an_unknown_format_are_refused(tmp_path):
    clip = make_video(tmp_path / "a.mp4", [picture(0)])
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(UserError, match="unknown format"):
        probe(clip)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match="is no file"):
        probe(tmp_path / "pipe.mp4")


def test_names_that_look_like_addresses(tmp_path):
    clip = make_video(tmp_path / "a.mp4", [picture(n) for n in range(3)])
    renamed = clip.rename(tmp_path / "concat:1|ü %20.mp4")
    assert probe(renamed).frame_count == 3


def test_file_cut_short_gives_what_is_there(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), np.uint8)
    path = make_video(tmp_path / "a.mp4", noise, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING, "vp3d"):
        frames = list(read_frames(path))
    assert 5 <= len(frames) < 35
    assert [f.index for f in frames] == list(range(len(frames)))
    assert "cut short" in caplog.text


def test_file_cut_before_its_index_is_refused(tmp_path):
    path = make_video(tmp_path / "a.mp4", map(picture, range(30)))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov")])
    with pytest.raises(UserError, match="not a video"):
        probe(path)


def write_images(folder: Path, which, name="shot_{:04d}.png", size=(32, 24)) -> None:
    folder.mkdir(exist_ok=True)
    for n in which:
        cv2.imencode(Path(name).suffix, picture(n, *size))[1].tofile(folder / name.format(n))


@pytest.mark.parametrize("given", ["", "shot_####.png", "shot_%04d.png", "shot_0007.png"])
def test_image_sequences(tmp_path, given):
    folder = tmp_path / "bïlder"
    write_images(folder, range(5, 15))
    write_images(folder, range(3), name="other{}.jpg")
    info = probe(folder / given)
    assert (info.path, info.frame_count, info.width, info.height) == (folder / "shot_0005.png", 10, 32, 24)
    assert numbers(folder / given, start=2, every=3) == [(2, 7), (5, 10), (8, 13)]


def test_gap_in_image_numbers_ends_the_sequence_as_in_blender(tmp_path, caplog):
    write_images(tmp_path / "a", [1, 2, 3, 5, 6])
    assert numbers(tmp_path / "a" / "shot_0001.png") == [(0, 1), (1, 2), (2, 3)]
    assert "gaps" in caplog.text


def test_single_image_and_16_bit_grey(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((20, 30), 40 * 257, np.uint16))
    (frame,) = read_frames(tmp_path / "photo.png")
    assert frame.image.shape == (20, 30, 3) and frame.image.max() == frame.image.min() == 40


def test_image_sequences_that_cannot_be(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a_###.png", tmp_path / "gone.png"):
        with pytest.raises(UserError, match="No numbered images"):
            probe(path)
    write_images(tmp_path / "b", [1, 2])
    write_images(tmp_path / "b", [3], size=(48, 24))
    (tmp_path / "b" / "shot_0004.png").write_bytes(b"")
    frames = read_frames(tmp_path / "b")
    next(frames), next(frames)
    with pytest.raises(UserError, match="one size"):
        next(frames)
    with pytest.raises(UserError, match="not an image"):
        list(read_frames(tmp_path / "b", start=3))


def test_memory_stays_constant(tmp_path):
    """Peak memory of a fresh process for a clip, and for one twenty times as long."""
    code = (
        "import sys; from vp3d.bench import peak_memory; from vp3d.media import read_frames\n"
        "n = sum(1 for _ in read_frames(sys.argv[1]))\n"
        "print(n, peak_memory())"
    )
    peaks = []
    for count in (40, 800):
        path = make_video(
            tmp_path / f"{count}.mp4", (picture(n, 640, 368) for n in range(count)), options={"preset": "ultrafast"}
        )
        server = Path(sys.modules["vp3d"].__file__).parent.parent
        result = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=server, capture_output=True, text=True, check=True
        )
        n, peak = map(int, result.stdout.split())
        assert n == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.1  # 760 more frames would be 537 MB


def test_shared_clips_have_the_frames_that_blender_counts(shared):
    """Counts read off `bpy.data.movieclips.load(path).frame_duration`, Blender 5.0."""
    expected = json.loads((Path(__file__).parent / "blender_frame_counts.json").read_text())
    for name, count in expected.items():
        assert probe(shared / "clips" / name).frame_count == count, name
