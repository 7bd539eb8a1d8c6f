"""The take: all that one capture found, and the file that carries it.

`NAME.vp3d` is a zip of `take.json` and one `.npy` per array. Reading never unpickles, and believes no size before it
has checked it: `take.json` declares every array, and the zip and the `.npy` headers must agree with it.
"""

import contextlib
import io
import json
import math
import zipfile
from dataclasses import dataclass, field, fields
from enum import IntEnum
from fractions import Fraction
from pathlib import Path

import numpy as np

VERSION = 1
_FORMAT = "vp3d-take"
_JSON_LIMIT = 16 << 20  # bytes; a report of thousands of warnings still fits
_LIMIT = 4 << 30  # bytes of all arrays; 20 people for an hour at 60 fps need 2.6 GB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes to unpack a few bytes

# name: (dtype on disk, shape); P people, T frames, C cameras (1, or T where it moves), the numbers are fixed
_ARRAYS: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "frames": ("<i4", ("T",)),
    "person_ids": ("<i4", ("P",)),
    "joints2d": ("<f4", ("P", "T", 21, 2)),
    "confidence": ("<f4", ("P", "T", 21)),
    "source": ("|u1", ("P", "T", 21)),
    "joints3d": ("<f4", ("P", "T", 17, 3)),
    "contacts": ("<f4", ("P", "T", 2)),
    "camera_K": ("<f8", ("C", 3, 3)),
    "camera_R": ("<f8", ("C", 3, 3)),
    "camera_t": ("<f8", ("C", 3)),
    "distortion": ("<f8", (5,)),
    "residual_px": ("<f4", ("P", "T", 17)),
}

# What readers rely on; of the video the size has to be there. name: (type, least)
_VIDEO: dict[str, tuple[type, int]] = {
    "path": (str, 0), "name": (str, 0), "width": (int, 1), "height": (int, 1), "rotation": (int, -360),
    "frame_count": (int, 0), "start": (int, 0), "end": (int, 0), "every": (int, 1),
}  # fmt: skip
_REPORT: dict[str, type] = {
    "people": list, "warnings": list, "views": list, "detector": dict, "lifter": dict, "lens": dict, "motion": dict,
    "solve": dict, "timings": dict,
}  # fmt: skip
_VIEW: dict[str, tuple[int, ...]] = {
    "K": (3, 3), "R": (3, 3), "t": (3,), "distortion": (5,), "offset_s": (), "fps": (),
}  # fmt: skip


class TakeError(Exception):
    """A take that cannot be read or written, in one sentence for the user."""


class Source(IntEnum):
    """Where a 2D joint comes from."""

    ABSENT = 0
    MEASURED = 1
    INTERPOLATED = 2
    EDITED = 3


@dataclass
class Take:
    """One capture. P people, T processed frames, C cameras (1, or T where the camera moves).

    Attributes:
        frames: (T,) frame numbers of the video, from 0, as Blender counts them.
        fps: frames per second of the video.
        person_ids: (P,) identities, the main person first.
        joints2d: (P, T, 21, 2) px, order `skeletons.BODY_21`, NaN where absent.
        confidence: (P, T, 21) 0..1.
        source: (P, T, 21) of `Source`.
        joints3d: (P, T, 17, 3) m in the world (Z up, floor at z = 0), order `skeletons.H36M_17`, NaN where absent.
        contacts: (P, T, 2) probability that the left and the right foot stand.
        camera_K: (C, 3, 3) px, (0, 0) being the centre of the top-left pixel.
        camera_R: (C, 3, 3), X_cam = R X_world + t with OpenCV axes.
        camera_t: (C, 3) m.
        distortion: (5,) k1 k2 p1 p2 k3 as in OpenCV.
        residual_px: (P, T, 17) distance of the reprojected 3D joint from the 2D joint, order `skeletons.COCO_17`.
        video: path, name, width, height, rotation (degrees applied), frame_count, start, end (exclusive), every.
        settings: what the user asked for.
        report: detector, lifter, lens, solve, timings, warnings: what to tell the user.
    """

    frames: np.ndarray
    fps: Fraction
    person_ids: np.ndarray
    joints2d: np.ndarray
    confidence: np.ndarray
    source: np.ndarray
    joints3d: np.ndarray
    contacts: np.ndarray
    camera_K: np.ndarray
    camera_R: np.ndarray
    camera_t: np.ndarray
    distortion: np.ndarray
    residual_px: np.ndarray
    video: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    report: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Bring arrays to their types; raise TakeError where shapes contradict each other."""
        sizes: dict[str, int] = {}
        for name, (dtype, shape) in _ARRAYS.items():
            array = np.ascontiguousarray(getattr(self, name), dtype=np.dtype(dtype))
            setattr(self, name, array)
            _check_shape(name, array.shape, shape, sizes)
        if sizes["C"] not in (1, sizes["T"]):
            raise TakeError(f"The take has {sizes['C']} cameras for {sizes['T']} frames.")

    def present(self, person: int) -> np.ndarray:
        """Frames in which a person has a 3D pose: (T,) bool. `person` is a position in `person_ids`."""
        return np.isfinite(self.joints3d[person]).all((1, 2))


def _check_shape(name: str, actual: tuple[int, ...], wanted: tuple[str | int, ...], sizes: dict[str, int]) -> None:
    agrees = len(actual) == len(wanted) and all(
        size == (want if isinstance(want, int) else sizes.setdefault(want, size))
        for size, want in zip(actual, wanted, strict=True)
    )
    if not agrees:
        raise TakeError(f"The take's array '{name}' has shape {actual}, which does not fit the others.")


def save(take: Take, path: Path | str) -> None:
    """Write a take; the file appears whole or not at all. Raises TakeError when it cannot be written."""
    path = Path(path)
    partial = path.with_name(path.name + ".part")
    header = {
        "format": _FORMAT,
        "version": VERSION,
        "fps": [take.fps.numerator, take.fps.denominator],
        "video": take.video,
        "settings": take.settings,
        "report": take.report,
        "arrays": {name: list(getattr(take, name).shape) for name in _ARRAYS},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("take.json", json.dumps(header, indent=1, ensure_ascii=False, allow_nan=False))
            for name in _ARRAYS:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, getattr(take, name), allow_pickle=False)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise TakeError(f"The take cannot be written to {path}: {error.strerror or error}.") from error


def load(path: Path | str) -> Take:
    """Read a take. Raises TakeError, with one sentence, for anything that is not a whole take of this version."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            header = _read_header(archive, path)
            shapes = _check_declared(archive, header["arrays"])
            arrays = {name: _read_array(archive, name, dtype, shapes[name]) for name, (dtype, _) in _ARRAYS.items()}
        take = Take(
            fps=Fraction(*header["fps"]),
            **{key: dict(header[key]) for key in ("video", "settings", "report")},
            **arrays,
        )
        _check_values(take, path)
        return take
    except FileNotFoundError as error:
        raise TakeError(f"There is no take at {path}.") from error
    except OSError as error:
        raise TakeError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except TakeError:
        raise
    # zipfile, json and numpy raise many kinds for damaged input; for the user they are all one
    except Exception as error:
        raise TakeError(f"{path.name} is not a take, or it is damaged ({type(error).__name__}).") from error


def _read_header(archive: zipfile.ZipFile, path: Path) -> dict:
    member = archive.getinfo("take.json")
    if member.file_size > _JSON_LIMIT or member.compress_type not in _METHODS:
        raise TakeError(f"{path.name} is damaged: its description is too long.")
    header = json.loads(archive.read("take.json"))
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise TakeError(f"{path.name} is not a take.")
    if header.get("version") != VERSION:
        raise TakeError(
            f"{path.name} is a take of version {header.get('version')}, and this add-on reads version {VERSION}: "
            "update the add-on, or capture the video again."
        )
    return header


def _check_declared(archive: zipfile.ZipFile, declared: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    """Shapes of all arrays, once they fit each other, the archive and the memory; nothing is unpacked before."""
    shapes, sizes, total = {}, {}, 0
    for name, (dtype, wanted) in _ARRAYS.items():
        shapes[name] = shape = tuple(int(size) for size in declared[name])
        if any(size < 0 for size in shape):
            raise TakeError(f"The take's array '{name}' declares an impossible shape.")
        _check_shape(name, shape, wanted, sizes)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        total += size
        member = archive.getinfo(f"{name}.npy")
        if not size < member.file_size <= size + 4096 or member.compress_type not in _METHODS:
            raise TakeError(f"The take's array '{name}' is damaged: it does not have the size it declares.")
    if total > _LIMIT:
        raise TakeError(f"The take's arrays would take {total / 1e9:.0f} GB of memory, which no capture needs.")
    return shapes


def _read_array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    content = io.BytesIO(archive.read(f"{name}.npy"))
    known = np.lib.format.read_magic(content) == (1, 0)
    if not known or np.lib.format.read_array_header_1_0(content) != (shape, False, np.dtype(dtype)):
        raise TakeError(f"The take's array '{name}' is damaged: it is not what the take declares.")
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)


def _check_values(take: Take, path: Path) -> None:
    """Refuse what no capture writes, and what readers would stumble over."""
    video = _describes_video(take.video) and {"width", "height"} <= take.video.keys()
    report = all(isinstance(take.report.get(key, type_()), type_) for key, type_ in _REPORT.items())
    views = report and all(_describes_view(view) for view in take.report.get("views", ()))
    sensor = take.settings.get("sensor_mm")
    cameras = all(np.isfinite(array).all() for array in (take.camera_K, take.camera_R, take.camera_t, take.distortion))
    checks = {
        "its frame rate": 0 < take.fps < 100_000,
        "its frame numbers": len(take.frames) > 0 and take.frames[0] >= 0 and (np.diff(take.frames) > 0).all(),
        "its people": len(set(take.person_ids.tolist())) == len(take.person_ids),
        "its camera": cameras and (take.camera_K[:, [0, 1], [0, 1]] > 0).all(),
        "its joints": not any(np.isinf(array).any() for array in (take.joints2d, take.joints3d, take.residual_px)),
        "what it says of the video": video,
        "its report": report,
        "what it says of other views": views,
        "what was asked for": sensor is None or (isinstance(sensor, int | float) and 0 < sensor < 1000),
    }
    for what, right in checks.items():
        if not right:
            raise TakeError(f"{path.name} is damaged: {what} cannot be right.")


def _describes_video(video: dict) -> bool:
    return all(
        type(video[key]) is type_ and (type_ is str or least <= video[key] < 1 << 31)
        for key, (type_, least) in _VIDEO.items()
        if key in video
    )


def _describes_view(view: object) -> bool:
    if not isinstance(view, dict) or not {"path", "width", "height", "rotation"} <= view.keys():
        return False
    try:
        arrays = {key: np.array(view[key], float) for key in _VIEW}
    except (KeyError, TypeError, ValueError):
        return False
    right = all(arrays[key].shape == shape and np.isfinite(arrays[key]).all() for key, shape in _VIEW.items())
    return right and arrays["fps"] > 0 and abs(arrays["offset_s"]) < 1e6 and _describes_video(view)


assert set(_ARRAYS) <= {f.name for f in fields(Take)}
