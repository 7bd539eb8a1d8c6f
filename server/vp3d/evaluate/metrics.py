"""Errors of 3D poses as the field reports them. All take (..., J, 3) in metres and return metres.

Sources: the protocols of Ionescu et al., "Human3.6M" (2014); N-MPJPE of Rhodin et al. (2018); MPJVE of Pavllo et al.
(2019); similarity alignment of Umeyama, "Least-squares estimation of transformation parameters" (1991).
"""

from collections.abc import Sequence

import numpy as np


def mpjpe(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean per-joint position error of every pose, (...,)."""
    return np.linalg.norm(predicted - true, axis=-1).mean(-1)


def align(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Every predicted pose moved, turned and scaled, never mirrored, to lie nearest to the true one (Umeyama)."""
    middle_p, middle_t = predicted.mean(-2, keepdims=True), true.mean(-2, keepdims=True)
    p, t = predicted - middle_p, true - middle_t
    u, s, vt = np.linalg.svd(t.swapaxes(-1, -2) @ p)
    sign = np.ones_like(s)
    sign[..., -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[..., None, :]) @ vt
    scale = (s * sign).sum(-1) / np.maximum((p**2).sum((-1, -2)), 1e-12)
    return scale[..., None, None] * (p @ rotation.swapaxes(-1, -2)) + middle_t


def p_mpjpe(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """MPJPE after `align`, (...,)."""
    return mpjpe(align(predicted, true), true)


def n_mpjpe(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """MPJPE after scaling every root-relative pose to fit best, (...,)."""
    scale = (predicted * true).sum((-1, -2)) / np.maximum((predicted**2).sum((-1, -2)), 1e-12)
    return mpjpe(scale[..., None, None] * predicted, true)


def mpjve(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean per-joint velocity error of sequences (..., T, J, 3), metres per frame, (..., T - 1)."""
    return mpjpe(np.diff(predicted, axis=-3), np.diff(true, axis=-3))


def jitter(joints: np.ndarray) -> np.ndarray:
    """Mean length of the second difference of sequences (..., T, J, 3), metres per frame squared, (..., T - 2)."""
    return np.linalg.norm(np.diff(joints, n=2, axis=-3), axis=-1).mean(-1)


def bone_spread(joints: np.ndarray, parents: Sequence[int]) -> float:
    """Standard deviation over mean of every bone's length over time, averaged over the bones.

    Args:
        joints: (T, J, 3), NaN where missing; bones that are never whole are left out.
        parents: index of each joint's parent, negative for a root.
    """
    pairs = [(joint, parent) for joint, parent in enumerate(parents) if parent >= 0]
    lengths = np.stack([np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in pairs], -1)
    lengths = lengths[:, np.isfinite(lengths).any(0)]
    return float((np.nanstd(lengths, axis=0) / np.nanmean(lengths, axis=0)).mean())
