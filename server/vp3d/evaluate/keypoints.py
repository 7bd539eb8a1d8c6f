"""How well found people agree with known ones in images, as the field reports it.

Sources: OKS and its average precision as COCO defines them (Lin et al. 2014; ten thresholds, 101 recall points); PCK
with the torso as its unit (Yang and Ramanan 2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vp3d.common.skeletons import BODY_21
from vp3d.track.oks import SIGMAS, size

THRESHOLDS = np.arange(0.5, 0.96, 0.05)
_RECALLS = np.linspace(0, 1, 101)
_LEFT_SHOULDER, _RIGHT_SHOULDER, _LEFT_HIP, _RIGHT_HIP = (
    BODY_21.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")
)
_TORSO_OF_EXTENT = 0.3  # of a standing person


@dataclass(frozen=True)
class Agreement:
    """Counts over images.

    Attributes:
        pck: share of known joints found within `tolerance` torsos in the same person, mean over people.
        people: known people; `missed` of them have no counterpart, and `extra` found ones are none of them.
    """

    pck: float
    people: int
    missed: int
    extra: int


def torso(joints: np.ndarray) -> np.ndarray:
    """Distance (...,) px from the middle of the shoulders to that of the hips, or three tenths of the joints' extent.

    Args:
        joints: (..., 21, 2) px, NaN where absent.
    """
    shoulders = (joints[..., _LEFT_SHOULDER, :] + joints[..., _RIGHT_SHOULDER, :]) / 2
    hips = (joints[..., _LEFT_HIP, :] + joints[..., _RIGHT_HIP, :]) / 2
    trunk = np.linalg.norm(shoulders - hips, axis=-1)
    extent = size(joints) / np.sqrt(0.2)
    # A torso seen from its end is short, and its person is not.
    return np.fmax(trunk, _TORSO_OF_EXTENT * 0.5 * extent)


def agreement(true: Sequence[np.ndarray], found: Sequence[np.ndarray], tolerance: float = 0.2) -> Agreement:
    """PCK by person, and people missed and made up.

    Args:
        true: per image (P, 21, 2) px, NaN where not known.
        found: per image (Q, 21, 2) px, NaN where not found.
        tolerance: in torsos.
    """
    shares, missed, extra = [], 0, 0
    for known, seen in zip(true, found, strict=True):
        distance = np.linalg.norm(known[:, None] - seen[None], axis=-1)
        hits = (distance <= tolerance * torso(known)[:, None, None]).sum(-1)
        rows, columns = linear_sum_assignment(-hits)
        paired = hits[rows, columns]
        counts = np.zeros(len(known))
        counts[rows] = paired
        joints = np.isfinite(known[..., 0]).sum(1)
        shares += (counts / np.maximum(joints, 1))[joints > 0].tolist()
        missed += len(known) - int((paired > 0).sum())
        extra += len(seen) - int((paired > 0).sum())
    return Agreement(float(np.mean(shares)) if shares else float("nan"), len(shares), missed, extra)


def average_precision(true: Sequence[np.ndarray], found: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> float:
    """COCO's OKS-AP, mean over the thresholds 0.50…0.95, NaN where nobody is known.

    Args:
        true: per image (P, 21, 2) px, NaN where not known.
        found: per image (Q, 21, 2) px, NaN where not found; NaN joints count as wrong.
        scores: per image (Q,), how sure each found person is.
    """
    total = sum(len(known) for known in true)
    if not total:
        return float("nan")
    everyone = []
    for known, seen, sure in zip(true, found, scores, strict=True):
        order = np.argsort(-sure, kind="stable")
        everyone.append((_oks(known, seen[order]), sure[order]))
    score = np.concatenate([sure for _, sure in everyone]) if everyone else np.zeros(0)
    order = np.argsort(-score, kind="stable")
    result = []
    for threshold in THRESHOLDS:
        hits = np.concatenate([_matches(oks, threshold) for oks, _ in everyone])[order]
        right = np.cumsum(hits)
        precision = right / np.arange(1, len(hits) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(right / total, _RECALLS, side="left")
        result.append(np.append(precision, 0.0)[at].mean())
    return float(np.mean(result))


def _oks(known: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(P, Q) object key-point similarity over the known joints."""
    there = np.isfinite(known[..., 0])
    distance2 = ((known[:, None] - seen[None]) ** 2).sum(-1)
    variance = (2 * SIGMAS) ** 2 * np.maximum(size(known), 1e-6)[:, None] ** 2
    similar = np.nan_to_num(np.exp(-distance2 / (2 * variance[:, None])))
    return (similar * there[:, None]).sum(-1) / np.maximum(there.sum(-1), 1)[:, None]


def _matches(oks: np.ndarray, threshold: float) -> np.ndarray:
    """(Q,) bool: which found people, surest first, take a known one that nobody surer has taken."""
    free = np.ones(len(oks), bool)
    result = np.zeros(oks.shape[1], bool)
    for person in range(oks.shape[1]):
        similarity = np.where(free, oks[:, person], -1)
        if len(similarity) and similarity.max() >= threshold:
            free[similarity.argmax()] = False
            result[person] = True
    return result
