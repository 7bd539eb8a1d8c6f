from dataclasses import replace

import numpy as np
import pytest
import torch
from server.walker import walking_points
from vp3d.common.skeletons import H36M_17
from vp3d.errors import Cancelled, UserError
from vp3d.lift import load_lifter
from vp3d.train.bodies import COCO_POINTS
from vp3d.train.dice import Dice
from vp3d.train.lifter import LifterSettings, train_on
from vp3d.train.recipes import RECIPES
from vp3d.train.recording import Recording
from vp3d.train.synthesis import Synthesis
from vp3d.train.views import EXACT, PERFECT, ViewModel, random_views


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(400, 60.0).astype(np.float32)
    return [Recording(f"{take}.bvh", f"take-{take}", points) for take in range(4)]


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks on a busy computer: threads wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def settings(tmp_path):
    return LifterSettings(
        motion=(),
        output=tmp_path / "lifter.safetensors",
        steps=30,
        widths=(3, 3, 3),
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
    recipe = replace(settings.recipe, learning_rate=5e-3)
    record = train_on(recordings, replace(settings, steps=120, batch=64, recipe=recipe))
    assert record["held_out_mm"]["perfect"]["mpjpe"] < 0.7 * first["held_out_mm"]["perfect"]["mpjpe"]
    assert len(record["data"]["held_out_takes"]) == 1
    lifter = load_lifter(settings.output)
    assert lifter.receptive_field == 27
    assert lifter.licence == settings.licence


def test_a_state_of_other_settings_is_refused(recordings, settings):
    train_on(recordings, replace(settings, steps=2))
    with pytest.raises(UserError, match="channels"):
        train_on(recordings, replace(settings, channels=64))


def test_the_published_recipe_trains_and_resumes_too(recordings, settings, tmp_path):
    published = replace(settings, recipe=RECIPES["videopose3d"], steps=12)
    whole = train_on(recordings, published)
    second = replace(published, output=tmp_path / "second.safetensors")
    train_on(recordings, replace(second, steps=12), lambda stage, done, total: None)
    assert load_lifter(second.output).digest == load_lifter(published.output).digest
    assert whole["settings"]["recipe"]["optimiser"] == "amsgrad"


@pytest.mark.parametrize("widths", [(3, 3, 3), (3, 3, 3, 1)])
def test_training_goes_on_from_given_weights_deeper_where_wished(recordings, settings, widths):
    train_on(recordings, settings)
    tuned = replace(settings, initial=settings.output, output=settings.output.with_name("tuned.safetensors"), steps=1)
    tuned = replace(tuned, widths=widths, recipe=replace(tuned.recipe, learning_rate=0.0))
    train_on(recordings, tuned)
    one, two = (load_lifter(each.output) for each in (settings, tuned))
    joints = np.random.default_rng(0).uniform(100, 500, (40, 21, 2))
    poses = [
        lifter.lift(joints, np.ones((40, 21)), np.diag([800.0, 800, 1]), (640, 480), 30.0) for lifter in (one, two)
    ]
    # Only the running statistics of the normalisation move, one step's worth.
    assert np.abs(poses[0] - poses[1]).max() < 0.1 * np.abs(poses[0]).max()
    other = replace(tuned, output=settings.output.with_name("other.safetensors"))
    for change in ({"channels": 16}, {"widths": (3, 3)}):
        with pytest.raises(UserError, match="architecture"):
            train_on(recordings, replace(other, **change))


def test_examples_are_consistent(recordings):
    """The features are what the true pose looks like through the camera that the pose is given in."""
    views = ViewModel(distance=(50.0, 60.0), **EXACT)
    synthesis = Synthesis(recordings, 27, 13, 30.0, views=views, noise=PERFECT, cut=0.0)
    examples = synthesis.draw(40, 40, Dice(0))
    seen = examples.features[:, 13, :51].reshape(40, 17, 3).numpy()
    assert (seen[..., 2] == 1).all()
    limbs = [(COCO_POINTS[i], i) for i in range(5, 17)]
    pose = examples.poses[:, 0, [h for h, _ in limbs], :2].numpy()
    image = seen[:, [c for _, c in limbs], :2]
    # From far away perspective vanishes and the image is the pose times one factor.
    factor = (image * pose).sum((1, 2)) / (pose**2).sum((1, 2))
    assert image == pytest.approx(pose * factor[:, None, None], abs=0.05)
    assert examples.root.norm(dim=-1).min() >= 49.9
    assert examples.root[:, :2].abs().max() < 1


@pytest.mark.parametrize(
    "changes", [{}, {"moving": 1.0, "shake": 0.0, "dolly": 0.0, "orbit": 40.0}], ids=["still", "moving"]
)
def test_the_next_window_is_the_same_motion_one_frame_later(recordings, changes):
    views = ViewModel(distance=(5.0, 12.0), **EXACT | changes)
    synthesis = Synthesis(recordings, 27, 13, 30.0, views=views, noise=PERFECT, augmented=False, speed=1.0, cut=0.0)
    examples = synthesis.draw(40, 40, Dice(0))
    assert examples.poses.shape == (40, 2, len(H36M_17), 3)
    steps = (examples.poses[:, 1] - examples.poses[:, 0]).norm(dim=-1)
    assert 0 < steps.max() < 0.2
    turn = examples.next_rotation
    assert (turn @ turn.mT).numpy() == pytest.approx(np.broadcast_to(np.eye(3), (40, 3, 3)), abs=1e-5)
    assert not torch.allclose(examples.features[:, 13], examples.next_features[:, 13])
    # The next pose as the next window's own camera sees it is what the next features show, up to their size.
    pose = (examples.poses[:, 1] @ turn)[:, [COCO_POINTS[i] for i in range(5, 17)]]
    distance = examples.root.norm(dim=-1)[:, None]
    image = pose[..., :2] / (pose[..., 2] + distance)[..., None]
    shown = examples.next_features[:, 13, :51].reshape(40, 17, 3)[:, 5:, :2]
    factor = (shown * image).sum((1, 2)) / (image**2).sum((1, 2))
    assert (shown - image * factor[:, None, None]).abs().max() < 0.15
    later = examples.next_features[:, :-1, :51] - examples.features[:, 1:, :51]
    assert later.abs().mean() < 0.05


def test_moving_cameras_see_what_a_projection_of_their_own_gives():
    times = (torch.arange(30) - 13) / 30
    views = random_views(6, times, ViewModel(moving=1.0), Dice(0))
    turns, steps = views.turns, views.steps
    assert sorted(views.moving.tolist()) == list(range(6))
    eye = np.broadcast_to(np.eye(3), (6, 3, 3))
    assert turns[:, 13].numpy() == pytest.approx(eye, abs=1e-6)
    assert steps[:, 13].abs().max() < 1e-6
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 30, 4, 3))).float()
    seen = views.see(points)
    whole = views.turns_at(20) @ views.rotation
    expected = points[:, 20] @ whole.mT
    expected[views.moving] += (views.position[views.moving] + steps[:, 20])[:, None]
    assert seen[:, 20].numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    angle = torch.acos(((torch.diagonal(turns, dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))
    assert 0.01 < angle[:, 0].mean() < 0.7


def test_windows_with_glitches_are_left_out():
    points = walking_points(300, 60.0).astype(np.float32)
    points[150, 5] += 2
    synthesis = Synthesis([Recording("glitch.bvh", "glitch", points)], 27, 13, 30.0)
    own = synthesis.draw(400, 0, Dice(0)).frames
    reach = 14 * 2 * 1.5
    assert own.min() < 40
    assert own.max() > 260
    assert not ((own - 150).abs() < reach).any()


def test_clips_end_as_in_lifting():
    """Windows beyond a recording's ends repeat its first and last frame, so short recordings serve too."""
    points = walking_points(12, 60.0).astype(np.float32)
    synthesis = Synthesis([Recording("short.bvh", "short", points)], 27, 13, 30.0, augmented=False, cut=0.0)
    motion, own = synthesis.motions(50, Dice(0))
    for each, frame in zip(motion.numpy(), own.tolist(), strict=True):
        assert each[0] - each[0, 0] == pytest.approx(points[0] - points[0, 0], abs=1e-5)
        assert each[-1] - each[-1, 0] == pytest.approx(points[-1] - points[-1, 0], abs=1e-5)
        assert each[13] - each[13, 0] == pytest.approx(points[frame] - points[frame, 0], abs=1e-5)


def test_motion_without_a_clean_stretch_is_refused():
    points = np.random.default_rng(0).normal(size=(30, 22, 3)).astype(np.float32)
    with pytest.raises(UserError, match="glitches"):
        Synthesis([Recording("noise.bvh", "noise", points)], 27, 13, 30.0)
