"""Planted feet that do not slide: the root gives way first, then the legs bend, and neither by much."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vp3d.refine import skeleton

REACH = 0.02
"""m by which an ankle is moved at most: what a wrong contact costs."""
_EASE = 0.1
"""s over which the lock lets go before and after a contact."""
_ROOT_BLUR = 0.08
"""s, standard deviation of the filter that keeps the root's way smooth."""
_STRETCHED = 0.999
"""Share of the leg's length to which inverse kinematics straightens it at most, unless it was straighter before."""
_LEGS = np.array([skeleton.HIPS, skeleton.KNEES, skeleton.ANKLES])


def lock(
    joints: np.ndarray, contact: np.ndarray, linked: np.ndarray, step: float, up: np.ndarray, strength: float = 1.0
) -> np.ndarray:
    """Joints (n, 17, 3) m whose planted ankles stay where they are for as long as they are planted.

    Args:
        joints: (n, 17, 3) m.
        contact: (n, 2) probability that the left and the right foot is planted, 0 where not.
        linked: (n-1,) bool, whether a frame follows the one before without a gap.
        step: s between frames.
        up: (3,) unit, in the axes of the joints.
        strength: 0 leaves everything as it is, 1 locks.
    """
    if strength <= 0 or not contact.any():
        return joints
    offset, weight = np.zeros((len(joints), 2, 3)), np.zeros((len(joints), 2))
    for foot, ankle in enumerate(skeleton.ANKLES):
        for start, stop in _runs(contact[:, foot] > 0, linked):
            way = joints[start:stop, ankle]
            off = np.median(way, axis=0) - way
            off *= strength * np.minimum(1, REACH / np.maximum(np.linalg.norm(off, axis=-1, keepdims=True), 1e-9))
            rows, ease = _around(start, stop, contact[:, foot] > 0, linked, step)
            stronger = ease > weight[rows, foot]
            rows, ease = rows[stronger], ease[stronger]
            offset[rows, foot] = ease[:, None] * off[np.clip(rows, start, stop - 1) - start]
            weight[rows, foot] = ease

    root = offset.sum(1) / np.maximum(weight.sum(1), 1)[:, None]
    for section in np.split(np.arange(len(joints)), np.flatnonzero(~linked) + 1):
        root[section] = gaussian_filter1d(root[section], _ROOT_BLUR / step, axis=0, mode="nearest")
    moved = joints + root[:, None]
    ahead = skeleton.forward(joints, up)
    for foot, (hip, knee, ankle) in enumerate(_LEGS.T):
        # A foot in the air goes with the root; one that is planted goes to where it is held.
        target = joints[:, ankle] + offset[:, foot] + (1 - weight[:, foot, None]) * root
        moved[:, knee], moved[:, ankle] = _bend(moved[:, hip], moved[:, knee], moved[:, ankle], target, ahead)
    return moved


def _runs(planted: np.ndarray, linked: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each contact."""
    before, after = planted[:-1] & linked, planted[1:] & linked
    starts = np.flatnonzero(planted & ~np.append(False, before))
    stops = np.flatnonzero(planted & ~np.append(after, False)) + 1
    return list(zip(starts, stops, strict=True))


def _around(
    start: int, stop: int, planted: np.ndarray, linked: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a contact and of the frames around it in which its lock lets go, and how strong it is in each, 0 to 1."""
    section = np.concatenate([[0], np.cumsum(~linked)])
    reach = int(_EASE / step)
    rows = np.arange(max(start - reach, 0), min(stop + reach, len(planted)))
    away = np.maximum(np.maximum(start - rows, rows - stop + 1), 0)
    held = (section[rows] == section[start]) & ((away == 0) | ~planted[rows])
    return rows[held], (1 - away / (reach + 1))[held]


def _bend(
    hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, target: np.ndarray, ahead: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle (n, 3) of legs that reach for a target (n, 3), with bones that keep their lengths and a knee that
    stays on its side; one that was straight bends `ahead` (n, 3)."""
    thigh, shin = np.linalg.norm(knee - hip, axis=-1), np.linalg.norm(ankle - knee, axis=-1)
    before = np.linalg.norm(ankle - hip, axis=-1)
    reach = target - hip
    distance = np.maximum(np.linalg.norm(reach, axis=-1), 1e-9)
    along = reach / distance[:, None]
    distance = np.minimum(distance, np.maximum(before, _STRETCHED * (thigh + shin)))
    distance = np.maximum(distance, np.abs(thigh - shin) + 1e-6)
    side = knee - hip + 1e-3 * ahead
    side -= (side * along).sum(-1, keepdims=True) * along
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-12)
    foot_point = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(thigh**2 - foot_point**2, 0))
    return hip + along * foot_point[:, None] + side * height[:, None], hip + along * distance[:, None]
