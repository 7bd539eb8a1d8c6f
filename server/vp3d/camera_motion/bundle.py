"""Bundle adjustment of the background: rotation, place and zoom of cameras, one focal length, and points near or far.

A point is a direction and an inverse distance from the origin, so that what is infinitely far, and what a camera that
only turns sees, needs no case of its own: Civera et al., "Inverse Depth Parametrization for Monocular SLAM" (2008).
Levenberg-Marquardt with the points eliminated: Triggs et al., "Bundle Adjustment - A Modern Synthesis" (2000).
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

PER_CAMERA = 7
"""Unknowns of a camera: three of its rotation, three of its place, and the log of its zoom."""
_TURN, _PLACE, _ZOOM = slice(0, 3), slice(3, 6), 6
_NEAR = 0.02
"""Depth, as a share of the point's distance, below which a camera cannot see it."""
_FLOOR_SIGMA = 0.05
"""px that a followed feature is off at best."""
_KERNEL = 3.0
"""Width of the Geman-McClure kernel in robust standard deviations."""
_REGULAR = 1e-9
_CONVERGED = 1e-5
_WORST_DAMPING = 1e6


@dataclass
class Cameras:
    """C cameras: `rotation` (C, 3, 3) into camera axes, `place` (C, 3), `log_zoom` (C,), and `focal` px that they share
    where the zoom is 1. All in the axes and the unit of the points."""

    rotation: np.ndarray
    place: np.ndarray
    log_zoom: np.ndarray
    focal: float

    def at(self, which: np.ndarray | slice) -> "Cameras":
        """Some of the cameras."""
        return Cameras(self.rotation[which], self.place[which], self.log_zoom[which], self.focal)

    def put(self, which: np.ndarray | slice, cameras: "Cameras") -> None:
        """Replace some of the cameras."""
        self.rotation[which], self.place[which] = cameras.rotation, cameras.place
        self.log_zoom[which], self.focal = cameras.log_zoom, cameras.focal


@dataclass
class Points:
    """P points: unit `direction` (P, 3) from the origin and `inverse` (P,) distance, 0 where infinitely far."""

    direction: np.ndarray
    inverse: np.ndarray


@dataclass
class Observations:
    """M times a point was seen: `camera` (M,), `point` (M,), `place` (M, 2) px from the principal point."""

    camera: np.ndarray
    point: np.ndarray
    place: np.ndarray

    def among(self, keep: np.ndarray) -> "Observations":
        """Some of the observations."""
        return Observations(self.camera[keep], self.point[keep], self.place[keep])


@dataclass(frozen=True)
class Unknown:
    """What may change of cameras and points; `fixed` is a camera that stays, for the world has to hang on one."""

    turn: bool = True
    place: bool = False
    zoom: bool = False
    points: bool = True
    depth: bool = False
    fixed: int | None = 0
    focal_prior: tuple[float, float] | None = None
    """Logarithm of the focal length (px) and its sigma, or None where it is known."""


@dataclass
class Adjusted:
    """Outcome: `error` (M,) px of each observation, `weight` (M,) 0..1, and the sigma of the log focal length."""

    error: np.ndarray
    weight: np.ndarray
    focal_sigma: float = field(default=0.0)


def projected(cameras: Cameras, points: Points, seen: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Where the points appear, (M, 2) px from the principal point, and in camera axes (M, 3)."""
    X = points.direction[seen.point] - points.inverse[seen.point, None] * cameras.place[seen.camera]
    Y = np.einsum("mij,mj->mi", cameras.rotation[seen.camera], X)
    focal = cameras.focal * np.exp(cameras.log_zoom[seen.camera])
    with np.errstate(all="ignore"):
        return Y[:, :2] / Y[:, 2:] * focal[:, None], Y


def adjust(cameras: Cameras, points: Points, seen: Observations, unknown: Unknown, iterations: int = 20) -> Adjusted:
    """Move cameras and points, in place, to where the robust reprojection error is least.

    Args:
        cameras: present estimate, changed.
        points: present estimate, changed where they are unknown.
        seen: what is to be explained.
        unknown: what may change.
        iterations: steps at most.
    """
    damping = 1e-3
    width = _width(cameras, points, seen)
    weight, cost = _weigh(cameras, points, seen, unknown, width)
    for _ in range(iterations):
        system = _linearise(cameras, points, seen, unknown, weight)
        while damping < _WORST_DAMPING:
            step, point_step = _step(system, damping)
            tried, moved = _moved(cameras, points, system, step, point_step)
            _, new_cost = _weigh(tried, moved, seen, unknown, width)
            if new_cost < cost:
                break
            damping *= 8
        else:
            break
        gain = (cost - new_cost) / max(cost, 1e-12)
        cameras.put(slice(None), tried)
        points.direction, points.inverse = moved.direction, moved.inverse
        damping = max(damping / 6, 1e-9)
        width = min(width, _width(cameras, points, seen))
        weight, cost = _weigh(cameras, points, seen, unknown, width)
        if gain < _CONVERGED:
            break
    error = _error(cameras, points, seen)
    return Adjusted(error, weight, _focal_sigma(cameras, points, seen, unknown, weight, error))


def _error(cameras: Cameras, points: Points, seen: Observations) -> np.ndarray:
    place, Y = projected(cameras, points, seen)
    error = np.linalg.norm(place - seen.place, axis=-1)
    return np.where(Y[:, 2] > _NEAR * np.linalg.norm(Y, axis=-1), error, np.inf)


def _width(cameras: Cameras, points: Points, seen: Observations) -> float:
    """px beyond which an error counts less and less; half of all observations are taken to be right."""
    error = _error(cameras, points, seen)
    # the median length of a two-dimensional normal error is 1.18 sigma
    return _KERNEL * max(float(np.median(np.minimum(error, 1e3))) / 1.18, _FLOOR_SIGMA)


def _weigh(
    cameras: Cameras, points: Points, seen: Observations, unknown: Unknown, width: float
) -> tuple[np.ndarray, float]:
    """Geman-McClure weights (M,) of the observations, and the robust cost in px²."""
    squared = (_error(cameras, points, seen) / width) ** 2
    with np.errstate(invalid="ignore"):
        cost = width**2 * np.where(np.isfinite(squared), squared / (1 + squared), 1.0).sum()
    if unknown.focal_prior is not None:
        mean, sigma = unknown.focal_prior
        cost += ((np.log(cameras.focal) - mean) / sigma) ** 2 * (width / _KERNEL) ** 2
    return 1 / (1 + squared) ** 2, cost


@dataclass
class _System:
    """Normal equations: `camera` over the active unknowns of cameras, `cross` to the points, `point` (P, 3, 3)."""

    active: np.ndarray
    basis: np.ndarray
    camera: sparse.csc_matrix
    cross: sparse.csr_matrix
    point: np.ndarray
    gradient: np.ndarray
    point_gradient: np.ndarray


def _active(count: int, unknown: Unknown) -> np.ndarray:
    """Columns of the unknowns that may change among those of `count` cameras and the focal length."""
    active = np.zeros((count, PER_CAMERA), bool)
    active[:, _TURN], active[:, _PLACE], active[:, _ZOOM] = unknown.turn, unknown.place, unknown.zoom
    if unknown.fixed is not None:
        active[unknown.fixed] = False
    return np.flatnonzero(np.append(active, unknown.focal_prior is not None))


def _tangents(direction: np.ndarray) -> np.ndarray:
    """(P, 3, 2) unit vectors at right angles to unit directions (P, 3)."""
    helper = np.eye(3)[np.abs(direction).argmin(-1)]
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(direction, first)], -1)


def _linearise(cameras: Cameras, points: Points, seen: Observations, unknown: Unknown, weight: np.ndarray) -> _System:
    count, known = len(cameras.rotation), len(points.inverse)
    place, Y = projected(cameras, points, seen)
    usable = weight > 0
    residual = np.where(usable[:, None], place - seen.place, 0.0)
    focal = cameras.focal * np.exp(cameras.log_zoom[seen.camera])
    with np.errstate(all="ignore"):
        by_Y = np.zeros((len(Y), 2, 3))
        by_Y[:, 0, 0] = by_Y[:, 1, 1] = focal / Y[:, 2]
        by_Y[:, :, 2] = -place / Y[:, 2:]
    by_Y[~usable] = 0
    root = np.sqrt(weight)
    R, inverse = cameras.rotation[seen.camera], points.inverse[seen.point, None, None]
    by_X = by_Y @ R
    by_camera = np.zeros((len(Y), 2, PER_CAMERA + 1))
    by_camera[..., _TURN] = np.cross(Y[:, None], by_Y)
    by_camera[..., _PLACE] = -inverse * by_X
    by_camera[..., _ZOOM] = by_camera[..., PER_CAMERA] = np.where(usable[:, None], place, 0.0)
    by_camera *= root[:, None, None]
    residual = residual * root[:, None]

    columns = np.concatenate(
        [seen.camera[:, None] * PER_CAMERA + np.arange(PER_CAMERA), np.full((len(Y), 1), count * PER_CAMERA)], axis=1
    )
    jacobian = sparse.csr_matrix(
        (by_camera.ravel(), columns.repeat(2, axis=0).ravel(), np.arange(2 * len(Y) + 1) * (PER_CAMERA + 1)),
        shape=(2 * len(Y), count * PER_CAMERA + 1),
    )
    active = _active(count, unknown)
    jacobian = jacobian[:, active]
    camera = (jacobian.T @ jacobian).tolil()
    gradient = jacobian.T @ residual.ravel()
    if unknown.focal_prior is not None:
        mean, sigma = unknown.focal_prior
        noise = _noise(residual, weight)
        camera[-1, -1] += (noise / sigma) ** 2
        gradient[-1] += (np.log(cameras.focal) - mean) * (noise / sigma) ** 2

    basis = _tangents(points.direction)
    if not unknown.points:
        nothing = sparse.csr_matrix((len(active), 3 * known))
        return _System(active, basis, camera.tocsc(), nothing, np.zeros((known, 3, 3)), gradient, np.zeros((known, 3)))
    by_point = np.zeros((len(Y), 2, 3))
    by_point[..., :2] = by_X @ basis[seen.point]
    if unknown.depth:
        by_point[..., 2] = -np.einsum("mcx,mx->mc", by_X, cameras.place[seen.camera])
    by_point *= root[:, None, None]
    blocks = np.einsum("mca,mcb->mab", by_point, by_point)
    pull = np.einsum("mca,mc->ma", by_point, residual)
    point = np.stack([np.bincount(seen.point, b, known) for b in blocks.reshape(-1, 9).T], -1).reshape(-1, 3, 3)
    point_gradient = np.stack([np.bincount(seen.point, p, known) for p in pull.T], -1)
    point_jacobian = sparse.csr_matrix(
        (
            by_point.ravel(),
            (seen.point[:, None] * 3 + np.arange(3)).repeat(2, axis=0).ravel(),
            np.arange(2 * len(Y) + 1) * 3,
        ),
        shape=(2 * len(Y), known * 3),
    )
    cross = (jacobian.T @ point_jacobian).tocsr()
    return _System(active, basis, camera.tocsc(), cross, point, gradient, point_gradient)


def _noise(residual: np.ndarray, weight: np.ndarray) -> float:
    """px, standard deviation of one coordinate from weighted residuals (M, 2)."""
    return float(max(np.sqrt((residual**2).sum() / max(2 * weight.sum(), 1.0)), _FLOOR_SIGMA))


def _reduce(system: _System, damping: float) -> tuple[sparse.csc_matrix, np.ndarray, sparse.csr_matrix | None]:
    """Cameras' equations with the points eliminated, their right side, and the inverse of the points' blocks."""
    diagonal = sparse.diags(system.camera.diagonal() * damping + _REGULAR)
    if not system.cross.nnz:
        return (system.camera + diagonal).tocsc(), system.gradient, None
    damped = system.point + np.eye(3) * (np.einsum("pii->pi", system.point)[:, None] * damping + _REGULAR)
    inverse = _inverse(damped)
    known = len(inverse)
    blocks = sparse.bsr_matrix((inverse, np.arange(known), np.arange(known + 1)), shape=(3 * known, 3 * known)).tocsr()
    carried = system.cross @ blocks
    reduced = system.camera + diagonal - carried @ system.cross.T
    return reduced.tocsc(), system.gradient - carried @ system.point_gradient.ravel(), blocks


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Of symmetric matrices (P, 3, 3), by cofactors: many times faster than one by one."""
    a, b, c = matrices[:, 0], matrices[:, 1], matrices[:, 2]
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    return cofactors / np.einsum("px,px->p", a, cofactors[:, 0])[:, None, None]


def _step(system: _System, damping: float) -> tuple[np.ndarray, np.ndarray]:
    reduced, gradient, blocks = _reduce(system, damping)
    step = -splu(reduced).solve(gradient) if len(gradient) else gradient
    if blocks is None:
        return step, np.zeros_like(system.point_gradient)
    point_step = -blocks @ (system.point_gradient.ravel() + system.cross.T @ step)
    return step, point_step.reshape(-1, 3)


def _moved(
    cameras: Cameras, points: Points, system: _System, step: np.ndarray, point_step: np.ndarray
) -> tuple[Cameras, Points]:
    full = np.zeros(len(cameras.rotation) * PER_CAMERA + 1)
    full[system.active] = step
    each = full[:-1].reshape(-1, PER_CAMERA)
    direction = points.direction + np.einsum("pxa,pa->px", system.basis, point_step[:, :2])
    return (
        Cameras(
            Rotation.from_rotvec(each[:, _TURN]).as_matrix() @ cameras.rotation,
            cameras.place + each[:, _PLACE],
            cameras.log_zoom + each[:, _ZOOM],
            float(cameras.focal * np.exp(np.clip(full[-1], -0.3, 0.3))),
        ),
        Points(direction / np.linalg.norm(direction, axis=-1, keepdims=True), points.inverse + point_step[:, 2]),
    )


def _focal_sigma(
    cameras: Cameras, points: Points, seen: Observations, unknown: Unknown, weight: np.ndarray, error: np.ndarray
) -> float:
    """Sigma of the log focal length; a feature's errors go on from frame to frame, so each counts once per feature."""
    if unknown.focal_prior is None or not len(seen.place):
        return 0.0
    system = _linearise(cameras, points, seen, unknown, weight)
    reduced, _, _ = _reduce(system, 1e-9)
    last = np.zeros(reduced.shape[0])
    last[-1] = 1.0
    noise = _noise(np.where(weight > 0, error, 0.0) * np.sqrt(weight), weight)
    repeats = len(seen.place) / max(len(np.unique(seen.point)), 1)
    own = max(float(splu(reduced).solve(last)[-1]), 0.0) * noise**2 * repeats
    return float(min(np.sqrt(own), unknown.focal_prior[1]))
