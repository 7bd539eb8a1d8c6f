"""Where cameras stand relative to each other, from people that all of them see: joints are points with known names.

An essential matrix between each pair of views (Nistér, 2004, as OpenCV has it), then all cameras at once by the
reprojection error of points that are triangulated anew in every step (variable projection): few unknowns, whatever the
length of the clip. Detectors put a joint beside its place, and elsewhere from every side, so that rays which meet best
are not yet right; that bones keep their lengths, the same left and right, tells the cameras better. What no picture
tells is the scale; a person's height does.
"""

import contextlib
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from vp3d.common.skeletons import COCO_17
from vp3d.errors import UserError
from vp3d.stereo.triangulation import project, triangulate

FEWEST_POINTS = 60
"""Joints that two views must both see, all frames together, before their cameras are told apart."""
_INLIER = 0.006
"""Distance from the epipolar line, on the plane z = 1, of a joint that agrees: 10 px at a focal length of 1,700 px."""
_ROBUST = 0.003
"""Scale of the robust loss on reprojection errors on the plane z = 1: about a joint's detection error."""
_MOST_POINTS = 1500
"""Points that the joint refinement looks at: more add seconds and nothing else."""
_LEAST_CONFIDENCE = 0.3
_LIMBS = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
_BONES = np.array(
    [
        [(COCO_17.index(f"{side}_{start}"), COCO_17.index(f"{side}_{end}")) for start, end in _LIMBS]
        for side in ("left", "right")
    ]
)
"""(2, bones, 2) joints at both ends of what keeps its length, and has it on both sides."""
_STRETCH = 0.05
"""Share of its length by which a triangulated bone scatters: two joints' errors, and depth's."""


@dataclass(frozen=True)
class Poses:
    """Cameras relative to the first one.

    Attributes:
        R: (V, 3, 3) from the first camera's axes to each camera's.
        t: (V, 3) with `X_v = R X_1 + t`; the distance from the first to the second camera is 1.
        residual: median reprojection error on the plane z = 1.
        points: number of points that the refinement used.
    """

    R: np.ndarray
    t: np.ndarray
    residual: float
    points: int


def relative_poses(rays: np.ndarray, confidence: np.ndarray) -> Poses:
    """Cameras of V views from joints that they see at the same instants.

    Args:
        rays: (V, T, J, 2) points on the plane z = 1, undistorted, one person's joints, COCO's first; NaN where a view
            does not see them.
        confidence: (V, T, J) 0..1.

    Raises:
        UserError: two views share too little, or the person hardly moves between the rays.
    """
    weight = np.where(np.isfinite(rays).all(-1) & (confidence >= _LEAST_CONFIDENCE), confidence, 0.0)
    views = len(rays)
    flat, clear = rays.reshape(views, -1, 2), weight.reshape(views, -1)
    R, t = [np.eye(3)], [np.zeros(3)]
    for v in range(1, views):
        rotation, direction = _pair(flat[0], flat[v], (clear[0] > 0) & (clear[v] > 0), v)
        scale = 1.0 if v == 1 else _scale(R[1], t[1], rotation, direction, flat[[0, 1, v]], clear[[0, 1, v]])
        R.append(rotation)
        t.append(scale * direction)
    shared = (weight > 0).sum(0) >= 2
    frames = np.flatnonzero(shared.any(-1))
    most = max(int(_MOST_POINTS * len(frames) / shared.sum()), 1)
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), most)).astype(int)]
    return _refine(np.stack(R), np.stack(t), rays[:, chosen], np.where(shared, weight, 0.0)[:, chosen])


def refine_offset(
    rays: tuple[np.ndarray, np.ndarray],
    confidence: tuple[np.ndarray, np.ndarray],
    fps: tuple[float, float],
    offset: float,
    reach: float = 0.12,
) -> float:
    """The offset between two clips at which the person's joints fit two still cameras best.

    Args:
        rays: per clip (T, J, 2) on the plane z = 1; `confidence` (T, J).
        fps: frame rates.
        offset: s to add to the second clip's time, roughly (`synchronise.time_offset`); searched `reach` around it.

    Returns:
        s, to a fraction of a frame; `offset` itself where nothing fits.
    """
    steps = np.arange(-round(reach * max(fps) * 2), round(reach * max(fps) * 2) + 1) / (2 * max(fps))
    scores = np.full(len(steps), np.inf)
    for i, step in enumerate(steps):
        times = np.arange(len(rays[0])) / fps[0]
        second, trust = sample(rays[1], confidence[1], fps[1], times - offset - step)
        weight = np.minimum(confidence[0], trust) * (np.isfinite(rays[0]).all(-1) & np.isfinite(second).all(-1))
        both = weight >= _LEAST_CONFIDENCE
        if both.sum() >= FEWEST_POINTS:
            with contextlib.suppress(UserError):
                R, t = _pair(rays[0][both], second[both], np.ones(both.sum(), bool), 1)
                scores[i] = np.minimum(_epipolar(R, t, rays[0][both], second[both]), _INLIER).mean()
    if not np.isfinite(scores).any():
        return offset
    best = int(np.argmin(scores))
    near = slice(max(best - 3, 0), best + 4)
    fitted = np.isfinite(scores[near])
    if fitted.sum() >= 4:  # single scores scatter with RANSAC's draws: the lowest point of a parabola through seven
        bend, slope, _ = np.polyfit(steps[near][fitted], scores[near][fitted], 2)
        if bend > 0 and abs(-slope / (2 * bend) - steps[best]) < 3 / max(fps):
            return float(offset - slope / (2 * bend))
    return float(offset + steps[best])


def sample(joints: np.ndarray, confidence: np.ndarray, fps: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, J, 2) and confidences (T, J) of a clip at other times (s): linear between frames, NaN and 0 outside
    and where either neighbour is unknown."""
    at = times * fps
    before = np.floor(at + 1e-9).astype(int)
    share = (at - before)[:, None]
    inside = (before >= 0) & (at <= len(joints) - 1 + 1e-9)
    before = np.clip(before, 0, len(joints) - 1)
    after = np.minimum(before + 1, len(joints) - 1)
    exact = share < 1e-6
    between = joints[before] * (1 - share[..., None]) + joints[after] * share[..., None]
    points = np.where(exact[..., None], joints[before], between)
    trust = np.where(exact, confidence[before], np.minimum(confidence[before], confidence[after]))
    known = inside[:, None] & np.isfinite(points).all(-1)
    return np.where(known[..., None], points, np.nan), np.where(known, trust, 0.0)


def _epipolar(R: np.ndarray, t: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sampson distance of pairs of points (N, 2) on the plane z = 1. Hartley and Zisserman, (11.9)."""
    E = np.cross(t, R, axisb=0, axisc=0)
    a, b = (np.c_[points, np.ones(len(points))] for points in (first, second))
    line_b, line_a = a @ E.T, b @ E
    return np.abs((b * line_b).sum(1)) / np.sqrt((line_b[:, :2] ** 2).sum(1) + (line_a[:, :2] ** 2).sum(1))


def _pair(first: np.ndarray, second: np.ndarray, both: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = first[both].astype(float), second[both].astype(float)
    if len(a) < FEWEST_POINTS:
        raise UserError(
            f"View {number + 1} and the first view share only {len(a)} clear joints.",
            "Choose a range in which both cameras see the whole person, or give a calibration.",
        )
    # OpenCV draws its samples from a generator of its own, which starts alike in every call.
    essential, inlier = cv2.findEssentialMat(a, b, np.eye(3), cv2.USAC_MAGSAC, 0.999, _INLIER)
    if essential is None or essential.shape != (3, 3) or inlier.sum() < FEWEST_POINTS // 2:
        raise UserError(
            f"The cameras of view {number + 1} and the first view cannot be told from the people.",
            "Check that both clips show the same moment and person, or give a calibration.",
        )
    _, rotation, direction, _ = cv2.recoverPose(essential, a, b, np.eye(3), mask=inlier.copy())
    return rotation, direction[:, 0]


def _scale(R1: np.ndarray, t1: np.ndarray, R: np.ndarray, t: np.ndarray, rays: np.ndarray, weight: np.ndarray) -> float:
    """Length of `t` in the unit of `t1`: both pairs of views put the same points at the same depth."""
    depths = []
    for rotation, offset, pair in ((R1, t1, (0, 1)), (R, t, (0, 2))):
        points = _triangulated(np.stack([np.eye(3), rotation]), np.stack([np.zeros(3), offset]), rays[list(pair)])
        depths.append(points[:, 2])
    ratio = depths[0] / depths[1]
    known = np.isfinite(ratio) & (weight > 0).all(0)
    if known.sum() < FEWEST_POINTS // 2:
        raise UserError(
            "Too few joints are seen by all cameras at once.",
            "Choose a range in which every camera sees the person, or give a calibration.",
        )
    return float(np.median(ratio[known]))


def _triangulated(R: np.ndarray, t: np.ndarray, rays: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    matrices = torch.from_numpy(np.concatenate([R, t[..., None]], -1))
    pixels = torch.from_numpy(np.ascontiguousarray(rays.swapaxes(0, 1), float))
    confidence = None if weight is None else torch.from_numpy(np.ascontiguousarray(weight.T, float))
    return triangulate(pixels, matrices, confidence).numpy()


def _reprojected(R: np.ndarray, t: np.ndarray, points: np.ndarray) -> np.ndarray:
    matrices = torch.from_numpy(np.concatenate([R, t[..., None]], -1))
    return project(torch.from_numpy(points), matrices).numpy().swapaxes(0, 1)


def _refine(R: np.ndarray, t: np.ndarray, rays: np.ndarray, weight: np.ndarray) -> Poses:
    def cameras(unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turns, offsets = unknown[: 3 * (len(R) - 1)].reshape(-1, 3), unknown[3 * (len(R) - 1) :].reshape(-1, 3)
        turned = np.concatenate([R[:1], Rotation.from_rotvec(turns).as_matrix() @ R[1:]])
        moved = np.concatenate([t[:1], t[1:] + offsets])
        return turned, moved / np.linalg.norm(moved[1])

    shape = rays.shape[1:3]
    rays, weight = rays.reshape(len(R), -1, 2), weight.reshape(len(R), -1)
    root = np.sqrt(weight)[..., None]

    def residuals(unknown: np.ndarray) -> np.ndarray:
        turned, moved = cameras(unknown)
        points = _triangulated(turned, moved, rays, weight)
        error = (_reprojected(turned, moved, points) - rays) * root
        missed = np.where(np.isfinite(error), error, _INLIER * (root > 0))
        return np.concatenate([missed.ravel() / _ROBUST, _stretched(points.reshape(*shape, 3)).ravel() / _STRETCH])

    start = np.zeros(6 * (len(R) - 1))
    solved = least_squares(residuals, start, loss="soft_l1", x_scale=0.1, max_nfev=60)
    turned, moved = cameras(solved.x)
    points = _triangulated(turned, moved, rays, weight)
    error = np.linalg.norm(_reprojected(turned, moved, points) - rays, axis=-1)[weight > 0]
    return Poses(turned, moved, float(np.nanmedian(error)), int((weight > 0).any(0).sum()))


def _stretched(points: np.ndarray) -> np.ndarray:
    """(T, 2, bones) shares by which bones of (T, J, 3) are longer than they usually are, 0 where unknown."""
    ends = points[:, _BONES]
    lengths = np.ma.masked_invalid(np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1))
    return (lengths / np.ma.median(lengths, axis=(0, 1)) - 1).filled(0.0)
