"""Quaternion arithmetic on arrays, and Blender's ways to hold a rotation. No bpy in here.

Quaternions are (..., 4) as (w, x, y, z), unit; vectors are (..., 3). All functions broadcast.
"""

import numpy as np

from ..common.armature import continuous, matrix_to_quaternion, quaternion_to_matrix

__all__ = [
    "arc", "attribute", "axis_angle", "conjugate", "continuous", "euler", "from_axis_angle", "from_euler", "from_mode",
    "in_mode", "matrix_to_quaternion", "multiply", "quaternion_to_matrix", "rotate", "slerp", "turn", "twist", "unit",
]  # fmt: skip

IDENTITY = np.array([1.0, 0, 0, 0])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., n) of length 1; zero stays zero."""
    return vectors / np.maximum(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)), 1e-12)[..., None]


def conjugate(q: np.ndarray) -> np.ndarray:
    """The inverse rotation."""
    return q * np.array([1.0, -1, -1, -1])


def multiply(p: np.ndarray, q: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """The product p q …: the last rotation comes first."""
    a, b, c, d = _parts(p)
    w, x, y, z = _parts(q)
    product = np.empty(np.broadcast_shapes(p.shape, q.shape))
    product[..., 0] = a * w - b * x - c * y - d * z
    product[..., 1] = a * x + b * w + c * z - d * y
    product[..., 2] = a * y - b * z + c * w + d * x
    product[..., 3] = a * z + b * y - c * x + d * w
    return multiply(product, *more) if more else product


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors `v` turned by `q`."""
    a, x, y, z = _parts(q)
    u, v, w = _parts(np.asarray(v, float))
    s, t, r = 2 * (y * w - z * v), 2 * (z * u - x * w), 2 * (x * v - y * u)
    turned = np.empty((*np.shape(s), 3))
    turned[..., 0] = u + a * s + y * r - z * t
    turned[..., 1] = v + a * t + z * s - x * r
    turned[..., 2] = w + a * r + x * t - y * s
    return turned


def _parts(array: np.ndarray) -> list[np.ndarray]:
    return [array[..., i] for i in range(array.shape[-1])]


def turn(axis: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Rotation by `angle` (...) rad about the unit vector `axis` (..., 3)."""
    angle = np.asarray(angle, float)
    shape = np.broadcast_shapes(angle.shape, np.shape(axis)[:-1])
    made = np.empty((*shape, 4))
    made[..., 0] = np.cos(angle / 2)
    made[..., 1:] = np.sin(angle / 2)[..., None] * axis
    return made


def arc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest rotation that takes unit vectors `a` to `b`; half a turn about any axis where they are opposite."""
    cosine = (a * b).sum(-1, keepdims=True)
    opposite = cosine < -1 + 1e-9
    any_axis = unit(np.cross(a, np.eye(3)[np.argmin(np.abs(a), axis=-1)]))
    w, v = np.where(opposite, 0, 1 + cosine), np.where(opposite, any_axis, np.cross(a, b))
    return unit(np.concatenate([w, v], axis=-1))


def slerp(p: np.ndarray, q: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """From `p` (share 0) to `q` (share 1) by the shorter way."""
    dot = np.einsum("...i,...i->...", *np.broadcast_arrays(p, q))[..., None]
    angle = np.arccos(np.minimum(np.abs(dot), 1))
    share = np.asarray(share, float)[..., None]
    near = angle < 1e-6
    sine = np.where(near, 1.0, np.sin(angle))
    first = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(near, share, np.sin(share * angle) / sine) * np.where(dot < 0, -1, 1)
    return unit(first * p + second * q)


def twist(q: np.ndarray, axis: int) -> np.ndarray:
    """The part (T,) rad of rotations `q` (T, 4) that turns about a coordinate axis; continuous over time."""
    angle = 2 * np.arctan2(q[:, 1 + axis], q[:, 0])
    angle[0] -= 2 * np.pi * np.round(angle[0] / (2 * np.pi))
    return np.unwrap(angle)


def from_euler(angles: np.ndarray, order: str) -> np.ndarray:
    """Quaternions of Blender's Euler angles (..., 3) rad; `order` "XYZ" turns about X first."""
    first, second, third = (turn(np.eye(3)["XYZ".index(axis)], angles[..., "XYZ".index(axis)]) for axis in order)
    return multiply(third, second, first)


def euler(q: np.ndarray, order: str) -> np.ndarray:
    """Blender's Euler angles (T, ..., 3) rad of rotations (T, ..., 4), without jumps over time.

    Every rotation has two triples of angles within a turn. How far two frames are apart is the same for both pairs of
    like solutions, and for both pairs of unlike ones, so which to take follows by a running exclusive or.
    """
    i, j, k = ("XYZ".index(axis) for axis in order)
    odd = -1.0 if (j - i) % 3 == 2 else 1.0
    m = quaternion_to_matrix(q)
    middle = np.arctan2(-odd * m[..., k, i], np.hypot(m[..., i, i], m[..., j, i]))
    first = np.arctan2(odd * m[..., k, j], m[..., k, k])
    last = np.arctan2(odd * m[..., j, i], m[..., i, i])
    found = np.stack([first, middle, last], axis=-1)
    other = np.stack([first + np.pi, np.pi - middle, last + np.pi], axis=-1)
    stay, change = (_apart(found[:-1], b[1:]) for b in (found, other))
    swap = np.zeros(found.shape[:-1], bool)
    swap[1:] = np.logical_xor.accumulate(change < stay, axis=0)
    chosen = np.unwrap(np.where(swap[..., None], other, found), axis=0)
    angles = np.empty_like(chosen)
    angles[..., [i, j, k]] = chosen
    return angles


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs((b - a + np.pi) % (2 * np.pi) - np.pi).sum(-1)


def from_axis_angle(values: np.ndarray) -> np.ndarray:
    """Quaternions of (..., 4) angle in rad and axis, as Blender holds them."""
    return turn(unit(values[..., 1:]), values[..., 0])


def axis_angle(q: np.ndarray) -> np.ndarray:
    """Angle in rad and axis, (T, ..., 4), of rotations (T, ..., 4), without jumps over time."""
    q = continuous(q)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    axis = np.where(length > 1e-7, q[..., 1:] / np.maximum(length, 1e-12), [0, 1.0, 0])
    opposite = (axis[1:] * axis[:-1]).sum(-1, keepdims=True) < 0
    sign = np.concatenate([np.ones_like(axis[:1, ..., :1]), np.cumprod(np.where(opposite, -1.0, 1.0), axis=0)])
    angle = np.unwrap(2 * np.arctan2(sign * length, q[..., :1]), axis=0)
    return np.concatenate([angle, sign * axis], axis=-1)


def attribute(mode: str) -> str:
    """The property that holds a rotation in one of Blender's rotation modes."""
    return {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")


def in_mode(q: np.ndarray, mode: str) -> np.ndarray:
    """Values (T, C) of that property, without jumps over time, for rotations (T, 4)."""
    match mode:
        case "QUATERNION":
            return continuous(q)
        case "AXIS_ANGLE":
            return axis_angle(q)
        case order:
            return euler(q, order)


def from_mode(values: np.ndarray, mode: str) -> np.ndarray:
    """Rotations (..., 4) from values (..., C) of that property."""
    match mode:
        case "QUATERNION":
            return unit(values)
        case "AXIS_ANGLE":
            return from_axis_angle(values)
        case order:
            return from_euler(values, order)
