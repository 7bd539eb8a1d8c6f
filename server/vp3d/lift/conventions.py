"""How 2D joints are presented to a lifter: a table, because every checkpoint is tied to the one it was trained with.

All conventions start from normalised image coordinates, the ray through a pixel at depth 1, so a lifter never sees
pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HUMAN36M_FOCAL = 2.295
"""Focal length over half the image width of the Human3.6M cameras (2.290 to 2.299), baked into weights trained
there."""

_ANCHOR_SPREAD = 2.0
"""Frames; joints nearer in time count more for the direction that is put on the axis."""
_ANCHOR_ELSEWHERE = 1e-3
"""Weight of other joints beside the hips: nothing where a hip is seen, everything where none is."""
_SMALLEST_SIZE = 1e-3
_LOG_SIZE_SHIFT = 2.4
"""Minus the log size of a whole person some 5 m away, so that the feature is about zero on average."""

_HIPS = (11, 12)


@dataclass(frozen=True)
class Convention:
    """One way of presenting joints.

    Attributes:
        name: what checkpoints call it.
        features_per_frame: input numbers per frame for a number of joints.
        windowed: the features of a frame depend on the window it is seen in.
        encode: (rays (..., W, J, 2), NaN where missing; confidence (..., W, J); index of the window's own frame) to
            features (..., W, F) and the rotation (..., 3, 3) from camera axes to the axes the poses come out in.
    """

    name: str
    features_per_frame: Callable[[int], int]
    windowed: bool
    encode: Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def look_at(direction: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) that turns the camera, without rolling it, so that `direction` (..., 3) becomes its axis."""
    z = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    x = np.cross(np.array([0.0, 1.0, 0.0], direction.dtype), z)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-2)


def canonical(rays: np.ndarray, confidence: np.ndarray, now: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn the camera towards the person and divide by the person's size, so that position, lens and distance drop out.

    The direction to the hips around frame `now` becomes the optical axis of the whole window; coordinates are divided
    by the window's median RMS spread of the joints, whose logarithm is a feature of its own because it carries
    perspective. Features per frame: (x, y, confidence) of every joint, then the log size.
    """
    weight = np.where(np.isfinite(rays).all(-1), confidence, 0.0).astype(rays.dtype)
    points = np.where(weight[..., None] > 0, rays, 0.0).astype(rays.dtype)
    near = np.exp(-0.5 * ((np.arange(rays.shape[-3]) - now) / _ANCHOR_SPREAD) ** 2) + 1e-6
    hips = np.full(rays.shape[-2], _ANCHOR_ELSEWHERE)
    hips[list(_HIPS)] = 1.0
    anchor = _mean(points, weight * (near[:, None] * hips).astype(rays.dtype), axes=(-2, -1))
    rotation = look_at(np.concatenate([anchor, np.ones_like(anchor[..., :1])], -1))

    turned = np.concatenate([points, np.ones_like(points[..., :1])], -1) @ rotation[..., None, :, :].swapaxes(-1, -2)
    turned = turned[..., :2] / np.maximum(turned[..., 2:], 0.05)
    middle = _mean(turned, weight, axes=(-1,))
    spread = np.sqrt(_mean(((turned - middle[..., None, :]) ** 2).sum(-1, keepdims=True), weight, axes=(-1,)))[..., 0]
    seen = (weight > 0).sum(-1) >= 2
    with np.errstate(all="ignore"):
        size = _nan_median(np.where(seen, spread, np.nan))
    size = np.maximum(np.nan_to_num(size, nan=1.0), _SMALLEST_SIZE).astype(rays.dtype)[..., None, None]

    scaled = np.where(weight[..., None] > 0, turned / size[..., None], 0.0)
    joints = np.concatenate([scaled, weight[..., None]], -1)
    log_size = np.broadcast_to(np.log(size) + _LOG_SIZE_SHIFT, (*joints.shape[:-2], 1))
    return np.concatenate([joints.reshape(*joints.shape[:-2], -1), log_size], -1).astype(np.float32), rotation


def width_normalised(rays: np.ndarray, confidence: np.ndarray, now: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates as VideoPose3D's published weights expect them: the image as a Human3.6M camera would have seen it.

    These weights know no missing joints: such a joint is interpolated over time, as their authors do, and one that is
    never seen lies in the person's middle. Takes whole sequences (W, J, 2) only.
    """
    del now
    seen = np.isfinite(rays).all(-1) & (confidence > 0)
    times = np.arange(len(rays))
    points = np.where(seen[..., None], rays, 0.0)
    middle = _mean(points, seen.astype(rays.dtype), axes=(-1,))
    someone = seen.any(1)
    for j in range(rays.shape[1]):
        known, values = (seen[:, j], points[:, j]) if seen[:, j].any() else (someone, middle)
        points[:, j] = np.stack([np.interp(times, times[known], values[known, axis]) for axis in (0, 1)], -1)
    return (points * HUMAN36M_FOCAL).reshape(len(points), -1).astype(np.float32), np.eye(3)


def _mean(values: np.ndarray, weight: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    total = weight.sum(axes)
    axes_of_values = tuple(axis - 1 for axis in axes)
    return (values * weight[..., None]).sum(axes_of_values) / np.maximum(total, 1e-12)[..., None]


def _nan_median(values: np.ndarray) -> np.ndarray:
    """Lower median over the last axis, NaN where there is nothing; `np.nanmedian` takes ten times as long."""
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(values).sum(-1)
    middle = np.maximum((count - 1) // 2, 0)
    return np.take_along_axis(ordered, middle[..., None], -1)[..., 0]


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention("canonical", lambda joints: 3 * joints + 1, True, canonical),
        Convention("width-normalised", lambda joints: 2 * joints, False, width_normalised),
    )
}
