import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from vp3d.lift import conventions
from vp3d.lift.conventions import HUMAN36M_FOCAL


def canonical(rays, confidence, now):
    return tuple(each.numpy() for each in conventions.canonical(torch.tensor(rays), torch.tensor(confidence), now))


def width_normalised(rays, confidence, now):
    encoded = conventions.width_normalised(torch.tensor(rays), torch.tensor(confidence), now)
    return tuple(each.numpy() for each in encoded)


@pytest.fixture
def person():
    """Rays (27, 17, 2) and confidence of somebody left of the axis."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(17, 3)) * (0.2, 0.5, 0.2) + (-1.5, 0.3, 5)
    points = points + rng.normal(size=(27, 1, 3)) * 0.02
    return points, points[..., :2] / points[..., 2:], np.ones((27, 17))


def test_look_at_is_a_rotation_without_roll():
    directions = np.random.default_rng(0).normal(size=(50, 3)) + np.array([0, 0, 3])
    R = conventions.look_at(torch.from_numpy(directions)).numpy()
    assert np.allclose(R @ R.swapaxes(1, 2), np.eye(3))
    assert np.allclose(np.linalg.det(R), 1)
    assert np.allclose((R @ directions[..., None])[:, :2], 0)
    assert np.allclose(R[:, 0, 1], 0)


def test_canonical_puts_the_hips_on_the_axis_at_unit_size(person):
    _, rays, confidence = person
    rays = np.repeat(rays[:1], 27, axis=0)
    features, _ = canonical(rays, confidence, 13)
    joints = features[:, :51].reshape(27, 17, 3)
    assert joints[13, [11, 12], :2].mean(0) == pytest.approx([0, 0], abs=0.02)
    centred = joints[13, :, :2] - joints[13, :, :2].mean(0)
    assert np.sqrt(np.square(centred).sum(-1).mean()) == pytest.approx(1, abs=1e-5)


def test_canonical_does_not_see_where_the_camera_points(person):
    points, rays, confidence = person
    turned = points @ Rotation.from_euler("xy", [0.2, 0.35]).as_matrix().T
    one, R_one = canonical(rays, confidence, 13)
    two, R_two = canonical(turned[..., :2] / turned[..., 2:], confidence, 13)
    # What is left is roll about the new axis, which looking without rolling cannot know.
    radius = lambda features: np.linalg.norm(features[:, :51].reshape(27, 17, 3)[..., :2], axis=-1)  # noqa: E731
    assert radius(one) == pytest.approx(radius(two), abs=5e-3)
    assert one[:, -1] == pytest.approx(two[:, -1], abs=5e-3)
    assert not np.allclose(R_one, R_two)


def test_canonical_does_not_see_the_focal_length_except_in_the_size(person):
    _, rays, confidence = person
    rays = rays - rays.mean((0, 1))
    small, large = (canonical(rays * zoom, confidence, 13)[0] for zoom in (0.02, 0.04))
    assert small[:, :51] == pytest.approx(large[:, :51], abs=0.01)
    assert large[0, -1] - small[0, -1] == pytest.approx(np.log(2), abs=0.01)


def test_one_wild_joint_changes_neither_size_nor_other_joints(person):
    _, rays, confidence = person
    wild = rays.copy()
    wild[5, 9] = (3, 3)
    before, after = canonical(rays, confidence, 13)[0], canonical(wild, confidence, 13)[0]
    changed = np.abs(after - before).max(axis=0) > 0.02
    assert set(np.flatnonzero(changed)) <= {27, 28}


def test_missing_joints_are_zero_with_confidence_zero(person):
    _, rays, confidence = person
    rays[:, 15] = np.nan
    rays[20:23] = np.nan
    confidence[:, 9] = 0
    features, rotation = canonical(rays, confidence, 13)
    joints = features[:, :51].reshape(27, 17, 3)
    assert np.isfinite(features).all()
    assert np.isfinite(rotation).all()
    assert not joints[:, [9, 15]].any()
    assert not joints[20:23].any()


@pytest.mark.parametrize("hidden", [[11, 12], [11], list(range(5, 17)), list(range(17))])
def test_an_anchor_is_found_without_hips(person, hidden):
    _, rays, confidence = person
    rays[:, hidden] = np.nan
    features, rotation = canonical(rays, confidence, 13)
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 20
    assert np.allclose(rotation @ rotation.T, np.eye(3))


def test_batches_equal_single_windows(person):
    _, rays, confidence = person
    batch = np.stack([rays, rays * 1.5])
    features, rotation = canonical(batch, np.stack([confidence, confidence * 0.5]), 13)
    single = canonical(rays * 1.5, confidence * 0.5, 13)
    assert features[1] == pytest.approx(single[0], abs=1e-6)
    assert rotation[1] == pytest.approx(single[1])


def test_single_precision_is_precise_enough(person):
    _, rays, confidence = person
    double, single = (canonical(rays.astype(kind), confidence.astype(kind), 13) for kind in (np.float64, np.float32))
    for one, other in zip(double, single, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_width_normalised_is_a_human36m_camera(person):
    _, rays, confidence = person
    features, rotation = width_normalised(rays, confidence, 0)
    assert features.reshape(27, 17, 2) == pytest.approx(rays * HUMAN36M_FOCAL, abs=1e-6)
    assert (rotation == np.eye(3)).all()


def test_width_normalised_interpolates_missing_joints(person):
    _, rays, confidence = person
    rays[:, 3] = np.linspace(0, 1, 27)[:, None]
    holed = rays.copy()
    holed[5:9, 3] = np.nan
    holed[:, 7] = np.nan
    holed[12] = np.nan
    features = width_normalised(holed, confidence, 0)[0].reshape(27, 17, 2)
    assert features[:, 3] == pytest.approx(rays[:, 3] * HUMAN36M_FOCAL, abs=1e-5)
    assert np.isfinite(features).all()
