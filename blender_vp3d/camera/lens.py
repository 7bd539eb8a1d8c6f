"""A pinhole camera in Blender's terms. No bpy."""

from dataclasses import dataclass

import numpy as np

SENSOR = 36.0
"""mm, width of the sensor that focal lengths refer to: 35 mm film."""

_VISIBLE = 0.5  # px; distortion that moves no pixel farther is left out


@dataclass(frozen=True)
class Lens:
    """A Blender camera with sensor fit AUTO and sensor width `SENSOR`.

    Attributes:
        focal: (C,) mm.
        shift: (C, 2) in parts of the larger side of the image.
        pixel_aspect: (x, y) for the render settings.
    """

    focal: np.ndarray
    shift: np.ndarray
    pixel_aspect: tuple[float, float]


def from_matrix(K: np.ndarray, width: int, height: int) -> Lens:
    """Intrinsic matrices (C, 3, 3) in px, (0, 0) the centre of the top-left pixel. Pixel aspect is the first one's."""
    fx, fy = K[:, 0, 0], K[:, 1, 1]
    ratio = float(fx[0] / fy[0])
    aspect = (1.0, ratio) if ratio > 1 else (1 / ratio, 1.0)
    wide, high = width * aspect[0], height * aspect[1]
    larger = max(wide, high)
    # Blender measures from the corner of the top-left pixel.
    shift = np.stack(
        [
            (width / 2 - (K[:, 0, 2] + 0.5)) * aspect[0] / larger,
            (K[:, 1, 2] + 0.5 - height / 2) * aspect[1] / larger,
        ],
        axis=-1,
    )
    return Lens(fx * aspect[0] * SENSOR / larger, shift, aspect)


def pose(R: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Location (C, 3) m and orientation (C, 3, 3) of a Blender camera, which looks along -Z with Y up.

    R (C, 3, 3) and t (C, 3) take world points to OpenCV's camera axes: X_cam = R X + t.
    """
    orientation = np.swapaxes(R, -1, -2)
    return -np.einsum("cij,cj->ci", orientation, t), orientation * [1, -1, -1]


def displacement(K: np.ndarray, distortion: np.ndarray, width: int, height: int) -> float:
    """Farthest that a lens (k1 k2 p1 p2 k3) moves a pixel of the image's border, px. K is (3, 3)."""
    u, v = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = r2 * (k1 + r2 * (k2 + r2 * k3))
    dx = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return float(np.hypot(dx * K[0, 0], dy * K[1, 1]).max())


def is_distorted(K: np.ndarray, distortion: np.ndarray, width: int, height: int) -> bool:
    """Whether a lens bends the image visibly; K is (3, 3)."""
    return displacement(K, distortion, width, height) > _VISIBLE
