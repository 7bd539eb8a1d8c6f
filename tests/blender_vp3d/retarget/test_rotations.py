"""Rotations against Blender's own arithmetic."""

import numpy as np
import pytest

pytest.importorskip("bpy", reason="needs Blender as a Python module")

import mathutils

from blender_vp3d.retarget import rotations as rot

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")


def some(count=200, seed=0):
    return rot.unit(np.random.default_rng(seed).standard_normal((count, 4)))


def wandering(count=400, seed=1):
    """Rotations that go all around without a jump."""
    steps = rot.turn(rot.unit(np.random.default_rng(seed).standard_normal((count, 3)) + np.array([1, 0.5, 0.2])), 0.1)
    made = [rot.IDENTITY]
    for step in steps:
        made.append(rot.multiply(step, made[-1]))
    return np.array(made)


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_are_blenders(order):
    q = some()
    angles = np.array([mathutils.Quaternion(one).to_euler(order) for one in q])
    back = rot.from_euler(angles, order)
    np.testing.assert_allclose(np.abs((back * q).sum(-1)), 1, atol=1e-6)
    again = [mathutils.Euler(one, order).to_quaternion() for one in rot.euler(q, order)]
    np.testing.assert_allclose(np.abs((np.array(again) * q).sum(-1)), 1, atol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_do_not_jump(order):
    q = wandering()
    angles = rot.euler(q, order)
    middle = np.abs(np.cos(angles[:, "XYZ".index(order[1])]))
    free = np.minimum(middle[1:], middle[:-1]) > 0.3  # next to gimbal lock angles do run
    assert np.abs(np.diff(angles, axis=0))[free].max() < 0.5
    flipped = np.where(np.arange(len(q))[:, None] % 2, -q, q)
    np.testing.assert_allclose(rot.euler(flipped, order), angles, atol=1e-9)


def test_axis_and_angle_do_not_jump():
    swing = rot.turn(np.array([0, 0, 1.0]), np.linspace(-2, 5, 100))
    values = rot.axis_angle(swing)
    assert np.abs(np.diff(values, axis=0)).max() < 0.1
    np.testing.assert_allclose(np.abs((rot.from_axis_angle(values) * swing).sum(-1)), 1, atol=1e-12)
    q = some()
    blenders = np.array([(angle, *axis) for axis, angle in (mathutils.Quaternion(one).to_axis_angle() for one in q)])
    np.testing.assert_allclose(np.abs((rot.from_axis_angle(blenders) * q).sum(-1)), 1, atol=1e-6)


def test_products_and_turns_are_matrices():
    p, q = some(50, 2), some(50, 3)
    v = np.random.default_rng(4).standard_normal((50, 3))
    product = rot.quaternion_to_matrix(p) @ rot.quaternion_to_matrix(q)
    np.testing.assert_allclose(rot.quaternion_to_matrix(rot.multiply(p, q)), product, atol=1e-12)
    np.testing.assert_allclose(rot.rotate(p, v), np.einsum("nij,nj->ni", rot.quaternion_to_matrix(p), v), atol=1e-12)


def test_the_shortest_arc():
    a, b = rot.unit(np.random.default_rng(5).standard_normal((2, 50, 3)))
    b[:2] = -a[:2]
    q = rot.arc(a, b)
    np.testing.assert_allclose(rot.rotate(q, a), b, atol=1e-9)
    angle = 2 * np.arccos(np.clip(np.abs(q[:, 0]), 0, 1))
    np.testing.assert_allclose(angle, np.arccos(np.clip((a * b).sum(-1), -1, 1)), atol=1e-6)


def test_slerp_is_blenders():
    for p, q in zip(some(20, 6), some(20, 7), strict=True):
        theirs = mathutils.Quaternion(p).slerp(mathutils.Quaternion(q if p @ q > 0 else -q), 0.3)
        assert abs(rot.slerp(p, q, 0.3) @ np.array(theirs)) == pytest.approx(1, abs=1e-6)


def test_twist_goes_on_past_half_a_turn():
    angle = np.linspace(-1, 5, 50)
    swing = rot.turn(np.array([1.0, 0, 0]), np.full(50, 0.4))
    q = rot.multiply(swing, rot.turn(np.array([0, 1.0, 0]), angle))
    q[::3] *= -1
    np.testing.assert_allclose(rot.twist(q, axis=1), angle, atol=1e-9)
