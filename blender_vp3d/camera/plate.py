"""The video as the camera's background."""

import re
from pathlib import Path

import bpy
import numpy as np

from ..common.take import Take
from . import lens as lenses

_IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".bmp", ".webp"}


def is_sequence(path: Path) -> bool:
    """Whether a capture of this path reads images: a folder, or a numbered pattern such as shot.####.png."""
    return bool(path.name) and (path.is_dir() or re.search(r"%0?\d*d|#", path.name) is not None)


def load_plate(take: Take, take_path: Path, frame_start: int) -> tuple[bpy.types.MovieClip | None, list[str]]:
    """The take's video as a movie clip whose frame 0 shows at `frame_start`; None, and why, where there is none."""
    name = take.video.get("name") or "The video"
    source = next(filter(None, map(first_file, _places(take, take_path))), None)
    if source is None:
        return None, [f"{name} was not found, so the camera has no background: put the video beside the take."]
    try:
        clip = bpy.data.movieclips.load(str(source), check_existing=True)
    except RuntimeError:  # no permission
        clip = None
    if clip is None or not clip.frame_duration:
        if clip and not clip.users:
            bpy.data.movieclips.remove(clip)
        return None, [f"{name} cannot be read by Blender, so the camera has no background."]
    clip.frame_start = frame_start
    return clip, []


def begins_at(take: Take, take_path: Path) -> int | None:
    """Scene frame at which the take's video begins already, as a clip of this file; None where it is not here."""
    wanted = {source.resolve() for source in map(first_file, _places(take, take_path)) if source}
    for clip in bpy.data.movieclips:
        if Path(bpy.path.abspath(clip.filepath)).resolve() in wanted:
            return clip.frame_start
    return None


def show_plate(camera: bpy.types.Camera, clip: bpy.types.MovieClip, take: Take) -> list[str]:
    """Put a clip behind a camera, undistorted where its lens bends the image; returns warnings."""
    plate = next((shown for shown in camera.background_images if shown.source == "MOVIE_CLIP"), None)
    plate = plate or camera.background_images.new()
    plate.source, plate.clip, plate.use_camera_clip = "MOVIE_CLIP", clip, False
    plate.alpha, plate.display_depth = 1.0, "BACK"
    camera.show_background_images = True

    width, height = int(take.video["width"]), int(take.video["height"])
    K = take.camera_K[0]
    bent = lenses.is_distorted(K, take.distortion, width, height)
    plate.clip_user.use_render_undistorted = bent
    warnings = []
    if bent:
        _set_distortion(clip.tracking.camera, K, take.distortion, width, height, camera.sensor_width)
        zooms = np.ptp(take.camera_K[:, 0, 0]) > 0
        warnings.append(
            "The lens bends the image, so the background is shown undistorted"
            + (", with the focal length of the first frame." if zooms else ".")
        )
    turned = _still_turned(clip, take)
    # Blender fits the clip into the frame before it turns it; the scale undoes what a clip on its side loses by that.
    plate.frame_method = "FIT" if turned % 180 else "STRETCH"
    plate.rotation = np.radians(-turned)
    plate.scale = max(width, height) / min(width, height) if turned % 180 else 1.0
    shown = tuple(clip.size)[:: -1 if turned % 180 else 1]
    if shown != (width, height):
        warnings.append(
            f"Blender reads the video as {shown[0]} x {shown[1]}, the capture as {width} x {height}: "
            "the background will not match."
        )
    return warnings


def _still_turned(clip: bpy.types.MovieClip, take: Take) -> int:
    """Degrees that a recording is still turned by as Blender reads it; later Blenders turn phones' videos upright."""
    rotation = int(take.video.get("rotation", 0))
    if rotation == 180:
        return rotation if bpy.app.version < (4, 4) else 0
    upright = tuple(clip.size) == (int(take.video["width"]), int(take.video["height"]))
    return 0 if upright else rotation


def _set_distortion(
    camera: bpy.types.MovieTrackingCamera,
    K: np.ndarray,
    distortion: np.ndarray,
    width: int,
    height: int,
    sensor: float,
) -> None:
    """Give a clip OpenCV's lens: Blender's Brown model is the same with y up, and its pixels' aspect is x by y."""
    camera.distortion_model = "BROWN"
    camera.pixel_aspect = K[1, 1] / K[0, 0]
    camera.sensor_width = sensor * width / max(width, height)
    camera.focal_length = K[0, 0] * camera.sensor_width / width
    camera.principal_point_pixels = (K[0, 2] + 0.5, height - (K[1, 2] + 0.5))
    camera.brown_k1, camera.brown_k2, p1, p2, camera.brown_k3 = distortion
    camera.brown_p1, camera.brown_p2, camera.brown_k4 = p2, -p1, 0


def _places(take: Take, take_path: Path) -> list[Path]:
    path = Path(take.video.get("path") or "")
    return [path, take_path.parent / path.name] if path.name else []


def first_file(path: Path) -> Path | None:
    """A video itself, or the first image of a folder or of a numbered pattern such as shot.####.png."""
    if path.is_file():
        return path
    if path.is_dir():
        images = path.iterdir()
    elif "#" in path.name or "%" in path.name:
        stem = path.name.split("#")[0].split("%")[0]
        images = (found for found in path.parent.glob(f"*{path.suffix}") if found.name.startswith(stem))
    else:
        return None
    return min((image for image in images if image.suffix.lower() in _IMAGES), default=None)
