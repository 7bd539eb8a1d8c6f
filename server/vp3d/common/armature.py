"""Joint positions to a fixed-length skeleton with bone rotations, ready for keyframes.

World axes are Blender's: Z up, metres. The rest pose is a T-pose that faces -Y with the character's left at +X. A bone
points along its local +Y; its local X is the axis of flexion (positive bends elbow and knee the way they go), so that
Z = X × Y. Matrices have the axes as columns, quaternions are (w, x, y, z).

Method: every bone's direction is taken from its two joints; the roll about it comes from a second direction (hip line,
shoulder line, bend plane of a limb) orthogonalised against the first. Bend planes are noise in a straight limb, so
their roll is weighted by the bend and carried over time relative to the parent elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from .skeletons import H36M_17

_LEFT, _FORWARD, _UP = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)), 1e-12)[..., None]


# The joint "neck" lies in front of the spine's line, at the height of the nose, and the shoulders below the thorax:
# these are the directions in an upright person, so that standing upright is near the rest pose.
_NECK, _HEAD = _unit(np.array([0, -0.030, 0.102])), _unit(np.array([0, 0.020, 0.078]))
_CLAVICLE = _unit(np.array([0.103, 0, -0.022]))
_ANKLE_HEIGHT, _BALL_AHEAD = 0.20, 0.37  # of the shin (Winter, Biomechanics)
_FOOT = np.array([0, -_BALL_AHEAD, -_ANKLE_HEIGHT])


@dataclass(frozen=True)
class Bone:
    """One bone: where it starts and ends, and how it lies in the rest pose.

    Attributes:
        name: Blender-style name; ".L" and ".R" mark the sides.
        parent: the parent's name, "" for the root.
        head: the point where it starts; points are joints of `H36M_17` or tails of other bones.
        tail: the point where it ends.
        direction: (3,) rest direction, its local +Y.
        hinge: (3,) rest direction of its local +X.
    """

    name: str
    parent: str
    head: str
    tail: str
    direction: np.ndarray
    hinge: np.ndarray

    @property
    def side(self) -> str:
        """ "L", "R" or "" for the middle."""
        return self.name[-1] if self.name.endswith((".L", ".R")) else ""


_MIDDLE = (
    Bone("hips", "", "hip", "hips_tip", _UP, _LEFT),
    Bone("spine", "hips", "hip", "spine", _UP, _LEFT),
    Bone("chest", "spine", "spine", "thorax", _UP, _LEFT),
    Bone("neck", "chest", "thorax", "neck", _NECK, _LEFT),
    Bone("head", "neck", "neck", "head", _HEAD, _LEFT),
)
_SIDE = (
    Bone("shoulder", "chest", "thorax", "shoulder", _CLAVICLE, np.cross(_CLAVICLE, _FORWARD)),
    Bone("upper_arm", "shoulder", "shoulder", "elbow", _LEFT, -_UP),
    Bone("forearm", "upper_arm", "elbow", "wrist", _LEFT, -_UP),
    Bone("hand", "forearm", "wrist", "fingers", _LEFT, -_UP),
    Bone("thigh", "hips", "hip", "knee", -_UP, _LEFT),
    Bone("shin", "thigh", "knee", "ankle", -_UP, _LEFT),
    Bone("foot", "shin", "ankle", "ball", _unit(_FOOT), _LEFT),
    Bone("toe", "foot", "ball", "toe", _FORWARD, _LEFT),
)
_SHARED = {"hips", "spine", "chest", "thorax"}


def _sided(bone: Bone, side: str) -> Bone:
    letter, mirror = side[0].upper(), np.array([1.0 if side == "left" else -1.0, 1, 1])
    return Bone(
        f"{bone.name}.{letter}",
        bone.parent if bone.parent in _SHARED else f"{bone.parent}.{letter}",
        bone.head if bone.head in _SHARED else f"{side}_{bone.head}",
        f"{side}_{bone.tail}",
        bone.direction * mirror,
        bone.hinge * mirror * mirror[0],  # an axis of rotation is mirrored the other way
    )


BONES = (*_MIDDLE, *(_sided(bone, side) for side in ("left", "right") for bone in _SIDE))
"""The skeleton, parents before children."""

# Bones that no joint measures: length as a share of another bone's.
_SHARES = {
    "hips": ("spine", 0.5),
    "hand": ("forearm", 0.55),
    "foot": ("shin", float(np.hypot(_BALL_AHEAD, _ANKLE_HEIGHT))),
    "toe": ("shin", 0.15),
}


@dataclass(frozen=True)
class _Limb:
    """Two bones whose bend plane gives the upper one's roll."""

    upper: str
    lower: str
    bends: float  # +1 where flexion turns about +hinge, -1 where about -hinge
    pole: np.ndarray | None  # opposite of where the upper bone can never point; None: opposite of its rest direction
    reach_deg: float  # rolls farther than this from the carried one are a limb bent the wrong way by noise
    seen_deg: tuple[float, float] = (10, 25)  # bend below which its plane is noise, and above which it alone decides
    smoothing: float = 0.05  # s, of a measured roll
    carried: float = 6e-4  # weight of the carried roll against a measured one: 2 s bring a straight limb back to it


_LIMBS = (
    # 4 cm between nose and spine's line tell where the head looks: little, so it is believed by half and over time.
    _Limb("neck", "head", -1, None, 80, (5, 30), 0.2, 0.5),
    *(
        limb
        for letter, sign in (("L", 1.0), ("R", -1.0))
        for limb in (
            _Limb(f"upper_arm.{letter}", f"forearm.{letter}", 1, np.array([sign * 0.7, -0.6, -0.4]), 130),
            _Limb(f"thigh.{letter}", f"shin.{letter}", 1, np.array([sign * 0.2, -0.6, -0.8]), 80),
        )
    ),
)

_CONTACT_TIME = 0.08  # s, over which a foot goes level
_PLANTED_TIME = 1.0  # s, over which a standing foot's yaw is one
_SEEN_FOOT = 40.0  # weight of a heading that was seen, against that of the shank's
_LOOK_TIME = 0.06  # s, over which the head's orientation is smoothed where it is seen well
_LOOK_CARRIED = 0.02  # weight of what the 3D joints say of it: 0.4 s lead back to that where no face is seen
SHORT_GAP = 0.5  # s, longest gap that is interpolated


@dataclass(frozen=True)
class Rest:
    """The rest pose. B bones in the order of `BONES`.

    Attributes:
        names: bone names.
        parents: (B,) index of the parent, -1 for the root.
        heads: (B, 3) m.
        tails: (B, 3) m.
        matrices: (B, 3, 3) local axes as columns.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    heads: np.ndarray
    tails: np.ndarray
    matrices: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(B,) m."""
        return np.linalg.norm(self.tails - self.heads, axis=1)


@dataclass(frozen=True)
class Motion:
    """A person's movement on a fixed-length skeleton.

    Attributes:
        rest: the skeleton in its rest pose.
        location: (T, 3) m, the hips' head in the world.
        rotations: (T, B, 4) unit quaternions relative to rest, as Blender's pose bones hold them; continuous in sign.
        keyed: (T,) bool; False in gaps longer than `SHORT_GAP`, where location and rotations are only interpolated.
    """

    rest: Rest
    location: np.ndarray
    rotations: np.ndarray
    keyed: np.ndarray


@dataclass(frozen=True)
class Ends:
    """Head and feet as the picture shows them.

    Attributes:
        head: (T, 3, 3) left, up and forward of the head in the world, as columns.
        head_trust: (T,) 0..1.
        feet: (T, 2, 2) unit, where the left and the right foot point on the ground, if they stand.
        feet_trust: (T, 2) 0..1.
    """

    head: np.ndarray
    head_trust: np.ndarray
    feet: np.ndarray
    feet_trust: np.ndarray


def solve(joints: np.ndarray, contacts: np.ndarray, times: np.ndarray, ends: Ends | None = None) -> Motion:
    """Fit the skeleton to joint positions.

    Directions of all measured bones are reproduced exactly, positions up to the change of bone lengths; the root is
    taken midway between the hips, where it is by definition. Feet, which no joint measures, stand at a right angle to
    the shank and go level where they stand; hands follow the forearm. Frames that lack a joint are interpolated;
    `Motion.keyed` tells the gaps too long for that to mean anything.

    Args:
        joints: (T, 17, 3) m in the world, order `H36M_17`, NaN where absent.
        contacts: (T, 2) probability 0..1 that the left and the right foot stand; NaN counts as 0.
        times: (T,) s, increasing.
        ends: what else was seen of head and feet; the head is then turned by it, and standing feet point by it.

    Raises:
        ValueError: when no frame has all joints.
    """
    joints, times = np.asarray(joints, np.float64), np.asarray(times, np.float64)
    present = _present(joints)
    if not present.any():
        raise ValueError("no frame has all joints")
    filled = _fill(joints, present, times)
    # what the lifter says of the root would carry its error to the feet
    filled[:, 0] = (filled[:, H36M_17.index("left_hip")] + filled[:, H36M_17.index("right_hip")]) / 2
    rest = fit_rest(filled[present])
    matrices = _orient(rest, filled, np.nan_to_num(contacts), times, ends)
    return Motion(rest, filled[:, 0], _local_rotations(rest, matrices), keyed(joints, times))


def keyed(joints: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Frames (T,) bool with a pose, or between two such at most `SHORT_GAP` apart; arguments as for `solve`."""
    present = _present(joints)
    seen = times[present]
    after = np.searchsorted(seen, times)
    inside = (after > 0) & (after < len(seen))
    gap = np.diff(seen, append=np.inf)[np.clip(after - 1, 0, None)] if len(seen) else np.full(len(times), np.inf)
    return present | (inside & (gap <= SHORT_GAP))


def fit_rest(joints: np.ndarray) -> Rest:
    """The T-pose with a person's median bone lengths, left and right made equal; soles on the floor.

    Args:
        joints: (T, 17, 3) m without NaN, order `H36M_17`; the root midway between the hips.
    """
    at = {name: joints[:, i] for i, name in enumerate(H36M_17.joints)}
    measured = {
        bone.name: float(np.median(np.linalg.norm(at[bone.tail] - at[bone.head], axis=1)))
        for bone in BONES
        if bone.tail in at
    }
    lengths: dict[str, float] = {}
    for bone in BONES:
        kind = bone.name.removesuffix(".L").removesuffix(".R")
        whose, share = _SHARES.get(kind, (kind, 1.0))
        sides = [measured[name] for name in (whose, f"{whose}.L", f"{whose}.R") if name in measured]
        lengths[bone.name] = share * float(np.mean(sides))

    hip = _UP * (lengths["thigh.L"] + lengths["shin.L"] * (1 + _ANKLE_HEIGHT))
    aside = _LEFT * float(np.median(np.linalg.norm(at["left_hip"] - at["right_hip"], axis=1))) / 2
    points = {"hip": hip, "left_hip": hip + aside, "right_hip": hip - aside}
    for bone in BONES:
        points[bone.tail] = points[bone.head] + lengths[bone.name] * bone.direction

    names = tuple(bone.name for bone in BONES)
    return Rest(
        names,
        tuple(names.index(bone.parent) if bone.parent else -1 for bone in BONES),
        np.array([points[bone.head] for bone in BONES]),
        np.array([points[bone.tail] for bone in BONES]),
        np.stack([_frame(y=bone.direction, x=bone.hinge) for bone in BONES]),
    )


def forward(rest: Rest, location: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose the skeleton: world matrices (T, B, 3, 3) and heads (T, B, 3) m of all bones.

    Args:
        rest: the skeleton.
        location: (T, 3) m, the hips' head.
        rotations: (T, B, 4) quaternions relative to rest.
    """
    local = quaternion_to_matrix(rotations)
    matrices, heads = np.empty_like(local), np.empty((*local.shape[:2], 3))
    for i, parent in enumerate(rest.parents):
        if parent < 0:
            matrices[:, i], heads[:, i] = rest.matrices[i] @ local[:, i], location
            continue
        carry = matrices[:, parent] @ rest.matrices[parent].T
        matrices[:, i] = carry @ rest.matrices[i] @ local[:, i]
        heads[:, i] = heads[:, parent] + carry @ (rest.heads[i] - rest.heads[parent])
    return matrices, heads


def posed_joints(motion: Motion) -> np.ndarray:
    """Where the skeleton has the joints: (T, 17, 3) m, order `H36M_17`."""
    matrices, heads = forward(motion.rest, motion.location, motion.rotations)
    tails = heads + matrices[..., 1] * motion.rest.lengths[:, None]
    points = {bone.head: heads[:, i] for i, bone in enumerate(BONES)}
    points |= {bone.tail: tails[:, i] for i, bone in enumerate(BONES)}
    return np.stack([points[name] for name in H36M_17.joints], axis=1)


def matrix_to_quaternion(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) of rotation matrices (..., 3, 3).

    Source: Bar-Itzhack 2000 in the form of Markley 2008: of the four rows of the outer product the largest is exact.
    """
    m = matrices
    trace = np.trace(m, axis1=-2, axis2=-1)
    outer = np.empty((*m.shape[:-2], 4, 4))
    outer[..., 0, 0] = 1 + trace
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        outer[..., i + 1, i + 1] = 1 - trace + 2 * m[..., i, i]
        outer[..., 0, i + 1] = outer[..., i + 1, 0] = m[..., k, j] - m[..., j, k]
        outer[..., i + 1, j + 1] = outer[..., j + 1, i + 1] = m[..., i, j] + m[..., j, i]
    best = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    return _unit(np.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :])


def quaternion_to_matrix(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations (T, ..., 4), each of the sign nearer to the frame before."""
    dot = np.einsum("...i,...i->...", quaternions[1:], quaternions[:-1])[..., None]
    nearer = np.where(dot < 0, -1.0, 1.0)
    return quaternions * np.concatenate([np.ones_like(quaternions[:1, ..., :1]), np.cumprod(nearer, axis=0)])


def rotation_vector(matrices: np.ndarray) -> np.ndarray:
    """Axes times angles (..., 3) rad, at most half a turn, of rotation matrices (..., 3, 3)."""
    q = matrix_to_quaternion(matrices)
    q = q * np.where(q[..., :1] < 0, -1.0, 1.0)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    return 2 * np.arctan2(sine, q[..., :1]) * q[..., 1:] / np.maximum(sine, 1e-12)


def turning(vectors: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) of axes times angles (..., 3) rad."""
    half = np.linalg.norm(vectors, axis=-1, keepdims=True) / 2
    return np.concatenate([np.cos(half), np.sinc(half / np.pi) * vectors / 2], axis=-1)


def _orient(rest: Rest, joints: np.ndarray, contacts: np.ndarray, times: np.ndarray, ends: Ends | None) -> np.ndarray:
    """World matrices (T, B, 3, 3) of all bones."""
    at = {name: joints[:, i] for i, name in enumerate(H36M_17.joints)}
    index = {name: i for i, name in enumerate(rest.names)}
    world: dict[str, np.ndarray] = {}
    measured = {bone.name: _unit(at[bone.tail] - at[bone.head]) for bone in BONES if bone.tail in at}
    limbs = {limb.upper: limb for limb in _LIMBS}

    world["hips"] = _pelvis(at)
    world["chest"] = _frame(y=measured["chest"], x=at["left_shoulder"] - at["right_shoulder"])
    between = world["hips"][..., 0] + world["chest"][..., 0]
    world["spine"] = _frame(y=measured["spine"], x=between)

    for bone in BONES[1:]:
        if bone.name in world:
            continue
        rest_matrix, rest_parent = rest.matrices[index[bone.name]], rest.matrices[index[bone.parent]]
        carry = world[bone.parent] @ rest_parent.T
        if bone.name.startswith("foot"):
            side = "LR".index(bone.side)
            seen = None if ends is None else (ends.feet[:, side], ends.feet_trust[:, side])
            follows, shin = carry @ rest_matrix, world[bone.parent]
            world[bone.name] = _level(follows, shin, rest_matrix, contacts[:, side], times, seen)
        elif bone.name not in measured:
            world[bone.name] = carry @ rest_matrix
        elif limb := limbs.get(bone.name):
            swung = _swing(carry, rest_matrix, measured[bone.name], limb.pole)
            world[bone.name] = _roll(swung, limb, measured[limb.lower], times)
        else:
            world[bone.name] = _swing(carry, rest_matrix, measured[bone.name])
    if ends is not None and ends.head_trust.any():
        _look(rest, world, measured["neck"], ends, times)
    return np.stack([world[name] for name in rest.names], axis=1)


def _look(rest: Rest, world: dict[str, np.ndarray], direction: np.ndarray, ends: Ends, times: np.ndarray) -> None:
    """Turn the head as it was seen, as far as it was, and the neck by half of that about its length."""
    chest, neck, head = (rest.names.index(bone) for bone in ("chest", "neck", "head"))
    back = np.swapaxes(world["chest"], -1, -2)
    own = rest.matrices[head].T @ rest.matrices[chest]  # from the bone's axes to left, up and forward
    known = rotation_vector(back @ world["head"] @ own)
    trust = np.nan_to_num(ends.head_trust)
    weight = (trust + _LOOK_CARRIED)[:, None]
    wanted = (trust[:, None] * rotation_vector(back @ ends.head) + _LOOK_CARRIED * known) / weight
    turned = [_smooth(column, weight[:, 0], _LOOK_TIME, times).real for column in wanted.T]
    world["head"] = world["chest"] @ quaternion_to_matrix(turning(np.stack(turned, axis=-1))) @ own.T
    carry = world["chest"] @ rest.matrices[chest].T
    swung = _swing(carry, rest.matrices[neck], direction)
    against = np.swapaxes(swung, -1, -2) @ world["head"] @ rest.matrices[head].T @ rest.matrices[neck]
    q = continuous(matrix_to_quaternion(against))
    half = np.unwrap(np.arctan2(q[:, 2], q[:, 0]), period=np.pi)
    world["neck"] = swung @ quaternion_to_matrix(
        turning((half - np.pi * np.round(half[0] / np.pi))[:, None] * [0, 1.0, 0])
    )


def _pelvis(at: dict[str, np.ndarray]) -> np.ndarray:
    x = _unit(at["left_hip"] - at["right_hip"])
    z = _unit(np.cross(x, at["spine"] - at["hip"]))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _swing(carry: np.ndarray, rest: np.ndarray, direction: np.ndarray, pole: np.ndarray | None = None) -> np.ndarray:
    """Frames that follow the parent and point along `direction`, reached from the pole by the shortest way.

    Args:
        carry: (T, 3, 3) the parent's rotation from its rest.
        rest: (3, 3) the bone's rest matrix.
        direction: (T, 3) unit.
        pole: (3,) rest-pose direction whose opposite is never reached: there the shortest way has no limit.
    """
    if pole is not None:
        rest = _arc(rest[:, 1], _unit(pole)) @ rest
    carried = carry @ rest
    return _arc(carried[..., 1], direction) @ carried


def _roll(swung: np.ndarray, limb: _Limb, lower: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Turn frames (T, 3, 3) about their Y so that X is the normal of the limb's bend plane, as far as it is one."""
    normal = limb.bends * np.cross(swung[..., 1], lower)
    sine = np.linalg.norm(normal, axis=-1)
    bend = np.degrees(np.arctan2(sine, (swung[..., 1] * lower).sum(-1)))
    seen = ((normal * swung[..., 0]).sum(-1) - 1j * (normal * swung[..., 2]).sum(-1)) / np.maximum(sine, 1e-12)
    weight = _step(bend, *limb.seen_deg) * (1 - _step(np.degrees(np.abs(np.angle(seen))), limb.reach_deg, 180))
    wanted = (weight * seen + limb.carried) / (weight + limb.carried)
    angle = np.angle(_smooth(wanted, weight + limb.carried, limb.smoothing, times))
    c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    turn = np.stack([np.stack(row, -1) for row in ((c, o, s), (o, o + 1, o), (-s, o, c))], -2)
    return swung @ turn


def _level(
    foot: np.ndarray, shin: np.ndarray, rest: np.ndarray, contact: np.ndarray, times: np.ndarray,
    seen: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:  # fmt: skip
    """Lay a foot level, in one yaw, where it stands under an upright shank; (T, 3, 3) each, `contact` (T,), heading
    (T, 2) and trust in it (T,) that were `seen`."""
    upright = _step(-shin[:, 2, 1], 0.2, 0.6)
    stands = np.clip(_smooth(contact * upright, np.ones_like(contact), _CONTACT_TIME, times).real, 0, 1)
    ahead = -shin[..., 2]
    heading = ahead[:, 0] * 1j - ahead[:, 1]
    weight = np.abs(heading) + 1e-6
    if seen is not None:
        trust = _SEEN_FOOT * contact * np.nan_to_num(seen[1])
        heading = heading + trust * (seen[0][:, 0] * 1j - seen[0][:, 1])
        weight = weight + trust
    planted = np.sqrt(contact[1:] * contact[:-1]) * _PLANTED_TIME
    yaw = np.angle(_smooth(heading / weight, weight, np.maximum(planted, 1e-3), times))
    c, s, o = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    level = np.stack([np.stack(row, -1) for row in ((c, -s, o), (s, c, o), (o, o, o + 1))], -2) @ rest
    return _slerp(foot, level, stands)


def _smooth(values: np.ndarray, weights: np.ndarray, scale: float | np.ndarray, times: np.ndarray) -> np.ndarray:
    """Minimise Σ weight |z - value|² + Σ (scale / Δt)² |z_t - z_{t-1}|² over complex z (T,); a tridiagonal system.

    Directions in the plane are smoothed as complex numbers because these do not wrap.
    """
    stiff = np.broadcast_to((scale / np.maximum(np.diff(times), 1e-6)) ** 2, (len(values) - 1,))
    diagonal = weights.astype(float)
    diagonal[1:] += stiff
    diagonal[:-1] += stiff
    pivot, right, stiff = diagonal.tolist(), (weights * values).tolist(), stiff.tolist()
    for i, s in enumerate(stiff):
        right[i + 1] += right[i] * s / pivot[i]
        pivot[i + 1] -= s * s / pivot[i]
    right[-1] /= pivot[-1]
    for i in range(len(stiff) - 1, -1, -1):
        right[i] = (right[i] + stiff[i] * right[i + 1]) / pivot[i]
    return np.array(right, complex)


def _slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) from `a` (share 0) to `b` (share 1) by the shorter way."""
    p, q = matrix_to_quaternion(a), matrix_to_quaternion(b)
    dot = (p * q).sum(-1, keepdims=True)
    angle = np.arccos(np.clip(np.abs(dot), 0, 1))
    share = share[:, None]
    near = angle < 1e-6
    sine = np.where(near, 1.0, np.sin(angle))
    first = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(near, share, np.sin(share * angle) / sine) * np.where(dot < 0, -1, 1)
    return quaternion_to_matrix(_unit(first * p + second * q))


def _local_rotations(rest: Rest, matrices: np.ndarray) -> np.ndarray:
    local = np.empty_like(matrices)
    for i, parent in enumerate(rest.parents):
        carried = rest.matrices[i]
        if parent >= 0:
            carried = matrices[:, parent] @ (rest.matrices[parent].T @ carried)
        local[:, i] = np.swapaxes(carried, -1, -2) @ matrices[:, i]
    return continuous(matrix_to_quaternion(local))


def _fill(joints: np.ndarray, present: np.ndarray, times: np.ndarray) -> np.ndarray:
    flat = joints.reshape(len(joints), -1)
    filled = [np.interp(times, times[present], column[present]) for column in flat.T]
    return np.stack(filled, axis=1).reshape(joints.shape)


def _present(joints: np.ndarray) -> np.ndarray:
    return np.isfinite(joints).all((1, 2))


def _frame(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) with `y` exact and X as near to `x` as that allows."""
    y = _unit(y)
    z = _unit(np.cross(x, y))
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _arc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest rotation (..., 3, 3) that takes unit vectors `a` to `b`; half a turn where they are opposite."""
    cosine = (a * b).sum(-1)[..., None, None]
    v = np.cross(a, b)
    o = np.zeros_like(v[..., 0])
    skew = np.stack([np.stack(row, -1) for row in (
        (o, -v[..., 2], v[..., 1]), (v[..., 2], o, -v[..., 0]), (-v[..., 1], v[..., 0], o))], -2)  # fmt: skip
    opposite = cosine < -1 + 1e-9
    axis = _unit(np.cross(a, np.eye(3)[np.argmin(np.abs(a), axis=-1)]))
    half_turn = 2 * axis[..., :, None] * axis[..., None, :] - np.eye(3)
    return np.where(opposite, half_turn, np.eye(3) + skew + skew @ skew / np.where(opposite, 1.0, 1 + cosine))


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
