import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from server.walker import walking_points
from vp3d.train import augment
from vp3d.train.bodies import POINTS
from vp3d.train.dice import Dice


@pytest.fixture
def windows():
    points = walking_points(120, 30.0).astype(np.float32)
    return torch.from_numpy(np.stack([points[start : start + 28] for start in range(0, 90, 3)]))


def bone(points, start, end):
    return (points[..., POINTS.index(end), :] - points[..., POINTS.index(start), :]).norm(dim=-1).numpy()


BONES = [
    (f"{s}_{a}", f"{s}_{b}")
    for s in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("elbow", "wrist"))
]


@pytest.mark.parametrize("change", [augment.perturb, augment.swap_upper_bodies, augment.seat, augment.tip_over])
def test_bending_keeps_bones_and_root(windows, change):
    before = windows.clone()
    change(windows, Dice(0))
    assert not torch.allclose(windows, before)
    for start, end in BONES:
        assert bone(windows, start, end) == pytest.approx(bone(before, start, end), abs=1e-4)
    if change is not augment.tip_over:
        assert torch.equal(windows[:, :, 0], before[:, :, 0])


def test_share_zero_changes_nothing(windows):
    before = windows.clone()
    for change in (augment.perturb, augment.swap_upper_bodies, augment.seat, augment.tip_over):
        change(windows, Dice(0), share=0.0)
    assert windows.numpy() == pytest.approx(before.numpy(), abs=1e-5)


def test_mirror_exchanges_sides(windows):
    mirrored = augment.mirror(windows, Dice(0))
    flipped = ~torch.isclose(mirrored, windows).flatten(1).all(1)
    assert 5 < flipped.sum() < 25
    left, right = POINTS.index("left_wrist"), POINTS.index("right_wrist")
    assert torch.equal(mirrored[flipped][:, :, left], windows[flipped][:, :, right] * torch.tensor([-1, 1, 1]))


def test_proportions_stay_constant_in_a_window_and_alike_on_both_sides(windows):
    augment.vary_proportions(windows, Dice(0))
    for start, end in BONES:
        lengths = bone(windows, start, end)
        assert np.ptp(lengths, axis=1).max() < 1e-4
    left, right = (bone(windows, f"{s}_hip", f"{s}_knee")[:, 0] for s in ("left", "right"))
    assert left == pytest.approx(right, abs=1e-4)
    assert 0.02 < left.std() / left.mean() < 0.15


def test_seated_people_have_their_knees_in_front(windows):
    augment.seat(windows, Dice(0), share=1.0)
    at = lambda name: windows[:, :, POINTS.index(name)]  # noqa: E731
    thigh = (at("left_knee") + at("right_knee")) / 2 - at("hip")
    assert (thigh[..., 0] > 0.1).float().mean() > 0.9, "the walker faces +X"
    knee_angle = at("left_ankle") - at("left_knee")
    assert (knee_angle[..., 0] < thigh[..., 0] + 0.05).float().mean() > 0.9


def test_upper_bodies_come_from_other_windows(windows):
    before = windows.clone()
    augment.swap_upper_bodies(windows, Dice(0), share=1.0)
    relative = windows - windows[:, :, :1]
    wrist = POINTS.index("left_wrist")
    givers = before - before[:, :, :1]
    # The walker's pelvis turns a little, so a given upper body is turned with it.
    distance = (relative[:, None, :, wrist] - givers[None, :, :, wrist]).norm(dim=-1).mean(-1)
    assert (distance.min(1).values < 0.05).all()
    legs = [POINTS.index(name) for name in ("left_knee", "right_ankle")]
    assert torch.equal(windows[:, :, legs], before[:, :, legs])


def test_everything_together_stays_human(windows):
    points = augment.augment(windows, Dice(0))
    assert points.isfinite().all()
    assert (points - points[:, :, :1]).norm(dim=-1).max() < 1.6
    assert points.diff(dim=1).norm(dim=-1).max() < 0.35


def test_what_stays_constant_is_not_varied(windows):
    unchanged = augment.augment(windows, Dice(0), constant=augment.VARIATIONS)
    assert torch.equal(unchanged, augment.mirror(windows, Dice(0)))
    for name in augment.VARIATIONS:
        others = [other for other in augment.VARIATIONS if other != name]
        assert not torch.equal(augment.augment(windows, Dice(0), others), unchanged), name


def test_rotations_of_vectors():
    vectors = np.random.default_rng(0).normal(size=(50, 3)) * 2
    vectors[0] = 0
    expected = Rotation.from_rotvec(vectors).as_matrix()
    assert augment.rotations(torch.from_numpy(vectors)).numpy() == pytest.approx(expected, abs=1e-6)
