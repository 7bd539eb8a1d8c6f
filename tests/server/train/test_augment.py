import numpy as np
import pytest
from server.walker import walking_points
from vp3d.train import augment
from vp3d.train.bodies import POINTS


@pytest.fixture
def windows():
    points = walking_points(120, 30.0).astype(np.float32)
    return np.stack([points[start : start + 28] for start in range(0, 90, 3)])


def bone(points, start, end):
    return np.linalg.norm(points[..., POINTS.index(end), :] - points[..., POINTS.index(start), :], axis=-1)


BONES = [
    (f"{s}_{a}", f"{s}_{b}")
    for s in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("elbow", "wrist"))
]


@pytest.mark.parametrize("change", [augment.perturb, augment.swap_upper_bodies, augment.seat, augment.tip_over])
def test_bending_keeps_bones_and_root(windows, change):
    before = windows.copy()
    change(windows, np.random.default_rng(0))
    assert not np.allclose(windows, before)
    for start, end in BONES:
        assert bone(windows, start, end) == pytest.approx(bone(before, start, end), abs=1e-4)
    if change is not augment.tip_over:
        assert np.array_equal(windows[:, :, 0], before[:, :, 0])


def test_share_zero_changes_nothing(windows):
    before = windows.copy()
    for change in (augment.perturb, augment.swap_upper_bodies, augment.seat, augment.tip_over):
        change(windows, np.random.default_rng(0), share=0.0)
    assert windows == pytest.approx(before, abs=1e-5)


def test_mirror_exchanges_sides(windows):
    mirrored = augment.mirror(windows, np.random.default_rng(0))
    flipped = ~np.isclose(mirrored, windows).all((1, 2, 3))
    assert 5 < flipped.sum() < 25
    left, right = POINTS.index("left_wrist"), POINTS.index("right_wrist")
    assert np.array_equal(mirrored[flipped][:, :, left], windows[flipped][:, :, right] * (-1, 1, 1))


def test_proportions_stay_constant_in_a_window_and_alike_on_both_sides(windows):
    augment.vary_proportions(windows, np.random.default_rng(0))
    for start, end in BONES:
        lengths = bone(windows, start, end)
        assert np.ptp(lengths, axis=1).max() < 1e-4
    left, right = (bone(windows, f"{s}_hip", f"{s}_knee")[:, 0] for s in ("left", "right"))
    assert left == pytest.approx(right, abs=1e-4)
    assert 0.02 < left.std() / left.mean() < 0.15


def test_seated_people_have_their_knees_in_front(windows):
    augment.seat(windows, np.random.default_rng(0), share=1.0)
    at = lambda name: windows[:, :, POINTS.index(name)]  # noqa: E731
    thigh = (at("left_knee") + at("right_knee")) / 2 - at("hip")
    assert (thigh[..., 0] > 0.1).mean() > 0.9, "the walker faces +X"
    knee_angle = at("left_ankle") - at("left_knee")
    assert (knee_angle[..., 0] < thigh[..., 0] + 0.05).mean() > 0.9


def test_upper_bodies_come_from_other_windows(windows):
    before = windows.copy()
    augment.swap_upper_bodies(windows, np.random.default_rng(0), share=1.0)
    relative = windows - windows[:, :, :1]
    wrist = POINTS.index("left_wrist")
    givers = before - before[:, :, :1]
    # The walker's pelvis turns a little, so a given upper body is turned with it.
    distance = np.linalg.norm(relative[:, None, :, wrist] - givers[None, :, :, wrist], axis=-1).mean(-1)
    assert (distance.min(1) < 0.05).all()
    legs = [POINTS.index(name) for name in ("left_knee", "right_ankle")]
    assert np.array_equal(windows[:, :, legs], before[:, :, legs])


def test_everything_together_stays_human(windows):
    points = augment.augment(windows, np.random.default_rng(0))
    assert np.isfinite(points).all()
    assert np.linalg.norm(points - points[:, :, :1], axis=-1).max() < 1.6
    assert np.linalg.norm(np.diff(points, axis=1), axis=-1).max() < 0.35
