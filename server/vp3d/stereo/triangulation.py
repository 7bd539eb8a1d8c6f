"""Points in 3D from their pictures in several calibrated views.

Linear triangulation by shifted inverse iterations: Remelli et al., "Lightweight Multi-View 3D Pose Estimation through
Camera-Disentangled Representation" (CVPR 2020), section 3.4. The smallest singular vector of the DLT matrix is the
fixed point of `b <- (A'A + shift)^-1 b`, which two rounds reach because the two smallest singular values are far apart.
"""

import itertools
import math

import torch

SHIFT = 1e-6
"""Added to A'A as a share of its mean eigenvalue: keeps it invertible where the rays meet exactly."""
ROUNDS = 2
SMALLEST_PARALLAX = 0.5
"""Degrees between the two rays that differ most, below which depth is not observable."""
INLIER_PX = 15.0
"""Reprojection error (px) up to which a view agrees with a hypothesis of two others."""
HUBER_PX = 3.0
_POLISH_ROUNDS = 5
_INFINITY = 1e-9
"""Homogeneous coordinate below which a point counts as infinitely far."""


def triangulate(
    points: torch.Tensor, projections: torch.Tensor, confidence: torch.Tensor | None = None
) -> torch.Tensor:
    """Points in 3D by confidence-weighted DLT with shifted inverse iterations; differentiable.

    Args:
        points: (..., V, 2) px, undistorted; NaN where a view does not see the point.
        projections: (..., V, 3, 4) from world to pixels, with depth as third coordinate (K [R t], not its negative).
        confidence: (..., V) weights, 0 for a view that is to be left out; None for all alike.

    Returns:
        (..., 3) in the world's units; NaN where fewer than two views see the point, where their rays are closer
        together than `SMALLEST_PARALLAX`, or where the point would lie behind a camera that sees it.
    """
    rows, seen = _equations(points, projections, confidence)
    factor = _shifted_cholesky(rows)
    vector = [torch.ones_like(rows[..., 0, 0])] * 4
    for _ in range(ROUNDS):
        vector = _solve(factor, vector)
        length = sum(v * v for v in vector).sqrt()
        vector = [v / length for v in vector]
    return _accepted(torch.stack(vector, -1), projections, seen)


def triangulate_svd(
    points: torch.Tensor, projections: torch.Tensor, confidence: torch.Tensor | None = None
) -> torch.Tensor:
    """`triangulate` by singular value decomposition: the reference, ten times as slow."""
    rows, seen = _equations(points, projections, confidence)
    return _accepted(torch.linalg.svd(rows, full_matrices=False).Vh[..., -1, :], projections, seen)


def project(world: torch.Tensor, projections: torch.Tensor) -> torch.Tensor:
    """Pixels (..., V, 2) of points (..., 3) in views (..., V, 3, 4)."""
    homogeneous = torch.cat([world, torch.ones_like(world[..., :1])], -1)
    image = (projections @ homogeneous[..., None, :, None])[..., 0]
    return image[..., :2] / image[..., 2:]


def triangulate_robust(
    points: torch.Tensor,
    projections: torch.Tensor,
    confidence: torch.Tensor | None = None,
    inlier_px: float = INLIER_PX,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Triangulation that leaves out views which contradict the others, polished on the reprojection error.

    Every pair of views is a hypothesis; the one with the most agreeing confidence wins, the nearer one where two draw.
    Agreeing views then refine the point by Gauss-Newton steps with Huber weights. With two views there is nothing to
    choose, only to polish.

    Returns:
        (..., 3) as `triangulate`, and (..., V) bool: which views agree.
    """
    views = points.shape[-2]
    weight = torch.ones_like(points[..., 0]) if confidence is None else confidence
    weight = torch.where(torch.isfinite(points).all(-1), weight, torch.zeros_like(weight))
    best = torch.full_like(points[..., 0, 0], -1.0)
    agreeing = torch.zeros_like(weight, dtype=torch.bool)
    for pair in itertools.combinations(range(views), 2):
        only = torch.zeros_like(weight)
        only[..., list(pair)] = weight[..., list(pair)]
        error = (project(triangulate(points, projections, only), projections) - points).norm(dim=-1)
        inlier = (error < inlier_px) & (weight > 0)
        # A sum of distances breaks ties between hypotheses that the same views support.
        closeness = torch.where(inlier, 1 - error / inlier_px, torch.zeros_like(error))
        score = (weight * (inlier + 0.01 * closeness)).sum(-1)
        better = (score > best) & inlier[..., list(pair)].all(-1)
        best = torch.where(better, score, best)
        agreeing = torch.where(better[..., None], inlier, agreeing)
    kept = torch.where(agreeing, weight, torch.zeros_like(weight))
    world = triangulate(points, projections, kept)
    return _polished(world, points, projections, kept), agreeing


def _polished(
    world: torch.Tensor, points: torch.Tensor, projections: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    observed = torch.where(torch.isfinite(points), points, torch.zeros_like(points))
    for _ in range(_POLISH_ROUNDS):
        homogeneous = torch.cat([world, torch.ones_like(world[..., :1])], -1)
        image = (projections @ homogeneous[..., None, :, None])[..., 0]
        depth = image[..., 2:]
        residual = image[..., :2] / depth - observed
        jacobian = (projections[..., :2, :3] - (image[..., :2] / depth)[..., None] * projections[..., 2:, :3]) / depth[
            ..., None
        ]
        huber = (HUBER_PX / residual.norm(dim=-1).clamp_min(HUBER_PX)) * weight
        weighted = jacobian * huber[..., None, None]
        normal = torch.einsum("...vci,...vcj->...ij", weighted, jacobian)
        gradient = torch.einsum("...vci,...vc->...i", weighted, residual)
        damping = 1e-9 * normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] + 1e-12
        step, _ = torch.linalg.solve_ex(
            normal + damping * torch.eye(3, dtype=world.dtype, device=world.device), gradient[..., None]
        )
        world = world - step[..., 0]
    return world


def _equations(
    points: torch.Tensor, projections: torch.Tensor, confidence: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """DLT rows (..., 2V, 4) of unit length times confidence, and which views see the point."""
    finite = torch.isfinite(points).all(-1)
    weight = finite.to(points.dtype) if confidence is None else torch.where(finite, confidence, 0.0)
    u, v = torch.where(finite[..., None], points, torch.zeros_like(points)).unbind(-1)
    third = projections[..., 2, :]
    rows = torch.stack(
        [u[..., None] * third - projections[..., 0, :], v[..., None] * third - projections[..., 1, :]], -2
    )
    rows = rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-12) * weight[..., None, None]
    return rows.flatten(-3, -2), weight > 0


def _shifted_cholesky(rows: torch.Tensor) -> list[list[torch.Tensor]]:
    """Lower factor of the shifted 4 x 4 normal matrix, entry by entry: batched solvers spend 20 times as long on it."""
    column = rows.unbind(-1)
    normal = [[(column[i] * column[j]).sum(-1) for j in range(i + 1)] for i in range(4)]
    trace = sum(normal[i][i] for i in range(4))
    shift = SHIFT * trace / 4 + (trace == 0)
    factor: list[list[torch.Tensor]] = []
    for i in range(4):
        row: list[torch.Tensor] = []
        for j in range(i):
            row.append((normal[i][j] - sum(row[k] * factor[j][k] for k in range(j))) / factor[j][j])
        row.append((normal[i][i] + shift - sum(entry * entry for entry in row)).clamp_min(1e-20).sqrt())
        factor.append(row)
    return factor


def _solve(factor: list[list[torch.Tensor]], right: list[torch.Tensor]) -> list[torch.Tensor]:
    """Forward and back substitution with a lower factor."""
    solution = list(right)
    for i in range(4):
        solution[i] = (solution[i] - sum(factor[i][k] * solution[k] for k in range(i))) / factor[i][i]
    for i in reversed(range(4)):
        solution[i] = (solution[i] - sum(factor[k][i] * solution[k] for k in range(i + 1, 4))) / factor[i][i]
    return solution


def _accepted(vector: torch.Tensor, projections: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Points from homogeneous vectors (..., 4), NaN where geometry says that they cannot be right."""
    last = vector[..., 3:]
    finite = last.abs() > _INFINITY
    world = vector[..., :3] / torch.where(finite, last, torch.ones_like(last))  # a NaN here would spoil all gradients
    with torch.no_grad():
        point, turn, offset = world[..., None, :], projections[..., :3], projections[..., 3]
        depth = (point * turn[..., 2, :]).sum(-1) + offset[..., 2]
        accepted = ((depth > 0) | ~seen).all(-1) & (seen.sum(-1) >= 2)
        centre = -torch.linalg.solve(turn, offset[..., None])[..., 0]
        # By the law of cosines, from distances: vectors of all pairs would take several times as long.
        square = (point - centre).square().sum(-1)
        distance = square.sqrt()
        parallax = torch.zeros_like(accepted)
        for i, j in itertools.combinations(range(seen.shape[-1]), 2):
            baseline = (centre[..., i, :] - centre[..., j, :]).square().sum(-1)
            product = 2 * distance[..., i] * distance[..., j]
            wide = square[..., i] + square[..., j] - baseline < math.cos(math.radians(SMALLEST_PARALLAX)) * product
            parallax |= wide & seen[..., i] & seen[..., j]
        accepted &= parallax & finite[..., 0]
    return torch.where(accepted[..., None], world, torch.full_like(world, torch.nan))
