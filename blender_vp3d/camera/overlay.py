"""The overlay over the plate: a draw handler of the 3D viewport, there only while it is switched on."""

import logging
from typing import Any

import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Vector

from .. import belongings
from . import compare, marks, observed

logger = logging.getLogger(__name__)

_handle: Any = None


def switch(on: bool) -> None:
    """Start or stop drawing. In background mode there is nothing to draw on."""
    global _handle
    if on and _handle is None and not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
    elif not on and _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None


def strokes(context: bpy.types.Context, camera: bpy.types.Object) -> marks.Strokes | None:
    """What is to be drawn over a view through the camera, in px of the region; None where there is nothing."""
    settings, depsgraph = context.window_manager.vp3d_overlay, context.evaluated_depsgraph_get()
    place = _place_of_plate(context, camera.evaluated_get(depsgraph))
    if place is None:
        return None
    size = context.preferences.system.ui_scale
    parts = []
    for person in belongings.people_of(context.scene, camera):
        if not person.visible_get():
            continue
        if found := compare.compare(context.scene, depsgraph, camera, person):
            seen, solved = (_placed(points, place) for points in (found.seen, found.solved))
            parts.append(marks.of_person(seen, solved, found.error, found.confidence, settings.limit, size))
    return marks.together(parts) if parts else None


def _draw() -> None:
    context = bpy.context
    space, region = context.space_data, context.region_data
    if region is None or region.view_perspective != "CAMERA" or not space.overlay.show_overlays:
        return
    camera = space.camera if space.use_local_camera else context.scene.camera
    if camera is None or observed.plate_of(camera) is None:
        return
    try:
        found = strokes(context, camera)
        if found:
            _draw_strokes(found, context.window_manager.vp3d_overlay.opacity)
    except Exception:  # an error on every redraw would flood the console
        logger.exception("The overlay cannot be drawn and is switched off.")
        switch(False)


def _draw_strokes(found: marks.Strokes, opacity: float) -> None:
    points, colours, faces = marks.triangles(found)
    colours = colours * [1, 1, 1, opacity]
    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    batch = batch_for_shader(
        shader,
        "TRIS",
        {"pos": np.pad(points, ((0, 0), (0, 1))).astype(np.float32), "color": colours.astype(np.float32)},
        indices=faces.astype(np.int32),
    )
    blend = gpu.state.blend_get()
    gpu.state.blend_set("ALPHA")
    batch.draw(shader)
    gpu.state.blend_set(blend)


def _place_of_plate(context: bpy.types.Context, camera: bpy.types.Object) -> np.ndarray | None:
    """(2, 3) matrix from px of the plate to px of the region; None where the frame is not in view.

    The camera's frame is where Blender draws it, with the view's zoom and offset; the plate fills it.
    """
    plate = observed.plate_of(camera)
    world = camera.matrix_world.normalized()
    corners = compare.view_frame(context.scene, camera)
    low, high = corners.min(0), corners.max(0)
    places = [
        location_3d_to_region_2d(context.region, context.region_data, world @ Vector((x, y, low[2])))
        for x, y in ((low[0], high[1]), (high[0], high[1]), (low[0], low[1]))
    ]
    if None in places:
        return None
    origin, right, down = map(np.array, places)
    axes = np.stack([(right - origin) / plate.width, (down - origin) / plate.height], -1)
    return np.column_stack([axes, origin + axes @ [0.5, 0.5]])


def _placed(points: np.ndarray, place: np.ndarray) -> np.ndarray:
    return points @ place[:, :2].T + place[:, 2]


@persistent
def _off(*_arguments: object) -> None:
    switch(False)
    for manager in bpy.data.window_managers:
        manager.vp3d_overlay.show = False


def register() -> None:
    """A new file begins without overlay."""
    bpy.app.handlers.load_post.append(_off)


def unregister() -> None:
    """Stop drawing."""
    bpy.app.handlers.load_post.remove(_off)
    switch(False)
