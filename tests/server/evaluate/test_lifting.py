import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from server.walker import walking_points
from takes import walker
from vp3d.errors import UserError
from vp3d.evaluate.film import film
from vp3d.evaluate.lifting import METRICS, describe, evaluate_on_motion, evaluate_on_take, score, unseen
from vp3d.evaluate.reference import Reference
from vp3d.evaluate.tables import lifter_tables
from vp3d.lift.checkpoint import Checkpoint, load
from vp3d.lift.lifter import find_weights
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.train.recording import Recording


class Truthful:
    """A lifter that knows the truth, but for a chosen error."""

    def __init__(self, clips, error=lambda poses: poses):
        self._poses, self._error = iter([clip.poses for clip in clips]), error

    def lift(self, joints, confidence, K, image_size, fps):
        return self._error(next(self._poses).copy())


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(240, 60.0).astype(np.float32)
    return [Recording("a.bvh", "007-01", points), Recording("b.bvh", "salsa-02", points[:100])]


@pytest.fixture(scope="module")
def clips(recordings):
    return film(recordings, cameras=1)


@pytest.fixture
def checkpoint():
    torch.manual_seed(0)
    return Checkpoint(TemporalModel(Architecture(52, 17, (3, 3, 3), 16)).state_dict(), fps=30.0)


def test_known_errors_are_measured(clips):
    def shifted(poses):
        poses[:, 1:] += [0.03, 0.04, 0]
        return poses

    scores = score(Truthful(clips, shifted), clips)
    result = scores.summary()
    assert result["mpjpe"] == pytest.approx(50 * 16 / 17, abs=0.01)
    assert result["mpjve"] == pytest.approx(0, abs=1e-6)
    assert result["joints"]["hip"] == 0
    assert result["joints"]["left_wrist"] == pytest.approx(50, abs=0.01)
    assert result["frames"] == sum(len(clip.poses) for clip in clips)
    assert set(result["actions"]) == {"walking", "salsa"}
    larger = score(Truthful(clips, lambda poses: poses * 1.2), clips).summary()
    assert larger["n_mpjpe"] == pytest.approx(0, abs=1e-6)
    assert larger["p_mpjpe"] == pytest.approx(0, abs=1e-6)
    assert larger["mpjpe"] > 50


def test_actions_weigh_the_same_however_long(clips):
    def worse_when_short(poses):
        poses[:, 1:, 0] += 0.1 if len(poses) < 150 else 0
        return poses

    result = score(Truthful(clips, worse_when_short), clips).summary()
    wrong = 100 * 16 / 17
    assert result["actions_mean"]["mpjpe"] == pytest.approx(wrong / 2, abs=0.1)
    assert result["mpjpe"] == pytest.approx(wrong * result_share(clips), rel=0.01)


def result_share(clips):
    return sum(len(clip.poses) for clip in clips if len(clip.poses) < 150) / sum(len(clip.poses) for clip in clips)


def test_frames_without_a_pose_are_counted_and_left_out(clips):
    def gone(poses):
        poses[:10] = np.nan
        return poses

    result = score(Truthful(clips, gone), clips).summary()
    assert result["lost"] == pytest.approx(10 * len(clips) / sum(len(clip.poses) for clip in clips), abs=1e-4)
    assert result["mpjpe"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(UserError, match="nothing to compare"):
        score(Truthful(clips, lambda poses: poses * np.nan), clips)


def test_a_lifter_is_described_from_its_weights(checkpoint):
    about = describe(Checkpoint(TemporalModel(Architecture(34, 17)).state_dict(), convention="width-normalised"), "x")
    assert about["parameters"] == 8_555_571
    assert about["flops_per_frame"] == 2 * 8_545_280
    assert about["receptive_field"] == 27
    assert not about["trajectory"]


def test_evaluation_on_motion_is_complete_and_serialisable(checkpoint, recordings):
    short = [replace(recording, points=recording.points[:75]) for recording in recordings]
    result = evaluate_on_motion(checkpoint, short, "cpu", frames=100)
    report = json.loads(json.dumps({"lifter": describe(checkpoint, "x"), **result}, allow_nan=False))
    for kind in ("perfect", "noisy"):
        assert all(report[kind][metric] > 0 for metric in METRICS)
        assert report[kind]["without_flip"]["mpjpe"] != report[kind]["mpjpe"]
        assert {"sitting", "lying"} & set(report[kind]["changed_postures"])
    assert report["focal"]["0.7"]["mpjpe"] != report["focal"]["1.4"]["mpjpe"]
    assert list(report["field_of_view"]) == ["35", "45", "60", "75", "90"]
    titles = [table.title for table in lifter_tables(report)]
    assert "By joint, mm" in titles
    assert "By action, perfect 2D" in titles


def test_evaluation_with_real_detections_wants_the_camera(checkpoint):
    take = walker(frames=30)
    reference = Reference(take.frames / 25, take.joints3d[0].astype(float), take.camera_R)
    result = evaluate_on_take(load(find_weights()), take, reference)
    assert result["frames"] == 30
    assert result["p_mpjpe"] < 100
    with pytest.raises(UserError, match="camera"):
        evaluate_on_take(checkpoint, take, Reference(reference.times, reference.joints))


def test_only_held_out_takes_are_used(checkpoint, recordings):
    def trained(*held_out):
        return replace(checkpoint, training={"data": {"held_out_takes": held_out}})

    assert [recording.take for recording in unseen(trained("007-01", "x"), recordings)] == ["007-01"]
    assert unseen(checkpoint, recordings) == recordings
    with pytest.raises(UserError, match="held out"):
        unseen(trained("x"), recordings)
