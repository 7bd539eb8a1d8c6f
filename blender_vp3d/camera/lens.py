"""A pinhole camera in Blender's terms. No bpy."""

from dataclasses import dataclass

import numpy as np

SENSOR = 36.0
"""mm, width of the sensor that focal lengths refer to: 35 mm film."""

_VISIBLE = 0.5  # px; distortion that moves no pixel farther is left out
_ITERATIONS = 30


@dataclass(frozen=True)
class Lens:
    """A Blender camera with sensor fit AUTO.

    Attributes:
        focal: (C,) mm.
        shift: (C, 2) in parts of the larger side of the image.
        pixel_aspect: (x, y) for the render settings.
        sensor: mm, the sensor's larger side.
    """

    focal: np.ndarray
    shift: np.ndarray
    pixel_aspect: tuple[float, float]
    sensor: float


def from_matrix(K: np.ndarray, width: int, height: int, sensor: float = SENSOR) -> Lens:
    """Intrinsic matrices (C, 3, 3) in px, (0, 0) the centre of the top-left pixel. Pixel aspect is the first one's.

    `sensor` is the larger side of the sensor in mm: what focal lengths in mm refer to.
    """
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
    return Lens(fx * aspect[0] * sensor / larger, shift, aspect, sensor)


def to_matrix(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """The intrinsic matrix (3, 3) in px of a Blender camera for a plate that fills its frame.

    `frame` (4, 3) are the corners that `Camera.view_frame` gives: whatever sensor fit and shift are, they are in it.
    """
    low, high = (-frame[:, :2] / frame[:, 2:]).min(0), (-frame[:, :2] / frame[:, 2:]).max(0)
    fx, fy = np.array([width, height]) / (high - low)
    return np.array([[fx, 0, -low[0] * fx - 0.5], [0, fy, high[1] * fy - 0.5], [0, 0, 1]])


def pose(R: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Location (C, 3) m and orientation (C, 3, 3) of a Blender camera, which looks along -Z with Y up.

    R (C, 3, 3) and t (C, 3) take world points to OpenCV's camera axes: X_cam = R X + t.
    """
    orientation = np.swapaxes(R, -1, -2)
    return -np.einsum("cij,cj->ci", orientation, t), orientation * [1, -1, -1]


def distort(points: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Where a lens (k1 k2 p1 p2 k3, OpenCV's model) puts points (..., 2) of the plane z = 1."""
    x, y = points[..., 0], points[..., 1]
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def undistort(points: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """The points (..., 2) that `distort` puts here: fixed-point iteration, as OpenCV does it."""
    if not np.any(distortion):
        return points
    straight = points
    for _ in range(_ITERATIONS):
        straight = straight + points - distort(straight, distortion)
    return straight


def to_pixels(points: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Points (..., 2) of the plane z = 1 in px."""
    return points * K[[0, 1], [0, 1]] + K[:2, 2]


def to_plane(pixels: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) as points of the plane z = 1."""
    return (pixels - K[:2, 2]) / K[[0, 1], [0, 1]]


def displacement(K: np.ndarray, distortion: np.ndarray, width: int, height: int) -> float:
    """Farthest that a lens (k1 k2 p1 p2 k3) moves a pixel of the image's border, px. K is (3, 3)."""
    pixels = np.stack(np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9)), -1)
    moved = to_pixels(distort(to_plane(pixels, K), distortion), K) - pixels
    return float(np.linalg.norm(moved, axis=-1).max())


def is_distorted(K: np.ndarray, distortion: np.ndarray, width: int, height: int) -> bool:
    """Whether a lens bends the image visibly; K is (3, 3)."""
    return displacement(K, distortion, width, height) > _VISIBLE
