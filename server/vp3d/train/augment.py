"""More poses than were recorded: windows of motion with other proportions, mirrored, bent, seated, recombined.

All functions take windows of points (B, W, 22, 3) in metres, Z up, change them in place where they say so, and draw
from the given generator. Sources of the ideas: MotionBERT, PoseAug (Gong et al., 2021).
"""

import numpy as np
from scipy.spatial.transform import Rotation

from vp3d.train.bodies import POINTS

# Every part turns about its pivot and carries its members along.
_HEAD = ("neck", "head", "nose", "left_eye", "right_eye", "left_ear", "right_ear")
_ARMS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("elbow", "wrist"))
_CHEST = ("thorax", "left_shoulder", "right_shoulder", *_ARMS, *_HEAD)


def _indices(names: tuple[str, ...]) -> np.ndarray:
    return np.array([POINTS.index(name) for name in names])


PARTS: dict[str, tuple[int, np.ndarray]] = {
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
_BONES: tuple[tuple[tuple[tuple[str, str, tuple[str, ...]], ...], float], ...] = (
    ((("hip", "spine", ("spine", *_CHEST)),), 0.06),
    ((("spine", "thorax", _CHEST),), 0.06),
    ((("thorax", "neck", _HEAD),), 0.08),
    *(
        (
            tuple(
                (f"{side}_{start}" if paired else start, f"{side}_{end}", tuple(f"{side}_{name}" for name in moved))
                for side in ("left", "right")
            ),
            deviation,
        )
        for start, paired, end, moved, deviation in (
            ("hip", False, "hip", ("hip", "knee", "ankle"), 0.10),
            ("hip", True, "knee", ("knee", "ankle"), 0.05),
            ("knee", True, "ankle", ("ankle",), 0.05),
            ("thorax", False, "shoulder", ("shoulder", "elbow", "wrist"), 0.09),
            ("shoulder", True, "elbow", ("elbow", "wrist"), 0.05),
            ("elbow", True, "wrist", ("wrist",), 0.05),
        )
    ),
)

_MIRRORED = _indices(
    tuple(name.replace("left_", "RIGHT_").replace("right_", "left_").replace("RIGHT_", "right_") for name in POINTS)
)


def turn(points: np.ndarray, part: str, rotation: np.ndarray) -> None:
    """Turn a body part in place by (B, 3, 3) or, frame by frame, (B, W, 3, 3) in world axes."""
    pivot, members = PARTS[part]
    centre = points[:, :, pivot : pivot + 1]
    if rotation.ndim == 3:
        rotation = rotation[:, None]
    points[:, :, members] = (points[:, :, members] - centre) @ rotation.swapaxes(-1, -2) + centre


def mirror(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Windows of which a random half is seen in a mirror."""
    flipped = points[:, :, _MIRRORED] * np.array([-1, 1, 1], points.dtype)
    return np.where((rng.random(len(points)) < 0.5)[:, None, None, None], flipped, points)


def vary_proportions(points: np.ndarray, rng: np.random.Generator, size: float = 0.06) -> None:
    """Give every window another person's size and bone lengths, in place."""
    for bones, deviation in _BONES:
        stretch = np.clip(rng.standard_normal(len(points)), -2.5, 2.5).astype(points.dtype) * deviation
        for start, end, moved in bones:
            bone = points[:, :, POINTS.index(end)] - points[:, :, POINTS.index(start)]
            points[:, :, _indices(moved)] += (bone * stretch[:, None, None])[:, :, None]
    points *= (1 + size * np.clip(rng.standard_normal(len(points)), -2.5, 2.5)).astype(points.dtype)[
        :, None, None, None
    ]


def perturb(points: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> None:
    """Turn every body part of a random `share` of the windows by a random rotation, in place."""
    for part in PARTS:
        deviation = np.radians(TURNS[part.split("_", 1)[-1]])
        vectors = rng.standard_normal((len(points), 3)) * deviation / np.sqrt(3)
        vectors[rng.random(len(points)) > share] = 0
        turn(points, part, Rotation.from_rotvec(vectors).as_matrix().astype(points.dtype))


def pelvis_frames(points: np.ndarray) -> np.ndarray:
    """Axes left, back, up of the pelvis as the columns of (B, W, 3, 3)."""
    left = points[:, :, POINTS.index("left_hip")] - points[:, :, POINTS.index("right_hip")]
    left = left / np.linalg.norm(left, axis=-1, keepdims=True)
    up = points[:, :, POINTS.index("spine")] - points[:, :, POINTS.index("hip")]
    up = up - (up * left).sum(-1, keepdims=True) * left
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    return np.stack([left, np.cross(up, left), up], axis=-1)


def swap_upper_bodies(points: np.ndarray, rng: np.random.Generator, share: float = 0.4) -> None:
    """Give a random `share` of the windows the upper body of another window, in place."""
    receivers = np.flatnonzero(rng.random(len(points)) < share)
    givers = rng.permutation(len(points))[: len(receivers)]
    _, members = PARTS["trunk"]
    given = points[givers]
    change = pelvis_frames(points[receivers]) @ pelvis_frames(given).swapaxes(-1, -2)
    upper = (given[:, :, members] - given[:, :, :1]) @ change.swapaxes(-1, -2)
    points[receivers[:, None], :, members[None]] = (points[receivers][:, :, :1] + upper).swapaxes(1, 2)


def seat(points: np.ndarray, rng: np.random.Generator, share: float = 0.3) -> None:
    """Bend hips, knees and trunk of a random `share` of the windows towards sitting or crouching, in place."""
    chosen = np.flatnonzero(rng.random(len(points)) < share)
    windows = points[chosen]
    left = pelvis_frames(windows)[..., 0]

    def bend(part: str, degrees: np.ndarray) -> None:
        angle = np.radians(degrees)[:, None, None] * left
        rotation = Rotation.from_rotvec(angle.reshape(-1, 3)).as_matrix().reshape(*left.shape[:2], 3, 3)
        turn(windows, part, rotation.astype(points.dtype))

    hip, knee, trunk = (
        rng.uniform(20, 100, len(chosen)),
        rng.uniform(0, 115, len(chosen)),
        rng.uniform(-15, 40, len(chosen)),
    )
    for side in ("left", "right"):
        uneven = rng.normal(0, 12, (2, len(chosen)))
        bend(f"{side}_thigh", -(hip + uneven[0]))
        bend(f"{side}_shin", np.maximum(knee + uneven[1], 0))
    bend("trunk", trunk)
    points[chosen] = windows


def tip_over(points: np.ndarray, rng: np.random.Generator, share: float = 0.07) -> None:
    """Turn a random `share` of the windows about a horizontal axis towards lying or hanging, in place."""
    chosen = np.flatnonzero(rng.random(len(points)) < share)
    heading, angle = rng.uniform(0, 2 * np.pi, len(chosen)), np.radians(rng.uniform(30, 110, len(chosen)))
    axis = np.stack([np.cos(heading), np.sin(heading), np.zeros(len(chosen))], -1)
    rotation = Rotation.from_rotvec(axis * angle[:, None]).as_matrix().astype(points.dtype)
    points[chosen] = points[chosen] @ rotation[:, None].swapaxes(-1, -2)


def augment(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All of the above in the order in which they make sense; returns new windows."""
    points = mirror(points, rng)
    swap_upper_bodies(points, rng)
    seat(points, rng)
    perturb(points, rng)
    vary_proportions(points, rng)
    tip_over(points, rng)
    return points
