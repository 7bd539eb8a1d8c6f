"""A take's camera and its video in the scene."""

from collections.abc import Sequence
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
    lens = lenses.from_matrix(take.camera_K, width, height, take.settings.get("sensor_mm") or lenses.SENSOR)
    location, orientation = lenses.pose(take.camera_R, take.camera_t)
    rotation = continuous(matrix_to_quaternion(orientation))

    camera = belongings.find(scene, "CAMERA", identity)
    if camera is None:
        camera = belongings.add(collection, _NAME, bpy.data.cameras.new(_NAME), identity)
        camera.data.passepartout_alpha = 0.8
    data = camera.data
    data.sensor_fit, data.sensor_width = "AUTO", lens.sensor
    data.clip_start, data.clip_end = 0.05, 1000
    camera.rotation_mode, camera.scale = "QUATERNION", (1, 1, 1)
    frames = frame_start + take.frames
    animate(camera, _NAME, "Object Transforms", frames, {"location": location, "rotation_quaternion": rotation})
    zoom = {"lens": lens.focal, "shift_x": lens.shift[:, 0], "shift_y": lens.shift[:, 1]}
    animate(data, f"{_NAME} Lens", "Lens", frames, zoom)
    observed.keep_plate(camera, take)
    observed.key_residual(camera, frames, np.moveaxis(take.residual_px[people], 0, 1))

    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = lens.pixel_aspect
    scene.camera = camera

    clip, warnings = load_plate(take, path, frame_start)
    if clip:
        warnings += show_plate(data, clip, take)
    return camera, warnings
