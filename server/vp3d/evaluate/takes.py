"""How far a take lies from known joints, beside what the lifter alone would have made of the same detections."""

import numpy as np

from vp3d.cameras import undistort_points
from vp3d.common.skeletons import H36M_17
from vp3d.common.take import Take
from vp3d.errors import UserError
from vp3d.evaluate import metrics
from vp3d.evaluate.film import Clip
from vp3d.evaluate.postures import postures
from vp3d.evaluate.reference import Reference
from vp3d.lift.lifter import Lifter


def evaluate_take(take: Take, reference: Reference, R: np.ndarray | None = None, lifter: Lifter | None = None) -> dict:
    """Errors of the person in the take whose poses are nearest to the reference.

    Args:
        take: what was captured.
        reference: joints of one person.
        R: (3, 3) world to camera axes of the camera that took the clip, where the reference does not know it.
        lifter: to lift the take's 2D joints again, without the solver.

    Returns:
        JSON-able: `person`, `frames` compared, and for `solved` and, with a lifter, `lifted`, in mm: `p_mpjpe`,
        `jitter` (per frame squared) with `reference_jitter`, and `bone_spread` (share); where the camera's axes are
        known also `mpjpe`, `n_mpjpe`, `mpjve`.

    Raises:
        UserError: the two have no frame in common.
    """
    clips = [clip_of(take, person, reference, R) for person in range(len(take.person_ids))]
    axes_known = reference.seen(R) is not None
    solved = [_seen(take, person) for person in range(len(clips))]
    results = [_compare(poses, clip.poses, axes_known) for poses, clip in zip(solved, clips, strict=True)]
    if not any(results):
        raise UserError("The take and the reference have no frame in common.", "Use the reference of this very clip.")
    best = min((person for person, result in enumerate(results) if result), key=lambda p: results[p]["p_mpjpe"])
    clip = clips[best]
    result = {"person": int(take.person_ids[best]), "solved": results[best]}
    if lifter is not None:
        poses = lifter.lift(clip.joints, clip.confidence, clip.K, clip.size, clip.fps).astype(float)
        result["lifted"] = _compare(poses, clip.poses, axes_known)
    return result


def clip_of(take: Take, person: int, reference: Reference, R: np.ndarray | None = None) -> Clip:
    """The take's 2D joints of one person with the reference's poses, from the hip, as the truth of all other joints.

    Where no camera axes are known, the poses stay in the world's.
    """
    joints = take.joints2d[person].astype(float)
    cameras = np.broadcast_to(take.camera_K, (len(joints), 3, 3))
    straight = np.stack(
        [undistort_points(frame, K, take.distortion) for frame, K in zip(joints, cameras, strict=True)]
        if len(take.camera_K) > 1
        else undistort_points(joints, take.camera_K[0], take.distortion)
    )
    every = int(take.video.get("every") or 1)
    nearest = reference.nearest(take.frames / float(take.fps))
    seen = reference.seen(R)
    poses = (reference.joints if seen is None else seen)[nearest]
    poses = np.where((nearest < 0)[:, None, None], np.nan, poses - poses[:, :1])
    poses[:, 0] = np.nan  # its zero says nothing, and few references measure it
    world = reference.joints[nearest]
    whole = np.isfinite(world).all() and (nearest >= 0).all()
    return Clip(
        name=str(take.video.get("name", "")),
        action=str(take.video.get("name", "take")),
        joints=straight,
        confidence=take.confidence[person].astype(float),
        K=take.camera_K if len(take.camera_K) > 1 else take.camera_K[0],
        size=(int(take.video["width"]), int(take.video["height"])),
        fps=float(take.fps) / every,
        poses=poses,
        posture=postures(world, float(take.fps) / every) if whole else np.full(len(joints), -1),
    )


def _seen(take: Take, person: int) -> np.ndarray:
    """Solved poses (T, 17, 3) m in camera axes, the hip at 0."""
    joints = take.joints3d[person].astype(float) @ take.camera_R.swapaxes(-1, -2)
    return joints - joints[:, :1]


def _compare(found: np.ndarray, true: np.ndarray, axes_known: bool) -> dict:
    known = np.isfinite(true).all(-1)
    shared = known.any(0)
    usable = known[:, shared].all(1) & np.isfinite(found).all((1, 2))
    if not (shared.any() and usable.any()):
        return {}
    mine, yours = found[usable][:, shared], true[usable][:, shared]
    errors = {"p_mpjpe": metrics.p_mpjpe(mine, yours)}
    if axes_known:
        errors |= {"mpjpe": metrics.mpjpe(mine, yours), "n_mpjpe": metrics.n_mpjpe(mine, yours)}
    sequences = [np.where(usable[:, None, None], poses, np.nan)[:, shared] for poses in (found, true)]
    if axes_known:
        errors["mpjve"] = metrics.mpjve(*sequences)
    errors |= {"jitter": metrics.jitter(sequences[0]), "reference_jitter": metrics.jitter(sequences[1])}
    means = {name: float(np.nanmean(error) * 1000) for name, error in errors.items() if np.isfinite(error).any()}
    spread = {"bone_spread": metrics.bone_spread(found, H36M_17.parents)}
    return {"frames": int(usable.sum())} | {name: round(value, 2) for name, value in means.items()} | spread
