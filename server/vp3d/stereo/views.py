"""Clips of several cameras become a main view and others beside it: matched in time, in space, person by person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vp3d.cameras import undistort_points
from vp3d.errors import UserError
from vp3d.refine.lens import Lens
from vp3d.refine.side_views import SideView, SideViews
from vp3d.stereo.relative_pose import refine_offset, relative_poses, sample
from vp3d.stereo.synchronise import time_offset
from vp3d.stereo.triangulation import project, triangulate, triangulate_robust
from vp3d.track import Tracks

_SAME_PERSON = 0.08
"""Median reprojection error, a share of the person's height in the picture, up to which two views show one person."""
_AGREES = 0.03
"""The same for one joint: a view that is further off is left out of its triangulation."""
_FEWEST_JOINTS = 40
"""Joints of all frames that two views must both see of a person before they are compared."""
_LEAST_CORRELATION = 0.3
_BLOCK = 100
"""Frames of another clip that are looked at together."""


@dataclass(frozen=True)
class ClipView:
    """What one camera saw.

    Attributes:
        name: of the clip.
        tracks: its people, the main person first.
        times: (T,) s of its frames, from its own start.
        lens: intrinsics.
        R, t: (3, 3) and (3,) m from world to camera axes where a calibration tells, else None.
    """

    name: str
    tracks: Tracks
    times: np.ndarray
    lens: Lens
    R: np.ndarray | None = None
    t: np.ndarray | None = None

    @property
    def fps(self) -> float:
        """Frames per second of the tracks."""
        return float((len(self.times) - 1) / (self.times[-1] - self.times[0]))

    def rays(self, person: int) -> np.ndarray:
        """(T, 21, 2) a person's joints on the plane z = 1, NaN where unknown."""
        return self.straight(self.tracks.joints[person])

    def straight(self, joints: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of this view on the plane z = 1."""
        straight = undistort_points(joints, self.lens.K, self.lens.distortion)
        return (straight - self.lens.K[:2, 2]) / np.diag(self.lens.K)[:2]


@dataclass(frozen=True)
class Joined:
    """Views side by side: what the solver takes, and sentences and figures for the report."""

    side: SideViews
    notes: list[str]
    offsets: list[float]


def frames_needed(times: np.ndarray, offset: float | None, fps: float, count: int) -> range:
    """The frames of another clip that a main view looks for at its `times` (s), in whole blocks: a nudge to the offset
    must not cost a new detection.

    Args:
        times: (T,) of the main view's frames.
        offset: s to add to the other clip's times to get the main view's; None, where it is not known: then all of
            them, as the motion in them tells it.
        fps: of the other clip; `count` its frames.
    """
    if offset is None:
        return range(count)
    first, last = (times[[0, -1]] - offset) * fps / _BLOCK
    return range(max(math.floor(first) * _BLOCK, 0), min(math.ceil(last + 1 / _BLOCK) * _BLOCK, count))


def join(main: ClipView, others: Sequence[ClipView], offsets: Sequence[float | None]) -> Joined:
    """Put other views beside the main one.

    Args:
        main: the view whose frames count.
        others: the other views.
        offsets: s to add to the times of each other view to get the main view's; None to find it from the motion.

    Raises:
        UserError: the views share too little motion to be matched in time or in space.
    """
    notes: list[str] = []
    found = [_offset(main, other, given, notes) for other, given in zip(others, offsets, strict=True)]
    sampled = [_sampled(main, other, offset) for other, offset in zip(others, found, strict=True)]
    calibrated = all(view.R is not None for view in (main, *others))
    R, t = _calibrated(main, others) if calibrated else _from_people(main, others, sampled, notes)
    sides, P = [], len(main.tracks.joints)
    for other, rotation, offset, (joints, confidence) in zip(others, R, t, sampled, strict=True):
        matched = np.full((P, *joints.shape[1:]), np.nan), np.zeros((P, *confidence.shape[1:]))
        for person, same in _same_people(main, other, rotation, offset, joints, confidence).items():
            matched[0][person], matched[1][person] = joints[same], confidence[same]
        sides.append(SideView(other.name, other.lens, rotation, offset, *matched))
    if not any(np.isfinite(side.joints[0]).any() for side in sides):
        raise UserError(
            "No other view shows the main person of the first clip.",
            "Check the calibration and that all clips show the same moment.",
        )
    return Joined(SideViews(tuple(sides), triangulated(main, sides), calibrated), notes, found)


def _offset(main: ClipView, other: ClipView, given: float | None, notes: list[str]) -> float:
    if given is not None:
        return given
    first, second = main.tracks.joints[0], other.tracks.joints[0]
    rough, correlation = time_offset(first, second, (main.fps, other.fps))
    if correlation < _LEAST_CORRELATION:
        raise UserError(
            f"“{main.name}” and “{other.name}” do not show the same motion at any offset that was tried.",
            "Give the offset in seconds, or clips of the same moment.",
        )
    rays = main.rays(0), other.rays(0)
    confidence = main.tracks.confidence[0], other.tracks.confidence[0]
    fine = refine_offset(rays, confidence, (main.fps, other.fps), rough)
    notes.append(
        f"“{other.name}” starts {abs(fine):.3f} s {'after' if fine >= 0 else 'before'} “{main.name}”, as the motion "
        f"tells (correlation {correlation:.2f})."
    )
    return fine


def _sampled(main: ClipView, other: ClipView, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """The other view's people (P', T, 21, 2) px and (P', T, 21) at the main view's frames."""
    times = main.times - offset - other.times[0]
    people = [
        sample(joints, confidence, other.fps, times)
        for joints, confidence in zip(other.tracks.joints, other.tracks.confidence, strict=True)
    ]
    return np.stack([joints for joints, _ in people]), np.stack([confidence for _, confidence in people])


def _calibrated(main: ClipView, others: Sequence[ClipView]) -> tuple[np.ndarray, np.ndarray]:
    R = np.stack([other.R @ main.R.T for other in others])
    return R, np.stack([other.t - turn @ main.t for other, turn in zip(others, R, strict=True)])


def _from_people(
    main: ClipView, others: Sequence[ClipView], sampled: Sequence[tuple[np.ndarray, np.ndarray]], notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    rays, confidence = [main.rays(0)], [main.tracks.confidence[0]]
    for other, (joints, trust) in zip(others, sampled, strict=True):
        rays.append(other.straight(joints[0]))
        confidence.append(trust[0])
    poses = relative_poses(np.stack(rays), np.stack(confidence))
    notes.append(
        f"The cameras were placed by the people they see: {poses.points} joints, "
        f"{poses.residual * main.lens.K[0, 0]:.1f} px between them and where their rays meet (median)."
    )
    return poses.R[1:], poses.t[1:]


def _matrices(main: ClipView, sides: Sequence[tuple[Lens, np.ndarray, np.ndarray]]) -> torch.Tensor:
    """(V, 3, 4) from main camera axes to pixels."""
    own = main.lens.K @ np.eye(3, 4)
    return torch.from_numpy(np.stack([own, *(lens.K @ np.c_[R, t] for lens, R, t in sides)]))


def _same_people(
    main: ClipView, other: ClipView, R: np.ndarray, t: np.ndarray, joints: np.ndarray, confidence: np.ndarray
) -> dict[int, int]:
    """Who of the main view's people is who of the other's: the pairs whose rays meet best, each person once."""
    matrices = _matrices(main, [(other.lens, R, t)])
    cost = np.full((len(main.tracks.joints), len(joints)), np.inf)
    for p, own in enumerate(main.tracks.joints):
        straight = undistort_points(own, main.lens.K, main.lens.distortion)
        height = _height(own)
        for q, theirs in enumerate(joints):
            aside = undistort_points(theirs, other.lens.K, other.lens.distortion)
            pixels = torch.from_numpy(np.stack([straight, aside], -2))
            world = triangulate(pixels, matrices)
            error = (project(world, matrices) - pixels).norm(dim=-1).amax(-1).numpy()
            known = error[np.isfinite(error)]
            unseen = np.isfinite(pixels.numpy()).all((-1, -2)).sum() - len(known)  # behind a camera: certainly not
            if len(known) >= _FEWEST_JOINTS and unseen < len(known):
                cost[p, q] = np.median(known) / height
    pairs: dict[int, int] = {}
    for p, q in sorted(np.ndindex(*cost.shape), key=lambda pair: cost[pair]):
        if cost[p, q] < _SAME_PERSON and p not in pairs and q not in pairs.values():
            pairs[p] = q
    return pairs


def _height(joints: np.ndarray) -> float:
    """px, of a person (T, J, 2) in the picture, median."""
    known = np.isfinite(joints[..., 1]).any(-1)
    y = joints[known][..., 1]
    return float(np.median(np.nanmax(y, -1) - np.nanmin(y, -1))) if len(y) else np.inf


def triangulated(main: ClipView, sides: Sequence[SideView]) -> np.ndarray:
    """(P, T, 21, 3) where all rays meet, views that contradict the others left out; axes of the main camera."""
    matrices = _matrices(main, [(side.lens, side.R, side.t) for side in sides])
    people = []
    for p, own in enumerate(main.tracks.joints):
        views = [undistort_points(own, main.lens.K, main.lens.distortion)]
        views += [undistort_points(side.joints[p], side.lens.K, side.lens.distortion) for side in sides]
        trust = [main.tracks.confidence[p], *(side.confidence[p] for side in sides)]
        pixels, confidence = torch.from_numpy(np.stack(views, -2)), torch.from_numpy(np.stack(trust, -1))
        world, _ = triangulate_robust(pixels, matrices, confidence.double(), _AGREES * _height(own))
        people.append(world.numpy())
    return np.stack(people)
