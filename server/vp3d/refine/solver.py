"""From 2D joints and lifted poses to one camera, static or moving, and people in one world.

The optimiser works in the axes of the first frame's camera and in each person's own unit of length. Here all get their
sizes, from a prior height and from standing on one floor, and those axes become world axes.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from vp3d.camera_motion import CameraMotion, still
from vp3d.cameras import Camera
from vp3d.detect import SEEN
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.refine import skeleton
from vp3d.refine.background import Background, Edges
from vp3d.refine.bundle import EVERYBODY, OWN, Person
from vp3d.refine.foot_lock import lock
from vp3d.refine.gravity import LEVEL, world_rotation
from vp3d.refine.lens import Lens
from vp3d.refine.optimise import UNTIL, Optimiser, place
from vp3d.refine.side_views import SideViews
from vp3d.track import Tracks

_LOW_CAMERA = 0.1
"""m, below which a camera's height says nothing about the size of people."""
_KNOWN_STATURE_SIGMA = 1e-4
_BODY_SIGMA = 0.03
"""Relative 1 sigma of a body's size as a lifter sees it, beside its stature."""
_UP = np.array([0.0, 0.0, 1.0])
_PLANTED_FRAMES = 10
"""Frames of resting feet from which a person's floor is trusted."""


@dataclass(frozen=True)
class Wishes:
    """What the user says about the solve.

    Attributes:
        height_m: stature of a person, which scales the world; None where it is not known.
        height_of: index of that person.
        foot_lock: 0 to 1, how firmly planted feet are held in place.
    """

    height_m: float | None = None
    height_of: int = 0
    foot_lock: float = 1.0

    def __post_init__(self) -> None:
        """Raise UserError for what no person and no lock can be."""
        if self.height_m is not None and not 0.4 <= self.height_m <= 2.8:
            raise UserError(f"Nobody is {self.height_m:g} m tall.", "Give the person's height in metres, such as 1.82.")
        if not 0 <= self.foot_lock <= 1:
            raise UserError(f"A foot lock of {self.foot_lock:g} is not possible.", "Give a number from 0 to 1.")


@dataclass(frozen=True)
class Solution:
    """A camera and people in one world (metres, Z up, floor z = 0).

    Attributes:
        camera: C = 1 where it stands still, else C = T. At first it looks along +Y; the first person's first frame
            stands at x = y = 0. After a cut the world begins anew.
        joints: (P, T, 17, 3) m, H36M-17, world; NaN where a person is absent.
        contacts: (P, T, 2) probability that the left and right foot is planted; 0 where absent.
        residual_px: (P, T, 17) distance of the reprojected from the detected joint in COCO order, NaN where there is
            nothing to compare.
        report: JSON-able figures: `lens`, `camera` (at the first frame; pitch is positive where it looks up, roll where
            the world leans to the right in the picture), `people`, and `warnings` in plain words; where the picture
            is cut, `shots` holds `lens` and `camera` of each.
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
    motion: CameraMotion | None = None,
    edges: Edges | None = None,
    wishes: Wishes = Wishes(),
    until: str = UNTIL[-1],
    beside: SideViews | None = None,
) -> Solution:
    """Solve camera and world.

    Args:
        tracks: people's 2D joints (px); `tracks.frames` are frame numbers of the video.
        poses: (P, T, 17, 3) m, H36M-17, relative to the hip, camera axes; NaN where absent.
        lens: intrinsics, and how sure they are.
        image_size: width and height, px.
        fps: frames per second of the video that `tracks.frames` counts.
        motion: what the camera did in the frames of `tracks`; None where it stands still. People are in one shot each.
        edges: of the background, which tell where the vertical is.
        wishes: what the user says.
        until: one of `UNTIL`: the last part that is solved.
        beside: other cameras that saw the same moments; all must stand still.

    Raises:
        UserError: nobody can be placed in front of the camera, or it moves though others stand beside it.
        Cancelled: from `progress`.
    """
    centre = lens.K[:2, 2]
    if not (0 <= centre[0] < image_size[0] and 0 <= centre[1] < image_size[1]):
        raise UserError(
            f"The lens data are for another picture size than {image_size[0]} × {image_size[1]} px.",
            "Give the lens of this clip, or leave it out.",
        )
    if motion is None:
        motion = still(tracks.frames, 0.0, {}, "")
    if beside is not None and motion.moves:
        raise UserError(
            "The camera of the first clip moves, and several views need cameras that stand still.",
            "Use clips from tripods, or capture one view by itself.",
        )
    if len(motion.shots) == 1:
        return _solve_shot(tracks, poses, lens, fps, motion, edges, wishes, until, progress, beside)
    return _solve_shots(tracks, poses, lens, fps, motion, edges, wishes, until, progress)


def _solve_shot(
    tracks: Tracks,
    poses: np.ndarray,
    lens: Lens,
    fps: float,
    motion: CameraMotion,
    edges: Edges | None,
    wishes: Wishes,
    until: str,
    progress: Progress,
    beside: SideViews | None = None,
) -> Solution:
    steps = np.diff(tracks.frames)
    stride = int(np.median(steps)) if len(steps) else 1
    if motion.moves:
        # The background was followed with this focal length: another one would no longer go with how the camera turned.
        given, lens = lens, dataclasses.replace(lens, focal_sigma=0.0)
    people = {
        index: person
        for index in range(len(poses))
        if (person := place(tracks, poses, index, lens, motion, stride / fps, steps == stride, beside)) is not None
    }
    if not people:
        raise UserError(
            "No person could be placed in front of the camera.",
            "Choose a range of frames in which somebody is seen with most of the body.",
        )
    if beside is not None:
        _share_travel(list(people.values()))
    background = None if edges is None else Background(edges, dataclasses.replace(lens, focal_sigma=0.0), motion)
    optimiser = Optimiser(list(people.values()), lens, progress, background)
    optimiser.run(until)
    if motion.kind == "free" and len(people) > 1:
        scale, _, unit = _sizes(optimiser, list(people), wishes, beside)
        optimiser.settle(unit / scale)
    solution = _world(optimiser, list(people), tracks, lens, motion, wishes, beside)
    if motion.moves:
        solution.report["lens"]["focal_sigma_relative"] = given.focal_sigma
    return solution


def _share_travel(people: list[Person]) -> None:
    """Whoever only the main camera sees is as large as the others are."""
    known = [person.travel for person in people if person.travel is not None]
    for person in people:
        if person.travel is None:
            person.travel = float(np.median(known)) if known else 1.0


def _solve_shots(
    tracks: Tracks,
    poses: np.ndarray,
    lens: Lens,
    fps: float,
    motion: CameraMotion,
    edges: Edges | None,
    wishes: Wishes,
    until: str,
    progress: Progress,
) -> Solution:
    """Every shot by itself, put into the arrays of one take; a shot without people gets an upright camera."""
    P, T = tracks.joints.shape[:2]
    whole = Solution(
        Camera(np.tile(lens.K, (T, 1, 1)), np.tile(np.eye(3), (T, 1, 1)), np.zeros((T, 3)), lens.distortion),
        np.full((P, T, skeleton.JOINTS, 3), np.nan),
        np.zeros((P, T, 2)),
        np.full((P, T, 17), np.nan),
        {"shots": []},
    )
    for number, (start, end) in enumerate(motion.shots):
        rows, shot = slice(start, end), motion.shot(number)

        def report(stage: str, done: int, total: int, number: int = number) -> None:
            progress(stage, number * total + done, len(motion.shots) * total)

        part = Tracks(tracks.frames[rows], *(a[:, rows] for a in (tracks.joints, tracks.confidence, tracks.source)))
        try:
            seen = None if edges is None else edges.between(start, end)
            solved = _solve_shot(part, poses[:, rows], lens, fps, shot, seen, wishes, until, report)
        except UserError:
            camera = _moved(lens, LEVEL, np.array([0.0, 0.0, skeleton.ADULT_STATURE]), 1.0, shot)
            solved = Solution(camera, whole.joints[:, rows], whole.contacts[:, rows], whole.residual_px[:, rows], {})
        whole.camera.K[rows], whole.camera.R[rows], whole.camera.t[rows] = (
            solved.camera.K, solved.camera.R, solved.camera.t,
        )  # fmt: skip
        whole.joints[:, rows], whole.contacts[:, rows] = solved.joints, solved.contacts
        whole.residual_px[:, rows] = solved.residual_px
        about = {"first_frame": int(tracks.frames[start]), "last_frame": int(tracks.frames[end - 1]), **solved.report}
        whole.report["shots"].append(about)
    solved_shots = [shot for shot in whole.report["shots"] if "people" in shot]
    if not solved_shots:
        raise UserError(
            "No person could be placed in front of the camera.",
            "Choose a range of frames in which somebody is seen with most of the body.",
        )
    whole.report.update({name: solved_shots[0][name] for name in ("lens", "camera")})
    for name in ("people", "warnings"):
        whole.report[name] = [entry for shot in solved_shots for entry in shot.pop(name)]
    return whole


def _statures(optimiser: Optimiser, indices: list[int], wishes: Wishes) -> tuple[np.ndarray, np.ndarray]:
    """Everybody's log scale, body units to metres, as far as statures tell, and its 1 sigma."""
    known = [wishes.height_m is not None and index == wishes.height_of for index in indices]
    stature = np.where(known, wishes.height_m or skeleton.ADULT_STATURE, skeleton.ADULT_STATURE)
    sigma = np.where(known, _KNOWN_STATURE_SIGMA, skeleton.STATURE_SIGMA)
    return np.log(stature / np.array([person.stature for person in optimiser.people])), sigma


def _sizes(
    optimiser: Optimiser, indices: list[int], wishes: Wishes, beside: SideViews | None = None
) -> tuple[np.ndarray, float, float]:
    """Everybody's scale, body units to metres, the camera's height (m), and metres in the unit of its path.

    Each person's stature has a prior, and each, standing on the one floor, sees the camera at its own height in body
    units. The floor is the main person's, or that of the one whose height is known; who disagrees by more than statures
    can, stands on another level and keeps the prior. A camera that moves from its place goes equally far for all, which
    tells their sizes apart, too. Cameras whose distance is known in metres leave nothing to guess.
    """
    if beside is not None and beside.metres:
        scale = np.array([1 / person.travel for person in optimiser.people])
        heights = scale * [person.height for person in optimiser.people]
        weight = optimiser.planted if optimiser.planted.any() else np.ones(len(scale))
        return scale, float(np.average(heights, weights=weight)), 1.0
    prior, own_sigma = _statures(optimiser, indices, wishes)
    height = np.array([person.height for person in optimiser.people])
    variance = np.diag(optimiser.covariance)
    enough = np.flatnonzero(optimiser.planted >= _PLANTED_FRAMES)
    anchor = int(enough[own_sigma[enough].argmin()]) if len(enough) else int(np.argmax(optimiser.planted))
    standing = optimiser.planted[anchor] > 0 and height[anchor] >= _LOW_CAMERA
    log_scale, camera_height = prior, float(np.exp(prior[anchor]) * height[anchor])
    if standing:
        seen = prior + np.log(np.maximum(height, _LOW_CAMERA))
        sigma = np.sqrt(variance[EVERYBODY :: optimiser.own]) / np.maximum(height, _LOW_CAMERA)
        apart = (seen - seen[anchor]) / np.hypot(skeleton.STATURE_SIGMA, sigma)
        together = (optimiser.planted > 0) & (np.abs(apart) < 3)
        variance_seen = own_sigma**2 + sigma**2
        # Whoever disagrees with the main person more may stand on another level.
        weight = together / variance_seen / (1 + apart**2 / 2) ** 2
        camera = np.average(seen, weights=weight)
        own, floor = own_sigma**-2, together * sigma**-2
        log_scale, camera_height = prior + floor * (camera - seen) / (own + floor), float(np.exp(camera))
    if optimiser.people[0].travel is None:
        return np.exp(log_scale), camera_height, 0.0
    travel, uncertain = (
        np.log([person.travel for person in optimiser.people]),
        variance[EVERYBODY + OWN :: optimiser.own],
    )
    unit = np.average(log_scale + travel, weights=1 / (own_sigma**2 + uncertain))
    told = own_sigma**2 / (own_sigma**2 + uncertain)
    return np.exp(log_scale + told * (unit - travel - log_scale)), camera_height, float(np.exp(unit))


def _moved(lens: Lens, up: np.ndarray, position: np.ndarray, unit: float, motion: CameraMotion) -> Camera:
    """The camera in the world: at `position` (3,) m, where `up` (3,) is up, at the first frame; `unit` m long."""
    R = world_rotation(up)
    if not motion.moves:
        return Camera(lens.K[None], R[None], -(R @ position)[None], lens.distortion)
    K = np.tile(lens.K, (len(motion.zoom), 1, 1))
    K[:, 0, 0] *= motion.zoom
    K[:, 1, 1] *= motion.zoom
    rotation = motion.rotation @ R
    place = position + unit * motion.position @ R
    return Camera(K, rotation, -np.einsum("tij,tj->ti", rotation, place), lens.distortion)


def _world(
    optimiser: Optimiser,
    indices: list[int],
    tracks: Tracks,
    lens: Lens,
    motion: CameraMotion,
    wishes: Wishes,
    beside: SideViews | None = None,
) -> Solution:
    P, T = tracks.joints.shape[:2]
    scale, camera_height, unit = _sizes(optimiser, indices, wishes, beside)
    R = world_rotation(optimiser.view.up)
    standing = [
        lock(person.joints * size @ R, person.contact, person.linked, person.step, _UP, wishes.foot_lock)
        for person, size in zip(optimiser.people, scale, strict=True)
    ]
    position = np.array([*-standing[0][0, 0, :2], camera_height])
    K = lens.K.copy()
    K[0, 0], K[1, 1] = optimiser.view.focal
    camera = _moved(dataclasses.replace(lens, K=K), optimiser.view.up, position, unit, motion)

    joints = np.full((P, T, skeleton.JOINTS, 3), np.nan)
    planted = np.zeros((P, T, 2))
    for index, person, placed in zip(indices, optimiser.people, standing, strict=True):
        joints[index, person.frames] = placed + position
        planted[index, person.frames] = person.contact
    residual = np.full((P, T, tracks.joints.shape[2]), np.nan)
    seen = camera.project(joints[:, :, skeleton.LIMBS]) - tracks.joints[:, :, skeleton.LIMBS_COCO]
    residual[:, :, skeleton.LIMBS_COCO] = np.linalg.norm(seen, axis=-1)
    residual = residual[:, :, :17]
    report = _report(optimiser, indices, tracks, lens, camera, scale, joints, residual, wishes)
    if beside is not None:
        report["views"] = [view.in_world(camera, unit) for view in beside.views]
    return Solution(camera, joints, planted, residual, report)


def _report(
    optimiser: Optimiser,
    indices: list[int],
    tracks: Tracks,
    lens: Lens,
    camera: Camera,
    scale: np.ndarray,
    joints: np.ndarray,
    residual: np.ndarray,
    wishes: Wishes,
) -> dict:
    sigma = np.sqrt(np.diag(optimiser.covariance))
    up = optimiser.view.up
    people = []
    focal_sigma = float(sigma[2]) if lens.focal_sigma else 0.0
    _, statures = _statures(optimiser, indices, wishes)
    for index, person, size, planted, stature_sigma in zip(
        indices, optimiser.people, scale, optimiser.planted, statures, strict=True
    ):
        name, notes = f"Person {index + 1}", []
        compared = residual[index][np.asarray(tracks.confidence[index])[:, :17] >= SEEN]
        compared = compared[np.isfinite(compared)]
        ankles = joints[index][person.frames][:, skeleton.ANKLES]
        still = (np.minimum(person.contact[1:], person.contact[:-1]) > 0) & person.linked[:, None]
        speed = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[still] / person.step
        if planted == 0:
            notes.append(f"{name}'s feet are never seen at rest, so the floor under them is guessed.")
        height_px = camera.K[0, 0, 0] * skeleton.ADULT_STATURE / np.median(person.seen()[:, 0, 2])
        if len(compared) and np.median(compared) > 0.05 * height_px:
            notes.append(f"{name}'s 3D pose lies {np.median(compared):.0f} px (median) beside the detected joints.")
        people.append(
            {
                "person": index + 1,
                "frames": len(person.frames),
                "residual_px_median": _quantile(compared, 0.5),
                "residual_px_90": _quantile(compared, 0.9),
                "scale": float(size),
                "stature_m": float(size * person.stature),
                "depth_sigma_relative": float(np.linalg.norm([focal_sigma, stature_sigma, _BODY_SIGMA])),
                "contact_frames": int((person.contact > 0).any(axis=1).sum()),
                "contact_speed_m_s_median": _quantile(speed, 0.5),
                "warnings": notes,
            }
        )
    warnings = []
    upright = optimiser.background is not None and optimiser.background.frame is not None
    if optimiser.gravity.postures < 1 and not upright:
        warnings.append("Nobody stands upright long enough, so the camera is taken to be held level.")
    return {
        "lens": {
            "source": lens.source,
            "note": lens.note,
            "focal_px": float(camera.K[0, 0, 0]),
            "focal_px_given": float(lens.K[0, 0]),
            "focal_sigma_relative": focal_sigma,
        },
        "camera": {
            "height_m": float(camera.position[0, 2]),
            "pitch_deg": float(np.degrees(np.arcsin(up[2]))),
            "roll_deg": float(np.degrees(np.arctan2(up[0], -up[1]))),
            "tilt_sigma_deg": [float(value) for value in np.degrees(sigma[:2])],
            "gravity_from": [
                source
                for source, speaks in (("people", optimiser.gravity.postures >= 1), ("background", upright))
                if speaks
            ],
        },
        "people": people,
        "warnings": warnings,
    }


def _quantile(values: np.ndarray, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None
