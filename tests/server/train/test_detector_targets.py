import numpy as np
import pytest
import torch
from server.detect import scenes
from vp3d.common.skeletons import BODY_21
from vp3d.detect.bottom_up import decode
from vp3d.detect.layout import BASIC, KEYPOINTS, LIMBS
from vp3d.train.detector_targets import targets

WIDTH, HEIGHT = 640, 360


def body(joints: np.ndarray) -> torch.Tensor:
    """(P, 18, 2) key-points as (1, P, 21, 2) `BODY_21` joints, heels and toes below the ankles."""
    result = np.full((1, len(joints), 21, 2), np.nan, np.float32)
    for index, name in enumerate(BODY_21.joints):
        if name in KEYPOINTS:
            result[0, :, index] = joints[:, KEYPOINTS.index(name)]
    for side in ("left", "right"):
        ankle = result[0, :, BODY_21.index(f"{side}_ankle")]
        for part, offset in (("heel", (-4, 14)), ("toe", (20, 16))):
            result[0, :, BODY_21.index(f"{side}_{part}")] = ankle + np.array(offset)
    return torch.from_numpy(result)


def maps(people: torch.Tensor, labelled: torch.Tensor | None = None, ignored: torch.Tensor | None = None):
    weight = torch.isfinite(people).all(-1).float()
    labelled = torch.ones(1, 21, dtype=torch.bool) if labelled is None else labelled
    ignored = torch.zeros(1, HEIGHT // 8, WIDTH // 8, dtype=torch.bool) if ignored is None else ignored
    return targets(people, weight, labelled, ignored)


def test_maps_are_decoded_to_the_joints_that_made_them() -> None:
    """Half a cell wrong would be 4 px; feet go with their legs."""
    truth = body(scenes.random_scene(np.random.default_rng(2), 3, WIDTH, HEIGHT - 24))
    wanted = maps(truth)
    people = decode(wanted.heat[0].numpy(), wanted.affinity[0].numpy(), (1.0, 1.0), BASIC)
    assert len(people) == 3
    for joints in truth[0].numpy():
        nearest = np.argmin(np.nanmean(np.linalg.norm(people.joints - joints, axis=-1), -1))
        assert np.isfinite(people.joints[nearest]).all()
        assert np.linalg.norm(people.joints[nearest] - joints, axis=-1).max() < 1.5


def test_maps_agree_with_those_written_down_independently() -> None:
    truth = scenes.random_scene(np.random.default_rng(3), 2, WIDTH, HEIGHT)
    truth[:, 1] = (truth[:, 2] + truth[:, 5]) / 2
    wanted = maps(body(truth))
    expected = scenes.heatmaps(truth, WIDTH, HEIGHT)[:18]
    assert wanted.heat[0, :18].numpy() == pytest.approx(expected, abs=1e-5)
    limb = LIMBS[7]
    start, end = truth[0, list(limb.joints)]
    column, row = ((start + end) / 2 // 8).astype(int)
    direction = (end - start) / np.linalg.norm(end - start)
    assert wanted.affinity[0, limb.channel : limb.channel + 2, row, column].numpy() == pytest.approx(
        direction, abs=1e-4
    )


def test_what_is_not_labelled_does_not_count() -> None:
    truth = body(scenes.random_scene(np.random.default_rng(4), 1, WIDTH, HEIGHT - 24))
    truth[:, :, 17:] = torch.nan
    labelled = torch.ones(1, 21, dtype=torch.bool)
    labelled[:, 17:] = False
    ignored = torch.zeros(1, HEIGHT // 8, WIDTH // 8, dtype=torch.bool)
    ignored[:, :, 40:] = True
    wanted = maps(truth, labelled, ignored)
    assert (wanted.heat_weight[:, 18:] == 0).all() and (wanted.affinity_weight[:, 19:] == 0).all()
    assert (wanted.heat_weight[:, :18, :, :40] == 1).all() and (wanted.heat_weight[..., 40:] == 0).all()


def test_an_unsure_joint_counts_less_where_it_is_and_nowhere_else() -> None:
    truth = body(scenes.random_scene(np.random.default_rng(5), 1, WIDTH, HEIGHT - 24))
    weight = torch.ones(1, 1, 21)
    weight[..., 0] = 0.25
    wanted = targets(truth, weight, torch.ones(1, 21, dtype=torch.bool), torch.zeros(1, 45, 80, dtype=torch.bool))
    unsure = wanted.heat_weight[0, 0] == 0.25
    assert 5 < unsure.sum() < 40 and wanted.heat[0, 0][unsure].min() > 0.05
    assert (wanted.heat_weight[0, 0][~unsure] == 1).all() and (wanted.heat_weight[0, 1:] == 1).all()
