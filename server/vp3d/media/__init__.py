"""Video files and image sequences as streams of frames, numbered as Blender numbers them."""

from vp3d.media.frames import Frame, VideoInfo, files, probe, read_frames
from vp3d.media.sequence import read_image

__all__ = ["Frame", "VideoInfo", "files", "probe", "read_frames", "read_image"]
