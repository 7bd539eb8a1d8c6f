"""How good a lifter is: errors by the field's protocols on clips with known poses, and what it costs."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vp3d.common.skeletons import H36M_17
from vp3d.common.take import Take
from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.evaluate import metrics
from vp3d.evaluate.film import DETECTOR, Clip, film
from vp3d.evaluate.postures import POSTURES
from vp3d.evaluate.reference import Reference
from vp3d.evaluate.takes import clip_of
from vp3d.lift.checkpoint import Checkpoint
from vp3d.lift.lifter import Lifter
from vp3d.lift.model import count_parameters, multiply_adds
from vp3d.progress import Progress, silent
from vp3d.train.recording import Recording

FOCAL_ERRORS = (0.7, 0.85, 1.0, 1.2, 1.4)
"""Assumed over true focal length."""
LENSES = (35.0, 45.0, 60.0, 75.0, 90.0)
"""Fields of view, degrees."""
METRICS = ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve")
"""Protocols 1, 2 and 3, and the velocity error."""
_BENT_CLIPS = {"bent to sit": ("sitting", "floor"), "tipped over": ("lying",)}
"""Postures that recordings hardly have are taken from changed ones too."""


@dataclass(frozen=True)
class Scores:
    """Errors of many frames.

    Attributes:
        errors: (N, 4) m: MPJPE, P-MPJPE, N-MPJPE and, NaN in the first frame of a clip, MPJVE per frame.
        joints: (N, 17) m, distance of every joint; NaN where the truth is not known.
        actions: (N,) names.
        postures: (N,) indices into `POSTURES`.
        lost: share of frames for which the lifter gave no pose.
        fps: frames lifted per second.
    """

    errors: np.ndarray
    joints: np.ndarray
    actions: np.ndarray
    postures: np.ndarray
    lost: float
    fps: float

    def summary(self, by: Sequence[str] = ("actions", "joints", "postures")) -> dict:
        """Means in mm, over all frames and apart by action, joint and posture; JSON-able.

        `actions_mean` gives every action the same weight, as Human3.6M is reported.
        """
        result: dict = {**_means(self.errors), "frames": len(self.errors), "lost": round(self.lost, 4)}
        if "actions" in by:
            result["actions"] = {name: _means(self.errors[self.actions == name]) for name in np.unique(self.actions)}
            result["actions_mean"] = {
                metric: round(float(np.mean([means[metric] for means in result["actions"].values()])), 2)
                for metric in METRICS
                if all(metric in means for means in result["actions"].values())
            }
        if "joints" in by:
            result["joints"] = {
                name: round(float(error.mean() * 1000), 2)
                for name, error in zip(H36M_17.joints, self.joints.T, strict=True)
                if np.isfinite(error).all()
            }
        if "postures" in by:
            result["postures"] = self.by_posture()
        return result

    def by_posture(self, wanted: Sequence[str] = POSTURES) -> dict:
        """Means in mm and frames of the postures that occur."""
        found = {name: self.errors[self.postures == POSTURES.index(name)] for name in wanted}
        return {name: {**_means(errors), "frames": len(errors)} for name, errors in found.items() if len(errors)}


def score(lifter: Lifter, clips: Sequence[Clip], focal: float = 1.0, progress: Progress = silent) -> Scores:
    """Lift clips and compare, all lengths in metres.

    Args:
        lifter: what is judged.
        clips: with known poses.
        focal: assumed over true focal length.
        progress: is told the clips done.

    Raises:
        UserError: in no frame is there both a pose and a known one.
    """
    errors, joints, actions, postures = [], [], [], []
    frames, lost, seconds = 0, 0, 0.0
    for done, clip in enumerate(clips):
        progress("evaluate", done, len(clips))
        K = clip.K * np.array([[focal, 1, 1], [1, focal, 1], [1, 1, 1]])
        start = time.perf_counter()
        poses = lifter.lift(clip.joints, clip.confidence, K, clip.size, clip.fps).astype(float)
        seconds += time.perf_counter() - start
        frames += len(poses)
        known = np.isfinite(clip.poses).all(-1)
        shared = known.any(0)  # joints that the reference has
        usable = known[:, shared].all(1)
        there = usable & np.isfinite(poses).all((1, 2))
        lost += int((usable & ~there).sum())
        if not there.any():
            continue
        found, true = poses[:, shared], clip.poses[:, shared]
        velocity = np.full(len(poses), np.nan)
        velocity[1:] = metrics.mpjve(found, true)
        each = np.full(known.shape, np.nan)
        each[:, shared] = np.linalg.norm(found - true, axis=-1)
        pose_errors = (
            metric(found[there], true[there]) for metric in (metrics.mpjpe, metrics.p_mpjpe, metrics.n_mpjpe)
        )
        errors.append(np.stack([*pose_errors, velocity[there]], -1))
        joints.append(each[there])
        actions += [clip.action] * int(there.sum())
        postures.append(clip.posture[there])
    if not errors:
        raise UserError("There is nothing to compare.", "The reference and the clip have no frame in common.")
    return Scores(
        np.concatenate(errors),
        np.concatenate(joints),
        np.array(actions),
        np.concatenate(postures),
        lost / max(1, lost + sum(map(len, errors))),
        frames / seconds,
    )


def describe(checkpoint: Checkpoint, name: str) -> dict:
    """What a lifter is and costs, JSON-able.

    FLOPs are twice the multiplications. `flops_per_frame` is the literature's figure, with hidden layers shared by
    neighbouring frames; a lifter whose input depends on the window computes `flops_per_window` for every frame.
    """
    architecture = checkpoint.architecture
    return {
        "name": name,
        "licence": checkpoint.licence,
        "convention": checkpoint.convention,
        "receptive_field": architecture.receptive_field,
        "fps": checkpoint.fps,
        "causal": architecture.causal,
        "parameters": count_parameters(checkpoint.build()),
        "flops_per_frame": 2 * multiply_adds(architecture),
        "flops_per_window": 2 * multiply_adds(architecture, shared=False),
        "trajectory": checkpoint.trajectory is not None,
    }


def unseen(checkpoint: Checkpoint, recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings of the takes that the weights' record says were held out; all, where it says nothing.

    Raises:
        UserError: the lifter was trained on all of them.
    """
    held_out = set(checkpoint.training.get("data", {}).get("held_out_takes", ()))
    chosen = [recording for recording in recordings if not held_out or recording.take in held_out]
    if not chosen:
        raise UserError(
            "None of these takes is among those that training held out.",
            "Name other motion, or use --everything if the lifter has never seen it.",
        )
    return chosen


def evaluate_on_take(
    checkpoint: Checkpoint, take: Take, reference: Reference, R: np.ndarray | None = None, device: str = "auto"
) -> dict:
    """Errors with a take's real detections, as `Scores.summary`, of the person nearest to the reference.

    Raises:
        UserError: nobody knows the axes of the camera, or there is no frame to compare.
    """
    if reference.seen(R) is None:
        raise UserError("The reference does not know the camera.", "Give its calibration with --calibration.")
    lifter, plain = (Lifter(checkpoint, "", choose_device(device), flip) for flip in (True, False))
    clips = [clip_of(take, person, reference, R) for person in range(len(take.person_ids))]
    scores = [(score(lifter, [clip]), clip) for clip in clips if np.isfinite(clip.poses).any()]
    if not scores:
        raise UserError("The take and the reference have no frame in common.", "Use the reference of this very clip.")
    best, clip = min(scores, key=lambda pair: pair[0].errors[:, 1].mean())
    return best.summary(by=("joints", "postures")) | {"without_flip": score(plain, [clip]).summary(by=())}


def evaluate_on_motion(
    checkpoint: Checkpoint,
    recordings: Sequence[Recording],
    device: str = "auto",
    fps: float = 50.0,
    cameras: int = 2,
    frames: int | None = 20_000,
    seed: int = 0,
    progress: Progress = silent,
) -> dict:
    """Errors with perfect and with noisy 2D joints, with and without flip averaging, and swept over lenses.

    Args:
        checkpoint: what is judged.
        recordings: motion that the lifter was not trained on.
        device: to lift on.
        fps, cameras, frames, seed: of the clips, as for `film`; the sweeps see a quarter of the frames.
        progress: is told what is being measured.

    Returns:
        JSON-able: `perfect` and `noisy` with `summary` of the flip-averaged poses and `without_flip`; `postures`, of
        recorded motion and of motion bent to sit and tipped over; `focal` and `field_of_view`; `speed`, frames per
        second with and without flip averaging.
    """
    lifter, plain = (Lifter(checkpoint, "", choose_device(device), flip) for flip in (True, False))
    stages = 4 + len(_BENT_CLIPS) * 2 + len(FOCAL_ERRORS) + len(LENSES)
    done = iter(range(stages))

    def measure(judged: Lifter, focal: float = 1.0, share: float = 1.0, **options: object) -> Scores:
        progress("evaluate", next(done), stages)
        count = None if frames is None else max(1, math.ceil(frames * share))
        clips = film(recordings, fps, cameras, frames=count, seed=seed, **options)
        if not clips:
            raise UserError("The motion to evaluate on is shorter than a second.", "Name longer recordings.")
        return score(judged, clips, focal)

    result: dict = {"fps": fps, "frames_asked": frames, "cameras": cameras, "seed": seed}
    for name, noise in (("perfect", None), ("noisy", DETECTOR)):
        scores, without = measure(lifter, noise=noise), measure(plain, noise=noise)
        result[name] = {**scores.summary(), "without_flip": without.summary(by=())}
        for change, wanted in _BENT_CLIPS.items():
            changed = measure(lifter, noise=noise, change=change, share=0.5).by_posture(wanted)
            result[name].setdefault("changed_postures", {}).update(changed)
        result["speed"] = {"with_flip": round(scores.fps, 1), "without_flip": round(without.fps, 1)}
    result["focal"] = {str(error): measure(lifter, error, 0.25).summary(by=()) for error in FOCAL_ERRORS}
    result["field_of_view"] = {
        f"{degrees:g}": measure(lifter, share=0.25, fields_of_view=(degrees, degrees)).summary(by=())
        for degrees in LENSES
    }
    progress("evaluate", stages, stages)
    return result


def _means(errors: np.ndarray) -> dict[str, float]:
    """In mm; a velocity needs two frames."""
    return {
        metric: round(float(np.nanmean(column) * 1000), 2)
        for metric, column in zip(METRICS, errors.T, strict=True)
        if np.isfinite(column).any()
    }
