"""Gauss-Newton over everybody and the camera, from root paths in closed form to planted feet.

1. Root paths in closed form, and with them how far a moving camera goes; gravity from how people balance.
2. Joints, gravity, focal length and camera heights against the 2D joints, with a wide kernel.
3. Planted feet found; the same again with feet still and on the floor and a narrower kernel, twice.
"""

import logging

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from vp3d.camera_motion import CameraMotion
from vp3d.cameras import undistort_points
from vp3d.progress import Progress
from vp3d.refine import contacts, skeleton
from vp3d.refine.background import Background
from vp3d.refine.bundle import EVERYBODY, PIXEL_KERNEL, SHARED, Person, View, Witness, eliminate, feet
from vp3d.refine.closed_form import distance_travelled, root_translation
from vp3d.refine.gravity import LEVEL, POSTURE, Gravity, estimate, tilt
from vp3d.refine.lens import Lens
from vp3d.refine.side_views import SideViews
from vp3d.track import Tracks

log = logging.getLogger(__name__)

STAGE = "refine"

_FOCAL_POSTURE = 2.0
"""s for which errors that look like another focal length last: a lifter's wrong perspective goes with the view."""
_LIFTER_BLUR = 0.025
"""s, standard deviation of the filter that takes the frame-to-frame noise from the lifter's poses."""
_ROUNDS = ((10 * PIXEL_KERNEL, 3, False), (3 * PIXEL_KERNEL, 3, True), (PIXEL_KERNEL, 3, True))
"""Width of the reprojection's kernel, Gauss-Newton steps, and whether feet may be planted."""
UNTIL = ("closed form", "extrinsics", "joints", "contacts")
"""Parts of the solve, each on top of those before: root paths, tilt of the camera, joints and focal length, feet."""
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
_TRAVEL_SIGMA = 0.5
"""Of the log of how far the camera moves, a leash where nobody tells; and where it is told."""
_TOLD_TRAVEL_SIGMA = 1e-4


def place(
    tracks: Tracks,
    poses: np.ndarray,
    index: int,
    lens: Lens,
    motion: CameraMotion,
    step: float,
    linked: np.ndarray,
    beside: SideViews | None = None,
) -> Person | None:
    """A person at the closed-form root path, or None where no frame has enough joints.

    Args:
        tracks: 2D joints (px) of everybody.
        poses: (P, T, 17, 3) m, everybody's, relative to the hip, camera axes; NaN where absent.
        index: which person.
        lens: intrinsics, at the first frame where the camera zooms.
        motion: of the camera, one shot.
        step: s between neighbouring frames.
        linked: (T-1,) bool, whether a frame follows the one before without a gap.
        beside: other cameras, where the main one stands still.
    """
    pose = np.asarray(poses[index], float)
    frames = np.flatnonzero(np.isfinite(pose).all(axis=(1, 2)))
    detected = motion.unzoom(tracks.joints[index], lens.K[:2, 2])[frames]
    straight, trust = undistort_points(detected, lens.K, lens.distortion), tracks.confidence[index][frames]
    pixels, confidence = skeleton.observations(straight, trust)
    soles = np.where(trust[:, skeleton.SOLES, None] >= contacts.SEEN, straight[:, skeleton.SOLES], np.nan)
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
    rotation, position = motion.rotation[frames], motion.position[frames]
    seen = pose + root[:, None]
    travel = None
    pose = pose @ rotation
    joints = seen @ rotation
    if motion.kind == "free":
        travel = distance_travelled(joints[:, skeleton.ANKLES], position, root[:, 2], linked, step)
        joints = joints + travel * position[:, None]
    witnesses: tuple[Witness, ...] = ()
    if beside is not None and (measured := beside.body(index, frames, lengths)) is not None:
        lengths, travel = measured
        witnesses = tuple(view.witness(index, frames) for view in beside.views)
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
        soles=soles,
        joints=joints,
        height=skeleton.ADULT_STATURE,
        contact=np.zeros((len(frames), 2)),
        rotation=rotation,
        position=position,
        travel=travel,
        witnesses=witnesses,
    )


class Optimiser:
    """People in the axes of the first frame's camera and body units, and the camera they share.

    Attributes:
        people: present estimates; `run` updates them.
        view: focal length and up vector, likewise.
        background: what edges say about gravity, where they do.
        gravity: what bodies and the background said about the up vector.
        planted: (P,) frames of resting feet on which each person's floor rests.
        covariance: of all shared unknowns: two of the up vector (rad²), log focal length, then per person the camera's
            height and three of the lifter's turn (rad²), and log travel where the camera moves from its place.
        own: number of unknowns per person among them.
    """

    def __init__(
        self, people: list[Person], lens: Lens, progress: Progress, background: Background | None = None
    ) -> None:
        self.people = people
        self.view = View(np.diag(lens.K)[:2].copy(), lens.K[:2, 2].copy(), LEVEL)
        self.log_focal = 0.0
        self.focal_sigma = max(lens.focal_sigma, _KNOWN_FOCAL_SIGMA)
        self.step = people[0].step
        # What is shared sees the lifter's error once per posture, not once per frame: so the priors count per posture.
        self.own = people[0].shared - EVERYBODY
        size = EVERYBODY + self.own * len(people)
        self.repeats = np.full(size, max(POSTURE / self.step, 1.0))
        self.repeats[2] = max(_FOCAL_POSTURE / self.step, 1.0)
        self._heights = EVERYBODY + self.own * np.arange(len(people))
        self._travel = [(np.log(person.travel or 1.0), _TRAVEL_SIGMA) for person in people]
        self.background = background
        self.gravity = Gravity(LEVEL, np.eye(2), 0.0)
        self.planted = np.zeros(len(people))
        self.covariance = np.eye(size)
        self._progress, self._done = progress, 0
        self._total = sum(steps for _, steps, _ in _ROUNDS)

    def run(self, until: str = UNTIL[-1]) -> None:
        """Optimise, all of it or only the first of the parts named in `UNTIL`; raises what `progress` raises."""
        whole = [_whole(person.confidence >= contacts.SEEN) for person in self.people]
        rounds = _ROUNDS[: {"closed form": 0, "extrinsics": 0}.get(until)]
        if until == "extrinsics":
            told = self.background and self.background.gravity(self.log_focal, self.focal_sigma)
            self.view.up = estimate([person.joints for person in self.people], whole, self.step, told).up
        for kernel, steps, plant in rounds:
            told = self.background and self.background.gravity(self.log_focal, self.focal_sigma)
            self.gravity = estimate([person.joints for person in self.people], whole, self.step, told)
            if plant and until == UNTIL[-1]:
                self._plant()
            elif not plant:
                self.view.up = self.gravity.up
            for _ in range(steps):
                self._step(kernel)
                self._done += 1
        self._plant()
        self._tick()

    def settle(self, travel: np.ndarray) -> None:
        """Once more, with the camera moving as far as told: (P,) body units of each person per unit of its position."""
        self._travel = [(np.log(told), _TOLD_TRAVEL_SIGMA) for told in travel]
        for person, told in zip(self.people, travel, strict=True):
            person.joints = person.joints + (told - person.travel) * person.position[:, None]
            person.travel = float(told)
        kernel, steps, _ = _ROUNDS[-1]
        for _ in range(steps):
            self._step(kernel)
        self._plant()

    def _tick(self) -> None:
        self._progress(STAGE, self._done, self._total)

    def _plant(self) -> None:
        for i, person in enumerate(self.people):
            seen = person.confidence[:, skeleton.observed("ankle")]
            speed = contacts.foot_speed(feet(person, self.view), person.step, person.linked)
            person.height, self.planted[i] = contacts.camera_height(person.joints, self.view.up, speed, seen)
            person.contact = contacts.probabilities(
                person.joints, self.view.up, person.height, speed, seen, person.step, person.linked
            )

    def _priors(self) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.repeats)
        information, gradient = np.zeros((size, size)), np.zeros(size)
        information[:2, :2], gradient[:2] = self.gravity.information, self.gravity.pull(self.view.up)
        information[2, 2], gradient[2] = self.focal_sigma**-2, self.log_focal * self.focal_sigma**-2
        for i, person in enumerate(self.people):
            height, *turn = self._unknowns(i)[EVERYBODY:SHARED]
            information[height, height] = _HEIGHT_SIGMA**-2
            information[turn, turn] = _TURN_SIGMA**-2
            gradient[turn] = person.turn * _TURN_SIGMA**-2
            for travel in self._unknowns(i)[SHARED:]:
                expected, sigma = self._travel[i]
                information[travel, travel] = sigma**-2
                gradient[travel] = (np.log(person.travel) - expected) * sigma**-2
        weight = np.sqrt(self.repeats)
        return information * np.outer(weight, weight), gradient * self.repeats

    def _unknowns(self, person: int) -> list[int]:
        """Where the shared unknowns that touch a person stand among all."""
        own = EVERYBODY + self.own * person
        return [*range(EVERYBODY), *range(own, own + self.own)]

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
            share = np.abs((move @ person.rotation.swapaxes(1, 2))[..., 2]) / np.abs(person.seen()[..., 2])
            move *= np.minimum(1.0, _MAX_DEPTH_STEP / np.maximum(share.max(axis=1), 1e-12))[:, None, None]
            person.joints = person.joints + move
            height, *turn = self._unknowns(i)[EVERYBODY:SHARED]
            person.height += step[height]
            person.turn = person.turn + step[turn]
            turned = person.rotation.swapaxes(1, 2) @ Rotation.from_rotvec(step[turn]).as_matrix() @ person.rotation
            person.pose = person.pose @ turned.swapaxes(1, 2)
            for travel in self._unknowns(i)[SHARED:]:
                person.travel *= float(np.exp(step[travel]))
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
