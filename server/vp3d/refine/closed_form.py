"""Where a person stands in front of the camera, from one pose and its pixels, without iteration over unknowns."""

import numpy as np

_MIN_JOINTS = 4
_MIN_DEPTH = 0.3  # m; nearer than this no whole body part fits a picture
_RIDGE = 1e-12
"""Puts a person whose joints all fall on one pixel at depth 0, so out of sight, instead of nowhere."""
_ITERATIONS = 6
_KERNEL = 3.0  # the robust kernel's width in median residuals


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
