"""A take's camera and its video in the scene."""

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from .. import animation, belongings
from ..animation import Channel
from ..common.armature import continuous, matrix_to_quaternion
from ..common.take import Take
from . import lens as lenses
from .plate import load_plate, show_plate

_NAME = "VP3D Camera"


def apply_camera(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    take: Take,
    path: Path,
    identity: str,
    frame_start: int,
) -> tuple[bpy.types.Object, list[str]]:
    """Make or update the camera, with keys where it moves, and set the scene's resolution; returns warnings too."""
    width, height = int(take.video["width"]), int(take.video["height"])
    lens = lenses.from_matrix(take.camera_K, width, height)
    location, orientation = lenses.pose(take.camera_R, take.camera_t)
    rotation = continuous(matrix_to_quaternion(orientation))

    camera = belongings.find(scene, "CAMERA", identity)
    if camera is None:
        camera = belongings.add(collection, _NAME, bpy.data.cameras.new(_NAME), identity)
        camera.data.passepartout_alpha = 0.8
    data = camera.data
    data.sensor_fit, data.sensor_width = "AUTO", lenses.SENSOR
    data.lens, (data.shift_x, data.shift_y) = lens.focal[0], lens.shift[0]
    data.clip_start, data.clip_end = 0.05, 1000
    camera.rotation_mode = "QUATERNION"
    camera.location, camera.rotation_quaternion, camera.scale = location[0], rotation[0], (1, 1, 1)
    if len(location) > 1:
        frames, held = frame_start + take.frames, np.zeros(len(location), bool)
        animation.write(camera, _NAME, frames, held, _move(location, rotation))
        animation.write(data, f"{_NAME} Lens", frames, held, _zoom(lens))
    else:
        animation.clear(camera, {"location", "rotation_quaternion"})
        animation.clear(data, {"lens", "shift_x", "shift_y"})

    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = lens.pixel_aspect
    scene.camera = camera

    clip, warnings = load_plate(take, path, frame_start)
    if clip:
        warnings += show_plate(data, clip, take)
    return camera, warnings


def _move(location: np.ndarray, rotation: np.ndarray) -> Iterator[Channel]:
    for i in range(3):
        yield Channel("location", i, "Object Transforms", location[:, i])
    for i in range(4):
        yield Channel("rotation_quaternion", i, "Object Transforms", rotation[:, i])


def _zoom(lens: lenses.Lens) -> Iterator[Channel]:
    yield Channel("lens", 0, "Lens", lens.focal)
    for path, values in zip(("shift_x", "shift_y"), lens.shift.T, strict=True):
        yield Channel(path, 0, "Lens", values)
