"""Synthetic scenes: people with known joints, and the maps a perfect network would give for them."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from vp3d.detect.layout import KEYPOINTS, LIGHTWEIGHT_OPENPOSE, LIMBS, STRIDE
from vp3d.detect.network import AFFINITY_MAPS, HEATMAPS

SIGMA_PX = 7.0
THICKNESS_PX = 8.0
_MARGIN_PX = 1.5 * STRIDE  # peaks in the outermost cells are decoded to the cell only

# A standing person of height 1 seen from the front, (u, v) of every key-point; the pelvis is the origin.
_TORSO = {
    "neck": (0, -0.32), "nose": (0, -0.42), "right_eye": (-0.02, -0.44), "left_eye": (0.02, -0.44),
    "right_ear": (-0.045, -0.43), "left_ear": (0.045, -0.43),
    "right_shoulder": (-0.11, -0.31), "left_shoulder": (0.11, -0.31),
    "right_hip": (-0.06, 0), "left_hip": (0.06, 0),
}  # fmt: skip
_CHAINS = (("shoulder", "elbow", 0.17), ("elbow", "wrist", 0.15), ("hip", "knee", 0.25), ("knee", "ankle", 0.24))


def random_person(rng: np.random.Generator, height_px: float) -> np.ndarray:
    """(18, 2) px around the pelvis: random lean and turn, arms anywhere, legs as in walking."""
    turn, lean = rng.uniform(0.35, 1.0) * rng.choice((-1, 1)), rng.normal(0, 0.2)
    at = {name: np.array((u * turn, v)) for name, (u, v) in _TORSO.items()}
    for side in ("right", "left"):
        for start, end, length in _CHAINS:
            spread = 1.0 if start in ("shoulder", "elbow") else 0.35
            angle = rng.normal(0, spread)
            step = length * np.array((np.sin(angle), np.cos(angle)))
            at[f"{side}_{end}"] = at[f"{side}_{start}"] + step
    rotation = np.array(((np.cos(lean), -np.sin(lean)), (np.sin(lean), np.cos(lean))))
    return np.array([at[name] for name in KEYPOINTS]) @ rotation.T * height_px


def random_scene(rng: np.random.Generator, count: int, width: int = 640, height: int = 360) -> np.ndarray:
    """(count, 18, 2) px: people inside the image who may overlap; joints of one type are two cells or more apart.

    Nearer ones share one maximum of the map, and no grouping can tell them apart.
    """
    people: list[np.ndarray] = []
    for _ in range(100_000):
        person = random_person(rng, rng.uniform(90, 180))
        low, high = _MARGIN_PX - person.min(0), np.array((width, height)) - _MARGIN_PX - person.max(0)
        if (low > high).any():
            continue
        person = person + rng.uniform(low, high)
        if all(np.linalg.norm(person - other, axis=1).min() >= 2 * STRIDE for other in people):
            people.append(person)
        if len(people) == count:
            return np.array(people)
    raise AssertionError(f"{count} people do not fit into {width}×{height}")


def cells(count: int, centre: float) -> np.ndarray:
    """Positions (px) of a map's cells along one axis."""
    return np.arange(count) * STRIDE + centre


def heatmaps(
    joints: np.ndarray, width: int, height: int, present: np.ndarray | None = None, peak: float = 1.0
) -> np.ndarray:
    """(19, h, w) heatmaps of (P, 18, 2) joints: maxima of Gaussians, and the background."""
    u, v = (cells(n // STRIDE, (STRIDE - 1) / 2) for n in (width, height))
    maps = np.zeros((HEATMAPS, len(v), len(u)), np.float32)
    for p, k in np.argwhere(np.ones(joints.shape[:2], bool) if present is None else present):
        x, y = joints[p, k]
        gauss = np.exp(-0.5 * ((v[:, None] - y) ** 2 + (u - x) ** 2) / SIGMA_PX**2)
        maps[k] = np.maximum(maps[k], peak * gauss)
    maps[-1] = 1 - maps[:-1].max(0)
    return maps


def affinity_maps(joints: np.ndarray, width: int, height: int) -> np.ndarray:
    """(38, h, w) part-affinity maps: unit vectors within 8 px of each limb, averaged where limbs overlap."""
    maps = np.zeros((AFFINITY_MAPS, height // STRIDE, width // STRIDE), np.float32)
    u, v = (cells(n // STRIDE, LIGHTWEIGHT_OPENPOSE.affinity_centre) for n in (width, height))
    grid = np.stack(np.meshgrid(u, v), axis=-1)
    for limb in LIMBS:
        total, count = np.zeros_like(grid), np.zeros(grid.shape[:2])
        for person in joints:
            start, end = person[list(limb.joints)]
            length = np.linalg.norm(end - start)
            direction = (end - start) / max(length, 1e-6)
            along = ((grid - start) @ direction).clip(0, length)
            near = np.linalg.norm(grid - start - along[..., None] * direction, axis=-1) <= THICKNESS_PX
            total[near] += direction
            count += near
        maps[limb.channel : limb.channel + 2] = (total / np.maximum(count, 1)[..., None]).transpose(2, 0, 1)
    return maps


@dataclass(frozen=True)
class Score:
    """How many of a scene's joints were given to the right person."""

    right: int
    total: int


def score(truth: np.ndarray, found: np.ndarray, tolerance_px: float) -> Score:
    """Compare (P, 18, 2) truth (NaN where hidden) with (Q, 18, 2) found people, pairing each with one at most."""
    total = int(np.isfinite(truth[..., 0]).sum())
    if len(found) == 0:
        return Score(0, total)
    hits = (np.linalg.norm(truth[:, None] - found[None], axis=-1) <= tolerance_px).sum(-1)
    rows, columns = linear_sum_assignment(-hits)
    return Score(int(hits[rows, columns].sum()), total)
