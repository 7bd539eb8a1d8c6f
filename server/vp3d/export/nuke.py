"""A take's camera in Nuke's terms: Y up, metres, degrees, a sensor back in millimetres.

Conventions: those of Nuke's own `nukescripts.snap3d`. `win_translate` moves the projected picture, and its unit is half
the picture's width, in both directions.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vp3d.common.take import Take

ROTATION_ORDER = "ZXY"
"""Nuke's own: about Z first, then X, then Y."""

SENSOR = 36.0
"""mm, the sensor's larger side where nobody said how large it is: 35 mm film, as in Blender."""

AXES = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From the take's world, Z up, to Nuke's, Y up: (x, y, z) becomes (x, z, -y)."""


@dataclass(frozen=True)
class NukeCamera:
    """The camera at C frames (1 where it stands still).

    Attributes:
        translate: (C, 3) m.
        rotate: (C, 3) degrees about X, Y and Z, in `ROTATION_ORDER`, without jumps.
        focal: (C,) mm.
        aperture: horizontal and vertical, mm: the sensor back.
        win_translate: (C, 2), the principal point's distance from the picture's centre.
        pixel_aspect: width of a pixel by its height.
    """

    translate: np.ndarray
    rotate: np.ndarray
    focal: np.ndarray
    aperture: tuple[float, float]
    win_translate: np.ndarray
    pixel_aspect: float


def camera_of(take: Take) -> NukeCamera:
    """The camera of a take; focal lengths refer to the sensor that the user gave for the capture, or to `SENSOR`."""
    width, height = take.video["width"], take.video["height"]
    fx, fy = take.camera_K[:, 0, 0], take.camera_K[:, 1, 1]
    aspect = float(fy[0] / fx[0])
    sensor = float(take.settings.get("sensor_mm") or SENSOR)
    pixel = sensor / max(width * aspect, height)  # mm, a pixel's height
    orientation = AXES @ take.camera_R.swapaxes(-1, -2) * [1, -1, -1]  # Nuke's camera looks along -Z, Y up
    position = -np.einsum("cji,cj->ci", take.camera_R, take.camera_t) @ AXES.T
    half = width / 2
    centre = take.camera_K[:, :2, 2] + 0.5
    return NukeCamera(
        translate=position,
        rotate=_angles(orientation),
        focal=fy * pixel,
        aperture=(width * aspect * pixel, height * pixel),
        win_translate=np.stack([(half - centre[:, 0]) / half, (centre[:, 1] - height / 2) / (half * aspect)], -1),
        pixel_aspect=aspect,
    )


def _angles(orientation: np.ndarray) -> np.ndarray:
    """(C, 3) degrees about X, Y and Z of (C, 3, 3), each as near as can be to the one before.

    Two sets of angles give the same orientation, and each angle may have full turns added.
    """
    y, x, z = Rotation.from_matrix(orientation).as_euler("YXZ", degrees=True).T
    both = np.stack([np.stack([x, y, z], -1), np.stack([180 - x, y + 180, z + 180], -1)])
    chosen = both[0].copy()
    for frame in range(1, len(chosen)):
        near = both[:, frame] + 360 * np.round((chosen[frame - 1] - both[:, frame]) / 360)
        chosen[frame] = near[np.abs(near - chosen[frame - 1]).sum(1).argmin()]
    return chosen
