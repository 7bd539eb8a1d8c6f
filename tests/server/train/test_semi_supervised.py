from dataclasses import replace

import numpy as np
import pytest
import torch
from server.walker import film, walking_points
from vp3d.common.skeletons import COCO_17, H36M_17
from vp3d.errors import Cancelled, UserError
from vp3d.lift import load_lifter
from vp3d.lift.conventions import canonical
from vp3d.lift.lifter import to_rays
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.train.dice import Dice
from vp3d.train.filmed import Filmed
from vp3d.train.lifter import LifterSettings, train_on
from vp3d.train.recipes import RECIPES
from vp3d.train.recording import Recording
from vp3d.train.semi_supervised import (
    Networks,
    SemiSupervision,
    UnlabelledWindows,
    bones_apart,
    losses,
    reprojection_error,
    root_error,
)
from vp3d.train.synthesis import Synthesis
from vp3d.train.views import EXACT, PERFECT, ViewModel


def filmed(frames: int = 120, fps: float = 30.0, azimuth: float = 0.8) -> Filmed:
    joints, confidence, K, _ = film(frames, fps, azimuth)
    return Filmed("walk", to_rays(joints[:, :17], K), confidence[:, :17], fps)


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(400, 60.0).astype(np.float32)
    return [Recording(f"{take}.bvh", f"take-{take}", points) for take in range(4)]


@pytest.fixture(scope="module")
def examples(recordings):
    synthesis = Synthesis(recordings, 27, 13, 30.0, views=replace(ViewModel(), **EXACT), noise=PERFECT)
    return synthesis.draw(40, 8, Dice(0))


@pytest.fixture
def networks():
    torch.manual_seed(0)
    pose, root = (TemporalModel(Architecture(52, joints, (3, 3, 3), 16), strided=True) for joints in (17, 1))
    return Networks(pose, root)


def test_the_truth_projects_onto_what_was_seen(examples):
    true = examples.poses[:, 0] + examples.root[:, None]
    observed = examples.features[:, 13]
    assert reprojection_error(true, observed).item() < 1e-4
    # A person moved by a hundredth of the depth along x moves by that over the RMS size in the image.
    moved = true + torch.tensor([0.01, 0, 0]) * true[..., 2:]
    size = torch.exp(observed[:, -1] - 2.4)
    assert reprojection_error(moved, observed).item() == pytest.approx((0.01 / size).mean().item(), rel=1e-3)


def test_unseen_joints_do_not_count(examples):
    true, observed = examples.poses[:, 0] + examples.root[:, None], examples.features[:, 13].clone()
    wrist = COCO_17.index("left_wrist")
    observed[:, 3 * wrist : 3 * wrist + 3] = torch.tensor([50.0, 50.0, 0.0])
    assert reprojection_error(true, observed).item() < 1e-4
    observed[:, 3 * wrist + 2] = 1e-3
    assert reprojection_error(true, observed).item() > 1e-3


def test_roots_are_weighted_by_depth():
    true = torch.tensor([[0.0, 0, 2], [0, 0, 8]])
    assert root_error(true + torch.tensor([0.3, 0, 0.4]), true).item() == pytest.approx((0.5 / 2 + 0.5 / 8) / 2)


def test_bones_are_compared_by_their_means(examples):
    poses = examples.poses[:, 0]
    lengths = (poses[:, 1:] - poses[:, list(H36M_17.parents[1:])]).norm(dim=-1).mean()
    assert bones_apart(poses, 1.1 * poses).item() == pytest.approx(0.1 * lengths.item(), rel=1e-4)
    assert bones_apart(poses, poses.flip(0)).item() == pytest.approx(0, abs=1e-6)


def test_gradients_are_those_of_finite_differences(examples):
    true = (examples.poses[:3, 0] + examples.root[:3, None]).double()
    torch.manual_seed(0)
    poses = (true + 0.05 * torch.randn_like(true)).requires_grad_()
    other = (true + 0.05 * torch.randn_like(true)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: reprojection_error(p, examples.features[:3, 13].double()), poses)
    assert torch.autograd.gradcheck(lambda p: root_error(p[:, 0], true[:, 0]), poses)
    assert torch.autograd.gradcheck(bones_apart, (poses, other))


def test_a_step_down_the_gradient_lowers_the_reprojection_error(networks, examples):
    windows = UnlabelledWindows([filmed()], 27, 13, 30.0).draw(64, Dice(1))
    optimiser = torch.optim.SGD(networks.parameters(), 1e-3)
    networks.eval()
    before = None
    for _ in range(20):
        result = losses(networks, examples, windows, RECIPES["vp3d"], SemiSupervision())
        before = before or result["reprojection"].item()
        optimiser.zero_grad()
        result["reprojection"].backward()
        optimiser.step()
    assert result["reprojection"].item() < 0.97 * before


def test_no_one_has_a_loss_for_what_he_lacks(networks, examples):
    networks.eval()
    windows = UnlabelledWindows([filmed()], 27, 13, 30.0)
    supervision, recipe = SemiSupervision(), RECIPES["vp3d"]
    alone = losses(networks, examples, None, recipe, supervision)
    one, two = (losses(networks, examples, windows.draw(32, Dice(seed)), recipe, supervision) for seed in (1, 2))
    assert not {"reprojection", "bones_apart"} & set(alone)
    for name in set(alone) - {"total"}:
        assert one[name].item() == pytest.approx(alone[name].item(), rel=1e-3)
    assert one["reprojection"] != two["reprojection"]
    wrong = replace(examples, poses=examples.poses * 3, root=examples.root * 3)
    other = losses(networks, wrong, windows.draw(32, Dice(1)), recipe, supervision)
    assert other["reprojection"] == one["reprojection"]
    assert other["trajectory"] != one["trajectory"]
    weighted = one["reprojection"] * supervision.reprojection + one["bones_apart"] * supervision.bones
    assert (one["total"] - weighted).item() == pytest.approx(alone["total"].item(), rel=1e-3)


def test_without_a_trajectory_network_the_losses_are_the_recipe_s(networks, examples):
    result = losses(Networks(networks.pose), examples, None, RECIPES["vp3d"], SemiSupervision())
    assert set(result) == {"position", "velocity", "scale_free", "bones", "total"}


def test_windows_are_those_of_the_film_or_its_mirror_image():
    source = filmed()
    features = UnlabelledWindows([source], 27, 13, 30.0).draw(60, Dice(3))
    frames = np.clip(np.arange(len(source.rays))[:, None] + np.arange(27) - 13, 0, len(source.rays) - 1)
    rays = torch.from_numpy(source.rays[frames]).float()
    confidence = torch.ones(rays.shape[:3])
    order = list(COCO_17.mirrored)
    plain = canonical(rays, confidence, 13)[0]
    mirrored = canonical(rays[:, :, order] * torch.tensor([-1.0, 1]), confidence, 13)[0]
    apart = [(features[:, None] - each).abs().amax((2, 3)).amin(1) for each in (plain, mirrored)]
    assert torch.minimum(*apart).max() < 1e-3
    assert 15 < (apart[0] < 1e-3).sum() < 45


def test_films_of_other_rates_and_with_gaps():
    fast = filmed(240, 60.0)
    features = UnlabelledWindows([fast], 27, 13, 30.0).draw(50, Dice(0))
    slow = UnlabelledWindows([filmed()], 27, 13, 30.0).draw(50, Dice(0))
    assert features.shape == slow.shape == (50, 27, 52)
    assert torch.allclose(features, slow, atol=0.05)
    gone = filmed()
    gone.rays[:100], gone.confidence[:100] = np.nan, 0
    windows = UnlabelledWindows([gone], 27, 13, 30.0).draw(100, Dice(0))
    assert windows.isfinite().all()
    assert (windows[:, 13, 2:51:3] > 0).sum(1).min() >= 8
    with pytest.raises(UserError, match="No frame"):
        UnlabelledWindows([replace(gone, confidence=gone.confidence * 0)], 27, 13, 30.0)


@pytest.fixture
def settings(tmp_path):
    return LifterSettings(
        motion=(),
        output=tmp_path / "lifter.safetensors",
        steps=16,
        device="cpu",
        widths=(3, 3, 3),
        channels=32,
        batch=32,
        pairs=8,
        held_out=0.25,
        evaluate_windows=64,
        semi=SemiSupervision(warm_up=0.3),
    )


def test_a_killed_run_with_films_goes_on_to_the_same_weights(recordings, settings, tmp_path):
    films = [filmed(azimuth=azimuth) for azimuth in (0.3, 1.2)]
    whole = train_on(recordings, settings, films=films)
    second = replace(settings, output=tmp_path / "second.safetensors")

    def kill_at_11(stage, done, total):
        if done == 11:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_on(recordings, second, kill_at_11, films)
    resumed = train_on(recordings, second, films=films)
    assert resumed["held_out_mm"] == whole["held_out_mm"]
    one, two = load_lifter(settings.output), load_lifter(second.output)
    assert one.digest == two.digest
    assert one.has_trajectory
    assert whole["data"]["unlabelled_minutes"] == pytest.approx(8 / 60, abs=0.01)


def test_films_change_nothing_before_the_warm_up_ends(recordings, settings, tmp_path):
    late = replace(settings, semi=SemiSupervision(warm_up=1.0), trajectory=True)
    without = replace(late, output=tmp_path / "without.safetensors")
    train_on(recordings, late, films=[filmed()])
    train_on(recordings, without)
    assert load_lifter(late.output).digest == load_lifter(without.output).digest


def test_the_trajectory_network_learns_where_people_are(recordings, settings):
    quick = replace(settings.recipe, learning_rate=5e-3)
    views = replace(ViewModel(), **EXACT)
    exact = replace(settings, steps=100, recipe=quick, trajectory=True, views=views, noise=PERFECT)
    history = train_on(recordings, exact)["history"]
    assert history[-1]["trajectory"] < 0.6 * history[0]["trajectory"]
