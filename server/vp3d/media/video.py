"""Video files through PyAV, numbered at the constant rate at which Blender's movie clips number them.

Blender shows, as frame n, the last picture whose presentation time is not after `start + n / rate`, where `rate` is
FFmpeg's guess for the stream, and counts `duration * rate` frames (`source/blender/imbuf/movie/intern/movie_read.cc`).
"""

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vp3d.errors import UserError
from vp3d.media.types import Frame, VideoInfo

log = logging.getLogger(__name__)

FOCAL_35MM_KEYS = (
    "com.apple.quicktime.camera.focal_length.35mm_equivalent",
    "com.apple.quicktime.focal_length.35mm_equivalent",
    "focallengthin35mmformat",
    "focallengthin35mmfilm",
)
MAKE_KEYS = ("com.apple.quicktime.make", "com.android.manufacturer", "make")
MODEL_KEYS = ("com.apple.quicktime.model", "com.android.model", "model")

MOST_PIXELS = 1 << 27
"""Pixels of a picture, more than any camera's; a damaged or wicked header claims more than the memory holds."""

_ODD_TEXTS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Has PyAV read texts in encodings of their own; from 19 on it does so unasked."""

SEEK_MARGIN = 3
"""Frames before the wanted one to seek to: seeking goes by decoding time, which B-frames shift."""


def _open(path: Path) -> InputContainer:
    if path.exists() and not path.is_file():
        raise UserError(f"“{path}” is no file.", "Choose a video file.")  # a pipe would be waited for without end
    try:
        # Named as a file, and no other protocol: the name or a playlist inside must not lead to other places.
        return av.open(f"file:{path}", **_ODD_TEXTS, options={"protocol_whitelist": "file"})
    except FileNotFoundError:
        raise UserError(f"There is no file “{path}”.", "Choose a video file that exists.") from None
    except PermissionError:
        raise UserError(f"“{path}” cannot be read.", "Check the permissions of the file.") from None
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"“{path.name}” is not a video that can be opened ({getattr(error, 'strerror', None) or error}).",
            "If it is a recording or a download, it may be incomplete; otherwise convert it to MP4 (H.264).",
        ) from None


def _stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise UserError(
                    f"The pictures of “{path.name}” are in an unknown format.", "Convert it to MP4 (H.264)."
                )
            if stream.width * stream.height > MOST_PIXELS:
                raise UserError(
                    f"“{path.name}” claims pictures of {stream.width} × {stream.height} px.",
                    "The file is damaged, or no video; scale it down if it is one.",
                )
            stream.thread_type = "AUTO"
            return stream
    raise UserError(f"“{path.name}” has no pictures, only sound or data.", "Choose a file with video in it.")


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decoded frames with a time stamp; damaged packets are skipped, and a damaged file ends early."""
    damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.error.FFmpegError as error:
            log.warning("The video cannot be read any further: %s", error)
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            damaged += 1
            continue
        yield from (frame for frame in frames if frame.pts is not None)
    if damaged:
        log.warning("%d damaged pieces of the video were skipped.", damaged)


def _frame_count(container: InputContainer, stream: VideoStream, rate: Fraction, path: Path) -> int:
    """Blender's count of frames (`ffmpeg_frame_count_get`) from durations; counted where a file states none."""
    if stream.duration is not None:
        seconds = stream.duration * stream.time_base
    elif container.duration is not None:
        seconds = Fraction(container.duration, av.time_base)
        sounds = container.streams.audio
        lead = _start(stream) * stream.time_base
        if sounds:
            lead -= (sounds[0].start_time or 0) * sounds[0].time_base
        seconds -= max(lead, 0)
    else:
        with _open(path) as unread:
            return sum(packet.size > 0 for packet in unread.demux(_stream(unread, path)))
    return int(seconds * rate + Fraction(1, 2))


def _start(stream: VideoStream) -> int:
    return stream.start_time or 0


def _is_variable(stream: VideoStream, rate: Fraction) -> bool:
    if stream.average_rate and abs(stream.average_rate / rate - 1) > 1e-3:
        return True
    steps = [b.timestamp - a.timestamp for a, b in pairwise(stream.index_entries)]
    return bool(steps) and max(steps) - min(steps) > max(0.25 * float(np.median(steps)), 2)


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _first(tags: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((tags[key].strip() for key in keys if tags.get(key, "").strip()), "")


def _focal_35mm(tags: dict[str, str]) -> float | None:
    try:
        focal = float(_first(tags, FOCAL_35MM_KEYS).lower().removesuffix("mm"))
    except ValueError:
        return None
    return focal if 1 < focal < 5000 else None


def probe(path: Path) -> VideoInfo:
    """As `media.probe`, for a video file."""
    with _open(path) as container:
        stream = _stream(container, path)
        rate = stream.guessed_rate or stream.average_rate
        frame = next(_decode(container, stream), None)
        if frame is None or not rate:
            raise UserError(f"“{path.name}” holds no frames.", "Choose a video with at least one picture in it.")
        tags = {key.lower(): value for key, value in {**stream.metadata, **container.metadata}.items()}
        make, model = _first(tags, MAKE_KEYS), _first(tags, MODEL_KEYS)
        turns = _quarter_turns(frame)
        width, height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=Fraction(rate),
            frame_count=max(_frame_count(container, stream, rate, path), 1),
            rotation=turns * 90,
            variable_rate=_is_variable(stream, rate),
            focal_35mm=_focal_35mm(tags),
            camera_model=model if model.startswith(make) else f"{make} {model}".strip(),
        )


def read(path: Path, info: VideoInfo, numbers: range) -> Iterator[Frame]:
    """As `media.read_frames`, for a video file and frame numbers inside it."""
    with _open(path) as container:
        stream = _stream(container, path)
        frame_ticks = 1 / (info.fps * stream.time_base)

        def due(number: int) -> int:
            return _start(stream) + int(number * frame_ticks + Fraction(1, 2))

        frames = _decode(container, stream)
        if numbers.start > SEEK_MARGIN:
            frames = _seek(container, stream, due(numbers.start - SEEK_MARGIN), due(numbers.start))
        upcoming = next(frames, None)
        current, image, time = None, None, 0.0
        for number in numbers:
            while upcoming is not None and (upcoming.pts <= due(number) or current is None):
                current, upcoming, image = upcoming, next(frames, None), None
            if current is None or (
                upcoming is None and due(number) > current.pts + max(current.duration or 0, 2 * frame_ticks)
            ):
                log.warning(
                    "“%s” ends at frame %d although it claims %d frames: the file was cut short or is damaged.",
                    path.name, number, info.frame_count,
                )  # fmt: skip
                return
            if image is None:
                image = _picture(current, info)
                time = float((current.pts - _start(stream)) * stream.time_base)
            yield Frame(number, time, image)


def _seek(container: InputContainer, stream: VideoStream, goal: int, latest: int) -> Iterator[av.VideoFrame]:
    """Decoded frames from a key frame at or before `goal`; from the very start where a format cannot seek."""
    try:
        container.seek(goal, stream=stream)
        frames = _decode(container, stream)
        first = next(frames, None)
    except av.error.FFmpegError:
        first = None
    if first is None or first.pts > latest:
        container.seek(_start(stream), stream=stream)
        yield from _decode(container, stream)
        return
    yield first
    yield from frames


def _picture(frame: av.VideoFrame, info: VideoInfo) -> np.ndarray:
    turns = info.rotation // 90
    width, height = (info.height, info.width) if turns % 2 else (info.width, info.height)
    image = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(image, turns))
