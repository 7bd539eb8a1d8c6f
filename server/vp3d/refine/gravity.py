"""Which way is up, from how people keep their balance, and from what else is known."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from vp3d.refine import skeleton

LEVEL = np.array([0.0, -1.0, 0.0])
"""Up in the axes of a camera that is held level."""
ROLL_SIGMA = np.radians(2.5)
PITCH_SIGMA = np.radians(15.0)
"""People hold a camera's horizon straight, with exceptions (hence a Cauchy kernel), and tilt it up and down freely."""

POSTURE = 0.5
"""s for which one posture, and with it one error of the lifter, lasts."""
_LEAN_SIGMA = np.radians(5.0)
"""How far one posture's centre of mass is from being above the feet."""
_BIAS_SIGMA = np.radians([1.5, 3.0])
"""What remains in roll and pitch however many postures are averaged: a lifter's habit of leaning people, which pictures
check across the view but not along it."""
_UNKNOWN_SIGMA = np.radians([1.0, 5.0])
"""Roll and pitch where nobody stands: held near level, for feet under a seat would bend the world to their plane."""
_KERNEL = np.radians(10.0)
_KERNELS = np.radians([60.0, 60.0, 40.0, 30.0, 20.0] + [10.0] * 10)
"""Leans beyond this are no standing; a first estimate starts wide, so that a tilted camera does not hide who stands."""
_STEEPEST = np.sin(np.radians([40.0, 68.0]))
"""Roll and pitch beyond which no camera is held: a body that seems to stand so, lies."""
_STRIDE = 1.5
"""s over which balance is averaged: within a stride the feet run ahead of the body and behind it."""
_LOAD_HEIGHT = 0.06
"""m; a foot that stays this much higher than the other carries a quarter of the weight."""
_CROUCH = 0.55
"""Centre of mass above the feet as a share of the leg's length, below which a person does not stand."""

_SEATED = 0.82
"""Distance from hip to ankle of the leg that carries, as a share of the leg's length, below which a seat may carry: a
right angle at the knee gives 0.71, walking stays above 0.9."""


def tangent_basis(up: np.ndarray) -> np.ndarray:
    """(2, 3) unit vectors at right angles to `up` (3,): first roll, in the image plane, then pitch."""
    roll = np.cross(up, (0.0, 0.0, 1.0))
    if np.linalg.norm(roll) < 1e-6:
        roll = np.array([1.0, 0.0, 0.0])
    roll /= np.linalg.norm(roll)
    return np.stack([roll, np.cross(roll, up)])


def tilt(up: np.ndarray, step: np.ndarray) -> np.ndarray:
    """`up` (3,) moved by a small step (2,) rad along its tangent basis."""
    moved = up + step @ tangent_basis(up)
    return moved / np.linalg.norm(moved)


def level_prior(up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Information (2, 2) and gradient (2,) on the tangent of `up` that says: the camera is probably level."""
    basis = tangent_basis(up)
    sigma = np.array([ROLL_SIGMA, PITCH_SIGMA])
    jacobian = (basis[:, [0, 2]] / sigma).T
    residual = up[[0, 2]] / sigma
    weighted = jacobian.T / (1 + residual**2)
    return weighted @ jacobian, weighted @ residual


def balance(poses: np.ndarray, up: np.ndarray, step: float, kernel: float = _KERNEL) -> tuple[np.ndarray, np.ndarray]:
    """Direction from the supporting feet to the centre of mass, and how much each pose looks like standing.

    A person who stands or walks keeps the centre of mass above the feet, however the trunk leans; one who sits, lies or
    falls does not, and gets a weight near 0.

    Args:
        poses: (T, 17, 3) m.
        up: (3,) present estimate, in the same axes.
        step: s between frames.
        kernel: rad, lean at which a pose counts a quarter.

    Returns:
        unit directions (T, 3) and weights (T,) 0..1.
    """

    def averaged(values: np.ndarray) -> np.ndarray:
        return uniform_filter1d(values, max(round(_STRIDE / step), 1), axis=0, mode="nearest")

    feet = poses[:, skeleton.ANKLES]
    height = averaged(feet @ up)
    load = _above(height[:, ::-1], height, _LOAD_HEIGHT)
    support = np.einsum("tf,tfk->tk", load, feet) + skeleton.SUPPORT_AHEAD * skeleton.forward(poses, up)
    rise = averaged(np.einsum("j,tjk->tk", skeleton.MASSES, poses) - support)
    reach = averaged((load * np.linalg.norm(poses[:, skeleton.HIPS] - feet, axis=-1)).sum(-1))
    length = np.linalg.norm(rise, axis=-1)
    direction = rise / np.maximum(length, 1e-9)[:, None]
    leg = skeleton.leg_length(skeleton.bone_lengths(poses))
    angle2 = 2 * (1 - direction @ up)
    upright = _above(length / leg, _CROUCH, 0.08) * _above(reach / leg, _SEATED, 0.03)
    return direction, upright / (1 + angle2 / kernel**2) ** 2


def _above(values: np.ndarray, threshold: float | np.ndarray, width: float) -> np.ndarray:
    """Smooth step from 0 below the threshold to 1 above it."""
    return 1 / (1 + np.exp(np.clip((threshold - values) / width, -50, 50)))


@dataclass(frozen=True)
class Gravity:
    """What is known of gravity: unit `up` (3,) in camera axes, its information (2, 2) 1/rad² on the tangent basis, and
    the number of standing postures it rests on."""

    up: np.ndarray
    information: np.ndarray
    postures: float

    def pull(self, up: np.ndarray) -> np.ndarray:
        """Gradient (2,) of half the squared, weighted distance of another `up` (3,) on that one's tangent basis."""
        return -self.information @ tangent_basis(up) @ self.up


def estimate(people: list[np.ndarray], seen: list[np.ndarray], step: float, told: Gravity | None = None) -> Gravity:
    """Gravity from people's poses, the prior of a level camera, and what the background tells.

    Args:
        people: each person's joints (T, 17, 3) in camera axes.
        seen: of each, (T,) 0..1, whether trunk and feet are in the picture: what a lifter imagined says nothing.
        step: s between frames.
        told: by the background, where it speaks clearly.
    """
    up = LEVEL if told is None else told.up
    for kernel in _KERNELS:
        balanced = [balance(poses, up, step, kernel) for poses in people]
        direction, weight = (np.concatenate(parts) for parts in zip(*balanced, strict=True))
        weight *= np.concatenate(seen)
        weight *= _above(-np.abs(direction[:, [0, 2]]), -_STEEPEST, 0.015).prod(-1) * (direction[:, 1] < 0)
        postures = weight.sum() * step / POSTURE
        precision = 1 / (_LEAN_SIGMA**2 / max(postures, 1e-6) + _BIAS_SIGMA**2)
        lean = tangent_basis(up) @ (weight @ direction) / max(weight.sum(), 1e-6)
        information, gradient = level_prior(up)
        information += np.diag(precision)
        gradient -= precision * lean
        if told is not None:
            information += told.information
            gradient += told.pull(up)
        up = tilt(up, -np.linalg.solve(information, gradient))
    if postures < 1:
        return Gravity(LEVEL, np.diag(_UNKNOWN_SIGMA**-2), float(postures)) if told is None else told
    return Gravity(up, information, float(postures))


def world_rotation(up: np.ndarray) -> np.ndarray:
    """R (3, 3) from world to camera axes: world Z is `up` (3,), world Y the camera's view brought level."""
    view = np.array([0.0, 0.0, 1.0]) if abs(up[2]) < 0.999 else -np.sign(up[2]) * np.array([0.0, -1.0, 0.0])
    ahead = view - (view @ up) * up
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, up), ahead, up], axis=1)
