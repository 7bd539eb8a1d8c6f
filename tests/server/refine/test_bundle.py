"""The eliminated Gauss-Newton step against a dense one, from residuals written down once more, derived numerically."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import project, walk, walk_contacts
from vp3d.refine import bundle, skeleton
from vp3d.refine.gravity import tangent_basis, world_rotation

K = np.array([[1100.0, 0, 639.5], [0, 1100, 359.5], [0, 0, 1]])
UP = np.array([0.05, -0.98, -0.19]) / np.linalg.norm([0.05, -0.98, -0.19])
STEP = 1 / 25
WIDE = 1e6


def scene(frames: int, noise: float = 0.02, moving: bool = False) -> tuple[bundle.Person, bundle.View]:
    rng = np.random.default_rng(0)
    times = np.arange(frames) * STEP
    there_and_back = walk(2 - np.abs((times % 4) - 2))
    joints = (there_and_back - [1, -5, 1.3]) @ world_rotation(UP).T
    rotation, position = np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3))
    if moving:
        rotation = Rotation.from_rotvec(np.arange(frames)[:, None] * [0.01, -0.04, 0.02]).as_matrix()
        position = np.arange(frames)[:, None] * [0.03, 0.01, 0.05]
    pixels = project(K[None], rotation, -np.einsum("tij,tj->ti", rotation, position * 2), joints)[:, skeleton.OBSERVED]
    pose = joints - joints[:, :1] + rng.normal(0, noise, joints.shape)
    lengths, stature = skeleton.body(pose)
    person = bundle.Person(
        frames=np.arange(frames),
        step=STEP,
        linked=np.ones(frames - 1, bool),
        pose=pose,
        turn=np.zeros(3),
        lengths=lengths,
        stature=stature,
        pixels=pixels + rng.normal(0, 2, pixels.shape),
        confidence=rng.uniform(0, 1, pixels.shape[:2]),
        soles=np.full((frames, 2, 2, 2), np.nan),
        joints=joints + rng.normal(0, noise, joints.shape),
        height=1.25,
        contact=np.maximum(walk_contacts(times), 0.1) * 0.9,
        rotation=rotation,
        position=position,
        travel=1.9 if moving else None,
    )
    return person, bundle.View(np.diag(K)[:2], K[:2, 2], UP)


def residuals(person: bundle.Person, view: bundle.View, joints: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Everything that `bundle` says should be 0, in sigmas, around the present estimate."""
    up = view.up + shared[:2] @ tangent_basis(view.up)
    focal, height = view.focal * np.exp(shared[2]), person.height + shared[3]
    centre = person.position * (person.travel or 0.0) * np.exp(shared[7:].sum())
    seen = np.einsum("tij,tkj->tki", person.rotation, (joints - centre[:, None])[:, skeleton.OBSERVED])
    pixel = (seen[..., :2] / seen[..., 2:] * focal + view.centre - person.pixels) * np.sqrt(person.confidence)[
        ..., None
    ]
    sight = person.joints[:, 0] - person.position * (person.travel or 0.0)
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    bones = (joints - joints[:, skeleton.PARENTS])[:, 1:]
    to_shot = person.rotation.swapaxes(1, 2)
    turned = to_shot @ Rotation.from_rotvec(shared[4:7]).as_matrix() @ person.rotation
    lifted = np.einsum("tij,tkj->tki", turned, (person.pose - person.pose[:, skeleton.PARENTS])[:, 1:])
    along = np.einsum("tx,tjx->tj", sight, bones - lifted)
    across = bones - lifted - along[..., None] * sight[:, None]
    smooth = np.diff(joints - person.pose, 2, axis=0) / bundle.ACCELERATION_SIGMA[:, None]
    ankles = joints[:, skeleton.ANKLES]
    floor = (ankles @ up + height - skeleton.ANKLE_HEIGHT) * np.sqrt(person.contact)
    still = np.diff(ankles, axis=0) * np.sqrt(np.minimum(person.contact[1:], person.contact[:-1]))[..., None]
    return np.concatenate(
        [
            (pixel / bundle.pixel_sigma(person, view)[:, None, None]).ravel(),
            (along / bundle.POSE_SIGMA[1]).ravel(),
            (across / bundle.POSE_SIGMA[0]).ravel(),
            ((np.linalg.norm(bones, axis=-1) - person.lengths[1:]) / bundle.BONE_SIGMA[1:]).ravel(),
            (smooth / (STEP**1.5 * (1 / 30) ** 0.5)).ravel(),
            (floor / bundle.FLOOR_SIGMA).ravel(),
            (still / (bundle.STILL_SIGMA * STEP)).ravel(),
        ]
    )


@pytest.mark.parametrize("moving", [False, True])
def test_step_is_gauss_newton(monkeypatch, moving):
    monkeypatch.setattr(bundle, "POSE_KERNEL", WIDE)
    monkeypatch.setattr(bundle, "PLANT_KERNEL", WIDE)
    person, view = scene(4, moving=moving)
    size, shared = person.joints.size, person.shared
    assert shared == (8 if moving else 7)

    def of(unknowns):
        return residuals(person, view, unknowns[:size].reshape(person.joints.shape), unknowns[size:])

    start = np.concatenate([person.joints.ravel(), np.zeros(shared)])
    jacobian = np.stack([(of(start + h) - of(start - h)) / 2e-6 for h in np.eye(len(start)) * 1e-6], axis=1)
    hessian, gradient = jacobian.T @ jacobian, jacobian.T @ of(start)
    hessian[:size, :size] += np.eye(size) * bundle._DAMPING
    hessian[size:, size:] += np.eye(shared) * 1e3  # the solver's priors keep what is shared from running away
    truth = -np.linalg.solve(hessian, gradient)

    reduced = bundle.eliminate(person, view, WIDE)
    step = -np.linalg.solve(reduced.information + np.eye(shared) * 1e3, reduced.gradient)
    np.testing.assert_allclose(step, truth[size:], rtol=1e-3, atol=1e-6)
    moved = reduced.constant + reduced.linear @ step
    np.testing.assert_allclose(moved.ravel(), truth[:size], atol=1e-5)


def test_windows_change_nothing(monkeypatch):
    person, view = scene(700)
    windowed = bundle.eliminate(person, view, 9.0)
    monkeypatch.setattr(bundle, "_WINDOW", 10_000)
    whole = bundle.eliminate(person, view, 9.0)
    np.testing.assert_allclose(windowed.constant, whole.constant, atol=2e-3)
    prior = np.diag([300.0, 300, 50, 10, 50, 50, 50])
    ours, truth = (-np.linalg.solve(part.information + prior, part.gradient) for part in (windowed, whole))
    np.testing.assert_allclose(ours, truth, atol=2e-3)


def test_frames_apart_do_not_pull_at_each_other():
    person, view = scene(40)
    person.linked[19] = False
    together = bundle.eliminate(person, view, 9.0)
    person.joints[20:] += [0, 0, 1.0]
    person.contact[20:] = 0
    apart = bundle.eliminate(person, view, 9.0)
    np.testing.assert_allclose(together.constant[:20], apart.constant[:20], atol=1e-9)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_shortest_clips(frames):
    person, view = scene(frames)
    reduced = bundle.eliminate(person, view, 9.0)
    assert np.isfinite(reduced.constant).all()
    assert reduced.constant.shape == (frames, 17, 3)


def test_cancelling_between_windows():
    person, view = scene(600)
    calls = []

    def tick():
        calls.append(len(calls))
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.eliminate(person, view, 9.0, tick)
    assert len(calls) == 2
