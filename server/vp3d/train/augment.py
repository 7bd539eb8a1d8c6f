"""More poses than were recorded: windows of motion with other proportions, mirrored, bent, seated, recombined.

All functions take windows of points (B, W, 22, 3) in metres, Z up, change them in place where they say so, and draw
from the given dice. Sources of the ideas: MotionBERT, PoseAug (Gong et al., 2021).
"""

import math
from collections.abc import Collection

import torch

from vp3d.train.bodies import POINTS
from vp3d.train.dice import Dice

# Every part turns about its pivot and carries its members along.
_HEAD = ("neck", "head", "nose", "left_eye", "right_eye", "left_ear", "right_ear")
_ARMS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("elbow", "wrist"))
_CHEST = ("thorax", "left_shoulder", "right_shoulder", *_ARMS, *_HEAD)


def _indices(names: tuple[str, ...]) -> list[int]:
    return [POINTS.index(name) for name in names]


PARTS: dict[str, tuple[int, list[int]]] = {
    name: (POINTS.index(pivot), _indices(members))
    for name, pivot, members in (
        ("trunk", "hip", ("spine", *_CHEST)),
        ("chest", "spine", _CHEST),
        ("head", "thorax", _HEAD),
        *(
            part
            for side in ("left", "right")
            for part in (
                (f"{side}_thigh", f"{side}_hip", (f"{side}_knee", f"{side}_ankle")),
                (f"{side}_shin", f"{side}_knee", (f"{side}_ankle",)),
                (f"{side}_upper_arm", f"{side}_shoulder", (f"{side}_elbow", f"{side}_wrist")),
                (f"{side}_forearm", f"{side}_elbow", (f"{side}_wrist",)),
            )
        ),
    )
}
"""Body parts by name: index of the pivot and indices of the members."""

TURNS = {
    "trunk": 10.0, "chest": 10.0, "head": 15.0,
    "thigh": 15.0, "shin": 12.0, "upper_arm": 25.0, "forearm": 20.0,
}  # fmt: skip
"""Standard deviation of a random turn, degrees."""

# Bones whose length varies from person to person: start, end, what moves along. Left and right vary together.
# The deviations cover what rigs and data sets disagree about, which is more than what people differ in.
_BONES: tuple[tuple[tuple[tuple[str, str, tuple[str, ...]], ...], float], ...] = (
    ((("hip", "spine", ("spine", *_CHEST)),), 0.08),
    ((("spine", "thorax", _CHEST),), 0.08),
    ((("thorax", "neck", _HEAD),), 0.12),
    *(
        (
            tuple(
                (f"{side}_{start}" if paired else start, f"{side}_{end}", tuple(f"{side}_{name}" for name in moved))
                for side in ("left", "right")
            ),
            deviation,
        )
        for start, paired, end, moved, deviation in (
            ("hip", False, "hip", ("hip", "knee", "ankle"), 0.12),
            ("hip", True, "knee", ("knee", "ankle"), 0.05),
            ("knee", True, "ankle", ("ankle",), 0.05),
            ("thorax", False, "shoulder", ("shoulder", "elbow", "wrist"), 0.09),
            ("shoulder", True, "elbow", ("elbow", "wrist"), 0.07),
            ("elbow", True, "wrist", ("wrist",), 0.07),
        )
    ),
)

_MIRRORED = _indices(
    tuple(name.replace("left_", "RIGHT_").replace("right_", "left_").replace("RIGHT_", "right_") for name in POINTS)
)


def rotations(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), rad (Rodrigues' formula)."""
    angle = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    sin, cos = angle.sin()[..., None], angle.cos()[..., None]
    return torch.eye(3, device=vectors.device, dtype=vectors.dtype) + sin * cross + (1 - cos) * (cross @ cross)


def turned(points: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Points (B, W, J, 3) turned by (B, 3, 3) or, frame by frame, (B, W, 3, 3)."""
    if rotation.ndim == 3:
        return (points.flatten(1, 2) @ rotation.mT).view(points.shape)
    return points @ rotation.mT


def turn(points: torch.Tensor, part: str, rotation: torch.Tensor) -> None:
    """Turn a body part in place by (B, 3, 3) or, frame by frame, (B, W, 3, 3) in world axes."""
    pivot, members = PARTS[part]
    centre = points[:, :, pivot : pivot + 1]
    points[:, :, members] = turned(points[:, :, members] - centre, rotation) + centre


def mirror(points: torch.Tensor, dice: Dice) -> torch.Tensor:
    """Windows of which a random half is seen in a mirror."""
    flipped = points[:, :, _MIRRORED] * points.new_tensor([-1, 1, 1])
    return torch.where(dice.chance(0.5, len(points), 1, 1, 1), flipped, points)


def vary_proportions(points: torch.Tensor, dice: Dice, size: float = 0.06) -> None:
    """Give every window another person's size and bone lengths, in place."""
    for bones, deviation in _BONES:
        stretch = dice.normal(len(points), 1, 1, 1).clamp(-2.5, 2.5) * deviation
        for start, end, moved in bones:
            bone = points[:, :, [POINTS.index(end)]] - points[:, :, [POINTS.index(start)]]
            points[:, :, _indices(moved)] += bone * stretch
    points *= 1 + size * dice.normal(len(points), 1, 1, 1).clamp(-2.5, 2.5)


def perturb(points: torch.Tensor, dice: Dice, share: float = 0.5) -> None:
    """Turn every body part of a random `share` of the windows by a random rotation, in place."""
    for part in PARTS:
        deviation = math.radians(TURNS[part.split("_", 1)[-1]]) / math.sqrt(3)
        vectors = dice.normal(len(points), 3) * deviation * dice.chance(share, len(points), 1)
        turn(points, part, rotations(vectors))


def pelvis_frames(points: torch.Tensor) -> torch.Tensor:
    """Axes left, back, up of the pelvis as the columns of (B, W, 3, 3)."""
    left = points[:, :, POINTS.index("left_hip")] - points[:, :, POINTS.index("right_hip")]
    left = left / left.norm(dim=-1, keepdim=True)
    up = points[:, :, POINTS.index("spine")] - points[:, :, POINTS.index("hip")]
    up = up - (up * left).sum(-1, keepdim=True) * left
    up = up / up.norm(dim=-1, keepdim=True)
    return torch.stack([left, torch.linalg.cross(up, left), up], -1)


def swap_upper_bodies(points: torch.Tensor, dice: Dice, share: float = 0.4) -> None:
    """Give a random `share` of the windows the upper body of another window, in place."""
    receivers = dice.some(len(points), share)
    given = points[dice.some(len(points), 1.0)[: len(receivers)]]
    taken = points[receivers]
    _, members = PARTS["trunk"]
    change = pelvis_frames(taken) @ pelvis_frames(given).mT
    taken[:, :, members] = taken[:, :, :1] + turned(given[:, :, members] - given[:, :, :1], change)
    points[receivers] = taken


def seat(points: torch.Tensor, dice: Dice, share: float = 0.3) -> None:
    """Bend hips, knees and trunk of a random `share` of the windows towards sitting or crouching, in place."""
    chosen = dice.some(len(points), share)
    windows, count = points[chosen], len(chosen)
    axes = pelvis_frames(windows)

    def bend(part: str, degrees: torch.Tensor, axis: int = 0) -> None:
        turn(windows, part, rotations(torch.deg2rad(degrees)[:, None, None] * axes[..., axis]))

    hip, knee, trunk = (dice.uniform(*range_, count) for range_ in ((20, 115), (0, 135), (-20, 40)))
    apart = dice.normal(count).abs() * 12
    for side, outward in (("left", 1.0), ("right", -1.0)):
        bend(f"{side}_thigh", -(hip + 12 * dice.normal(count)))
        bend(f"{side}_thigh", outward * (apart + 6 * dice.normal(count)), axis=2)
        bend(f"{side}_shin", (knee + 12 * dice.normal(count)).clamp(min=0))
    bend("trunk", trunk)
    points[chosen] = windows


def tip_over(points: torch.Tensor, dice: Dice, share: float = 0.07) -> None:
    """Turn a random `share` of the windows about a horizontal axis towards lying or hanging, in place."""
    chosen = dice.some(len(points), share)
    heading = dice.uniform(0, 2 * math.pi, len(chosen))
    angle = torch.deg2rad(dice.uniform(30, 110, len(chosen)))
    axis = torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], -1)
    points[chosen] = turned(points[chosen], rotations(axis * angle[:, None]))


VARIATIONS = {
    "upper bodies": swap_upper_bodies,
    "seats": seat,
    "turns": perturb,
    "proportions": vary_proportions,
    "tipping": tip_over,
}
"""What changes windows in place, by name, in the order in which it makes sense."""


def augment(points: torch.Tensor, dice: Dice, constant: Collection[str] = ()) -> torch.Tensor:
    """Windows, new ones, after mirroring and all `VARIATIONS` but those named in `constant`."""
    points = mirror(points, dice)
    for name, vary in VARIATIONS.items():
        if name not in constant:
            vary(points, dice)
    return points
