"""What is known of the lens before anything is solved."""

import math
from dataclasses import dataclass

import numpy as np

from vp3d.calibration import CalibratedCamera
from vp3d.errors import UserError
from vp3d.media import VideoInfo

FULL_FRAME_DIAGONAL = 43.27
"""mm, to which "35 mm equivalent" focal lengths refer."""

_METADATA_SIGMA = 0.10
"""Stabilisation crops 10 to 20 % of a phone's picture, and the file does not say whether it did."""


@dataclass(frozen=True)
class LensPrior:
    """A guess: 35 mm equivalent focal length (mm), its relative 1 sigma, and what it is a guess about."""

    equivalent: float
    sigma: float
    subject: str


PHONE = LensPrior(30.0, 0.15, "a phone's main camera with its stabilisation crop")
CAMERA = LensPrior(43.0, 0.30, "a photo or film camera's normal lens")
UNKNOWN = LensPrior(32.0, 0.25, "between a phone's and a film camera's normal lens")

_PHONE_MAKERS = (
    "iphone", "ipad", "apple", "samsung", "galaxy", "sm-", "pixel", "google", "xiaomi", "redmi", "huawei", "honor",
    "oneplus", "oppo", "vivo", "realme", "motorola", "nokia", "xperia", "android",
)  # fmt: skip

_FOCAL_RANGE = (0.2, 50.0)
"""Focal lengths in picture diagonals that any lens for people has: a 136° fish-eye to a 2000 mm telephoto."""


@dataclass(frozen=True)
class Lens:
    """Intrinsics of the clip's camera.

    Attributes:
        K: (3, 3) px, float64, (0, 0) at the centre of the top-left pixel.
        distortion: (5,) k1 k2 p1 p2 k3.
        source: "calibration", "user", "metadata" or "prior".
        note: one sentence for the report.
        focal_sigma: relative 1 sigma of the focal length, 0 where it is known.
    """

    K: np.ndarray
    distortion: np.ndarray
    source: str
    note: str
    focal_sigma: float


def choose_lens(
    info: VideoInfo,
    focal_px: float | None = None,
    focal_mm: float | None = None,
    sensor_mm: float | None = None,
    fov_deg: float | None = None,
    calibration: CalibratedCamera | None = None,
) -> Lens:
    """The best known lens: calibrated, else what the user says, else what the file says, else a guess with its
    uncertainty.

    Args:
        info: size, metadata and camera model of the clip.
        focal_px: focal length in px of the clip as displayed.
        focal_mm: focal length in mm, together with `sensor_mm`, the sensor's longer side in mm (Blender's sensor width
            with sensor fit Auto).
        fov_deg: field of view across the picture's longer side, degrees (Blender's, with sensor fit Auto).
        calibration: of the camera that took the clip.

    Raises:
        UserError: the values contradict each other, no lens has them, or they are for another picture size.
    """
    long_side = max(info.width, info.height)
    if sum(value is not None for value in (calibration, focal_px, focal_mm, fov_deg)) > 1:
        raise UserError(
            "The lens is given in more than one way.",
            "Give a calibration file, or pixels, or mm and sensor width, or the field of view.",
        )
    if (focal_mm is None) != (sensor_mm is None):
        missing = "sensor width" if sensor_mm is None else "focal length"
        raise UserError(f"The lens is missing its {missing} in mm.", "Give both focal length and sensor width in mm.")
    for name, value in (("focal length", focal_px), ("focal length", focal_mm), ("sensor width", sensor_mm)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"A {name} of {value:g} is not possible.", "Give a number above 0.")
    if fov_deg is not None and not 1 <= fov_deg <= 150:
        raise UserError(f"A field of view of {fov_deg:g}° is not possible.", "Give degrees between 1 and 150.")

    if calibration is not None:
        K = calibration.of_size(info.width, info.height)
        name = f" of camera “{calibration.name}”" if calibration.name else ""
        note = f"Focal length {K[0, 0]:.0f} px and distortion from the calibration{name}."
        return Lens(K, calibration.distortion, "calibration", note, 0.0)
    if focal_px is not None:
        return _lens(info, focal_px, "user", f"Focal length {focal_px:.0f} px, as you gave it.", 0.0)
    if focal_mm is not None and sensor_mm is not None:
        note = f"Focal length {focal_mm:g} mm on a sensor {sensor_mm:g} mm wide, as you gave it."
        return _lens(info, focal_mm / sensor_mm * long_side, "user", note, 0.0)
    if fov_deg is not None:
        focal = long_side / 2 / math.tan(math.radians(fov_deg) / 2)
        return _lens(info, focal, "user", f"Field of view {fov_deg:g}° across the longer side, as you gave it.", 0.0)

    if info.focal_35mm:
        note = f"Focal length {info.focal_35mm:g} mm (35 mm equivalent), as the video file says."
        return _lens(info, _from_equivalent(info, info.focal_35mm), "metadata", note, _METADATA_SIGMA)
    prior = guess(info)
    note = (
        f"The lens is not known: guessed as {prior.equivalent:g} mm (35 mm equivalent) ± {prior.sigma:.0%}, "
        f"{prior.subject}; distances along the view are as uncertain, so give the lens if you can."
    )
    return _lens(info, _from_equivalent(info, prior.equivalent), "prior", note, prior.sigma)


def guess(info: VideoInfo) -> LensPrior:
    """What lens a clip without any lens data was probably taken with."""
    model = info.camera_model.lower()
    if info.height > info.width or any(maker in model for maker in _PHONE_MAKERS):
        return PHONE
    return CAMERA if model else UNKNOWN


def _from_equivalent(info: VideoInfo, millimetres: float) -> float:
    """Focal length (px) of a 35 mm equivalent, which compares diagonals."""
    return millimetres / FULL_FRAME_DIAGONAL * math.hypot(info.width, info.height)


def _lens(info: VideoInfo, focal: float, source: str, note: str, sigma: float) -> Lens:
    diagonals = focal / math.hypot(info.width, info.height)
    if not _FOCAL_RANGE[0] <= diagonals <= _FOCAL_RANGE[1]:
        raise UserError(
            f"A focal length of {focal:.0f} px does not fit a picture of {info.width} × {info.height} px.",
            "Check the lens values and their units.",
        )
    K = np.array([[focal, 0, (info.width - 1) / 2], [0, focal, (info.height - 1) / 2], [0, 0, 1]], float)
    return Lens(K, np.zeros(5), source, note, sigma)
