"""Readers of public data sets for stereo networks: MPII for one view, MADS and Pose2Sim for several.

What they are good for commercially is their owners' word: none of them comes with this program.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from vp3d import media
from vp3d.calibration import pick, read_calibration
from vp3d.cameras import project_points
from vp3d.common.skeletons import COCO_17, H36M_FROM_COCO, MADS_19, MPII_16
from vp3d.errors import UserError
from vp3d.evaluate.reference import read_reference
from vp3d.media.sequence import read_image
from vp3d.progress import Progress, silent
from vp3d.train.stereo_sets import Instant, View

_MADS_MM = 1e-3


def read_mpii(annotations: Path, images: Path, progress: Progress = silent) -> Iterator[Instant]:
    """People of MPII in the JSON form that HRNet's authors publish; one view each, no 3D, joints of `MPII_16`.

    Args:
        annotations: list of {image, joints (16, 2) from 1, joints_vis, center, scale}.
        images: folder of the pictures.

    Raises:
        UserError: a file is missing or is something else.
    """
    try:
        people = json.loads(annotations.read_text("utf-8"))
        if not isinstance(people, list):
            raise TypeError("no list")
        rows = [(p["image"], np.array(p["joints"], float), np.array(p["joints_vis"]) > 0) for p in people]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"“{annotations}” holds no MPII annotations.", "Use HRNet's train.json or valid.json."
        ) from error
    nowhere = np.full((len(MPII_16), 3), np.nan)
    for done, (name, joints, visible) in enumerate(rows):
        progress("read pictures", done, len(rows))
        known = visible & (joints > 0).all(-1)
        if known.sum() < 2:
            continue
        pixels = np.where(known[:, None], joints - 1, np.nan)  # MATLAB counts from 1
        yield Instant(nowhere, (View(read_image(images / name), np.eye(3), np.eye(3), np.zeros(3), pixels, known),))


@dataclass(frozen=True)
class MadsCamera:
    """A camera of MADS: K (3, 3) px, distortion (5,), R (3, 3) and t (3,) m from world to camera axes."""

    K: np.ndarray
    distortion: np.ndarray
    R: np.ndarray
    t: np.ndarray


def read_mads_camera(path: Path) -> MadsCamera:
    """A `Calib_Cam*.mat` of the multi-view sets, as Bouguet's toolbox writes it: fc, cc, kc, om_ext, T_ext in mm.

    Raises:
        UserError: it is no such file.
    """
    content = _mat(path, ("fc", "cc", "kc", "om_ext", "T_ext"))
    (fx, fy), (cx, cy) = content["fc"].ravel(), content["cc"].ravel()
    skew = float(np.ravel(content.get("alpha_c", 0.0))[0])
    K = np.array([[fx, skew * fx, cx], [0, fy, cy], [0, 0, 1.0]])
    R, _ = cv2.Rodrigues(content["om_ext"].astype(float).ravel())
    return MadsCamera(K, content["kc"].astype(float).ravel()[:5], R, content["T_ext"].astype(float).ravel() * _MADS_MM)


def read_mads(folder: Path, every: int = 5, progress: Progress = silent) -> Iterator[tuple[str, Instant]]:
    """Instants of the multi-view part of MADS, and the action each belongs to; joints of `MADS_19`.

    Expects per action a folder with `Calib_Cam*.mat`, videos `*_C*.avi`, and `*_GT.mat` whose cell `GTpose2` holds
    (19, 3) mm per frame, NaN where not known. Pictures are undistorted.

    Args:
        folder: `multi_view_data`.
        every: use every n-th frame.

    Raises:
        UserError: there is nothing of the kind.
    """
    truths = sorted(folder.rglob("*_GT.mat"))
    if not truths:
        raise UserError(f"“{folder}” holds nothing of MADS' multi-view sets.", "Name its folder multi_view_data.")
    for done, path in enumerate(truths):
        progress("read pictures", done, len(truths))
        cameras = [read_mads_camera(file) for file in sorted(path.parent.glob("Calib_Cam*.mat"))]
        stem = path.name.removesuffix("_GT.mat")
        videos = sorted(path.parent.glob(f"{stem}_C*.avi"))
        if len(cameras) < 2 or len(videos) != len(cameras):
            raise UserError(
                f"“{path.parent}” has {len(cameras)} calibrations and {len(videos)} videos of {stem}.",
                "Put Calib_Cam0.mat and so on beside one video per camera.",
            )
        poses = [np.asarray(pose, float) * _MADS_MM for pose in _mat(path, ("GTpose2",))["GTpose2"].ravel()]
        streams = [media.read_frames(video, every=every) for video in videos]
        for frames in zip(*streams, strict=False):
            number = frames[0].index
            if number < len(poses) and poses[number].shape == (len(MADS_19), 3):
                views = tuple(_seen(f.image, c, poses[number]) for f, c in zip(frames, cameras, strict=True))
                if all(view.visible.any() for view in views):
                    yield path.parent.name, Instant(poses[number], views)


def read_pose2sim(
    calibration: Path, trc: Path, videos: Mapping[str, Path], every: int = 5, progress: Progress = silent
) -> Iterator[Instant]:
    """Instants of a Pose2Sim folder, as far as its markers are joints of COCO: limbs.

    Args:
        calibration: its camera file.
        trc: its 3D markers at the videos' frame rate.
        videos: by camera name.
        every: use every n-th frame.

    Raises:
        UserError: a file cannot be read, or a camera has no pose.
    """
    cameras = {}
    for name in videos:
        camera = pick(read_calibration(calibration), name)
        if camera.R is None or camera.t is None:
            raise UserError(f"The calibration does not say where camera “{name}” stood.", "Use one with extrinsics.")
        cameras[name] = MadsCamera(camera.K, camera.distortion, camera.R, camera.t)
    known = read_reference(trc).joints
    joints = np.full((len(known), len(COCO_17), 3), np.nan)
    for ours, coco in H36M_FROM_COCO.items():
        joints[:, coco] = known[:, ours]
    streams = [media.read_frames(path, every=every) for path in videos.values()]
    for frames in zip(*streams, strict=False):
        number = frames[0].index
        progress("read pictures", number, len(joints))
        if number < len(joints):
            seen = zip(frames, cameras.values(), strict=True)
            yield Instant(joints[number], tuple(_seen(f.image, c, joints[number]) for f, c in seen))


def _seen(image: np.ndarray, camera: MadsCamera, joints: np.ndarray) -> View:
    """A picture without distortion, and where the joints lie in it."""
    straight = cv2.undistort(image, camera.K, camera.distortion) if camera.distortion.any() else image
    pixels = project_points(joints[None], camera.K[None], camera.R[None], camera.t[None], np.zeros(5))[0]
    height, width = image.shape[:2]
    inside = np.isfinite(pixels).all(-1)
    inside[inside] = ((pixels[inside] >= 0) & (pixels[inside] < [width, height])).all(-1)
    return View(straight, camera.K, camera.R, camera.t, pixels, inside)


def _mat(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Variables of a MATLAB file (version 5), which holds data only; raises UserError."""
    try:
        content = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise UserError(f"“{path}” is no MATLAB file of version 5.", "Use the data set's own files.") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise UserError(f"“{path.name}” lacks {', '.join(missing)}.", "Use the data set's own files.")
    return content
