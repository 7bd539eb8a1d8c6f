"""Known 3D joints to measure against: marker files (TRC), other takes, and the truth files of rendered clips."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vp3d.common import take as takes
from vp3d.common.skeletons import H36M_17
from vp3d.errors import UserError

_MARKERS = {
    "RHip": "right_hip", "RKnee": "right_knee", "RAnkle": "right_ankle",
    "LHip": "left_hip", "LKnee": "left_knee", "LAnkle": "left_ankle",
    "RShoulder": "right_shoulder", "RElbow": "right_elbow", "RWrist": "right_wrist",
    "LShoulder": "left_shoulder", "LElbow": "left_elbow", "LWrist": "left_wrist",
}  # fmt: skip
"""Names in the files of Pose2Sim and OpenSim. Only joints that all systems define alike."""
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_HINT = "Use a .trc of Pose2Sim or OpenSim, another take, or the truth of a rendered clip (.json)."


@dataclass(frozen=True)
class Reference:
    """Joints over time.

    Attributes:
        times: (T,) s from the first frame of the video.
        joints: (T, 17, 3) m, Z up, `H36M_17`; NaN where nobody knows. The hip is the middle of the hips.
        R: (C, 3, 3) from the world to the axes of the camera that took the clip, one or one per instant, where known.
    """

    times: np.ndarray
    joints: np.ndarray
    R: np.ndarray | None = None

    def seen(self, R: np.ndarray | None = None) -> np.ndarray | None:
        """Joints in the axes of a camera turned by R (3, 3), or of the reference's own; None where neither is known."""
        R = self.R if R is None else R
        return None if R is None else self.joints @ np.swapaxes(R, -1, -2)

    def nearest(self, times: np.ndarray) -> np.ndarray:
        """Positions (F,) of the instants nearest to `times` (F,) s, -1 where none is within half a frame."""
        step = np.median(np.diff(self.times)) if len(self.times) > 1 else 1.0
        nearest = np.abs(times[:, None] - self.times).argmin(1)
        return np.where(np.abs(self.times[nearest] - times) <= 0.51 * step, nearest, -1)


def read_reference(path: Path) -> Reference:
    """Read known joints.

    Raises:
        UserError: the file cannot be read, or is of another kind.
    """
    readers: dict[str, Callable[[Path], Reference]] = {".trc": _read_trc, ".vp3d": _read_take, ".json": _read_truth}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"“{path.name}” is no reference that can be read.", _HINT)
    try:
        return reader(path)
    except OSError as error:
        raise UserError(f"“{path}” cannot be read ({error.strerror}).", _HINT) from error
    except (ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise UserError(f"“{path.name}” does not hold joints over time ({error}).", _HINT) from error


def _read_trc(path: Path) -> Reference:
    """Tab-separated text with Y up; its frames count from the first of the video, whatever number they carry."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    scale, rate = _UNITS[header["Units"].strip()], float(header["DataRate"])
    names = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    rows = [line.split("\t")[2 : 2 + 3 * len(names)] for line in lines[5:] if line.strip()]
    values = np.array([[float(cell) if cell.strip() else np.nan for cell in row] for row in rows])
    markers = values.reshape(len(rows), len(names), 3)[..., [2, 0, 1]] * scale
    joints = np.full((len(rows), len(H36M_17), 3), np.nan)
    for marker, joint in _MARKERS.items():
        joints[:, H36M_17.index(joint)] = markers[:, names.index(marker)]
    return _with_hip(np.arange(len(rows)) / rate, joints)


def _read_take(path: Path) -> Reference:
    take = takes.load(path)
    return Reference(take.frames / float(take.fps), take.joints3d[0].astype(float), take.camera_R)


def _read_truth(path: Path) -> Reference:
    truth = json.loads(path.read_text(encoding="utf-8"))
    given = np.asarray(truth["joints3d"][0], float)
    joints = np.full((len(given), len(H36M_17), 3), np.nan)
    for name in _MARKERS.values():
        joints[:, H36M_17.index(name)] = given[:, truth["joint_names"].index(name)]
    times = np.asarray(truth["frames"]) / float(truth["fps"])
    return _with_hip(times, joints, np.asarray(truth["camera_R"], float))


def _with_hip(times: np.ndarray, joints: np.ndarray, R: np.ndarray | None = None) -> Reference:
    hips = [H36M_17.index("left_hip"), H36M_17.index("right_hip")]
    joints[:, H36M_17.index("hip")] = joints[:, hips].mean(1)
    return Reference(times, joints, R)
