"""2D joints over time from real videos: takes, and the key-point files of VideoPose3D."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vp3d.calibration import CalibratedCamera
from vp3d.cameras import undistort_points
from vp3d.common import take as takes
from vp3d.common.skeletons import COCO_17
from vp3d.common.take import Take
from vp3d.errors import UserError
from vp3d.lift.lifter import to_rays
from vp3d.train.videopose3d import read_keypoints


@dataclass(frozen=True)
class Filmed:
    """One person in one video.

    Attributes:
        name: of the file and the person.
        rays: (T, 17, 2) normalised image coordinates, lens distortion removed, COCO order; NaN where missing.
        confidence: (T, 17), 0 to 1.
        fps: Hz.
    """

    name: str
    rays: np.ndarray
    confidence: np.ndarray
    fps: float


def read_filmed(paths: Sequence[Path], cameras: Sequence[CalibratedCamera] = ()) -> list[Filmed]:
    """Everybody in the given takes and VideoPose3D key-point files, or in all of those in the given folders.

    Args:
        paths: files (.vp3d, .npz) and folders.
        cameras: that took the key-points, in the order of the file; takes know their own.

    Raises:
        UserError: a path does not exist, a file cannot be used, or there is nothing.
    """
    films = []
    for path in paths:
        path = Path(path)
        if not path.exists():
            raise UserError(f"There is no “{path}”.", "Name takes (.vp3d), key-points (.npz), or folders of them.")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if path.is_dir() and file.suffix not in (".vp3d", ".npz"):
                continue
            films += of_take(takes.load(file), file.name) if file.suffix == ".vp3d" else _of_keypoints(file, cameras)
    if not films:
        raise UserError("None of the given places holds 2D joints.", "Name takes (.vp3d) or key-points (.npz).")
    return films


def of_take(take: Take, name: str) -> list[Filmed]:
    """The people of a take."""
    fps = float(take.fps) / int(take.video.get("every") or 1)
    cameras = np.broadcast_to(take.camera_K, (len(take.frames), 3, 3))
    films = []
    for person, joints, confidence in zip(take.person_ids, take.joints2d, take.confidence, strict=True):
        pixels = joints[:, : len(COCO_17)].astype(float)
        if np.any(take.distortion):
            frames = zip(pixels, cameras, strict=True)
            pixels = np.stack([undistort_points(frame, K, take.distortion) for frame, K in frames])
        films.append(Filmed(f"{name}, person {person}", to_rays(pixels, cameras), confidence[:, : len(COCO_17)], fps))
    return films


def _of_keypoints(path: Path, cameras: Sequence[CalibratedCamera]) -> list[Filmed]:
    films = []
    for sequence in read_keypoints(path):
        if sequence.camera >= len(cameras):
            raise UserError(
                f"“{path.name}” does not say through which lens camera {sequence.camera + 1} saw.",
                "Give the calibration of its cameras, in the file's order.",
            )
        camera = cameras[sequence.camera]
        K = camera.K if sequence.size is None else camera.of_size(*sequence.size)
        rays = to_rays(undistort_points(sequence.joints, K, camera.distortion), K)
        films.append(Filmed(sequence.name, rays, np.isfinite(rays).all(-1).astype(float), sequence.fps))
    return films
