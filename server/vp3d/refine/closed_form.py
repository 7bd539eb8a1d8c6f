"""Where a person stands in front of the camera, from one pose and its pixels, without iteration over unknowns."""

import numpy as np

_MIN_JOINTS = 4
_MIN_DEPTH = 0.3  # m; nearer than this no whole body part fits a picture
_RIDGE = 1e-12
"""Puts a person whose joints all fall on one pixel at depth 0, so out of sight, instead of nowhere."""
_ITERATIONS = 6
_KERNEL = 3.0  # the robust kernel's width in median residuals

_STANCE = 0.2
"""s for which a foot that stands is compared with itself: steps are longer, and what a lifter shakes is smaller."""
_MOST_STANCES = 4000
_SLIP = 0.05
"""m that a foot which stands may seem to move across the view; along it, where depth is a guess, five times more."""
_ALONG = 5.0
_DISTANCES = np.geomspace(0.1, 30.0, 200)
"""Lengths of the camera path's unit that are tried, in units of the person's distance from the camera."""
_USUAL_DISTANCE, _USUAL_WEIGHT = 1.5, 0.01
"""The background, whose distance is the unit, lies behind the person; how much that says against feet that do not."""


def root_translation(
    pose: np.ndarray, pixels: np.ndarray, confidence: np.ndarray, K: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Translation that best puts root-relative poses onto undistorted pixels.

    Weighted linear least squares of `f (X + tx) - (u - cx) (Z + tz) = 0` and its twin in y (Kolotouros et al., SPIN,
    2019), reweighted with the Geman-McClure kernel and by depth, so that it minimises a robust error in pixels.

    Args:
        pose: (T, J, 3) m, camera axes.
        pixels: (T, J, 2) px, NaN where unknown.
        confidence: (T, J) 0..1.
        K: (3, 3) px.

    Returns:
        translation (T, 3) m, NaN where fewer than four joints are known or the body would be behind the camera; and the
        median residual (T,) px.
    """
    known = np.isfinite(pixels).all(-1) & np.isfinite(pose).all(-1) & (confidence > 0)
    usable = known.sum(-1) >= _MIN_JOINTS
    rays = np.where(known[..., None], (pixels - K[:2, 2]) / np.diag(K)[:2], 0.0)
    pose = np.where(known[..., None], pose, 0.0)
    base = np.where(known, confidence, 0.0)

    rows = np.zeros((*known.shape, 2, 3))
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., 2] = -rays
    rhs = rays * pose[..., 2:] - pose[..., :2]
    weight = base
    translation = np.full((len(pose), 3), np.nan)
    residual = np.full(known.shape, np.nan)
    for _ in range(_ITERATIONS):
        normal = np.einsum("tj,tjki,tjkl->til", weight, rows, rows) + _RIDGE * np.eye(3)
        normal[~usable] = np.eye(3)
        moment = np.einsum("tj,tjki,tjk->ti", weight, rows, rhs)
        translation = np.linalg.solve(normal, moment[..., None])[..., 0]
        usable &= translation[:, 2] > _MIN_DEPTH
        depth = np.maximum(pose[..., 2] + translation[:, None, 2], _MIN_DEPTH)
        error = np.einsum("tjki,ti->tjk", rows, translation) - rhs
        residual = np.where(known, np.linalg.norm(error, axis=-1) / depth, np.nan)
        with np.errstate(all="ignore"):
            width = _KERNEL * np.nanmedian(np.where(usable[:, None], residual, 0.0), axis=-1, keepdims=True) + 1e-9
        weight = base / depth**2 / (1 + (np.nan_to_num(residual) / width) ** 2) ** 2
    translation[~usable] = np.nan
    residual[~usable] = np.nan
    middle = np.full(len(pose), np.nan)
    middle[usable] = np.nanmedian(residual[usable], axis=-1) * K[0, 0]
    return translation, middle


def distance_travelled(
    ankles: np.ndarray, position: np.ndarray, depth: np.ndarray, linked: np.ndarray, step: float
) -> float:
    """Metres in the unit of a moving camera's path: those with which feet that could be standing stand best.

    Whoever stands or walks has a foot at rest, so of both feet the one that moves less counts, robustly.

    Args:
        ankles: (n, 2, 3) m from the camera, in the axes of the first frame's camera.
        position: (n, 3) of the camera, in the same axes and an unknown unit: the background's median distance.
        depth: (n,) m, of the person before the camera.
        linked: (n-1,) bool, whether a frame follows the one before without a gap.
        step: s between frames.
    """
    grid = _DISTANCES * np.median(depth)
    gap = max(round(_STANCE / step), 1)
    section = np.concatenate([[0], np.cumsum(~linked)])
    start = np.flatnonzero(section[gap:] == section[:-gap]) if len(ankles) > gap else np.zeros(0, int)
    start = start[:: len(start) // _MOST_STANCES + 1]
    moved, travelled = ankles[start + gap] - ankles[start], position[start + gap] - position[start]
    sight = ankles[start].mean(1)
    sight /= np.maximum(np.linalg.norm(sight, axis=-1, keepdims=True), 1e-9)

    def parts(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along = np.einsum("...fx,...x->...f", vectors, sight)
        return vectors - along[..., None] * sight[:, None], along / _ALONG

    across_moved, along_moved = parts(moved)
    across_travelled, along_travelled = parts(travelled[:, None])
    cost = _USUAL_WEIGHT * np.log(_DISTANCES / _USUAL_DISTANCE) ** 2
    for i, length in enumerate(grid):
        across = across_moved + length * across_travelled
        slip2 = ((across**2).sum(-1) + (along_moved + length * along_travelled) ** 2) / _SLIP**2
        cost[i] += (slip2 / (1 + slip2)).min(-1).mean() if len(start) else 0.0
    return float(grid[np.argmin(cost)])
