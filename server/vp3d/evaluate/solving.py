"""Camera and world against the exact truth: recorded people before virtual cameras that stand still."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from vp3d.cameras import Camera
from vp3d.common.skeletons import H36M_FROM_COCO
from vp3d.common.take import Source
from vp3d.errors import UserError
from vp3d.evaluate import metrics
from vp3d.progress import Progress, silent
from vp3d.refine import Lens, Wishes, skeleton, solve
from vp3d.refine.gravity import world_rotation
from vp3d.refine.lens import UNKNOWN
from vp3d.track import Tracks
from vp3d.train.recording import STORED_FPS, Recording

SIZE = (1920, 1080)
"""px"""
NOISE = 2.0
"""px, in x and in y."""
MISSING = 0.1
"""Share of joints that are not detected."""
LENS_ERROR = 0.3
"""The prior's focal length is wrong by up to this share."""
_EVERY, _FRAMES = 2, 240
"""Every second stored frame, so 30 a second, for eight seconds."""
_TRAVEL = 1.0
"""m a person must get about for the floor to be seen: one who stands on the spot touches it in a point."""
_GROUNDED = 0.15
"""m, below which an ankle stands on the floor: some recordings climb."""
_SIGMAS = 1.645
"""Half the width of the interval that holds 90 % of a normal distribution."""

Lifting = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Poses (T, 17, 3) m from joints (T, 21, 2) px, confidence (T, 21) and K (3, 3)."""


@dataclass(frozen=True)
class Trial:
    """What one solve got wrong.

    Attributes:
        rotation_deg: of the camera against the people, after the best similarity of solved and true people.
        floor_deg: of the floor's normal, seen from the camera.
        root_share: median distance of the hip from the truth in camera axes, as a share of its depth.
        residual_ratio: median reprojection error over that of the noise alone.
        focal_ratio: solved over true.
        depth_ratio: median, solved over true.
        focal_covered: whether the stated 90 % interval holds the true focal length; `depth_covered` the depth.
        tilt_covered: the same for roll and pitch, mean of the two.
    """

    rotation_deg: float
    floor_deg: float
    root_share: float
    residual_ratio: float
    focal_ratio: float
    depth_ratio: float
    focal_covered: float
    depth_covered: float
    tilt_covered: float


def scenes(recordings: Sequence[Recording], count: int, seed: int = 0) -> list[tuple[np.ndarray, Camera]]:
    """People (T, 17, 3) m who get about, each before a static camera at a height and tilt that people hold.

    The floor is z = 0; lenses see 40 to 75 degrees across the picture, from 4 to 7 m.

    Raises:
        UserError: nobody gets about in the recordings.
    """
    rng = np.random.default_rng(seed)
    moving = [joints for recording in recordings for joints in _walks(recording)]
    if not moving:
        raise UserError("Nobody gets about in this motion capture.", "Give recordings of people who walk.")
    order = rng.permutation(len(moving))
    return [(moving[order[i % len(moving)]], _camera(rng)) for i in range(count)]


def _walks(recording: Recording) -> list[np.ndarray]:
    points = np.asarray(recording.points[::_EVERY, : skeleton.JOINTS], float)
    walks = []
    for start in range(0, len(points) - _FRAMES // 2, _FRAMES):
        joints = points[start : start + _FRAMES].copy()
        joints -= [*joints[:, 0, :2].mean(0), np.quantile(joints[:, skeleton.ANKLES, 2], 0.05) - skeleton.ANKLE_HEIGHT]
        low, high = np.quantile(joints[:, 0, :2], [0.05, 0.95], axis=0)
        grounded = (joints[:, skeleton.ANKLES, 2].min(1) < _GROUNDED).mean() > 0.9
        if grounded and _TRAVEL < np.linalg.norm(high - low) < 3 * _TRAVEL:
            walks.append(joints)
    return walks


def _camera(rng: np.random.Generator) -> Camera:
    distance, height = rng.uniform(4, 7), rng.uniform(0.6, 2.4)
    pitch = np.arctan2(0.9 - height, distance) + np.radians(rng.uniform(-4, 4))
    roll, heading = np.radians(rng.normal(0, 2)), rng.uniform(0, 2 * np.pi)
    turned = np.array([[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]])
    up = np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)])
    R = world_rotation(up) @ turned
    focal = SIZE[0] / 2 / np.tan(np.radians(rng.uniform(40, 75)) / 2)
    K = np.array([[focal, 0, (SIZE[0] - 1) / 2], [0, focal, (SIZE[1] - 1) / 2], [0, 0, 1]])
    return Camera(K[None], R[None], (-R @ turned.T @ [0, -distance, height])[None], np.zeros(5))


def film(joints: np.ndarray, camera: Camera, rng: np.random.Generator) -> Tracks:
    """One person's (T, 17, 3) m joints as a detector sees them: `NOISE`, and `MISSING` at random."""
    count = len(joints)
    pixels = np.full((1, count, 21, 2), np.nan)
    pixels[:, :, list(H36M_FROM_COCO.values())] = camera.project(joints)[:, list(H36M_FROM_COCO)]
    pixels += rng.normal(0, NOISE, pixels.shape)
    pixels[rng.random(pixels.shape[:3]) < MISSING] = np.nan
    confidence = np.where(np.isfinite(pixels[..., 0]), 0.9, 0.0)
    source = np.where(confidence > 0, Source.MEASURED, Source.ABSENT).astype(np.uint8)
    return Tracks(np.arange(count, dtype=np.int32), pixels.astype(np.float32), confidence, source)


def trial(joints: np.ndarray, camera: Camera, seed: int, known_lens: bool, lifting: Lifting | None = None) -> Trial:
    """Film, solve and compare.

    Args:
        joints: (T, 17, 3) m, the floor is z = 0.
        camera: static.
        seed: of the noise and of the lens's error.
        known_lens: whether the solver knows focal length and the person's height; else it has priors.
        lifting: makes the poses; None for the true ones.
    """
    rng = np.random.default_rng(seed)
    tracks = film(joints, camera, rng)
    true = joints @ camera.R[0].T + camera.t[0]
    stature = skeleton.body(true - true[:, :1])[1]
    K = camera.K[0].copy()
    if not known_lens:
        K[[0, 1], [0, 1]] *= 1 + rng.uniform(-LENS_ERROR, LENS_ERROR)
    lens = Lens(K, np.zeros(5), "user" if known_lens else "prior", "", 0.0 if known_lens else UNKNOWN.sigma)
    poses = true - true[:, :1] if lifting is None else lifting(tracks.joints[0], tracks.confidence[0], K)
    wishes = Wishes(height_m=stature if known_lens else None, foot_lock=0.0)
    solution = solve(tracks, poses[None], lens, SIZE, STORED_FPS / _EVERY, wishes=wishes)

    found, about = solution.joints[0], solution.report
    seen = found @ solution.camera.R[0].T + solution.camera.t[0]
    residual = solution.residual_px[np.isfinite(solution.residual_px)]
    focal, depth = solution.camera.K[0, 0, 0] / camera.K[0, 0, 0], np.median(seen[:, 0, 2] / true[:, 0, 2])
    sigma = about["lens"]["focal_sigma_relative"], about["people"][0]["depth_sigma_relative"]
    up, true_up = solution.camera.R[0][:, 2], camera.R[0][:, 2]
    tilt = np.array([np.arctan2(v[0], -v[1]) for v in (up, true_up)]), np.arcsin([up[2], true_up[2]])
    off = np.degrees([float(np.diff(angles)[0]) for angles in tilt])
    return Trial(
        rotation_deg=_rotation(seen.reshape(-1, 3), true.reshape(-1, 3)),
        floor_deg=float(np.degrees(np.arccos(np.clip(up @ true_up, -1, 1)))),
        root_share=float(np.median(np.linalg.norm(seen[:, 0] - true[:, 0], axis=-1) / true[:, 0, 2])),
        residual_ratio=float(np.median(residual) / (NOISE * np.sqrt(2 * np.log(2)))),
        focal_ratio=float(focal),
        depth_ratio=float(depth),
        focal_covered=float(abs(np.log(focal)) <= _SIGMAS * sigma[0] + 1e-9),
        depth_covered=float(abs(np.log(depth)) <= _SIGMAS * sigma[1] + 1e-9),
        tilt_covered=float((np.abs(off) <= _SIGMAS * np.array(about["camera"]["tilt_sigma_deg"])).mean()),
    )


def _rotation(found: np.ndarray, true: np.ndarray) -> float:
    """Degrees by which points (N, 3) are turned against others."""
    aligned = metrics.align(found, true) - true.mean(0)
    moved = found - found.mean(0)
    u, _, vt = np.linalg.svd(aligned.T @ moved)
    R = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return float(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


def evaluate(
    recordings: Sequence[Recording],
    trials: int,
    lifting: Lifting | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> dict:
    """Medians and 90 % quantiles of errors, and coverage, over trials with the lens known and not.

    Returns:
        JSON-able: for "lens known" and "lens unknown" and each field of `Trial` its (median, 90 % quantile), of the
        `..._covered` the mean; and `trials`.
    """
    filmed = scenes(recordings, trials, seed)
    report: dict = {"trials": len(filmed)}
    for kind, known in (("lens known", True), ("lens unknown", False)):
        results = []
        for number, (joints, camera) in enumerate(filmed):
            progress(kind, number, len(filmed))
            results.append(asdict(trial(joints, camera, seed + number, known, lifting)))
        progress(kind, len(filmed), len(filmed))
        report[kind] = {
            name: round(float(np.mean(values)), 3)
            if name.endswith("covered")
            else [round(float(value), 4) for value in np.quantile(values, [0.5, 0.9])]
            for name in results[0]
            for values in [[result[name] for result in results]]
        }
    return report
