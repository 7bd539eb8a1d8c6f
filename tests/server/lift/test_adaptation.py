"""Fitting the bundled lifter to a film whose 3D truth is known, and to what cannot be fitted."""

import dataclasses

import numpy as np
import pytest
import torch
from server.walker import film
from vp3d.errors import Cancelled, UserError
from vp3d.evaluate.metrics import p_mpjpe
from vp3d.lift import Adapted, Appearance, Lifter, adapt, load_weights

FPS = 50
SIZE = (1280, 720)
FRAMES = 60


@pytest.fixture(scope="module")
def filmed() -> tuple[Appearance, np.ndarray, np.ndarray]:
    """A walker seen with 3 px of noise, K, and true poses."""
    joints, confidence, K, poses = film(FRAMES, FPS)
    return Appearance(joints + np.random.default_rng(0).normal(0, 3, joints.shape), confidence), K, poses


@pytest.fixture(scope="module")
def adapted(filmed) -> Adapted:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vp3d.lift.adaptation._STEPS", 45)
        return adapt(load_weights(), [filmed[0]], filmed[1], FPS)


def test_held_out_joints_are_found_better(adapted):
    report = adapted.report
    assert report["kept"]
    assert report["held_out_px"][1] < 0.95 * report["held_out_px"][0]
    assert report["seen_px"][1] < report["seen_px"][0]
    assert 0 < report["steps"] <= 45


def test_poses_become_hardly_worse(adapted, filmed):
    seen, K, truth = filmed
    errors = [
        p_mpjpe(Lifter(weights, "x").lift(seen.joints, seen.confidence, K, SIZE, FPS), truth).mean()
        for weights in (load_weights(), adapted.fitted)
    ]
    assert errors[1] < 1.05 * errors[0]


def test_stored_and_read_again(adapted):
    original = load_weights()
    again = Adapted.read(original, adapted.stored())
    assert again.report == adapted.report
    assert again.fitted.training["adapted"] == adapted.report
    for name, value in adapted.fitted.pose.items():
        assert torch.equal(again.fitted.pose[name], value)
    refused = Adapted(None, {"kept": False})
    assert Adapted.read(original, refused.stored()) == refused


def test_what_does_not_help_is_not_kept(filmed, monkeypatch):
    """Joints of which every one is found somewhere else in every frame: no weights explain those that are held out."""
    seen, K, _ = filmed
    rng = np.random.default_rng(1)
    monkeypatch.setattr("vp3d.lift.adaptation._STEPS", 15)
    noise = Appearance(rng.uniform(0, 1, seen.joints.shape) * SIZE, seen.confidence)
    result = adapt(load_weights(), [noise], K, FPS)
    kept = result.report["kept"]
    assert kept == (result.report["held_out_px"][1] < 0.98 * result.report["held_out_px"][0])
    assert (result.fitted is not None) == kept


def test_another_frame_rate(filmed):
    seen, K, _ = filmed
    slow = Appearance(seen.joints[::2], seen.confidence[::2])
    with pytest.raises(Cancelled):
        adapt(load_weights(), [slow], K, FPS / 2, _stop_after(2))


def _stop_after(steps: int):
    def progress(stage: str, done: int, total: int) -> None:
        assert stage == "adapt"
        if done == steps:
            raise Cancelled

    return progress


def test_refused_in_words(filmed):
    seen, K, _ = filmed
    short = Appearance(seen.joints[:10], seen.confidence[:10])
    with pytest.raises(UserError, match="long enough"):
        adapt(load_weights(), [short], K, FPS)
    whole = dataclasses.replace(load_weights(), convention="width-normalised")
    with pytest.raises(UserError, match="cannot be adapted"):
        adapt(whole, [seen], K, FPS)
