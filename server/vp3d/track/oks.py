"""Object key-point similarity (COCO): how well two poses agree, in units of how well people can place each joint."""

import numpy as np

SIGMAS = np.array([
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089, 0.066, 0.066, 0.068, 0.068,
])  # fmt: skip
"""COCO's standard deviations for `skeletons.BODY_21`, as fractions of the person's size; feet from COCO-WholeBody."""

DETECTOR_NOISE = 0.05
"""What a detector's pixel grid adds to every joint, as a fraction of the person's size."""

MIN_SHARED = 3
"""Fewer joints in common say nothing about two poses."""


def size(joints: np.ndarray) -> np.ndarray:
    """Size of people, px: the square root of the area that COCO would give a standing person of this extent.

    A standing person covers about 0.2 of the square of the larger side of the box around the joints.

    Args:
        joints: (..., J, 2) px, NaN where absent.

    Returns:
        (...) px, 0 where no joint is known.
    """
    known = np.isfinite(joints)
    low = np.where(known, joints, np.inf).min(-2)
    high = np.where(known, joints, -np.inf).max(-2)
    return np.sqrt(0.2) * np.maximum((high - low).max(-1), 0)


def similarity(a: np.ndarray, b: np.ndarray, sizes: np.ndarray, drift: np.ndarray | float = 0.0) -> np.ndarray:
    """OKS of every pose in `a` with every pose in `b`: mean over shared joints of exp(-d^2 / (2 s^2 k^2)), k = 2 sigma.

    Args:
        a: (A, 21, 2) px, NaN where absent.
        b: (B, 21, 2) px, NaN where absent.
        sizes: (A,) px, `size` of the people in `a`.
        drift: (A,) standard deviation of unknown movement, as a fraction of the size.

    Returns:
        (A, B) 0..1, 0 where fewer than `MIN_SHARED` joints are shared.
    """
    distance2 = ((a[:, None] - b[None]) ** 2).sum(-1)
    drift = np.broadcast_to(np.asarray(drift, float), (len(a),))
    variance = (2 * SIGMAS) ** 2 + DETECTOR_NOISE**2 + drift[:, None] ** 2
    tolerance2 = np.maximum(sizes, 1e-9)[:, None] ** 2 * variance
    agreement = np.exp(-distance2 / (2 * tolerance2[:, None]))
    shared = np.isfinite(agreement).sum(-1)
    return np.where(shared >= MIN_SHARED, np.nansum(agreement, -1) / np.maximum(shared, 1), 0.0)
