"""What a bottom-up network should answer: heatmaps and part-affinity maps of known joints.

Source: Cao et al. (2017), section 3; widths as in Lightweight OpenPose (Osokin 2018). A cell (i, j) stands for the
point ((i + 0.5) · STRIDE - 0.5, (j + 0.5) · STRIDE - 0.5) of the input, for both kinds of maps.
"""

from dataclasses import dataclass

import torch

from vp3d.common.skeletons import BODY_21
from vp3d.detect.layout import ALL_KEYPOINTS, FEET_LIMBS, LIMBS, STRIDE

SIGMA = 7.0
"""Of a joint's Gaussian, px of the input."""
THICKNESS = 8.0
"""Half the width of a limb, px of the input."""

_NEAR = 0.05  # a cell whose Gaussian is at least this belongs to the joint
_NECK = ALL_KEYPOINTS.index("neck")
_SHOULDERS = [BODY_21.index("left_shoulder"), BODY_21.index("right_shoulder")]
_FROM_BODY = [BODY_21.index("nose" if name == "neck" else name) for name in ALL_KEYPOINTS]


@dataclass(frozen=True)
class Targets:
    """Maps to learn, and how much each cell counts.

    Attributes:
        heat, heat_weight: (B, 22, h, w).
        affinity: (B, 46, h, w).
        affinity_weight: (B, 23, h, w), one for both components.
    """

    heat: torch.Tensor
    heat_weight: torch.Tensor
    affinity: torch.Tensor
    affinity_weight: torch.Tensor


def keypoints(joints: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`BODY_21` joints (..., 21, 2) and weights (..., 21) in the order of the maps, the neck amid the shoulders."""
    points, weights = joints[..., _FROM_BODY, :].clone(), weight[..., _FROM_BODY].clone()
    points[..., _NECK, :] = joints[..., _SHOULDERS, :].mean(-2)
    weights[..., _NECK] = weight[..., _SHOULDERS].amin(-1)
    return points, weights


def targets(joints: torch.Tensor, weight: torch.Tensor, labelled: torch.Tensor, ignored: torch.Tensor) -> Targets:
    """Maps for a batch.

    Args:
        joints: (B, P, 21, 2) px of the input, NaN where there is none.
        weight: (B, P, 21), how much each joint counts, 0…1.
        labelled: (B, 21) bool, joints that are labelled at all.
        ignored: (B, h, w) bool, cells with people who are not labelled.
    """
    points, weights = keypoints(joints, weight)
    count, people, kinds = weights.shape
    height, width = ignored.shape[-2:]
    device = joints.device
    u, v = ((torch.arange(n, device=device) + 0.5) * STRIDE - 0.5 for n in (width, height))
    known = torch.isfinite(points).all(-1)
    points = torch.nan_to_num(points, nan=-1e4)

    _, channels = keypoints(torch.zeros(count, len(BODY_21), 2, device=device), labelled.float())
    open_cells = (~ignored).float()[:, None]
    heat = torch.zeros(count, kinds, height, width, device=device)
    heat_weight = (channels[:, :, None, None] * open_cells).clone()
    limbs = LIMBS + FEET_LIMBS
    starts, ends = [limb.joints[0] for limb in limbs], [limb.joints[1] for limb in limbs]
    total = torch.zeros(count, len(limbs), 2, height, width, device=device)
    covered = torch.zeros(count, len(limbs), height, width, device=device)
    affinity_weight = (torch.minimum(channels[:, starts], channels[:, ends])[:, :, None, None] * open_cells).clone()

    # Asked once, because every answer from a GPU waits for all its work.
    present = known.any(-1).any(0).tolist()
    for person in (person for person in range(people) if present[person]):
        at = points[:, person]
        across = torch.exp(-0.5 * ((u - at[..., 0, None]) / SIGMA) ** 2)
        down = torch.exp(-0.5 * ((v - at[..., 1, None]) / SIGMA) ** 2)
        bump = down[..., :, None] * across[..., None, :]
        closer = bump > heat
        heat = torch.where(closer, bump, heat)
        here = closer & (bump > _NEAR)
        heat_weight = torch.where(here, heat_weight * weights[:, person, :, None, None], heat_weight)

        start, end = at[:, starts], at[:, ends]
        both = known[:, person][:, starts] & known[:, person][:, ends]
        delta = end - start
        length = delta.norm(dim=-1).clamp_min(1e-6)
        direction = delta / length[..., None]
        x = u - start[..., 0, None]
        y = v - start[..., 1, None]
        dx, dy = direction[..., 0, None, None], direction[..., 1, None, None]
        along = (x[..., None, :] * dx + y[..., :, None] * dy).clamp_min(0).minimum(length[..., None, None])
        distance2 = (x[..., None, :] - along * dx) ** 2 + (y[..., :, None] - along * dy) ** 2
        near = (distance2 <= THICKNESS**2) & both[..., None, None]
        total += near[:, :, None] * direction[..., None, None]
        covered += near
        trust = torch.minimum(weights[:, person][:, starts], weights[:, person][:, ends])
        affinity_weight = torch.where(near, affinity_weight * trust[..., None, None], affinity_weight)

    affinity = total / covered.clamp_min(1)[:, :, None]
    return Targets(heat, heat_weight, affinity.flatten(1, 2), affinity_weight)
