from dataclasses import replace

import numpy as np
import pytest
from server.walker import walking_points
from vp3d.common.skeletons import H36M_17
from vp3d.errors import Cancelled, UserError
from vp3d.lift import load_lifter
from vp3d.train.bodies import COCO_POINTS
from vp3d.train.lifter import LifterSettings, train_on
from vp3d.train.recordings import Recording
from vp3d.train.synthesis import Synthesis
from vp3d.train.views import PERFECT, ViewModel


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(400, 60.0).astype(np.float32)
    return [Recording(f"{take}.bvh", f"take-{take}", points) for take in range(4)]


@pytest.fixture
def settings(tmp_path):
    return LifterSettings(
        motion=(),
        output=tmp_path / "lifter.safetensors",
        steps=30,
        channels=32,
        batch=32,
        pairs=8,
        held_out=0.25,
        evaluate_windows=64,
    )


def test_a_killed_run_goes_on_to_the_same_loss(recordings, settings, tmp_path):
    whole = train_on(recordings, settings)
    second = replace(settings, output=tmp_path / "second.safetensors")

    def kill_at_17(stage, done, total):
        if done == 17:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_on(recordings, second, kill_at_17)
    assert not second.output.exists()
    assert (tmp_path / "second.safetensors.training").exists()
    resumed = train_on(recordings, second)
    assert resumed["held_out_mm"] == whole["held_out_mm"]
    one, two = load_lifter(settings.output), load_lifter(second.output)
    assert one.digest == two.digest


def test_training_learns_and_writes_a_lifter_that_says_how(recordings, settings):
    first = train_on(recordings, replace(settings, output=settings.output.with_name("first.safetensors"), steps=1))
    record = train_on(recordings, replace(settings, steps=120, batch=64))
    assert record["held_out_mm"]["perfect"]["mpjpe"] < 0.7 * first["held_out_mm"]["perfect"]["mpjpe"]
    assert len(record["data"]["held_out_takes"]) == 1
    lifter = load_lifter(settings.output)
    assert lifter.receptive_field == 27
    assert lifter.licence == settings.licence


def test_a_state_of_other_settings_is_refused(recordings, settings):
    train_on(recordings, replace(settings, steps=2))
    with pytest.raises(UserError, match="channels"):
        train_on(recordings, replace(settings, channels=64))


def test_examples_are_consistent(recordings):
    """The features are what the true pose looks like through the camera that the pose is given in."""
    views = ViewModel(focal_error=0.0, drift=(0.0, 0.0), distance=(50.0, 60.0))
    synthesis = Synthesis(recordings, 27, 13, 30.0, views=views, noise=PERFECT)
    examples = synthesis.draw(40, 40, np.random.default_rng(0))
    seen = examples.features[:, 13, :51].reshape(40, 17, 3)
    assert (seen[..., 2] == 1).all()
    limbs = [(COCO_POINTS[i], i) for i in range(5, 17)]
    pose = examples.poses[:, 0, [h for h, _ in limbs], :2]
    image = seen[:, [c for _, c in limbs], :2]
    # From far away perspective vanishes and the image is the pose times one factor.
    factor = (image * pose).sum((1, 2)) / (pose**2).sum((1, 2))
    assert image == pytest.approx(pose * factor[:, None, None], abs=0.05)


def test_the_next_window_is_the_same_motion_one_frame_later(recordings):
    synthesis = Synthesis(recordings, 27, 13, 30.0, noise=PERFECT, augmented=False, speed=1.0)
    examples = synthesis.draw(40, 40, np.random.default_rng(0))
    assert examples.poses.shape == (40, 2, len(H36M_17), 3)
    steps = np.linalg.norm(examples.poses[:, 1] - examples.poses[:, 0], axis=-1)
    assert 0 < steps.max() < 0.2
    assert examples.next_rotation @ examples.next_rotation.swapaxes(1, 2) == pytest.approx(
        np.broadcast_to(np.eye(3), (40, 3, 3)), abs=1e-5
    )
    joints = examples.features[:, :, :51].reshape(40, 27, 17, 3)
    later = examples.next_features[:, :, :51].reshape(40, 27, 17, 3)
    assert np.abs(joints[:, 1:, :, :2] - later[:, :-1, :, :2]).mean() < 0.05
    assert not np.allclose(joints[:, 13], later[:, 13])


def test_windows_with_glitches_are_left_out():
    points = walking_points(300, 60.0).astype(np.float32)
    points[150, 5] += 2
    synthesis = Synthesis([Recording("glitch.bvh", "glitch", points)], 27, 13, 30.0)
    longest = 27 * 2 * 1.5 + 1
    assert len(synthesis.starts)
    assert not ((synthesis.starts < 150) & (synthesis.starts + longest > 151)).any()


def test_recordings_shorter_than_a_window_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        Synthesis([Recording("short.bvh", "short", walking_points(20, 60.0))], 27, 13, 30.0)
