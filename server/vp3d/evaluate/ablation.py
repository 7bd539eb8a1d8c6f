"""What every part of the solve adds, on a take whose true joints and camera are known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vp3d import media
from vp3d.calibration import CalibratedCamera
from vp3d.cameras import undistort_points
from vp3d.common.skeletons import H36M_17
from vp3d.common.take import Take
from vp3d.detect import SEEN
from vp3d.errors import UserError
from vp3d.evaluate import metrics
from vp3d.evaluate.reference import Reference
from vp3d.lift import Appearance, Lifter, adapt
from vp3d.lift.checkpoint import Checkpoint
from vp3d.progress import Progress, silent
from vp3d.refine import UNTIL, Lens, Solution, Wishes, background, skeleton, solve
from vp3d.track import Tracks

_LIMBS = [
    H36M_17.index(f"{side}_{part}")
    for side in ("left", "right")
    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
]


def ablation(
    take: Take,
    reference: Reference,
    camera: CalibratedCamera,
    weights: Checkpoint,
    adapted: bool = True,
    progress: Progress = silent,
) -> dict[str, dict]:
    """Solve a take's 2D joints again, each time with one more part, by the camera's own lens.

    Args:
        take: its video must still be where it was.
        reference: joints of one person.
        camera: that took the clip, with R and t in a world with Z up.
        weights: of the lifter that makes the poses.
        adapted: also fit them to the clip.
        progress: called by the fit.

    Returns:
        JSON-able, by part: `px` median reprojection error of joints that were seen, `p_mpjpe_mm` of twelve joints,
        `jitter_mm` (second difference per frame), `foot_cm_s` (median, in the contacts of the whole solve),
        `pitch_deg`, `roll_deg` and `height` (share) found minus true.

    Raises:
        UserError: there is no R and t, no common frame, or no video.
    """
    if camera.R is None or camera.t is None:
        raise UserError("The calibration does not say where the camera was.", "Use one with rotation and translation.")
    tracks = Tracks(take.frames, take.joints2d, take.confidence, take.source)
    size = int(take.video["width"]), int(take.video["height"])
    every, fps = int(take.video.get("every") or 1), float(take.fps)
    lens = Lens(camera.of_size(*size), camera.distortion, "calibration", "", 0.0)
    straight = undistort_points(tracks.joints, lens.K, lens.distortion)
    seen = [Appearance(*person) for person in zip(straight, tracks.confidence.astype(float), strict=True)]

    def lifted(weights: Checkpoint) -> np.ndarray:
        lifter = Lifter(weights, "")
        return np.stack([lifter.lift(p.joints, p.confidence, lens.K, size, fps / every) for p in seen])

    poses = lifted(weights)
    edges = background.gather(_views(take))

    def solved(until: str, lock: float = 0.0, poses: np.ndarray = poses) -> Solution:
        return solve(tracks, poses, lens, size, fps, edges=edges, wishes=Wishes(foot_lock=lock), until=until)

    parts = {
        "closed form": solved(UNTIL[0]),
        "+ extrinsics": solved(UNTIL[1]),
        "+ joints": solved(UNTIL[2]),
        "+ contacts": solved(UNTIL[3]),
        "+ foot lock": solved(UNTIL[3], 1.0),
    }
    fitted = adapt(weights, seen, lens.K, fps / every, progress).fitted if adapted else None
    if fitted is not None:
        parts["+ adaptation"] = solved(UNTIL[3], 1.0, lifted(fitted))
    contacts = parts["+ contacts"].contacts
    nearest = reference.nearest(take.frames / fps)
    person = min(range(len(poses)), key=lambda p: _distance(parts["+ joints"].joints[p], reference, nearest))
    if not np.isfinite(_distance(parts["+ joints"].joints[person], reference, nearest)):
        raise UserError("The take and the reference have no frame in common.", "Use the reference of this very clip.")
    return {
        name: _measure(solution, person, tracks, contacts[person], fps / every, reference, nearest, camera)
        for name, solution in parts.items()
    }


def _views(take: Take) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for row in background.rows_to_look_at(len(take.frames)):
        number = int(take.frames[row])
        for frame in media.read_frames(Path(take.video["path"]), number, number + 1):
            yield row, frame.image, take.joints2d[:, row]


def _distance(joints: np.ndarray, reference: Reference, nearest: np.ndarray) -> float:
    """Mean P-MPJPE (m), inf where no frame can be compared."""
    mine, yours = joints[:, _LIMBS], reference.joints[nearest][:, _LIMBS]
    usable = (nearest >= 0) & np.isfinite(mine).all((1, 2)) & np.isfinite(yours).all((1, 2))
    return float(metrics.p_mpjpe(mine[usable], yours[usable]).mean()) if usable.any() else np.inf


def _measure(
    solution: Solution,
    person: int,
    tracks: Tracks,
    contact: np.ndarray,
    fps: float,
    reference: Reference,
    nearest: np.ndarray,
    camera: CalibratedCamera,
) -> dict[str, float]:
    joints, seen = solution.joints[person], tracks.confidence[person, :, :17] >= SEEN
    speed = np.linalg.norm(np.diff(joints[:, skeleton.ANKLES], axis=0), axis=-1) * fps
    planted = (np.minimum(contact[1:], contact[:-1]) > 0) & np.isfinite(speed)
    up, true = solution.camera.R[0][:, 2], camera.R[:, 2]
    pitch, roll = (
        np.degrees(angle(up) - angle(true)) for angle in (lambda v: np.arcsin(v[2]), lambda v: np.arctan2(v[0], -v[1]))
    )
    return {
        "px": float(np.nanmedian(solution.residual_px[person][seen])),
        "p_mpjpe_mm": 1000 * _distance(joints, reference, nearest),
        "jitter_mm": 1000 * float(np.nanmean(metrics.jitter(joints))),
        "foot_cm_s": 100 * float(np.median(speed[planted])) if planted.any() else float("nan"),
        "pitch_deg": float(pitch),
        "roll_deg": float(roll),
        "height": float(solution.camera.position[0, 2] / (-camera.R.T @ camera.t)[2] - 1),
    }
