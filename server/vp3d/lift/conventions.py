"""How 2D joints are presented to a lifter: a table, because every checkpoint is tied to the one it was trained with.

All conventions start from normalised image coordinates, the ray through a pixel at depth 1, so a lifter never sees
pixels. They work on torch tensors on any device, because training makes its examples with them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

HUMAN36M_FOCAL = 2.295
"""Focal length over half the image width of the Human3.6M cameras (2.290 to 2.299), baked into weights trained
there."""

_ANCHOR_SPREAD = 2.0
"""Frames; joints nearer in time count more for the direction that is put on the axis."""
_ANCHOR_ELSEWHERE = 1e-3
"""Weight of other joints beside the hips: nothing where a hip is seen, everything where none is."""
_SMALLEST_SIZE = 1e-3
_LOG_SIZE_SHIFT = 2.4
"""Minus the log size of a whole person some 5 m away, so that the feature is about zero on average."""

_HIPS = (11, 12)


@dataclass(frozen=True)
class Convention:
    """One way of presenting joints.

    Attributes:
        name: what checkpoints call it.
        features_per_frame: input numbers per frame for a number of joints.
        windowed: the features of a frame depend on the window it is seen in.
        encode: (rays (..., W, J, 2), NaN where missing; confidence (..., W, J); index of the window's own frame) to
            features (..., W, F) and the rotation (..., 3, 3) from camera axes to the axes the poses come out in.
        root_units: features (..., F) of the own frame to (..., 3) m, what the three numbers of a trajectory network are
            multiples of.
    """

    name: str
    features_per_frame: Callable[[int], int]
    windowed: bool
    encode: Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
    root_units: Callable[[torch.Tensor], torch.Tensor]


def look_at(direction: torch.Tensor) -> torch.Tensor:
    """Rotation (..., 3, 3) that turns the camera, without rolling it, so that `direction` (..., 3) becomes its axis."""
    z = direction / direction.norm(dim=-1, keepdim=True)
    x = torch.stack([z[..., 2], torch.zeros_like(z[..., 0]), -z[..., 0]], -1)
    x = x / x.norm(dim=-1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x), z], -2)


def canonical(rays: torch.Tensor, confidence: torch.Tensor, now: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn the camera towards the person and divide by the person's size, so that position, lens and distance drop out.

    The direction to the hips around frame `now` becomes the optical axis of the whole window; coordinates are divided
    by the window's median RMS spread of the joints, whose logarithm is a feature of its own because it carries
    perspective. Features per frame: (x, y, confidence) of every joint, then the log size.
    """
    weight = torch.where(rays.isfinite().all(-1), confidence, 0.0)
    points = torch.where(weight[..., None] > 0, rays, 0.0)
    frames = torch.arange(rays.shape[-3], device=rays.device, dtype=rays.dtype)
    near = torch.exp(-0.5 * ((frames - now) / _ANCHOR_SPREAD) ** 2) + 1e-6
    hips = torch.full((rays.shape[-2],), _ANCHOR_ELSEWHERE, device=rays.device, dtype=rays.dtype)
    hips[list(_HIPS)] = 1.0
    anchor = _mean(points, weight * near[:, None] * hips, (-2, -1))
    rotation = look_at(_homogeneous(anchor))

    aimed = (_homogeneous(points).flatten(-3, -2) @ rotation.mT).unflatten(-2, points.shape[-3:-1])
    aimed = aimed[..., :2] / aimed[..., 2:].clamp(min=0.05)
    middle = _mean(aimed, weight, (-1,))
    spread = _mean(((aimed - middle[..., None, :]) ** 2).sum(-1, keepdim=True), weight, (-1,))[..., 0].sqrt()
    seen = (weight > 0).sum(-1) >= 2
    size = torch.where(seen, spread, torch.nan).nanmedian(-1).values.nan_to_num(nan=1.0)
    size = size.clamp(min=_SMALLEST_SIZE)[..., None, None]

    scaled = torch.where(weight[..., None] > 0, aimed / size[..., None], 0.0)
    joints = torch.cat([scaled, weight[..., None]], -1).flatten(-2)
    log_size = (size.log() + _LOG_SIZE_SHIFT).expand(*joints.shape[:-1], 1)
    return torch.cat([joints, log_size], -1).float(), rotation


def unrated(rays: torch.Tensor, confidence: torch.Tensor, now: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As `canonical`, but a joint counts fully or, where it is missing, not at all, whatever its confidence."""
    return canonical(rays, (confidence > 0).to(rays.dtype), now)


def size_of(features: torch.Tensor) -> torch.Tensor:
    """The person's RMS size in normalised image coordinates, from canonical features (..., F)."""
    return torch.exp(features[..., -1] - _LOG_SIZE_SHIFT)


def _canonical_units(features: torch.Tensor) -> torch.Tensor:
    """The root is near the axis whatever the distance, which is inversely proportional to the size."""
    ones = torch.ones_like(features[..., 0])
    return torch.stack([ones, ones, 1 / size_of(features)], -1)


def _metres(features: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(features[..., :3])


def width_normalised(rays: torch.Tensor, confidence: torch.Tensor, now: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates as VideoPose3D's published weights expect them: the image as a Human3.6M camera would have seen it.

    These weights know no missing joints: such a joint is interpolated over time, as their authors do, and one that is
    never seen lies in the person's middle. Takes whole sequences (W, J, 2) only.
    """
    del now
    seen = (rays.isfinite().all(-1) & (confidence > 0)).cpu().numpy()
    times = np.arange(len(rays))
    points = np.where(seen[..., None], rays.cpu().numpy(), 0.0)
    middle = points.sum(1) / np.maximum(seen.sum(1), 1)[:, None]
    someone = seen.any(1)
    for j in range(rays.shape[1]):
        known, values = (seen[:, j], points[:, j]) if seen[:, j].any() else (someone, middle)
        points[:, j] = np.stack([np.interp(times, times[known], values[known, axis]) for axis in (0, 1)], -1)
    features = torch.from_numpy(points * HUMAN36M_FOCAL).flatten(1).to(rays.device, torch.float32)
    return features, torch.eye(3, device=rays.device, dtype=rays.dtype)


def _homogeneous(points: torch.Tensor) -> torch.Tensor:
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)


def _mean(values: torch.Tensor, weight: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    total = weight.sum(axes).clamp(min=1e-12)[..., None]
    return (values * weight[..., None]).sum([axis - 1 for axis in axes]) / total


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention("canonical", lambda joints: 3 * joints + 1, True, canonical, _canonical_units),
        Convention("unrated", lambda joints: 3 * joints + 1, True, unrated, _canonical_units),
        Convention("width-normalised", lambda joints: 2 * joints, False, width_normalised, _metres),
    )
}
