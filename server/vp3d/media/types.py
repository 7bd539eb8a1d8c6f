"""What the readers of this package hand out."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a clip before its frames are read.

    Attributes:
        path: the file that Blender opens as a movie clip: the video, or the first image of a sequence.
        width: px, after rotation.
        height: px, after rotation.
        fps: frames per second at which Blender numbers the clip.
        frame_count: frames that Blender shows.
        rotation: degrees (0, 90, 180, 270) counterclockwise by which `read_frames` has turned the stored pictures.
        variable_rate: the pictures are not evenly spaced in time, so Blender repeats or skips some.
        focal_35mm: 35 mm equivalent focal length (mm) that the camera wrote into the file, if it did.
        camera_model: make and model of the camera, or empty.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    frame_count: int
    rotation: int = 0
    variable_rate: bool = False
    focal_35mm: float | None = None
    camera_model: str = ""


@dataclass(frozen=True)
class Frame:
    """One frame as Blender shows it.

    Attributes:
        index: Blender's frame number, counted from 0.
        time: when the camera took the picture, s after the first; frames that repeat a picture share it.
        image: (height, width, 3) uint8 RGB; frames that repeat a picture share the array, so do not write to it.
    """

    index: int
    time: float
    image: np.ndarray
