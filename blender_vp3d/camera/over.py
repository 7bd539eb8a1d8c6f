"""A take's camera written over a camera that the user has: its movement, its lens, its plate."""

import bpy
import numpy as np
from mathutils import Matrix

from .. import animation
from ..common.armature import continuous, matrix_to_quaternion
from .keys import animate

_LENS = ("lens", "shift_x", "shift_y")
_DATA = ("sensor_fit", "sensor_width", "sensor_height", *_LENS)


def write_over(context: bpy.types.Context, source: bpy.types.Object, target: bpy.types.Object) -> list[str]:
    """Key the target so that it sees what the source sees, at every frame at which the source has a key.

    Keys of the target's place, turn and lens are replaced; constraints on it are muted, and it may hang on a parent.
    Returns sentences for the user.
    """
    scene, notes = context.scene, []
    if target.data.users > 1:
        target.data = target.data.copy()
        notes.append(f"Other cameras share the lens of {target.name}, so it got its own.")
    muted = [constraint for constraint in target.constraints if not constraint.mute]
    for constraint in muted:
        constraint.mute = True
    if muted:
        notes.append(f"{len(muted)} constraint{'s' * (len(muted) > 1)} of {target.name} would move it: muted.")
    animation.clear(target, {"rotation_euler", "rotation_axis_angle", "scale"})
    target.rotation_mode, target.scale = "QUATERNION", (1, 1, 1)
    target.delta_location, target.delta_rotation_quaternion, target.delta_scale = (0, 0, 0), (1, 0, 0, 0), (1, 1, 1)
    frames, now = _frames(source, scene), (scene.frame_current, scene.frame_subframe)
    matrices, lens = [], []
    for frame in frames:
        scene.frame_set(int(frame))
        depsgraph = context.evaluated_depsgraph_get()
        eye = source.evaluated_get(depsgraph)
        matrices.append(np.array(_carrier(target, depsgraph).inverted() @ eye.matrix_world))
        lens.append([getattr(eye.data, name) for name in _LENS])
    scene.frame_set(now[0], subframe=now[1])

    for name in _DATA:
        setattr(target.data, name, getattr(source.data, name))
    target.data.type = "PERSP"
    matrices, lens = np.array(matrices), np.array(lens)
    axes = matrices[:, :3, :3]
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    turns = continuous(matrix_to_quaternion(axes))
    move = {"location": matrices[:, :3, 3], "rotation_quaternion": turns}
    animate(target, target.name, "Object Transforms", frames, move)
    animate(target.data, target.data.name, "Lens", frames, dict(zip(_LENS, lens.T, strict=True)))
    _share_plate(source.data, target.data)
    scene.camera = target
    return notes


def _frames(source: bpy.types.Object, scene: bpy.types.Scene) -> np.ndarray:
    """(K,) scene frames at which a camera has keys; the present one where it has none."""
    keys: set[float] = set()
    for datablock in (source, source.data):
        for curve in animation.curves_of(datablock):
            if not curve.data_path.startswith("["):  # custom properties do not move it
                points = np.empty((len(curve.keyframe_points), 2), np.float32)
                curve.keyframe_points.foreach_get("co", points.ravel())
                keys |= set(points[:, 0].tolist())
    return np.array(sorted(keys) or [float(scene.frame_current)])


def _carrier(target: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> Matrix:
    """What an object's own transform is multiplied to from the left."""
    if target.parent is None:
        return Matrix()
    seen = target.evaluated_get(depsgraph)
    return seen.matrix_world @ seen.matrix_basis.inverted()


def _share_plate(source: bpy.types.Camera, target: bpy.types.Camera) -> None:
    shown = next((plate for plate in source.background_images if plate.clip), None)
    if shown is None:
        return
    plate = next((plate for plate in target.background_images if plate.source == "MOVIE_CLIP"), None)
    plate = plate or target.background_images.new()
    for name in ("source", "clip", "use_camera_clip", "alpha", "display_depth", "frame_method", "rotation", "scale"):
        setattr(plate, name, getattr(shown, name))
    plate.clip_user.use_render_undistorted = shown.clip_user.use_render_undistorted
    target.show_background_images = True
