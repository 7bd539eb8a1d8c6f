from dataclasses import replace

import numpy as np
import pytest
import torch
from server.walker import walking_points
from vp3d.evaluate.tables import recipe_table
from vp3d.lift.checkpoint import load
from vp3d.lift.conventions import CONVENTIONS
from vp3d.train.bodies import FACE, POINTS
from vp3d.train.recipe_study import VARIANTS, WHOLE, _faceless, run_study, small
from vp3d.train.recordings import Recording


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(300, 60.0).astype(np.float32)
    return [Recording(f"{take}.bvh", f"take-{take}", points[: 150 + 20 * take]) for take in range(6)]


def test_runs_differ_from_the_whole_recipe_and_are_judged_alike(recordings, tmp_path):
    settings = replace(small((), tmp_path / "runs", steps=3, device="cpu"), channels=8, batch=16, pairs=4,
                       evaluate_windows=1)  # fmt: skip
    rows = run_study(recordings, settings, frames=60)
    assert [row["variant"] for row in rows] == [WHOLE, *VARIANTS]
    assert [row["seed"] for row in rows[:3]] == [1, 2, 1]
    for kind in ("perfect", "noisy", "bent", "built"):
        errors = [row[kind]["mpjpe"] for row in rows]
        assert len(set(errors)) == len(errors), "every change has an effect"
        assert len({row[kind]["frames"] for row in rows}) == 1
    trained = {path.stem: load(path) for path in (tmp_path / "runs").glob("*.safetensors")}
    assert len({tuple(each.training["data"]["held_out_takes"]) for each in trained.values()}) == 1
    assert trained["81-frames-1"].architecture.receptive_field == 81
    assert trained["no-confidence-1"].convention == "unrated"
    whole, quarter = (
        trained[name].training["data"]["training_minutes"] for name in ("whole-recipe-1", "a-quarter-of-the-takes-1")
    )
    assert quarter < whole
    assert recipe_table(rows).row_count == len(rows)
    assert run_study(recordings, settings, variants=("9 frames",), frames=60) == [
        row for row in rows if row["variant"] == "9 frames"
    ], "finished runs are not trained again"


def test_a_person_without_a_face_has_it_in_the_neck(recordings):
    points = _faceless(recordings[0]).points
    for name in FACE:
        assert np.array_equal(points[:, POINTS.index(name)], recordings[0].points[:, POINTS.index("neck")])
    assert np.array_equal(points[:, :17], recordings[0].points[:, :17])


def test_unrated_joints_count_alike_whatever_their_confidence():
    generator = torch.Generator().manual_seed(0)
    rays = torch.rand(2, 9, 17, 2, generator=generator)
    confidence = torch.rand(2, 9, 17, generator=generator) + 0.1
    confidence[:, 3, 5] = 0
    rays[:, 3, 5] = torch.nan
    found, axes = CONVENTIONS["unrated"].encode(rays, confidence, 4)
    same, same_axes = CONVENTIONS["unrated"].encode(rays, confidence.sqrt(), 4)
    assert torch.equal(found, same)
    assert torch.equal(axes, same_axes)
    assert set(found[..., 2:-1:3].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(found, CONVENTIONS["canonical"].encode(rays, confidence, 4)[0])
