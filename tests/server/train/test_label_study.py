import numpy as np
import pytest
from server.walker import walking_points
from vp3d.evaluate.tables import study_table
from vp3d.train.label_study import LabelStudy, label, run_study, summarise
from vp3d.train.recording import Recording
from vp3d.train.recordings import minutes


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(300, 60.0).astype(np.float32)
    return [Recording(f"{take}.bvh", f"take-{take}", points[: 150 + 20 * take]) for take in range(6)]


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_labels_are_that_share_of_the_motion_and_the_rest_has_none(recordings, share):
    labelled, rest = label(recordings, share, seed=1)
    assert minutes(labelled) == pytest.approx(share * minutes(recordings), abs=0.5 / 60)
    assert minutes(labelled) + minutes(rest) == pytest.approx(minutes(recordings), abs=1 / 60)
    for one in labelled:
        for other in rest:
            if one.name == other.name:
                assert len(one.points) + len(other.points) <= 150 + 20 * int(one.name[0])
                assert not np.array_equal(one.points[0], other.points[0])
    again = label(recordings, share, seed=1)[0]
    assert [recording.name for recording in again] == [recording.name for recording in labelled]


def test_a_study_compares_runs_that_differ_in_films_alone(recordings, tmp_path):
    study = LabelStudy(
        tmp_path, shares=(0.4,), seeds=(1, 2), steps=6, batch=16, channels=8, examples=64, windows=64, judged=64,
        held_out=0.2, device="cpu",
    )  # fmt: skip
    rows = run_study(recordings, study)
    assert [(row["share"], row["seed"]) for row in rows] == [(0.4, 1), (0.4, 2)]
    for row in rows:
        assert row["supervised"]["mpjpe"] != row["semi_supervised"]["mpjpe"]
        assert row["unlabelled_minutes"] > row["labelled_minutes"] > 0
    assert run_study(recordings, study) == rows, "finished runs are not trained again"


def test_a_summary_is_mean_spread_and_gain():
    rows = [
        {"share": 0.1, "seed": seed, "supervised": {"mpjpe": one}, "semi_supervised": {"mpjpe": two}}
        for seed, one, two in ((1, 90.0, 80.0), (2, 100.0, 90.0), (3, 110.0, 100.0))
    ]
    (summary,) = summarise(rows)
    assert summary["supervised"] == 100
    assert summary["supervised_spread"] == pytest.approx(10)
    assert summary["gain"] == pytest.approx(0.1)
    assert study_table([summary]).row_count == 1
