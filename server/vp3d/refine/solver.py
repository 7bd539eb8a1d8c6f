"""From 2D joints and lifted poses to one static camera and people in one world.

1. Root paths in closed form; gravity from how people balance.
2. Gauss-Newton over joints, gravity, focal length and camera height against the 2D joints, with a wide kernel.
3. Planted feet found; the same again with feet still and on the floor and a narrow kernel, twice.
4. Body sizes: everybody has a prior height, and all stand on one floor. Then camera axes become world axes.
"""

import logging
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from vp3d.cameras import Camera, undistort_points
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.refine import contacts, skeleton
from vp3d.refine.bundle import EVERYBODY, OWN, PIXEL_KERNEL, Person, View, eliminate
from vp3d.refine.closed_form import root_translation
from vp3d.refine.gravity import LEVEL, POSTURE, Gravity, estimate, tilt, world_rotation
from vp3d.refine.lens import Lens
from vp3d.track import Tracks

log = logging.getLogger(__name__)

STAGE = "refine"

_FOCAL_POSTURE = 2.0
"""s for which errors that look like another focal length last: a lifter's wrong perspective goes with the view."""
_LIFTER_BLUR = 0.025
"""s, standard deviation of the filter that takes the frame-to-frame noise from the lifter's poses."""
_ROUNDS = ((10 * PIXEL_KERNEL, 3, False), (3 * PIXEL_KERNEL, 3, True), (PIXEL_KERNEL, 3, True))
"""Width of the reprojection's kernel, Gauss-Newton steps, and whether feet may be planted."""
_MAX_TURN = 0.15
"""Largest step of tilt (rad) and of log focal length: beyond it the linearisation is not to be trusted."""
_MAX_DEPTH_STEP = 0.2
"""Largest change of a joint's depth in one step, as a share of its depth."""
_MISFIT = 0.1
"""Median residual, as a share of the person's height, above which a frame's closed-form root is not used."""
_KNOWN_FOCAL_SIGMA = 1e-6
_TURN_SIGMA = np.radians(8.0)
"""By how much a lifter usually turns a person who is seen from an unusual height or side."""
_HEIGHT_SIGMA = 1.0
"""m per step, a leash on a camera height that no foot determines."""
_LOW_CAMERA = 0.1
"""m, below which a camera's height says nothing about the size of people."""
_PLANTED_FRAMES = 10
"""Frames of resting feet from which a person's floor is trusted."""
_COMPARED = 0.3
"""Confidence from which 2D joints count in the report's residuals."""


@dataclass(frozen=True)
class Solution:
    """A camera and people in one world (metres, Z up, floor z = 0).

    Attributes:
        camera: static, C = 1. It looks along +Y; the first person's first frame stands at x = y = 0.
        joints: (P, T, 17, 3) m, H36M-17, world; NaN where a person is absent.
        contacts: (P, T, 2) probability that the left and right foot is planted; 0 where absent.
        residual_px: (P, T, 17) distance of the reprojected from the detected joint in COCO order, NaN where there is
            nothing to compare.
        report: JSON-able figures and warnings.
    """

    camera: Camera
    joints: np.ndarray
    contacts: np.ndarray
    residual_px: np.ndarray
    report: dict


def solve(
    tracks: Tracks,
    poses: np.ndarray,
    lens: Lens,
    image_size: tuple[int, int],
    fps: float,
    progress: Progress = silent,
) -> Solution:
    """Solve camera and world of a static camera.

    Args:
        tracks: people's 2D joints (px); `tracks.frames` are frame numbers of the video.
        poses: (P, T, 17, 3) m, H36M-17, relative to the hip, camera axes; NaN where absent.
        lens: intrinsics, and how sure they are.
        image_size: width and height, px.
        fps: frames per second of the video that `tracks.frames` counts.

    Raises:
        UserError: nobody can be placed in front of the camera.
        Cancelled: from `progress`.
    """
    centre = lens.K[:2, 2]
    if not (0 <= centre[0] < image_size[0] and 0 <= centre[1] < image_size[1]):
        raise UserError(
            f"The lens data are for another picture size than {image_size[0]} × {image_size[1]} px.",
            "Give the lens of this clip, or leave it out.",
        )
    steps = np.diff(tracks.frames)
    stride = int(np.median(steps)) if len(steps) else 1
    people = {
        index: person
        for index in range(len(poses))
        if (person := _place(tracks, poses, index, lens, stride / fps, steps == stride)) is not None
    }
    if not people:
        raise UserError(
            "No person could be placed in front of the camera.",
            "Choose a range of frames in which somebody is seen with most of the body.",
        )
    solver = _Solver(list(people.values()), lens, progress)
    solver.run()
    return _world(solver, list(people), tracks, lens)


def _place(tracks: Tracks, poses: np.ndarray, index: int, lens: Lens, step: float, linked: np.ndarray) -> Person | None:
    """A person at the closed-form root path, or None where no frame has enough joints."""
    pose = np.asarray(poses[index], float)
    frames = np.flatnonzero(np.isfinite(pose).all(axis=(1, 2)))
    pixels, confidence = skeleton.observations(
        undistort_points(tracks.joints[index][frames], lens.K, lens.distortion), tracks.confidence[index][frames]
    )
    pose = pose[frames]
    if not len(frames):
        return None
    root, residual = root_translation(pose[:, skeleton.OBSERVED], pixels, confidence, lens.K)
    share = residual * root[:, 2] / lens.K[0, 0] / skeleton.ADULT_STATURE
    trusted = np.nan_to_num(share, nan=np.inf) < _MISFIT
    if not trusted.any():
        return None
    root = np.stack([np.interp(frames, frames[trusted], axis[trusted]) for axis in root.T], axis=-1)
    linked = (np.diff(frames) == 1) & linked[frames[:-1]]
    for section in np.split(np.arange(len(frames)), np.flatnonzero(~linked) + 1):
        pose[section] = gaussian_filter1d(pose[section], _LIFTER_BLUR / step, axis=0, mode="nearest")
    lengths, stature = skeleton.body(pose)
    return Person(
        frames=frames,
        step=step,
        linked=linked,
        pose=pose,
        turn=np.zeros(3),
        lengths=lengths,
        stature=stature,
        pixels=pixels,
        confidence=confidence,
        joints=pose + root[:, None],
        height=skeleton.ADULT_STATURE,
        contact=np.zeros((len(frames), 2)),
    )


class _Solver:
    """Gauss-Newton over everybody and the camera."""

    def __init__(self, people: list[Person], lens: Lens, progress: Progress) -> None:
        self.people = people
        self.view = View(np.diag(lens.K)[:2].copy(), lens.K[:2, 2].copy(), LEVEL)
        self.log_focal = 0.0
        self.focal_sigma = max(lens.focal_sigma, _KNOWN_FOCAL_SIGMA)
        self.step = people[0].step
        # What is shared sees the lifter's error once per posture, not once per frame: so the priors count per posture.
        size = EVERYBODY + OWN * len(people)
        self.repeats = np.full(size, max(POSTURE / self.step, 1.0))
        self.repeats[2] = max(_FOCAL_POSTURE / self.step, 1.0)
        self._heights = EVERYBODY + OWN * np.arange(len(people))
        self.gravity = Gravity(LEVEL, np.eye(2), 0.0)
        self.planted = np.zeros(len(people))
        self.covariance = np.zeros((size, size), float)
        self._progress, self._done = progress, 0
        self._total = sum(steps for _, steps, _ in _ROUNDS)

    def run(self) -> None:
        whole = [_whole(person.confidence >= contacts.SEEN) for person in self.people]
        for kernel, steps, plant in _ROUNDS:
            self.gravity = estimate([person.joints for person in self.people], whole, self.step)
            if not plant:
                self.view.up = self.gravity.up
            else:
                self._plant()
            for _ in range(steps):
                self._step(kernel)
                self._done += 1
        self._plant()
        self._tick()

    def _tick(self) -> None:
        self._progress(STAGE, self._done, self._total)

    def _plant(self) -> None:
        for i, person in enumerate(self.people):
            seen = person.confidence[:, skeleton.observed("ankle")]
            speed = contacts.ankle_speed(person.joints, person.step, person.linked)
            person.height, self.planted[i] = contacts.camera_height(person.joints, self.view.up, speed, seen)
            person.contact = contacts.probabilities(
                person.joints, self.view.up, person.height, seen, person.step, person.linked
            )

    def _priors(self) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.repeats)
        information, gradient = np.zeros((size, size)), np.zeros(size)
        information[:2, :2], gradient[:2] = self.gravity.information, self.gravity.pull(self.view.up)
        information[2, 2], gradient[2] = self.focal_sigma**-2, self.log_focal * self.focal_sigma**-2
        for i, person in enumerate(self.people):
            height, *turn = self._unknowns(i)[EVERYBODY:]
            information[height, height] = _HEIGHT_SIGMA**-2
            information[turn, turn] = _TURN_SIGMA**-2
            gradient[turn] = person.turn * _TURN_SIGMA**-2
        weight = np.sqrt(self.repeats)
        return information * np.outer(weight, weight), gradient * self.repeats

    @staticmethod
    def _unknowns(person: int) -> list[int]:
        """Where the shared unknowns that touch a person stand among all."""
        own = EVERYBODY + OWN * person
        return [*range(EVERYBODY), *range(own, own + OWN)]

    def _step(self, kernel: float) -> None:
        information, gradient = self._priors()
        reduced = []
        for i, person in enumerate(self.people):
            reduced.append(eliminate(person, self.view, kernel, self._tick))
            shared = self._unknowns(i)
            information[np.ix_(shared, shared)] += reduced[-1].information
            gradient[shared] += reduced[-1].gradient
        step = -np.linalg.solve(information, gradient)
        step *= min(1.0, _MAX_TURN / max(np.abs(np.delete(step, self._heights)).max(), 1e-12))
        for i, (person, part) in enumerate(zip(self.people, reduced, strict=True)):
            move = part.constant + part.linear @ step[self._unknowns(i)]
            share = np.abs(move[..., 2]) / np.abs(person.joints[..., 2])
            move *= np.minimum(1.0, _MAX_DEPTH_STEP / np.maximum(share.max(axis=1), 1e-12))[:, None, None]
            person.joints = person.joints + move
            height, *turn = self._unknowns(i)[EVERYBODY:]
            person.height += step[height]
            person.turn = person.turn + step[turn]
            person.pose = person.pose @ Rotation.from_rotvec(step[turn]).as_matrix().T
        self.view.up = tilt(self.view.up, step[:2])
        self.view.focal = self.view.focal * np.exp(step[2])
        self.log_focal += step[2]
        weight = np.sqrt(self.repeats)
        self.covariance = np.outer(weight, weight) * np.linalg.inv(information)
        log.debug("up %s, log focal %.4f, heights %s", self.view.up, self.log_focal, [p.height for p in self.people])


def _whole(seen: np.ndarray) -> np.ndarray:
    """(n,) whether both feet and a side of the trunk are among the observed joints (n, 13)."""
    feet, hips, shoulders = (seen[:, skeleton.observed(part)] for part in ("ankle", "hip", "shoulder"))
    return feet.all(-1) & hips.any(-1) & shoulders.any(-1)


def _sizes(solver: _Solver) -> tuple[np.ndarray, float]:
    """Everybody's scale, body units to metres, and the camera's height (m).

    Each person's stature has a prior, and each, standing on the one floor, sees the camera at its own height in body
    units. The floor is the main person's; who disagrees by more than statures can, stands on another level and keeps
    the prior.
    """
    prior = np.log([skeleton.ADULT_STATURE / person.stature for person in solver.people])
    height = np.array([person.height for person in solver.people])
    enough = np.flatnonzero(solver.planted >= _PLANTED_FRAMES)
    anchor = int(enough[0]) if len(enough) else int(np.argmax(solver.planted))
    if solver.planted[anchor] == 0 or height[anchor] < _LOW_CAMERA:
        return np.exp(prior), float(np.exp(prior[anchor]) * height[anchor])
    seen = prior + np.log(np.maximum(height, _LOW_CAMERA))
    sigma = np.sqrt(np.diag(solver.covariance)[EVERYBODY::OWN]) / np.maximum(height, _LOW_CAMERA)
    together = (solver.planted > 0) & (np.abs(seen - seen[anchor]) < 3 * np.hypot(skeleton.STATURE_SIGMA, sigma))
    weight = together / (skeleton.STATURE_SIGMA**2 + sigma**2)
    camera = np.average(seen, weights=weight)
    own, floor = skeleton.STATURE_SIGMA**-2, together * sigma**-2
    return np.exp(prior + floor * (camera - seen) / (own + floor)), float(np.exp(camera))


def _world(solver: _Solver, indices: list[int], tracks: Tracks, lens: Lens) -> Solution:
    P, T = tracks.joints.shape[:2]
    scale, camera_height = _sizes(solver)
    R = world_rotation(solver.view.up)
    first = solver.people[0].joints[0, 0] * scale[0] @ R
    position = np.array([-first[0], -first[1], camera_height])
    K = lens.K.copy()
    K[0, 0], K[1, 1] = solver.view.focal
    camera = Camera(K[None], R[None], -(R @ position)[None], lens.distortion)

    joints = np.full((P, T, skeleton.JOINTS, 3), np.nan)
    planted = np.zeros((P, T, 2))
    for index, person, size in zip(indices, solver.people, scale, strict=True):
        joints[index, person.frames] = person.joints * size @ R + position
        planted[index, person.frames] = person.contact
    residual = np.full((P, T, tracks.joints.shape[2]), np.nan)
    seen = camera.project(joints[:, :, skeleton.LIMBS]) - tracks.joints[:, :, skeleton.LIMBS_COCO]
    residual[:, :, skeleton.LIMBS_COCO] = np.linalg.norm(seen, axis=-1)
    residual = residual[:, :, :17]
    report = _report(solver, indices, tracks, lens, camera, scale, joints, residual)
    return Solution(camera, joints, planted, residual, report)


def _report(
    solver: _Solver,
    indices: list[int],
    tracks: Tracks,
    lens: Lens,
    camera: Camera,
    scale: np.ndarray,
    joints: np.ndarray,
    residual: np.ndarray,
) -> dict:
    sigma = np.sqrt(np.diag(solver.covariance))
    up = solver.view.up
    warnings, people = [], []
    for index, person, size, planted in zip(indices, solver.people, scale, solver.planted, strict=True):
        name = f"Person {index + 1}"
        compared = residual[index][np.asarray(tracks.confidence[index])[:, :17] >= _COMPARED]
        compared = compared[np.isfinite(compared)]
        ankles = joints[index][person.frames][:, skeleton.ANKLES]
        still = (np.minimum(person.contact[1:], person.contact[:-1]) > 0) & person.linked[:, None]
        speed = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[still] / person.step
        people.append(
            {
                "person": index + 1,
                "frames": len(person.frames),
                "residual_px_median": _quantile(compared, 0.5),
                "residual_px_90": _quantile(compared, 0.9),
                "scale": float(size),
                "stature_m": float(size * person.stature),
                "contact_frames": int((person.contact > 0).any(axis=1).sum()),
                "contact_speed_m_s_median": _quantile(speed, 0.5),
            }
        )
        if planted == 0:
            warnings.append(f"{name}'s feet are never seen at rest, so the floor under them is guessed.")
        height_px = camera.K[0, 0, 0] * skeleton.ADULT_STATURE / np.median(person.joints[:, 0, 2])
        if len(compared) and np.median(compared) > 0.05 * height_px:
            warnings.append(f"{name}'s 3D pose lies {np.median(compared):.0f} px (median) beside the detected joints.")
    if solver.gravity.postures < 1:
        warnings.append("Nobody stands upright long enough, so the camera is taken to be held level.")
    if lens.source == "prior":
        warnings.append(lens.note)
    return {
        "lens": {
            "source": lens.source,
            "note": lens.note,
            "focal_px": float(camera.K[0, 0, 0]),
            "focal_px_given": float(lens.K[0, 0]),
            "focal_sigma_relative": float(sigma[2]) if lens.focal_sigma else 0.0,
        },
        "camera": {
            "height_m": float(camera.position[0, 2]),
            "pitch_deg": float(np.degrees(np.arcsin(up[2]))),
            "roll_deg": float(np.degrees(np.arctan2(up[0], -up[1]))),
            "tilt_sigma_deg": [float(value) for value in np.degrees(sigma[:2])],
        },
        "people": people,
        "warnings": warnings,
    }


def _quantile(values: np.ndarray, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None
