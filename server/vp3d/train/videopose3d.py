"""VideoPose3D's data files: `data_2d_*.npz` (key-points) and `data_3d_*.npz` (motion), read without running anything.

Both hold dictionaries of arrays as pickles, which may run code when opened; the unpickler here builds NumPy arrays and
plain containers and nothing else. Layout: VideoPose3D's DATASETS.md and `prepare_data_*.py`, as described there.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vp3d.common.skeletons import H36M_17, H36M_FROM_COCO
from vp3d.errors import UserError
from vp3d.train.bodies import FACE, HEAD, STATURE
from vp3d.train.recording import STORED_FPS, Recording, resample

FPS = 50.0
"""Hz of Human3.6M, and of everything that does not say otherwise."""
_LARGEST = 4 << 30
"""Bytes of one unpacked array; all of Human3.6M is 1.2 GB."""
_FROM_32 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
"""The 17 joints among the 32 of Human3.6M's own skeleton."""
_CORRUPT = {("S11", "Directions")}
"""Left out by everybody: the recording does not fit its videos."""
_HINT = "Use a file made by VideoPose3D's data preparation."


@dataclass(frozen=True)
class Keypoints:
    """2D joints of one video.

    Attributes:
        name: subject, action and camera.
        camera: its position among the cameras of the action.
        joints: (T, 17, 2) px, COCO order, NaN where missing.
        size: width and height of the video, px, where the file says.
        fps: Hz.
    """

    name: str
    camera: int
    joints: np.ndarray
    size: tuple[int, int] | None
    fps: float


def read_keypoints(path: Path) -> list[Keypoints]:
    """Sequences of a `data_2d_*.npz` with COCO's or Human3.6M's 17 joints; of the latter, the limbs.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    content = _read(path, ("positions_2d", "metadata"))
    metadata = content["metadata"] if isinstance(content["metadata"], Mapping) else {}
    symmetry = metadata.get("keypoints_symmetry") or [[], []]
    is_h36m = {int(joint) for joint in symmetry[0]} == set(H36M_17.left)
    videos = metadata.get("video_metadata", {})
    sequences = []
    for subject, action, cameras in _entries(content["positions_2d"], path):
        about = videos.get(subject, {})
        size = (int(about["w"]), int(about["h"])) if "w" in about else None
        for camera, joints in enumerate(cameras if isinstance(cameras, list | tuple) else [cameras]):
            joints = _checked(joints, (17,), 2, path)
            if is_h36m:
                named, joints = joints, np.full_like(joints, np.nan)
                for ours, coco in H36M_FROM_COCO.items():
                    joints[:, coco] = named[:, ours]
            name = f"{subject}/{action}/{camera + 1}"
            sequences.append(Keypoints(name, camera, joints, size, float(about.get("fps", metadata.get("fps", FPS)))))
    return sequences


def read_positions(path: Path) -> list[Recording]:
    """Recordings of a `data_3d_*.npz` with 32 or 17 joints of Human3.6M, in a world with Z up.

    Positions stay what they are: whoever mixes them with other motion mixes two ideas of where joints lie.

    Raises:
        UserError: as for `read_keypoints`.
    """
    recordings = []
    for subject, action, joints in _entries(_read(path, ("positions_3d",))["positions_3d"], path):
        if (subject, action) in _CORRUPT:
            continue
        joints = _checked(joints, (17, 32), 3, path)
        points = with_face(joints[:, _FROM_32] if joints.shape[1] == 32 else joints)
        points = resample(points, FPS, STORED_FPS).astype(np.float32)
        recordings.append(Recording(f"{path.name}/{subject}/{action}", f"{subject}-{action}", points))
    return recordings


def with_face(joints: np.ndarray) -> np.ndarray:
    """Points (T, 22, 3) of `bodies.POINTS` from joints (T, 17, 3) m of `H36M_17`.

    Eyes and ears lie where they lie in a head whose neck joint (Human3.6M's: at the nose's height) and top are given.
    """
    neck, head, thorax = (joints[:, H36M_17.index(name)] for name in ("neck", "head", "thorax"))
    up = _unit(head - thorax)
    forward = neck - thorax
    forward = _unit(forward - (forward * up).sum(-1, keepdims=True) * up)
    frame = np.stack([np.cross(up, forward), up, forward], -1)
    offsets = np.array([np.subtract(HEAD[name], HEAD["neck"]) for name in FACE]) * STATURE
    return np.concatenate([joints, neck[:, None] + np.einsum("tij,kj->tki", frame, offsets)], 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _entries(subjects: Any, path: Path) -> Iterator[tuple[str, str, Any]]:
    """Subject, action and what is stored of them."""
    if not isinstance(subjects, Mapping) or not all(isinstance(actions, Mapping) for actions in subjects.values()):
        raise UserError(f"“{path.name}” is not sorted by subject and action.", _HINT)
    for subject, actions in subjects.items():
        for action, value in actions.items():
            yield str(subject), str(action), value


def _checked(array: Any, joints: tuple[int, ...], coordinates: int, path: Path) -> np.ndarray:
    """Coordinates (T, J, C) float64, without what some files append to them."""
    shape = np.shape(array)
    numeric = isinstance(array, np.ndarray) and array.dtype.kind in "fiu"
    if not numeric or len(shape) != 3 or not shape[0] or shape[1] not in joints or shape[2] < coordinates:
        wanted = " or ".join(map(str, joints))
        raise UserError(f"“{path.name}” has a sequence of shape {shape} instead of {wanted} joints over time.", _HINT)
    return array[..., :coordinates].astype(float)


def _read(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in names if f"{name}.npy" not in archive.namelist()]
            if missing:
                raise UserError(f"“{path.name}” holds no {missing[0]}.", _HINT)
            return {name: _read_array(archive, f"{name}.npy") for name in names}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"“{path}” cannot be read ({error.strerror or error}).", _HINT) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(f"“{path.name}” is damaged, or holds more than arrays ({error}).", _HINT) from error


def _read_array(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > _LARGEST:
        raise ValueError("too large")
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = header(file)
        if not dtype.hasobject:
            raise ValueError("no dictionary")
        content = _ArraysOnly(file, encoding="latin1").load()
    return content.item() if isinstance(content, np.ndarray) and shape == () else content


def _empty_array(kind: None, shape: object, code: object) -> np.ndarray:
    """An array that its state is about to fill, whatever size was asked for."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _scalar(dtype: np.dtype, content: bytes) -> np.generic:
    if dtype.hasobject:
        raise pickle.UnpicklingError("an object instead of a number")
    return np.frombuffer(content, dtype)[0]


def _from_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _latin1(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


_BUILDERS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): None,  # named by every array, and never called
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
"""All that an opened pickle may call."""


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays and plain containers; refuses whatever else a file names."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _BUILDERS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None
