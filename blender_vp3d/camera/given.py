"""Cameras that are known already, for a capture that solves only the people: the scene's, or a clip's own track."""

import json
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from . import lens as lenses
from . import plate
from .compare import view_frame

_FLIP = np.array([1.0, -1, -1])  # Blender's camera looks along -Z with Y up, OpenCV's along Z with Y down


class GivenError(Exception):
    """A camera that cannot be handed over; the message is a sentence for the user."""


@dataclass(frozen=True)
class Given:
    """A camera at C frames (1 where it stands still), OpenCV's axes: X_cam = R X + t.

    Attributes:
        name: what it is, for the report.
        size: width and height (px) that K is for.
        frames: (C,) frames of the video, from 0.
        K, R, t: (C, 3, 3) px, (C, 3, 3), (C, 3).
        distortion: (5,) k1 k2 p1 p2 k3.
        metres: whether t is in metres of the scene; people give the scale where it is not.
    """

    name: str
    size: tuple[int, int]
    frames: np.ndarray
    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    distortion: np.ndarray
    metres: bool

    def write(self, path: Path) -> None:
        """Write it for the server; raises GivenError where that cannot be done."""
        content = {
            "format": "vp3d-camera",
            "version": 1,
            "name": self.name,
            "metres": self.metres,
            "video": {"width": self.size[0], "height": self.size[1]},
            "frames": self.frames.tolist(),
            "camera": {
                "K": self.K.tolist(),
                "R": self.R.tolist(),
                "t": self.t.tolist(),
                "distortion": self.distortion.tolist(),
            },
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")
        except OSError as error:
            raise GivenError(f"The camera cannot be written to {path}: {error.strerror or error}.") from error


def for_video(context: bpy.types.Context, video: Path, settings: bpy.types.PropertyGroup) -> Given:
    """The camera that the settings of a capture ask for: the scene's, or the track of the video's clip.

    Raises GivenError where it cannot be had, or Blender cannot read the video.
    """
    source = plate.first_file(video)
    try:
        clip = bpy.data.movieclips.load(str(source), check_existing=True) if source else None
    except RuntimeError:
        clip = None
    if clip is None or not clip.frame_duration:
        raise GivenError(f"{video.name} cannot be read by Blender: let the camera be solved instead.")
    first = settings.first - 1 if settings.use_range else 0
    last = min(settings.last, clip.frame_duration) if settings.use_range else clip.frame_duration
    frames = range(first, last, settings.every)
    if not frames:
        raise GivenError("The range holds no frame of the video: change it.")
    if settings.camera == "clip":
        return clip_track(clip, frames, settings.metres)
    return scene_camera(context, frames, clip.frame_start)


def scene_camera(context: bpy.types.Context, frames: range, frame_start: int) -> Given:
    """The scene's camera, with all that moves it, at frames of the video; frame 0 shows at scene frame `frame_start`.

    The scene is stepped through where anything moves the camera. Raises GivenError.
    """
    scene, camera = context.scene, context.scene.camera
    if camera is None or camera.type != "CAMERA":
        raise GivenError("The scene has no camera: choose one, or let the camera be solved.")
    if camera.data.type != "PERSP":
        raise GivenError(f"{camera.name} is no perspective camera: change its type, or let the camera be solved.")
    render, moves = scene.render, _is_moved(camera)
    size = (render.resolution_x, render.resolution_y)
    now, wanted = (scene.frame_current, scene.frame_subframe), list(frames) if moves else [frames.start]
    poses, K = [], []
    try:
        for frame in wanted:
            if moves:
                scene.frame_set(frame_start + frame)
            eye = camera.evaluated_get(context.evaluated_depsgraph_get())
            poses.append(np.array(eye.matrix_world.normalized()))
            K.append(lenses.to_matrix(view_frame(scene, eye), *size))
    finally:
        if moves:
            scene.frame_set(now[0], subframe=now[1])
    R, t = _opencv(np.array(poses))
    return Given(camera.name, size, np.array(wanted), np.array(K), R, t, np.zeros(5), metres=True)


def clip_track(clip: bpy.types.MovieClip, frames: range, metres: bool) -> Given:
    """The solved camera of a clip, in its own axes; frames without a solve are left out.

    Raises GivenError where there is no solve, or its lens is of a kind that OpenCV does not have.
    """
    reconstruction, lens = clip.tracking.reconstruction, clip.tracking.camera
    solved = {camera.frame - 1: camera.matrix for camera in reconstruction.cameras} if reconstruction.is_valid else {}
    wanted = [frame for frame in frames if frame in solved]
    if not wanted:
        raise GivenError(f"The camera of {clip.name} is not solved: solve it in the Movie Clip Editor first.")
    width, height = clip.size
    cx, cy = lens.principal_point_pixels
    K = np.array([[lens.focal_length_pixels, 0, cx - 0.5], [0, 0, height - cy - 0.5], [0, 0, 1]])
    K[1, 1] = K[0, 0] * lens.pixel_aspect
    R, t = _opencv(np.array([np.array(solved[frame]) for frame in wanted]))
    C = (len(wanted), 1, 1)
    return Given(clip.name, (width, height), np.array(wanted), np.tile(K, C), R, t, _distortion(clip), metres)


def _opencv(world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R (C, 3, 3) and t (C, 3) of Blender cameras' matrices (C, 4, 4)."""
    R = (world[:, :3, :3] * _FLIP).swapaxes(-1, -2)
    return R, -np.einsum("cij,cj->ci", R, world[:, :3, 3])


def _distortion(clip: bpy.types.MovieClip) -> np.ndarray:
    lens = clip.tracking.camera
    if lens.distortion_model == "POLYNOMIAL":
        return np.array([lens.k1, lens.k2, 0, 0, lens.k3])
    if lens.distortion_model == "BROWN" and not lens.brown_k4:
        return np.array([lens.brown_k1, lens.brown_k2, -lens.brown_p2, lens.brown_p1, lens.brown_k3])
    raise GivenError(
        f"The lens of {clip.name} has another model of distortion: change it to Polynomial and solve again."
    )


def _is_moved(camera: bpy.types.Object) -> bool:
    """Whether anything may move a camera or zoom it: keys, drivers, constraints, of it or of what it hangs on."""
    chain = [camera]
    while chain[-1].parent:
        chain.append(chain[-1].parent)
    return bool(camera.data.animation_data) or any(link.animation_data or link.constraints for link in chain)
