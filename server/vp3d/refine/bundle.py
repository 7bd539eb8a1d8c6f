"""One Gauss-Newton step for people in front of one camera: banded in time, with a Schur complement for what is shared.

Unknown per person and frame are all 17 joints in the axes of the first frame's camera; shared are the up vector, the
focal length and, per person, the camera's height and, where it moves, how far. Lengths are in the units of each
person's own lifter poses ("body units"): reprojection does not depend on a person's size, so no residual in metres can
shrink anyone. Triggs et al., "Bundle Adjustment - A Modern Synthesis" (2000), sections 4 to 6.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from vp3d.refine import skeleton
from vp3d.refine.gravity import tangent_basis

PIXEL_SIGMA = 0.008
"""A detected joint's error as a share of the person's height in the picture."""
PIXEL_KERNEL = 3.0
"""Width of the Geman-McClure kernel in sigmas."""
POSE_SIGMA = (0.03, 0.06)
"""m, the lifter's error in a joint relative to its parent, across the line of sight and along it."""
POSE_KERNEL = 3.0
"""Width of the kernel on it in sigmas: a bone that the lifter got quite wrong yields to the pixels."""
_GIRDLE = ("spine", "thorax", "neck", "head", "left_shoulder", "right_shoulder")
BONE_SIGMA = np.array([0.02 if name in _GIRDLE else 0.005 for name in skeleton.NAMES])
"""m, how much each joint's bone varies in length: backs and shoulder girdles bend within, limbs do not."""
FLOOR_SIGMA = 0.03
"""m, height of a planted ankle."""
_CARRYING = (0.15, 0.4)
"""m, height of the hips over a foot from which it tells of the floor, and from which on fully: whoever lies has feet
that rest, but how far away is the lifter's guess, and would tilt the floor."""
STILL_SIGMA = 0.03
"""m/s, speed of a planted ankle."""
PLANT_KERNEL = 4.0
"""Width of the kernel on planted feet in sigmas: what is further off was no contact."""

ACCELERATION_SIGMA = np.where(np.arange(skeleton.JOINTS) == 0, 6.0, 4.0)
"""m/s² at `_REFERENCE_STEP`: acceleration of the root, and of each joint against the motion that the lifter gave it."""
_REFERENCE_STEP = 1 / 30

_WINDOW = 256
_HALO = 48
"""Frames solved at once, and those on both sides that are solved with them and thrown away: the smoothness terms forget
what is further away, so memory does not grow with the clip."""
_DAMPING = 1e-4
"""1/m², keeps a frame without any pixels solvable; more would hide how little a picture tells of the focal length."""
EVERYBODY = 3
"""Unknowns that all people share: two of the up vector and the log focal length."""
OWN = 4
"""Unknowns of a person that all frames share: the camera's height, and by how much the lifter turned the poses."""
SHARED = EVERYBODY + OWN
_TURN = slice(EVERYBODY + 1, SHARED)
_TRAVEL = SHARED
"""One more of a person's own where the camera's place changes: the log of how far, in body units."""


@dataclass(frozen=True)
class Witness:
    """What another camera, known beside the first frame's, sees of a person.

    Attributes:
        rotation: (3, 3) from the axes of the first frame's camera to this one's.
        position: (3,) of this camera in those axes, in the unit that `Person.travel` is per.
        focal, centre: (2,) px.
        pixels: (n, 13, 2) px of the observed joints, undistorted, 0 where unknown.
        confidence: (n, 13) 0..1.
    """

    rotation: np.ndarray
    position: np.ndarray
    focal: np.ndarray
    centre: np.ndarray
    pixels: np.ndarray
    confidence: np.ndarray


@dataclass
class Person:
    """One person's data and present estimate over the n frames where present.

    Attributes:
        frames: (n,) rows of the clip's arrays.
        step: s between neighbouring frames.
        linked: (n-1,) bool, whether a frame follows the one before without a gap.
        pose: (n, 17, 3) the lifter's, root-relative, axes of the first frame's camera, with the turn undone.
        turn: (3,) rad, by how much the lifter turned all poses, in camera axes: it may take one view for another.
        lengths: (17,) of the bones.
        stature: of this body.
        pixels: (n, 13, 2) px of the observed joints, undistorted, at the first frame's focal length, 0 where unknown.
        confidence: (n, 13) 0..1.
        soles: (n, 2, 2, 2) px of the heel and toe of the left and the right foot, as `pixels`, NaN where unseen.
        joints: (n, 17, 3) present estimate, axes of the first frame's camera.
        height: of the first frame's camera above this person's floor.
        contact: (n, 2) probability that the left and right foot is planted.
        rotation: (n, 3, 3) from those axes to the camera's at each frame.
        position: (n, 3) of the camera in those axes, in an unknown unit.
        travel: body units in that unit, or None where the camera stays in its place and is alone.
        witnesses: other cameras.
    """

    frames: np.ndarray
    step: float
    linked: np.ndarray
    pose: np.ndarray
    turn: np.ndarray
    lengths: np.ndarray
    stature: float
    pixels: np.ndarray
    confidence: np.ndarray
    soles: np.ndarray
    joints: np.ndarray
    height: float
    contact: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    travel: float | None = None
    witnesses: tuple[Witness, ...] = ()

    @property
    def shared(self) -> int:
        """Number of unknowns that all of this person's frames share."""
        return SHARED if self.travel is None else SHARED + 1

    @property
    def centre(self) -> np.ndarray:
        """(n, 3) of the camera in body units, axes of the first frame's camera."""
        return self.position * (self.travel or 0.0)

    def seen(self, joints: np.ndarray | None = None, window: slice = slice(None)) -> np.ndarray:
        """(n, 17, 3) the present estimate, or other joints like it, in the camera axes of each frame."""
        joints = self.joints[window] if joints is None else joints
        return (joints - self.centre[window, None]) @ self.rotation[window].swapaxes(1, 2)


def feet(person: Person, view: "View") -> np.ndarray:
    """(n, 2, 3, 3) ankle, heel and toe of both feet, axes of the first frame's camera, NaN where unseen.

    The picture tells heels and toes across the line of sight; along it they are where the ankle is.
    """
    ankles = person.seen()[:, skeleton.ANKLES]
    rays = np.concatenate([(person.soles - view.centre) / view.focal, np.ones((*person.soles.shape[:3], 1))], axis=-1)
    seen = np.concatenate([ankles[:, :, None], rays * ankles[..., None, 2:]], axis=2)
    return np.einsum("nfsi,nij->nfsj", seen, person.rotation) + person.centre[:, None, None]


@dataclass
class View:
    """What all people share: `focal` (2,) px, `centre` (2,) px, `up` (3,), the last two at the first frame."""

    focal: np.ndarray
    centre: np.ndarray
    up: np.ndarray


@dataclass
class Reduced:
    """A person's normal equations with the joints eliminated: `joint_step` = `constant` + `linear` @ shared step."""

    information: np.ndarray
    gradient: np.ndarray
    constant: np.ndarray
    linear: np.ndarray


def pixel_sigma(person: Person, view: View) -> np.ndarray:
    """(n,) px, expected detection error of each frame."""
    depth = np.median(person.seen()[..., 2], axis=-1)
    return np.maximum(PIXEL_SIGMA * view.focal.mean() * skeleton.ADULT_STATURE / depth, 0.5)


def _kernel(squared: np.ndarray, width: float) -> np.ndarray:
    """Geman-McClure weight of squared residuals in sigmas."""
    return 1 / (1 + squared / width**2) ** 2


def eliminate(person: Person, view: View, kernel: float, tick=lambda: None) -> Reduced:
    """Linearise all residuals of one person and eliminate the joints.

    Args:
        person: data and present estimate.
        view: present camera.
        kernel: width of the reprojection's robust kernel in sigmas.
        tick: called once a window, may raise to stop.
    """
    n, shared = len(person.frames), person.shared
    information, gradient = np.zeros((shared, shared)), np.zeros(shared)
    constant, linear = np.zeros((n, skeleton.JOINTS, 3)), np.zeros((n, skeleton.JOINTS, 3, shared))
    for start in range(0, n, _WINDOW):
        tick()
        core = slice(start, min(start + _WINDOW, n))
        wide = slice(max(core.start - _HALO, 0), min(core.stop + _HALO, n))
        inner = slice(core.start - wide.start, core.stop - wide.start)
        system = _assemble(person, view, kernel, wide)
        solution = -_solve(system).reshape(wide.stop - wide.start, skeleton.JOINTS, 3, 1 + shared)[inner]
        constant[core], linear[core] = solution[..., 0], solution[..., 1:]
        cross = system.cross[inner].reshape(-1, shared)
        information += system.shared[inner].sum(0) + cross.T @ linear[core].reshape(-1, shared)
        gradient += system.shared_gradient[inner].sum(0) + cross.T @ constant[core].ravel()
    return Reduced(information, gradient, constant, linear)


@dataclass
class _System:
    """Normal equations of a window: `block` (n, 17, 3, 17, 3) within frames, `next1`, `next2` (n, 17) the diagonal
    couplings to the two following frames, `cross` (n, 17, 3, shared), and what is summed for the shared unknowns."""

    block: np.ndarray
    next1: np.ndarray
    next2: np.ndarray
    gradient: np.ndarray
    cross: np.ndarray
    shared: np.ndarray
    shared_gradient: np.ndarray


def _assemble(person: Person, view: View, kernel: float, window: slice) -> _System:
    joints = person.joints[window]
    (n, J), shared = joints.shape[:2], person.shared
    system = _System(
        np.zeros((n, J, 3, J, 3)), np.zeros((n, J)), np.zeros((n, J)), np.zeros((n, J, 3)),
        np.zeros((n, J, 3, shared)), np.zeros((n, shared, shared)), np.zeros((n, shared)),
    )  # fmt: skip
    _add_reprojection(system, person, view, kernel, window)
    _add_bones(system, person, window)
    _add_smoothness(system, person, window)
    _add_contacts(system, person, view, window)
    diagonal = np.einsum("tjkjk->tjk", system.block)
    diagonal += _DAMPING
    return system


def _add_reprojection(system: _System, person: Person, view: View, kernel: float, window: slice) -> None:
    own = person.centre[window], person.rotation[window], view.focal, view.centre, pixel_sigma(person, view)[window]
    _add_sight(
        system, person, *own, person.pixels[window], person.confidence[window], kernel, window, focal_is_shared=True
    )
    for other in person.witnesses:
        n = len(system.block)
        centre = np.tile(other.position * person.travel, (n, 1))
        depth = np.median((person.joints[window] - centre[:, None]) @ other.rotation[2], axis=-1)
        sigma = np.maximum(PIXEL_SIGMA * other.focal.mean() * skeleton.ADULT_STATURE / np.maximum(depth, 0.1), 0.5)
        place = centre, np.tile(other.rotation, (n, 1, 1)), other.focal, other.centre, sigma
        _add_sight(system, person, *place, other.pixels[window], other.confidence[window], kernel, window)


def _add_sight(
    system: _System,
    person: Person,
    centre: np.ndarray,
    rotation: np.ndarray,
    focal: np.ndarray,
    principal: np.ndarray,
    sigma: np.ndarray,
    pixels: np.ndarray,
    confidence: np.ndarray,
    kernel: float,
    window: slice,
    focal_is_shared: bool = False,
) -> None:
    """Reprojection into a camera at `centre` (n, 3) turned by `rotation` (n, 3, 3), the person's pixels there."""
    seen = np.einsum("tjx,tcx->tjc", person.joints[window][:, skeleton.OBSERVED] - centre[:, None], rotation)
    z = seen[..., 2]
    offset = seen[..., :2] / z[..., None] * focal
    residual = (offset + principal - pixels) / sigma[:, None, None]
    weight = confidence * _kernel((residual**2).sum(-1), kernel)
    jacobian = np.zeros((*z.shape, 2, 3))
    jacobian[..., 0, 0] = focal[0] / z
    jacobian[..., 1, 1] = focal[1] / z
    jacobian[..., 2] = -offset / z[..., None]
    jacobian /= sigma[:, None, None, None]
    jacobian = jacobian @ rotation[:, None]
    by_shared = {2: offset / sigma[:, None, None]} if focal_is_shared else {}
    if person.travel is not None:
        by_shared[_TRAVEL] = -np.einsum("tjcx,tx->tjc", jacobian, centre)
    weighted = jacobian * weight[..., None, None]
    blocks = np.einsum("tjcx,tjcy->tjxy", weighted, jacobian)
    for i, joint in enumerate(skeleton.OBSERVED):
        system.block[:, joint, :, joint, :] += blocks[:, i]
    system.gradient[:, skeleton.OBSERVED] += np.einsum("tjcx,tjc->tjx", weighted, residual)
    for a, by_a in by_shared.items():
        system.cross[..., a][:, skeleton.OBSERVED] += np.einsum("tjcx,tjc->tjx", weighted, by_a)
        system.shared_gradient[:, a] += np.einsum("tj,tjc,tjc->t", weight, by_a, residual)
        for b, by_b in by_shared.items():
            system.shared[:, a, b] += np.einsum("tj,tjc,tjc->t", weight, by_a, by_b)


def _add_bones(system: _System, person: Person, window: slice) -> None:
    """The lifter's pose, loose along the line of sight, and bones that keep their length."""
    joints, pose = person.joints[window], person.pose[window]
    sight = joints[:, 0] - person.centre[window]
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    to_shot = person.rotation[window].swapaxes(1, 2)
    along = np.einsum("tx,ty->txy", sight, sight)
    prior = np.eye(3) / POSE_SIGMA[0] ** 2 + along * (1 / POSE_SIGMA[1] ** 2 - 1 / POSE_SIGMA[0] ** 2)
    for child, parent in enumerate(skeleton.PARENTS):
        if child == parent:
            continue
        bone = joints[:, child] - joints[:, parent]
        length = np.maximum(np.linalg.norm(bone, axis=-1), 1e-6)
        direction = bone / length[:, None]
        lifted = pose[:, child] - pose[:, parent]
        change = bone - lifted
        weight = _kernel(np.einsum("tx,txy,ty->t", change, prior, change), POSE_KERNEL)
        weighted = prior * weight[:, None, None]
        pull = np.einsum("txy,ty->tx", weighted, change)
        by_turn = _cross_matrix(lifted) @ to_shot
        cross = weighted @ by_turn
        system.cross[:, child, :, _TURN] += cross
        system.cross[:, parent, :, _TURN] -= cross
        system.shared[:, _TURN, _TURN] += by_turn.swapaxes(1, 2) @ cross
        system.shared_gradient[:, _TURN] += np.einsum("txa,tx->ta", by_turn, pull)
        information = weighted + np.einsum("tx,ty->txy", direction, direction) / BONE_SIGMA[child] ** 2
        pull += direction * ((length - person.lengths[child]) / BONE_SIGMA[child] ** 2)[:, None]
        for a, b, sign in ((child, child, 1), (parent, parent, 1), (child, parent, -1), (parent, child, -1)):
            system.block[:, a, :, b, :] += sign * information
        system.gradient[:, child] += pull
        system.gradient[:, parent] -= pull


def _cross_matrix(vectors: np.ndarray) -> np.ndarray:
    """(n, 3, 3) matrices with `matrix @ w` = vectors x w for vectors (n, 3)."""
    return np.cross(vectors[:, None, :], np.eye(3)).swapaxes(1, 2)


def _add_smoothness(system: _System, person: Person, window: slice) -> None:
    joints, linked = person.joints[window] - person.pose[window], person.linked[window.start : window.stop - 1]
    if len(joints) < 3:
        return
    # A random velocity walk has second differences that grow with step^1.5, so that a clip's frame rate does not change
    # how smooth its motion becomes.
    sigma = ACCELERATION_SIGMA * person.step**1.5 * _REFERENCE_STEP**0.5
    weight = (linked[1:] & linked[:-1])[:, None] / sigma**2
    bend = weight[..., None] * (joints[2:] - 2 * joints[1:-1] + joints[:-2])
    diagonal = np.einsum("tjkjk->tjk", system.block)
    for shift, factor in enumerate((1.0, -2.0, 1.0)):
        rows = slice(shift, len(joints) - 2 + shift)
        diagonal[rows] += factor**2 * weight[..., None]
        system.gradient[rows] += factor * bend
    system.next1[:-2] -= 2 * weight
    system.next1[1:-1] -= 2 * weight
    system.next2[:-2] += weight


def _add_contacts(system: _System, person: Person, view: View, window: slice) -> None:
    """Planted feet: on the floor and still."""
    ankles = person.joints[window][:, skeleton.ANKLES]
    contact = person.contact[window]
    basis = tangent_basis(view.up)
    residual = (ankles @ view.up + person.height - skeleton.ANKLE_HEIGHT) / FLOOR_SIGMA
    above = (person.joints[window][:, [0]] - ankles) @ view.up
    carrying = np.clip((above - _CARRYING[0]) / (_CARRYING[1] - _CARRYING[0]), 0, 1)
    weight = contact * carrying * _kernel(residual**2, PLANT_KERNEL)
    jacobian = np.zeros((*contact.shape, person.shared))
    jacobian[..., :2] = ankles @ basis.T
    jacobian[..., EVERYBODY] = 1.0
    jacobian /= FLOOR_SIGMA
    normal = view.up / FLOOR_SIGMA
    for i, ankle in enumerate(skeleton.ANKLES):
        system.block[:, ankle, :, ankle, :] += weight[:, i, None, None] * np.outer(normal, normal)
    system.gradient[:, skeleton.ANKLES] += (weight * residual)[..., None] * normal
    system.cross[:, skeleton.ANKLES] += weight[..., None, None] * normal[:, None] * jacobian[..., None, :]
    system.shared += np.einsum("tf,tfa,tfb->tab", weight, jacobian, jacobian)
    system.shared_gradient += np.einsum("tf,tfa,tf->ta", weight, jacobian, residual)

    linked = person.linked[window.start : window.stop - 1]
    sigma = STILL_SIGMA * person.step
    moved = (ankles[1:] - ankles[:-1]) / sigma
    weight = np.minimum(contact[1:], contact[:-1]) * linked[:, None] * _kernel((moved**2).sum(-1), PLANT_KERNEL)
    pull = (weight / sigma)[..., None] * moved
    diagonal = np.einsum("tjkjk->tjk", system.block)
    for rows, sign in ((slice(1, None), 1.0), (slice(0, -1), -1.0)):
        diagonal[rows, skeleton.ANKLES] += (weight / sigma**2)[..., None]
        system.gradient[rows, skeleton.ANKLES] += sign * pull
    system.next1[:-1, skeleton.ANKLES] -= weight / sigma**2


def _solve(system: _System) -> np.ndarray:
    """(n * 51, 1 + shared): the window's block inverse times gradient and cross terms, by banded Cholesky."""
    n, D = len(system.block), skeleton.JOINTS * 3
    block = system.block.reshape(n, D, D)
    row, column = np.tril_indices(D)
    banded = np.zeros((2 * D + 1, n, D))
    banded[row - column, :, column] = block[:, row, column].T
    banded[D] = np.repeat(system.next1, 3, axis=1)
    banded[2 * D] = np.repeat(system.next2, 3, axis=1)
    rhs = np.concatenate([system.gradient[..., None], system.cross], axis=-1).reshape(n * D, -1)
    banded = banded.reshape(2 * D + 1, n * D)[: min(2 * D + 1, n * D)]
    return solveh_banded(banded, rhs, lower=True, overwrite_ab=True, check_finite=False)
