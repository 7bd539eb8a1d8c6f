"""How far a take lies from a clip whose truth is known."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from vp3d.common.skeletons import COCO_17, H36M_17, H36M_FROM_COCO
from vp3d.common.take import Take
from vp3d.errors import UserError
from vp3d.evaluate import metrics


@dataclass(frozen=True)
class Offsets:
    """What was found against what is true; every value is a median over frames, NaN where nothing can be compared.

    Attributes:
        person_id: whom it is about.
        frames: how many frames were compared.
        joints2d_px: distance of the 2D joints.
        pose_m: mean distance of the twelve limb joints, from the middle of the hips, in camera axes (MPJPE).
        shape_m: the same after the best similarity transform of every pose (P-MPJPE).
        place_m: distance of the middle of the hips, in camera axes.
        depth_ratio: distance from the camera, found over true.
        focal_ratio: focal length, found over true.
        upright_deg: angle between the vertical found and the true one, seen from the camera.
        camera_height_m: height of the camera above the floor, found minus true.
    """

    person_id: int
    frames: int
    joints2d_px: float
    pose_m: float
    shape_m: float
    place_m: float
    depth_ratio: float
    focal_ratio: float
    upright_deg: float
    camera_height_m: float


@dataclass(frozen=True)
class _Truth:
    """A truth file on the frames that a take has too; names and shapes are a take's, joints in any order."""

    steps: np.ndarray  # (F,) positions in the take's frames
    joints2d: np.ndarray  # (P, F, 17, 2) px, COCO order, NaN where not given
    joints3d: np.ndarray  # (P, F, 17, 3) m, COCO order
    K: np.ndarray
    R: np.ndarray
    t: np.ndarray


def read(path: Path) -> dict:
    """What is known of a clip from a JSON file, for `compare`.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"“{path}” cannot be read ({error.strerror}).", "Choose the truth that lies beside the clip."
        ) from error
    except ValueError:
        truth = None
    if not isinstance(truth, dict):
        raise UserError(f"“{path}” does not hold the truth of a clip.", "Choose the truth that lies beside the clip.")
    return truth


def compare(take: Take, truth: dict) -> list[Offsets]:
    """Offsets of the people in the take from the true people whom they lie nearest to in the image, one to one.

    Lengths are compared in camera axes: where the origin of the world lies is free, where people stand before the
    camera is not.

    Args:
        take: what was found.
        truth: `frames (T,)`, `joint_names` (of COCO), `joints2d (P, T, J, 2)` px, `joints3d (P, T, J, 3)` m, and
            `camera_K`, `camera_R`, `camera_t` (one, or T of them), as a take holds them.

    Raises:
        UserError: the truth lacks something, contradicts itself, or shares no frame with the take.
    """
    known = _on_frames_of(take, truth)
    limbs = list(H36M_FROM_COCO)
    coco = [H36M_FROM_COCO[joint] for joint in limbs]
    hips = [COCO_17.index("left_hip"), COCO_17.index("right_hip")]
    K, R, t = (
        array if len(array) == 1 else array[known.steps] for array in (take.camera_K, take.camera_R, take.camera_t)
    )
    found_seen = _to_camera(take.joints3d[:, known.steps].astype(float), R, t)
    true_seen = _to_camera(known.joints3d, known.R, known.t)
    focal = np.median(np.broadcast_to(K[:, 0, 0] / known.K[:, 0, 0], len(known.steps)))
    up, true_up = R[..., 2], known.R[..., 2]
    upright = np.degrees(np.arccos(np.clip((up * true_up).sum(-1), -1, 1)))
    height = -np.einsum("cji,cj->ci", R, t)[:, 2] + np.einsum("cji,cj->ci", known.R, known.t)[:, 2]

    apart = np.linalg.norm(take.joints2d[:, None, known.steps, :17] - known.joints2d[None], axis=-1)
    medians = np.array([[_median(distance) for distance in row] for row in apart]).reshape(apart.shape[:2])
    pairs = linear_sum_assignment(np.nan_to_num(medians, nan=1e9))
    result = []
    for person, nearest in zip(*pairs, strict=True):
        found, true = found_seen[person][:, limbs], true_seen[nearest][:, coco]
        whole = np.isfinite(found).all((1, 2)) & np.isfinite(true).all((1, 2))
        found, true = found[whole], true[whole]
        root = found_seen[person][whole][:, [H36M_17.index("left_hip"), H36M_17.index("right_hip")]].mean(1)
        true_root = true_seen[nearest][whole][:, hips].mean(1)
        result.append(
            Offsets(
                person_id=int(take.person_ids[person]),
                frames=int(whole.sum()),
                joints2d_px=float(medians[person, nearest]),
                pose_m=_median(metrics.mpjpe(found - root[:, None], true - true_root[:, None])),
                shape_m=_median(metrics.p_mpjpe(found, true)) if whole.any() else np.nan,
                place_m=_median(np.linalg.norm(root - true_root, axis=-1)),
                depth_ratio=_median(root[:, 2] / true_root[:, 2]),
                focal_ratio=float(focal),
                upright_deg=_median(upright),
                camera_height_m=_median(height),
            )
        )
    return result


def _to_camera(points: np.ndarray, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    return points @ R.swapaxes(-1, -2) + t[:, None]


def _median(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def _on_frames_of(take: Take, truth: dict) -> _Truth:
    try:
        frames = np.asarray(truth["frames"], int)
        arrays = {name: np.asarray(truth[f"camera_{name}"], float) for name in "KRt"}
        names = list(truth["joint_names"])
        joints = {name: np.asarray(truth[name], float) for name in ("joints2d", "joints3d")}
        _, mine, yours = np.intersect1d(take.frames, frames, return_indices=True)
        for name, array in joints.items():
            if array.shape[1:3] != (len(frames), len(names)):
                raise ValueError(f"{name} has shape {array.shape}")
            ordered = np.full((len(array), len(mine), len(COCO_17), array.shape[-1]), np.nan)
            for position, joint in enumerate(names):
                ordered[:, :, COCO_17.index(joint)] = array[:, yours, position]
            joints[name] = ordered
        for name, array in arrays.items():
            arrays[name] = array if len(array) == 1 else array[yours]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"The known truth cannot be used ({error}).", "Leave it out, or make it again.") from error
    if not len(mine):
        raise UserError("The known truth and the take have no frame in common.", "Use the truth of this very clip.")
    return _Truth(mine, **joints, **arrays)
