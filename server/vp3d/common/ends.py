"""Head and feet as the picture shows them: what the 17 joints in 3D do not tell, the 21 in 2D may.

Head: nose, eyes and ears of a head of usual shape and the person's size are laid onto their 2D joints by Gauss–Newton
through the camera, all frames at once; three starts, since a face seen in little relief can be taken for its mirror
image. Feet: rays through heel and toes of a foot that stands meet the ground, and the line between is its heading.
"""

import numpy as np

from .armature import Ends, quaternion_to_matrix, rotation_vector, turning
from .skeletons import BODY_21, H36M_17
from .take import Take

# Left, up, forward of the middle between the ears, m. Source: medians of ANSUR (Gordon et al. 1989), both sexes, of
# tragion, pupil and pronasale.
_FACE = {
    "nose": (0.0, -0.022, 0.118),
    "left_eye": (0.031, 0.014, 0.080),
    "right_eye": (-0.031, 0.014, 0.080),
    "left_ear": (0.071, 0.0, 0.0),
    "right_ear": (-0.071, 0.0, 0.0),
}
_POINTS = np.array(list(_FACE.values()))
_NOISE = 0.015  # m, usual error of a 2D joint of the face
_SIZE_SIGMA = 0.08  # relative, how heads differ, and how wrong a distance may be
_TURN_SIGMA = 0.8  # rad, how heads turn against the chest
_STARTS = np.radians([-50, 0, 50])
_ITERATIONS = 10
_ENOUGH = 0.002  # m², information at which a head's orientation is half trusted; a whole face in view has 0.01
_MISFIT = 0.02  # m, root mean square at which it is half trusted
_LEAST_CONFIDENCE = 0.1

_SOLE = 0.02  # m, heel and toe joints over the ground
_ANKLE = 0.08  # m, ankles over the ground
_GRAZING = (0.06, 0.2)  # sine of a ray's angle to the ground: below, it says nothing of where along it; above, all
_FOOT = (0.12, 0.38)  # m, that a foot may be long


def seen_ends(take: Take, person: int) -> Ends:
    """What a take's 2D joints tell of the head and the feet of the person at position `person`."""
    joints = np.asarray(take.joints3d[person], np.float64)
    pixels, confidence = np.asarray(take.joints2d[person], np.float64), np.asarray(take.confidence[person], np.float64)
    count = len(joints)
    K, R, t = (np.broadcast_to(a, (count, *np.shape(a)[1:])) for a in (take.camera_K, take.camera_R, take.camera_t))
    plane = _undistorted((pixels - K[:, None, :2, 2]) / K[:, None, [0, 1], [0, 1]], take.distortion)
    known = np.isfinite(plane).all(-1) & (confidence > _LEAST_CONFIDENCE) & np.isfinite(joints).all((1, 2))[:, None]
    rays, weights = np.nan_to_num(plane), np.where(known, confidence, 0.0)
    head, head_trust = _head(joints, rays, weights, R, t)
    feet, feet_trust = _feet(joints, rays, weights, R, t)
    return Ends(head, head_trust, feet, feet_trust)


def _head(
    joints: np.ndarray, plane: np.ndarray, weights: np.ndarray, R: np.ndarray, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Axes (T, 3, 3) of the head in the world, and trust (T,) in them."""
    matrices, trust = np.broadcast_to(np.eye(3), (len(joints), 3, 3)).copy(), np.zeros(len(joints))
    face = [BODY_21.index(name) for name in _FACE]
    weights = weights[:, face] ** 2
    frames = np.flatnonzero((weights > 0).sum(-1) >= 3)
    if not len(frames):
        return matrices, trust
    joints, weights, R, t = joints[frames], weights[frames], R[frames], t[frames]
    rays = np.concatenate([plane[frames][:, face], np.ones((len(frames), len(face), 1))], axis=-1)
    look = _looking((weights[..., None] * rays).sum(1))
    rays = rays @ np.swapaxes(look, 1, 2)
    seen = rays[..., :2] / rays[..., 2:]
    camera = look @ R
    neck = joints[:, H36M_17.index("neck")]
    depth = np.maximum((look @ (np.einsum("tij,tj->ti", R, neck) + t)[..., None])[:, 2, 0], 0.3)
    chest = camera @ _chest(joints)
    # pass 1 tells the head's size, which is one for all frames; pass 2 uses it
    *_, sizes, told = _fitted(seen, weights, depth, chest, np.ones(len(frames)), _SIZE_SIGMA)
    size = _weighted_median(sizes, told)
    turned, _, told = _fitted(seen, weights, depth, chest, np.full(len(frames), size), 0.0)
    matrices[frames], trust[frames] = np.swapaxes(camera, 1, 2) @ turned, told
    return matrices, trust


def _fitted(
    seen: np.ndarray, weights: np.ndarray, depth: np.ndarray, chest: np.ndarray, size: np.ndarray, size_sigma: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orientation (T, 3, 3) in a camera that looks at the face, size (T,) and trust (T,).

    Args:
        seen: (T, 5, 2) on that camera's plane z = 1.
        weights: (T, 5).
        depth: (T,) m of the middle between the ears.
        chest: (T, 3, 3) orientation of the chest in that camera.
        size: (T,) of the head against the usual one.
        size_sigma: relative, how uncertain the size is; 0: known.
    """
    starts = len(_STARTS)
    seen, weights, depth, chest, size = (np.repeat(a, starts, axis=0) for a in (seen, weights, depth, chest, size))
    turn = turning(np.tile(_STARTS, len(seen) // starts)[:, None] * np.array([0, 1.0, 0]))
    turned, place, usual = chest @ quaternion_to_matrix(turn), np.zeros((len(seen), 2)), size
    free = 6 if size_sigma else 5
    prior = np.diag([(_NOISE / _TURN_SIGMA) ** 2] * 3 + [1e-9] * 2 + [(_NOISE / (size_sigma or 1)) ** 2])[:free, :free]
    for _ in range(_ITERATIONS):
        missed, jacobian = _missed(seen, depth, turned, place, size)
        w = weights / (1 + (missed**2).sum(-1) / (3 * _NOISE) ** 2)
        hessian = np.einsum("ti,tiak,tial->tkl", w, jacobian, jacobian)[:, :free, :free]
        off = [rotation_vector(turned @ np.swapaxes(chest, 1, 2)), np.zeros_like(place), np.log(size / usual)[:, None]]
        gradient = np.einsum("ti,tiak,tia->tk", w, jacobian, missed)[:, :free]
        gradient += np.concatenate(off, axis=-1)[:, :free] @ prior
        step = -np.linalg.solve(hessian + prior, gradient[..., None])[..., 0]
        turned = quaternion_to_matrix(turning(np.clip(step[:, :3], -0.5, 0.5))) @ turned
        place = place + step[:, 3:5]
        if size_sigma:
            size = size * np.exp(np.clip(step[:, 5], -0.2, 0.2))
    square = (_missed(seen, depth, turned, place, size)[0] ** 2).sum(-1)
    off = np.square(rotation_vector(turned @ np.swapaxes(chest, 1, 2))).sum(-1) / (3 * _TURN_SIGMA) ** 2
    cost = ((weights * np.log1p(square / (3 * _NOISE) ** 2)).sum(-1) + off).reshape(-1, starts)
    best = np.arange(len(cost)) * starts + cost.argmin(-1)
    told = hessian[best, :3, :3] - hessian[best, :3, 3:5] @ np.linalg.solve(
        hessian[best, 3:5, 3:5] + 1e-9 * np.eye(2), hessian[best, 3:5, :3]
    )
    told = np.maximum(np.linalg.eigvalsh(told)[:, 0], 0)
    misfit = (weights[best] * square[best]).sum(-1) / np.maximum(weights[best].sum(-1), 1e-9)
    return turned[best], size[best], told / (told + _ENOUGH) / (1 + misfit / _MISFIT**2)


def _missed(
    seen: np.ndarray, depth: np.ndarray, turned: np.ndarray, place: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far (T, 5, 2) m the face's points are from their rays, and how that changes (T, 5, 2, 6) with a turn, a
    shift across the view and the logarithm of the size."""
    m = size[:, None, None] * (_POINTS @ np.swapaxes(turned, 1, 2))
    missed = m[..., :2] + place[:, None] - seen * (depth[:, None, None] + m[..., 2:])
    o = np.zeros(m.shape[:2])
    x, y, z = m[..., 0], m[..., 1], m[..., 2]
    cross = np.stack([np.stack(row, -1) for row in ((o, z, -y), (-z, o, x), (y, -x, o))], -2)
    jacobian = np.zeros((*m.shape[:2], 2, 6))
    jacobian[..., :3] = cross[..., :2, :] - seen[..., None] * cross[..., 2:, :]
    jacobian[..., 3:5] = np.eye(2)
    jacobian[..., 5] = m[..., :2] - seen * m[..., 2:]
    return missed, jacobian


def _feet(
    joints: np.ndarray, plane: np.ndarray, weights: np.ndarray, R: np.ndarray, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Headings (T, 2, 2) of the feet on the ground, unit, and trust (T, 2) in them, where the feet stand."""
    headings, trust = np.zeros((len(joints), 2, 2)), np.zeros((len(joints), 2))
    eye = -np.einsum("tji,tj->ti", R, t)
    for side, name in enumerate(("left", "right")):
        ground = joints[:, H36M_17.index(f"{name}_ankle"), 2] - _ANKLE + _SOLE
        at, sure = [], np.ones(len(joints))
        for part in ("heel", "toe"):
            point = BODY_21.index(f"{name}_{part}")
            ray = np.einsum("tji,tj->ti", R, np.concatenate([plane[:, point], np.ones((len(joints), 1))], axis=-1))
            sine = -ray[:, 2] / np.linalg.norm(ray, axis=-1)
            far = (eye[:, 2] - ground) / np.maximum(-ray[:, 2], 1e-6)
            at.append(eye[:, :2] + far[:, None] * ray[:, :2])
            sure = sure * weights[:, point] * np.clip((sine - _GRAZING[0]) / (_GRAZING[1] - _GRAZING[0]), 0, 1)
        along = np.nan_to_num(at[1] - at[0])
        length = np.linalg.norm(along, axis=-1)
        headings[:, side] = along / np.maximum(length, 1e-9)[:, None]
        trust[:, side] = np.where((length > _FOOT[0]) & (length < _FOOT[1]), sure, 0.0)
    return headings, trust


def _chest(joints: np.ndarray) -> np.ndarray:
    """Left, up and forward (T, 3, 3) of the chest, as columns."""
    at = {name: joints[:, H36M_17.index(name)] for name in ("left_shoulder", "right_shoulder", "thorax", "spine")}
    up, left = _unit(at["thorax"] - at["spine"]), at["left_shoulder"] - at["right_shoulder"]
    forward = _unit(np.cross(left, up))
    return np.stack([np.cross(up, forward), up, forward], axis=-1)


def _looking(directions: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) of a camera into one that looks along (T, 3)."""
    ahead = _unit(directions)
    right = _unit(np.cross([0, 1.0, 0], ahead))
    return np.stack([right, np.cross(ahead, right), ahead], axis=-2)


def _undistorted(points: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Points (..., 2) of the plane z = 1 without a lens's distortion k1 k2 p1 p2 k3, by OpenCV's iteration."""
    k1, k2, p1, p2, k3 = np.asarray(distortion, np.float64)
    straight = points
    for _ in range(10 if np.any(distortion) else 0):
        x, y = straight[..., 0], straight[..., 1]
        r2 = x * x + y * y
        aside = [2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
        straight = (points - np.stack(aside, axis=-1)) / (1 + r2 * (k1 + r2 * (k2 + r2 * k3)))[..., None]
    return straight


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)]) if total[-1] > 0 else 1.0


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
