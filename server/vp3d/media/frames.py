"""One way in for both kinds of clip: video files and image sequences."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from vp3d.errors import UserError
from vp3d.files import check_name
from vp3d.media import sequence, video
from vp3d.media.types import Frame, VideoInfo

__all__ = ["Frame", "VideoInfo", "files", "probe", "read_frames"]


def _reader(path: Path) -> ModuleType:
    check_name(path)
    return sequence if sequence.is_sequence(path) else video


def probe(path: Path) -> VideoInfo:
    """What a clip is: size, rate, number of frames, lens and camera as far as the file tells.

    Args:
        path: a video file, a folder of images, a pattern (`shot_####.png`, `shot_%04d.png`) or one image of a sequence.

    Raises:
        UserError: there is no such file, it is not a video, or it holds no frames.
    """
    path = Path(path)
    return _reader(path).probe(path)


def files(path: Path) -> list[Path]:
    """The files that a clip is made of; raises UserError where an image sequence has none."""
    path = Path(path)
    return sequence.find_images(path) if sequence.is_sequence(path) else [path]


def read_frames(path: Path, start: int = 0, end: int | None = None, every: int = 1) -> Iterator[Frame]:
    """The frames `start`, `start + every`, … below `end`, as Blender would show them, one at a time.

    Memory does not grow with the length of the clip. A file cut short gives the frames up to the cut, and a warning
    in the log.

    Args:
        path: as for `probe`.
        start: first frame number, from 0.
        end: frame number to stop before; None or a number past the end means the end of the clip.
        every: step between frame numbers.

    Raises:
        UserError: as `probe`, and for a range that holds no frame.
    """
    path = Path(path)
    if every < 1:
        raise UserError(f"Cannot read every {every}th frame.", "Give a step of 1 or more.")
    info = probe(path)
    stop = info.frame_count if end is None else min(end, info.frame_count)
    if not 0 <= start < stop:
        raise UserError(
            f"Frames {start} to {stop if end is None else end} are not in “{path.name}”, which has the frames 0 to "
            f"{info.frame_count - 1}.",
            "Choose a start inside the video and an end after it.",
        )
    return _reader(path).read(path, info, range(start, stop, every))
