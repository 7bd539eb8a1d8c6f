"""Numbered images as a clip: Blender takes the unbroken run of numbers that holds the chosen file."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vp3d.errors import UserError
from vp3d.media.types import Frame, VideoInfo

log = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
SEQUENCE_FPS = Fraction(24)
"""Images carry no rate; 24 is what a new Blender scene has."""

_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)(?P<suffix>\D*)$")
_PLACEHOLDER = re.compile(r"#+|%0?(\d*)d")


def is_sequence(path: Path) -> bool:
    """Whether a path means images: a folder, a pattern of image names, or an image file."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def _series(folder: Path) -> dict[tuple[str, str], dict[int, Path]]:
    """Numbered images of a folder by (text before, text after the number), then by number."""
    series: dict[tuple[str, str], dict[int, Path]] = defaultdict(dict)
    for file in sorted(folder.iterdir()):
        match = _NUMBERED.match(file.name)
        if match and file.suffix.lower() in SUFFIXES:
            series[match["prefix"], match["suffix"]][int(match["number"])] = file
    return series


def _run(series: dict[int, Path], number: int) -> list[Path]:
    """The unbroken run of files around a number."""
    first = last = number
    while first - 1 in series:
        first -= 1
    while last + 1 in series:
        last += 1
    if last - first + 1 < len(series):
        log.warning(
            "Image numbers have gaps: using %d to %d, as Blender does, and not the other %d images.",
            first, last, len(series) - (last - first + 1),
        )  # fmt: skip
    return [series[n] for n in range(first, last + 1)]


def find_images(path: Path) -> list[Path]:
    """Image files that a folder, a pattern or one image of a sequence stands for, in order.

    Raises:
        UserError: nothing fits.
    """
    placeholder = _PLACEHOLDER.search(path.name)
    if path.is_dir():
        series = max(_series(path).values(), key=len, default={})
    elif path.exists():
        match = _NUMBERED.match(path.name)
        if not match:
            return [path]
        return _run(_series(path.parent)[match["prefix"], match["suffix"]], int(match["number"]))
    elif placeholder and path.parent.is_dir():
        before, after = path.name[: placeholder.start()], path.name[placeholder.end() :]
        series = _series(path.parent).get((before, after), {})
    else:
        series = {}
    if not series:
        what = "pattern" if placeholder else "folder" if path.is_dir() else "file"
        raise UserError(
            f"No numbered images are found for the {what} “{path}”.",
            "Number the images one after the other, such as shot_0001.png, shot_0002.png.",
        )
    return _run(series, min(series))


def read_image(file: Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB, turned as Blender shows it. Raises UserError for what is not an image."""
    # Blender ignores the orientation that EXIF may state, and the plate has to agree with the joints.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    data = np.fromfile(file, np.uint8) if file.is_file() else ()  # cv2.imread cannot open non-ASCII paths on Windows
    image = cv2.imdecode(data, flags) if len(data) else None
    if image is None:
        raise UserError(f"“{file.name}” is not an image that can be read.", "Replace it, or render it again.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def probe(path: Path) -> VideoInfo:
    """As `media.probe`, for images."""
    files = find_images(path)
    height, width = read_image(files[0]).shape[:2]
    return VideoInfo(path=files[0], width=width, height=height, fps=SEQUENCE_FPS, frame_count=len(files))


def read(path: Path, info: VideoInfo, numbers: range) -> Iterator[Frame]:
    """As `media.read_frames`, for images and frame numbers inside the sequence."""
    files = find_images(path)
    for number in numbers:
        image = read_image(files[number])
        height, width = image.shape[:2]
        if (width, height) != (info.width, info.height):
            raise UserError(
                f"“{files[number].name}” is {width} × {height} px, but the sequence begins with "
                f"{info.width} × {info.height} px.",
                "Give all images of the sequence one size.",
            )
        yield Frame(number, float(number / info.fps), image)
