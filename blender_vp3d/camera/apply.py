"""A take's camera and its video in the scene."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from .. import belongings
from ..common.armature import continuous, matrix_to_quaternion
from ..common.take import Take
from . import lens as lenses
from . import observed
from .keys import animate
from .plate import load_plate, show_plate

_NAME = "VP3D Camera"
_SAME_RATE = 1e-3


def apply_camera(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    take: Take,
    people: Sequence[int],
    path: Path,
    identity: str,
    frame_start: int,
) -> tuple[bpy.types.Object, list[str]]:
    """Make or update the camera, with keys where it moves, and set the scene's resolution; returns warnings too.

    `people` are positions in the take: the residual that the camera carries is theirs.
    """
    width, height = int(take.video["width"]), int(take.video["height"])
    frames = frame_start + take.frames
    camera, lens = _camera(scene, collection, take, identity, frames)
    observed.keep_plate(camera, take)
    observed.key_residual(camera, frames, np.moveaxis(take.residual_px[people], 0, 1))

    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = lens.pixel_aspect
    scene.camera = camera

    clip, warnings = load_plate(take, path, frame_start)
    if clip:
        warnings += show_plate(camera.data, clip, take)
    for number, view in enumerate(take.report.get("views", ()), 2):
        warnings += _apply_view(scene, collection, take, view, number, path, identity, frame_start)
    return camera, warnings


def _camera(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    take: Take,
    identity: str,
    frames: np.ndarray,
    number: int = 1,
) -> tuple[bpy.types.Object, lenses.Lens]:
    """The camera object of a take, made or updated; further views are told apart by their `number` from 2."""
    name = _NAME if number == 1 else f"{_NAME} {number}"
    width, height = int(take.video["width"]), int(take.video["height"])
    lens = lenses.from_matrix(take.camera_K, width, height, take.settings.get("sensor_mm") or lenses.SENSOR)
    location, orientation = lenses.pose(take.camera_R, take.camera_t)
    rotation = continuous(matrix_to_quaternion(orientation))

    camera = belongings.find(scene, "CAMERA", identity, 1 - number)
    if camera is None:
        camera = belongings.add(collection, name, bpy.data.cameras.new(name), identity, 1 - number)
        camera.data.passepartout_alpha = 0.8
    data = camera.data
    data.sensor_fit, data.sensor_width = "AUTO", lens.sensor
    data.clip_start, data.clip_end = 0.05, 1000
    camera.rotation_mode, camera.scale = "QUATERNION", (1, 1, 1)
    animate(camera, name, "Object Transforms", frames, {"location": location, "rotation_quaternion": rotation})
    zoom = {"lens": lens.focal, "shift_x": lens.shift[:, 0], "shift_y": lens.shift[:, 1]}
    animate(data, f"{name} Lens", "Lens", frames, zoom)
    return camera, lens


def _apply_view(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    take: Take,
    view: dict,
    number: int,
    path: Path,
    identity: str,
    frame_start: int,
) -> list[str]:
    """The camera and the plate of another view of the same moment; returns warnings."""
    name = Path(view["path"]).name
    video = {**{key: view[key] for key in ("path", "width", "height", "rotation")}, "name": name}
    matrices = {f"camera_{key}": np.array(view[key], float)[None] for key in ("K", "R", "t")}
    seen = replace(take, video=video, distortion=np.array(view["distortion"], float), **matrices)
    camera, _ = _camera(scene, collection, seen, identity, frame_start + take.frames, number)
    fps = float(take.fps)
    clip, warnings = load_plate(seen, path, frame_start + round(view["offset_s"] * fps))
    if clip:
        warnings += show_plate(camera.data, clip, seen)
        if abs(view["fps"] - fps) > _SAME_RATE * fps:
            warnings.append(
                f"{name} has {view['fps']:g} frames a second, not {fps:g}: its background runs out of step."
            )
    return warnings
