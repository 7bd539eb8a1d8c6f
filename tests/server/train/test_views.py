from dataclasses import replace

import numpy as np
import pytest
import torch
from vp3d.common.skeletons import COCO_17
from vp3d.train import views
from vp3d.train.dice import Dice
from vp3d.train.views import EXACT, PERFECT, NoiseModel, ViewModel, random_views

COUNT, WINDOW = 400, 28


@pytest.fixture
def rays():
    person = np.random.default_rng(1).normal(size=(COUNT, 1, 17, 2)) * 0.05
    return np.repeat(person, WINDOW, axis=1)


def corrupt(rays, metre, model):
    seen, confidence = views.corrupt(torch.from_numpy(rays).float(), torch.full((COUNT,), metre), model, Dice(0))
    return seen.numpy(), confidence.numpy()


def test_views_are_rotations_with_the_stated_spread():
    still = random_views(4000, torch.zeros(1), ViewModel(), Dice(0))
    rotation, position = still.rotation.double().numpy(), still.position.double().numpy()
    assert np.allclose(rotation @ rotation.swapaxes(1, 2), np.eye(3), atol=1e-6)
    assert np.allclose(np.linalg.det(rotation), 1)
    pitch = np.degrees(np.arcsin(-rotation[:, 2, 2]))
    assert np.median(pitch) == pytest.approx(9, abs=2)
    assert 0.1 < (pitch > 30).mean() < 0.2
    yaw = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 0])
    assert np.histogram(yaw, 8, (-np.pi, np.pi))[0].min() > 400
    roll = np.degrees(np.arcsin(rotation[:, 0, 2] / np.cos(np.radians(pitch))))
    assert (rotation[:, 1, 2] < 0).mean() > 0.98, "image y points down"
    assert 0.08 < (np.abs(roll) > 20).mean() < 0.16
    distance = np.linalg.norm(position, axis=-1)
    assert distance.min() >= 1.49
    assert distance.max() <= 12.01
    assert np.median(distance) == pytest.approx(np.sqrt(1.5 * 12), rel=0.1)
    across = np.abs(position[:, 0] / position[:, 2])
    assert across.max() == pytest.approx(0.75 * np.tan(np.radians(95 / 2)), rel=0.05)


def test_a_known_lens_projects_exactly_and_an_assumed_one_nearly():
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 2, 17, 3)) * 0.3).float()
    points[..., 2] += 4
    exact = points[..., :2] / points[..., 2:]
    assert torch.equal(views.project(points, ViewModel(**EXACT), Dice(0)), exact)
    zoomed = views.project(points, ViewModel(**EXACT | {"focal_error": 0.2}), Dice(0)) / exact
    factor = zoomed[:, 0, 0, 0]
    assert (zoomed - factor[:, None, None, None]).abs().max() < 1e-3
    assert factor.log().std().item() == pytest.approx(0.2, rel=0.15)
    bent = views.project(points, ViewModel(**EXACT | {"distortion": (1.0, (-0.2, -0.2))}), Dice(0))
    assert (bent.norm(dim=-1) / exact.norm(dim=-1)).numpy() == pytest.approx(
        1 - 0.2 * (exact**2).sum(-1).numpy(), abs=1e-5
    )


def test_a_perfect_detector_reports_the_truth(rays):
    seen, confidence = corrupt(rays, 0.2, PERFECT)
    assert seen == pytest.approx(rays, abs=1e-6)
    assert (confidence == 1).all()


QUIET = NoiseModel(
    strength=(1.0, 1.0),
    perfect=0.0,
    errors=(),
    outliers=(0.0, 0.0),
    missing=0.0,
    absent=0.0,
    no_face=0.0,
    gaps=0.0,
    hidden=0.0,
    no_legs=0.0,
    swaps=0.0,
)


def plain(**changes: object) -> NoiseModel:
    return replace(QUIET, **changes)


def test_rays_may_lie_in_memory_in_any_order(rays):
    lying = torch.from_numpy(rays).float().permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0)
    seen, _ = views.corrupt(lying, torch.full((COUNT,), 0.2), NoiseModel(), Dice(0))
    straight, _ = corrupt(rays, 0.2, NoiseModel())
    assert seen.numpy() == pytest.approx(straight, abs=1e-6, nan_ok=True)


def test_jitter_has_the_stated_size_and_correlation(rays):
    model = plain(errors=((0.02, 0.6),))
    error = (corrupt(rays, 0.2, model)[0] - rays) / 0.2
    knee = error[:, :, COCO_17.index("left_knee")]
    assert knee.std() == pytest.approx(0.02, rel=0.05)
    assert (knee[:, 1:] * knee[:, :-1]).mean() / knee.var() == pytest.approx(0.6, abs=0.05)
    assert error[:, :, COCO_17.index("left_wrist")].std() > knee.std() > error[:, :, COCO_17.index("nose")].std()


def test_bias_hardly_changes(rays):
    error = corrupt(rays, 0.2, plain(errors=((0.03, 0.98),)))[0] - rays
    assert np.abs(np.diff(error, axis=1)).mean() < 0.25 * np.abs(error).mean()
    assert error[:, 0, COCO_17.index("left_knee")].std() == pytest.approx(0.03 * 0.2, rel=0.1)


def test_missing_joints_come_in_runs_and_have_no_confidence(rays):
    seen, confidence = corrupt(rays, 0.2, plain(missing=0.6))
    missing = np.isnan(seen).any(-1)
    assert ((confidence == 0) == missing).all()
    knee = missing[:, :, COCO_17.index("left_knee")]
    assert 0.03 < knee.mean() < 0.15
    assert knee[:, 1:][knee[:, :-1]].mean() > 0.7


def test_guessed_joints_are_wrong_and_not_trusted(rays):
    model = plain(no_legs=1.0, guessed=1.0)
    seen, confidence = corrupt(rays, 0.2, model)
    ankle, hip = COCO_17.index("left_ankle"), COCO_17.index("left_hip")
    assert np.isfinite(seen).all()
    assert np.linalg.norm(seen - rays, axis=-1)[:, :, ankle].mean() > 0.02
    assert confidence[:, :, ankle].mean() < 0.5 * confidence[:, :, hip].mean()


def test_swaps_exchange_sides(rays):
    seen, _ = corrupt(rays, 0.2, plain(swaps=1.0))
    left, right = COCO_17.index("left_ankle"), COCO_17.index("right_ankle")
    swapped = np.isclose(seen[:, :, left], rays[:, :, right], atol=1e-6).all(-1)
    kept = np.isclose(seen[:, :, left], rays[:, :, left], atol=1e-6).all(-1)
    assert (swapped | kept).all()
    assert 0.05 < swapped.mean() < 0.6


def test_confidence_falls_with_the_error(rays):
    model = NoiseModel(
        strength=(1.0, 1.0),
        perfect=0.0,
        missing=0.0,
        absent=0.0,
        no_face=0.0,
        hidden=0.0,
        no_legs=0.0,
        gaps=0.0,
        swaps=0.0,
    )
    seen, confidence = corrupt(rays, 0.2, model)
    error = np.linalg.norm(seen - rays, axis=-1) / 0.2
    assert confidence[error > 0.2].mean() < confidence[error < 0.02].mean() - 0.15
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_faces_go_missing_for_whole_windows(rays):
    seen, _ = corrupt(rays, 0.2, plain(no_face=0.2, guessed=0.0))
    missing = np.isnan(seen).any(-1)
    assert (missing.all(1) == missing.any(1)).all()
    nose, ear = missing[:, 0, 0], missing[:, 0, COCO_17.index("left_ear")]
    assert nose.mean() == pytest.approx(0.2, abs=0.08)
    assert ear.mean() == pytest.approx(1 - 0.8**3, abs=0.1)
    assert not missing[:, :, 5:].any()


def test_some_windows_are_without_fault(rays):
    seen, confidence = corrupt(rays, 0.2, NoiseModel(perfect=0.3))
    perfect = np.isclose(seen, rays, atol=1e-7).all((1, 2, 3))
    assert perfect.mean() == pytest.approx(0.3, abs=0.07)
    assert (confidence[perfect] == 1).all()


def test_long_windows_have_more_episodes(rays):
    longer = np.repeat(rays, 3, axis=1)
    shares = [np.isnan(corrupt(each, 0.2, plain(missing=0.3))[0]).mean() for each in (rays, longer)]
    assert shares[1] == pytest.approx(shares[0], rel=0.3)


def test_hidden_sides_take_whole_regions(rays):
    seen, _ = corrupt(rays, 0.2, plain(hidden=1.0, guessed=0.0))
    assert 0.1 < np.isnan(seen).any(-1).mean() < 0.6
