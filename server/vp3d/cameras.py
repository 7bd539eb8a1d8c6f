"""Pinhole cameras with OpenCV's lens distortion: points to pixels, and pixels back to straight rays.

Axes and units are OpenCV's: x right, y down, z forward, `X_cam = R X_world + t` in metres; `K` in pixels with (0, 0) at
the centre of the top-left pixel; distortion k1 k2 p1 p2 k3. Formula: OpenCV documentation, "Camera Calibration and 3D
Reconstruction".
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Array = Any
"""A NumPy array or a torch tensor; the formulas below use only what both understand."""

_UNDISTORT_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)


def distort(points: Array, distortion: Array) -> Array:
    """Apply lens distortion to points (..., 2) on the plane z = 1, with distortion (5,) = k1 k2 p1 p2 k3."""
    x, y = points[..., :1], points[..., 1:]
    k1, k2, k3 = distortion[0], distortion[1], distortion[4]
    tangential = distortion[[3, 2]]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return points * (radial + 2 * (x * tangential[0] + y * tangential[1])) + r2 * tangential


def project_points(points: Array, K: Array, R: Array, t: Array, distortion: Array) -> Array:
    """Project world points (..., T, J, 3) in metres to pixels (..., T, J, 2), exactly as `cv2.projectPoints` does.

    K (C, 3, 3), R (C, 3, 3) and t (C, 3) hold one camera, or one for each of T frames. All arguments are NumPy arrays,
    or all are torch tensors: then the result is differentiable. Points behind the camera get a mirrored, meaningless
    pixel.
    """
    camera = points @ R.swapaxes(-1, -2) + t[:, None, :]
    plane = distort(camera[..., :2] / camera[..., 2:], distortion)
    return plane @ K[:, :2, :2].swapaxes(-1, -2) + K[:, None, :2, 2]


def undistort_points(pixels: np.ndarray, K: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where pixels (..., 2) would lie, had the lens with this K (3, 3) no distortion (5,); NaN stays NaN."""
    flat = np.asarray(pixels, float).reshape(-1, 1, 2)
    if not np.any(distortion):
        return flat.reshape(np.shape(pixels)).copy()
    straight = np.full_like(flat, np.nan)
    known = np.isfinite(flat).all(axis=(1, 2))
    if known.any():
        straight[known] = cv2.undistortPointsIter(flat[known], K, distortion, np.eye(3), K, _UNDISTORT_CRITERIA)
    return straight.reshape(np.shape(pixels))


@dataclass(frozen=True)
class Camera:
    """A static camera (C = 1) or one per frame (C = T), float64.

    Attributes:
        K: (C, 3, 3) px.
        R: (C, 3, 3) rotation from world to camera axes.
        t: (C, 3) m.
        distortion: (5,) k1 k2 p1 p2 k3.
    """

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    distortion: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., T, J, 2) of world points (..., T, J, 3) in metres."""
        return project_points(np.asarray(points, float), self.K, self.R, self.t, self.distortion)

    @property
    def position(self) -> np.ndarray:
        """(C, 3) m, the optical centre in the world."""
        return -(self.t[:, None, :] @ self.R)[:, 0]
