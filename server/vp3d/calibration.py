"""Calibration files of other programs: OpenCV, Pose2Sim, Qualisys, and plain JSON or TOML.

Every reader turns its file into plain dictionaries, one per camera; what their entries are called is a table. World
axes are the file's own: Z up in metres for Pose2Sim and Qualisys.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from vp3d.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAMES = {
    "K": ("K", "camera_matrix", "cameraMatrix", "matrix", "intrinsic_matrix", "mtx"),
    "distortion": ("distortion", "distortion_coefficients", "distCoeffs", "distortions", "dist"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "size": ("size", "image_size", "imageSize", "resolution"),
    "R": ("R", "rotation", "rvec"),
    "t": ("t", "T", "translation", "tvec"),
}
"""What the parts of a camera are called in the files that are read."""

_MACROBLOCK = 16
"""px to which a codec pads pictures at the right and the bottom: a calibration of the padded size holds unchanged."""
_ASPECT_TOLERANCE = 0.002
_QUALISYS_SUBPIXELS = 64
_QUALISYS_AXES = np.array([1.0, -1, -1])
"""Qualisys' camera looks along -Z with Y up; OpenCV's along Z with Y down."""
_FORMATS = "Use an OpenCV file (YAML, XML, JSON), a Pose2Sim TOML or a Qualisys .qca.txt."


@dataclass(frozen=True)
class CalibratedCamera:
    """One camera of a calibration file.

    Attributes:
        name: as the file calls it, "" where it does not.
        size: width and height (px) of the pictures it was calibrated with, or None where the file does not say.
        K: (3, 3) px, (0, 0) at the centre of the top-left pixel.
        distortion: (5,) k1 k2 p1 p2 k3, OpenCV's.
        R: (3, 3) world to camera axes, or None.
        t: (3,) m, with `X_cam = R X_world + t`, or None.
    """

    name: str
    size: tuple[int, int] | None
    K: np.ndarray
    distortion: np.ndarray
    R: np.ndarray | None = None
    t: np.ndarray | None = None

    def of_size(self, width: int, height: int) -> np.ndarray:
        """K (3, 3) for pictures of this size (px): the same, padded by a codec, or resampled.

        Raises:
            UserError: the picture is another part of the sensor.
        """
        if self.size is None or all(abs(a - b) < _MACROBLOCK for a, b in zip(self.size, (width, height), strict=True)):
            return self.K.copy()
        across, down = width / self.size[0], height / self.size[1]
        if abs(across / down - 1) > _ASPECT_TOLERANCE:
            raise UserError(
                f"The calibration is for {self.size[0]} × {self.size[1]} px, the clip has {width} × {height} px.",
                "Use the calibration of this clip's format, or a clip that is not cropped or rotated.",
            )
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # resampling scales about the picture's corner
        return np.linalg.inv(half) @ np.diag([across, down, 1]) @ half @ self.K


def read_calibration(path: Path | str) -> list[CalibratedCamera]:
    """Cameras of a calibration file, in the file's order.

    Raises:
        UserError: the file cannot be read, holds no camera, or one with another lens model.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"The calibration “{path}” cannot be read ({error.strerror}).", "Choose another file."
        ) from error
    except UnicodeDecodeError:
        text = ""
    try:
        entries = _parse(text)
        cameras = [_camera(name, entry) for name, entry in entries.items()]
    except (ValueError, KeyError, TypeError, cv2.error, SystemError, ElementTree.ParseError) as error:
        raise UserError(f"“{path.name}” is no calibration that can be read.", _FORMATS) from error
    if not cameras:
        raise UserError(f"“{path.name}” holds no camera.", _FORMATS)
    return cameras


def pick(cameras: list[CalibratedCamera], name: str | None, clip: str = "") -> CalibratedCamera:
    """The camera with this name; without one, the only camera, or that with the clip's name (without extension).

    Raises:
        UserError: no camera is meant, or several are.
    """
    if name is None and len(cameras) == 1:
        return cameras[0]
    for camera in cameras:
        if camera.name == (clip if name is None else name):
            return camera
    known = ", ".join(f"“{camera.name}”" for camera in cameras)
    if name is None:
        raise UserError(f"The calibration holds {len(cameras)} cameras.", f"Say which one took this clip: {known}.")
    raise UserError(f"The calibration holds no camera “{name}”.", f"Choose one of {known}.")


def _parse(text: str) -> dict[str, dict]:
    """Each camera's entries by its name."""
    start = text.lstrip()[:1]
    if start == "<":
        root = ElementTree.fromstring(text.encode())
        return _qualisys(root) if root.tag == "calibration" else _several(_file_storage(text))
    if start == "{":
        return _several(json.loads(text))
    try:
        return _several(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        header = "" if text.lstrip().startswith("%YAML") else "%YAML:1.0\n---\n"
        return _several(_file_storage(header + text.lstrip().removeprefix("---\n")))


def _several(document: object) -> dict[str, dict]:
    """A file's cameras: the file itself, or those of its tables that look like one."""
    if not isinstance(document, dict):
        raise TypeError("no table")
    if _entry(document, "K") is not None:
        return {str(document.get("camera_name") or document.get("name") or ""): document}
    found = {
        key: value for key, value in document.items() if isinstance(value, dict) and _entry(value, "K") is not None
    }
    return {str(value.get("name") or key): value for key, value in found.items()}


def _file_storage(text: str) -> object:
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    try:
        return _plain(storage.root())
    finally:
        storage.release()


def _plain(node: cv2.FileNode) -> object:
    """An OpenCV file node as dictionaries, lists, numbers and strings."""
    if node.isMap():
        return {key: _plain(node.getNode(key)) for key in node.keys()}  # noqa: SIM118, a node is no dictionary
    if node.isSeq():
        return [_plain(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def _entry(camera: dict, part: str) -> object:
    return next((camera[name] for name in _NAMES[part] if camera.get(name) is not None), None)


def _array(value: object) -> np.ndarray:
    """Numbers of a list, or of a stored matrix with rows, columns and data; raises ValueError for what is neither."""
    if isinstance(value, dict):
        value = np.reshape(value["data"], (int(value["rows"]), int(value["cols"])))
    array = np.array(value, float)
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array


def _camera(name: str, entry: dict) -> CalibratedCamera:
    K = _array(_entry(entry, "K"))
    if K.shape != (3, 3) or min(K[0, 0], K[1, 1]) <= 0:
        raise ValueError("no camera matrix")
    given = _entry(entry, "distortion")
    coefficients = np.zeros(0) if given is None else _array(given).ravel()
    other = entry.get("fisheye") is True or str(entry.get("distortion_model", "plumb_bob")) != "plumb_bob"
    if other or np.any(coefficients[5:]):
        raise UserError(
            f"The calibration of camera “{name}” has a fish-eye or rational lens model.",
            "Calibrate with OpenCV's standard model: k1, k2, p1, p2, k3.",
        )
    distortion = np.zeros(5)
    distortion[: len(coefficients[:5])] = coefficients[:5]
    size = _entry(entry, "size")
    if size is None and _entry(entry, "width") is not None:
        size = (_entry(entry, "width"), _entry(entry, "height"))
    R, t = _entry(entry, "R"), _entry(entry, "t")
    if R is not None:
        R = _array(R)
        R = cv2.Rodrigues(R.ravel())[0] if R.size == 3 else R.reshape(3, 3)
    return CalibratedCamera(
        name=name,
        size=None if size is None else tuple(round(side) for side in _array(size).ravel().reshape(2)),
        K=K,
        distortion=distortion,
        R=R,
        t=None if t is None else _array(t).ravel().reshape(3),
    )


def _qualisys(root: ElementTree.Element) -> dict[str, dict]:
    """Cameras of a QTM calibration: intrinsics in 1/64 px, positions in mm, axes from camera to world."""
    cameras = {}
    for tag in root.iter("camera"):
        lens, place, view = (
            {key: float(value) for key, value in found.attrib.items()} if (found := tag.find(name)) is not None else {}
            for name in ("intrinsic", "transform", "fov_video")
        )
        R = np.array([[place[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)]) * _QUALISYS_AXES[:, None]
        focal, centre = (
            np.array([lens[f"{part}{axis}"] for axis in "UV"]) / _QUALISYS_SUBPIXELS
            for part in ("focalLength", "centerPoint")
        )
        centre -= [view["left"], view["top"]]
        radial = [lens[f"radialDistortion{i}"] for i in (1, 2, 3)]
        tangential = [lens[f"tangentalDistortion{i}"] for i in (1, 2)]
        cameras[tag.attrib["serial"]] = {
            "size": [view["right"] - view["left"] + 1, view["bottom"] - view["top"] + 1],
            "K": [[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]],
            "distortion": [*radial[:2], *tangential, radial[2]],
            "R": R,
            "t": -R @ np.array([place[axis] for axis in "xyz"]) / 1000,
        }
    return cameras
