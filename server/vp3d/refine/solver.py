"""From 2D joints and lifted poses to one static camera and people in one world.

The optimiser works in camera axes and in each person's own unit of length. Here all get their sizes, from a prior
height and from standing on one floor, and camera axes become world axes.
"""

from dataclasses import dataclass

import numpy as np

from vp3d.cameras import Camera
from vp3d.detect import SEEN
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.refine import skeleton
from vp3d.refine.bundle import EVERYBODY, OWN
from vp3d.refine.gravity import world_rotation
from vp3d.refine.lens import Lens
from vp3d.refine.optimise import Optimiser, place
from vp3d.track import Tracks

_LOW_CAMERA = 0.1
"""m, below which a camera's height says nothing about the size of people."""
_PLANTED_FRAMES = 10
"""Frames of resting feet from which a person's floor is trusted."""


@dataclass(frozen=True)
class Solution:
    """A camera and people in one world (metres, Z up, floor z = 0).

    Attributes:
        camera: static, C = 1. It looks along +Y; the first person's first frame stands at x = y = 0.
        joints: (P, T, 17, 3) m, H36M-17, world; NaN where a person is absent.
        contacts: (P, T, 2) probability that the left and right foot is planted; 0 where absent.
        residual_px: (P, T, 17) distance of the reprojected from the detected joint in COCO order, NaN where there is
            nothing to compare.
        report: JSON-able figures: `lens`, `camera` (pitch is positive where it looks up, roll where the world leans
            to the right in the picture), `people`, and `warnings` in plain words.
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
        if (person := place(tracks, poses, index, lens, stride / fps, steps == stride)) is not None
    }
    if not people:
        raise UserError(
            "No person could be placed in front of the camera.",
            "Choose a range of frames in which somebody is seen with most of the body.",
        )
    optimiser = Optimiser(list(people.values()), lens, progress)
    optimiser.run()
    return _world(optimiser, list(people), tracks, lens)


def _sizes(optimiser: Optimiser) -> tuple[np.ndarray, float]:
    """Everybody's scale, body units to metres, and the camera's height (m).

    Each person's stature has a prior, and each, standing on the one floor, sees the camera at its own height in body
    units. The floor is the main person's; who disagrees by more than statures can, stands on another level and keeps
    the prior.
    """
    prior = np.log([skeleton.ADULT_STATURE / person.stature for person in optimiser.people])
    height = np.array([person.height for person in optimiser.people])
    enough = np.flatnonzero(optimiser.planted >= _PLANTED_FRAMES)
    anchor = int(enough[0]) if len(enough) else int(np.argmax(optimiser.planted))
    if optimiser.planted[anchor] == 0 or height[anchor] < _LOW_CAMERA:
        return np.exp(prior), float(np.exp(prior[anchor]) * height[anchor])
    seen = prior + np.log(np.maximum(height, _LOW_CAMERA))
    sigma = np.sqrt(np.diag(optimiser.covariance)[EVERYBODY::OWN]) / np.maximum(height, _LOW_CAMERA)
    together = (optimiser.planted > 0) & (np.abs(seen - seen[anchor]) < 3 * np.hypot(skeleton.STATURE_SIGMA, sigma))
    weight = together / (skeleton.STATURE_SIGMA**2 + sigma**2)
    camera = np.average(seen, weights=weight)
    own, floor = skeleton.STATURE_SIGMA**-2, together * sigma**-2
    return np.exp(prior + floor * (camera - seen) / (own + floor)), float(np.exp(camera))


def _world(optimiser: Optimiser, indices: list[int], tracks: Tracks, lens: Lens) -> Solution:
    P, T = tracks.joints.shape[:2]
    scale, camera_height = _sizes(optimiser)
    R = world_rotation(optimiser.view.up)
    first = optimiser.people[0].joints[0, 0] * scale[0] @ R
    position = np.array([-first[0], -first[1], camera_height])
    K = lens.K.copy()
    K[0, 0], K[1, 1] = optimiser.view.focal
    camera = Camera(K[None], R[None], -(R @ position)[None], lens.distortion)

    joints = np.full((P, T, skeleton.JOINTS, 3), np.nan)
    planted = np.zeros((P, T, 2))
    for index, person, size in zip(indices, optimiser.people, scale, strict=True):
        joints[index, person.frames] = person.joints * size @ R + position
        planted[index, person.frames] = person.contact
    residual = np.full((P, T, tracks.joints.shape[2]), np.nan)
    seen = camera.project(joints[:, :, skeleton.LIMBS]) - tracks.joints[:, :, skeleton.LIMBS_COCO]
    residual[:, :, skeleton.LIMBS_COCO] = np.linalg.norm(seen, axis=-1)
    residual = residual[:, :, :17]
    report = _report(optimiser, indices, tracks, lens, camera, scale, joints, residual)
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
) -> dict:
    sigma = np.sqrt(np.diag(optimiser.covariance))
    up = optimiser.view.up
    people = []
    for index, person, size, planted in zip(indices, optimiser.people, scale, optimiser.planted, strict=True):
        name, notes = f"Person {index + 1}", []
        compared = residual[index][np.asarray(tracks.confidence[index])[:, :17] >= SEEN]
        compared = compared[np.isfinite(compared)]
        ankles = joints[index][person.frames][:, skeleton.ANKLES]
        still = (np.minimum(person.contact[1:], person.contact[:-1]) > 0) & person.linked[:, None]
        speed = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[still] / person.step
        if planted == 0:
            notes.append(f"{name}'s feet are never seen at rest, so the floor under them is guessed.")
        height_px = camera.K[0, 0, 0] * skeleton.ADULT_STATURE / np.median(person.joints[:, 0, 2])
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
                "contact_frames": int((person.contact > 0).any(axis=1).sum()),
                "contact_speed_m_s_median": _quantile(speed, 0.5),
                "warnings": notes,
            }
        )
    warnings = []
    if optimiser.gravity.postures < 1:
        warnings.append("Nobody stands upright long enough, so the camera is taken to be held level.")
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
