"""Training of stereo networks on coloured balls in space: everything about them is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from server.ring import ring
from vp3d.common.skeletons import COCO_17
from vp3d.errors import Cancelled, UserError
from vp3d.stereo import checkpoint as checkpoints
from vp3d.stereo.networks import StereoArchitecture, build, gaussian_heatmaps, middle_of
from vp3d.stereo.triangulation import project
from vp3d.train import stereo
from vp3d.train.occlusion import Occlusion
from vp3d.train.stereo import StereoSettings, errors, evaluate, finder, start_from, train
from vp3d.train.stereo_views import CROP_MARGIN, NONE, Variation, Views, present

SIDE = 96
JOINTS = len(COCO_17)


def balls(count: int, seed: int = 0) -> Views:
    """Instants of coloured balls around the origin in three views."""
    generator = torch.Generator().manual_seed(seed)
    to_crop = torch.diag(torch.tensor([SIDE / 1000, SIDE / 1000, 1.0], dtype=torch.float64))
    P = (to_crop @ ring([0, 40, 95])).expand(count, 3, 3, 4)
    joints = (torch.rand(count, JOINTS, 3, generator=generator, dtype=torch.float64) - 0.5) * 0.8
    pixels = project(joints, P[:, None]).transpose(1, 2)
    colours = torch.rand(JOINTS, 3, generator=torch.Generator().manual_seed(7)) * 255
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    crops = torch.full((count, 3, 3, SIDE, SIDE), 60, dtype=torch.uint8)
    for j in range(JOINTS):
        u, v = (pixels[:, :, j, axis, None, None] for axis in (0, 1))
        ball = (x - u) ** 2 + (y - v) ** 2 < 9
        crops = torch.where(ball[:, :, None], colours[j].byte()[:, None, None], crops)
    inside = (pixels > 0).all(-1) & (pixels < SIDE - 1).all(-1)
    return Views(crops, P.float(), pixels.float(), inside, joints.float())


def reprojected(views: Views) -> torch.Tensor:
    return project(views.joints.double(), views.projections.double()[:, None]).transpose(1, 2).float()


def settings(folder: Path, **changed: object) -> StereoSettings:
    given = {"depth": 18, "steps": 4, "batch": 2, "size": 64, "evaluate_steps": 2, "device": "cpu", "warm_up": 0.5}
    return StereoSettings(folder / "net.safetensors", **(given | changed))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_cameras_agree_with_varied_crops(flip: float) -> None:
    views = balls(6)
    generator = torch.Generator().manual_seed(1)
    shown = present(views, 64, Variation(flip=flip, occlusion=Occlusion("cutout")), COCO_17.mirrored, generator)
    assert (reprojected(shown) - shown.pixels).abs().max() < 0.01
    if flip:
        wrist, other = COCO_17.joints.index("left_wrist"), COCO_17.joints.index("right_wrist")
        assert torch.equal(shown.joints[:, wrist], views.joints[:, other])


def test_varied_crops_show_the_balls_where_the_joints_are() -> None:
    views = balls(4)
    generator = torch.Generator().manual_seed(2)
    shown = present(views, SIDE, Variation(colour=0, noise=0, flip=0), tuple(range(JOINTS)), generator)
    u, v = shown.pixels.round().long().clamp(0, SIDE - 1).unbind(-1)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(3), indexing="ij")
    found = shown.crops.permute(0, 1, 3, 4, 2)[rows[..., None], columns[..., None], v, u]
    x, y = views.pixels.round().long().clamp(0, SIDE - 1).unbind(-1)
    expected = views.crops.permute(0, 1, 3, 4, 2)[rows[..., None], columns[..., None], y, x] / 255
    assert (found - expected)[shown.visible & views.visible].abs().median() < 0.05


def test_evaluation_sees_the_middle_as_a_capture_cuts_it() -> None:
    views, size = balls(2), round(SIDE / CROP_MARGIN)
    shown = present(views, size, NONE, tuple(range(JOINTS)), torch.Generator())
    assert torch.allclose(shown.pixels - (size - 1) / 2, views.pixels - (SIDE - 1) / 2, rtol=0.002, atol=1e-3)
    border = (SIDE - size) // 2
    middle = views.crops[..., border:-border, border:-border] / 255
    assert (shown.crops - middle).abs().mean() < 0.01


def test_crop_centres_meet_at_the_person() -> None:
    assert middle_of(balls(1).projections, SIDE).norm() < 0.1
    opposite = torch.stack([*ring([0, 180])])[None].float()
    assert torch.isfinite(middle_of(opposite, 1000)).all()
    assert middle_of(opposite, 1000)[0, :2].norm() < 0.5


def test_hidden_joints_do_not_count_as_found() -> None:
    views = balls(2)
    model = build(StereoArchitecture(JOINTS, 18, fused=False))
    shown = present(views, 64, NONE, tuple(range(JOINTS)), torch.Generator())
    given = settings(Path())
    everything = stereo.batch_losses(model.eval(), shown, given, in_3d=True)
    shown.visible[:, :, ::2] = False
    half = stereo.batch_losses(model, shown, given, in_3d=True)
    # An untrained network's heatmaps are empty: each counted joint misses its Gaussian's whole energy.
    assert abs(float(everything["heatmap"]) - 1) < 0.2
    assert abs(float(half["heatmap"]) - 1) < 0.2
    nothing = replace(shown, visible=torch.zeros_like(shown.visible))
    assert stereo.batch_losses(model, nothing, given, in_3d=True)["total"] == 0


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_losses_in_2d_are_least_at_the_joints(loss: str) -> None:
    class Told(torch.nn.Module):
        architecture = StereoArchitecture(JOINTS, 18, fused=False)

        def forward(self, crops: torch.Tensor, projections: torch.Tensor | None) -> torch.Tensor:
            return gaussian_heatmaps(shown.pixels + self.aside, (16, 16))

    shown = present(balls(2), 64, NONE, tuple(range(JOINTS)), torch.Generator())
    model, found = Told(), []
    for model.aside in (0.0, 2.0, 6.0):
        found.append(float(stereo.batch_losses(model, shown, settings(Path(), loss_2d=loss), in_3d=False)["total"]))
    assert found[0] < found[1] < found[2]


def test_two_instants_are_learned_by_heart(tmp_path: Path) -> None:
    views = balls(2)
    blank = evaluate(finder(build(StereoArchitecture(JOINTS, 18, decoder=32)).eval(), 64), views, 64)
    given = {"decoder": 32, "variation": NONE, "loss_2d": "cross-entropy", "learning_rate": 1e-3}
    record = train(settings(tmp_path, steps=60, evaluate_steps=60, **given), views, views, {})
    assert record["held_out"]["mpjpe_mm"] < 0.85 * blank["mpjpe_mm"]
    assert record["held_out"]["missing"] == 0


def test_errors_of_known_offsets() -> None:
    true = np.random.default_rng(0).normal(size=(3, JOINTS, 3))
    moved = errors(true + np.array([0.03, 0.04, 0]), true)
    assert abs(moved["mpjpe_mm"] - 50) < 1e-6
    assert moved["mpjpe_root_mm"] < 1e-6
    unknown = true.copy()
    unknown[:, 3] = np.nan
    assert errors(true, unknown)["mpjpe_mm"] == 0
    lost = true.copy()
    lost[:, 3] = np.nan
    assert errors(lost, true)["missing"] == pytest.approx(1 / JOINTS)
    assert errors(lost, true)["mpjpe_mm"] == pytest.approx(500 / JOINTS)


def test_a_run_resumes_to_the_same_figures(tmp_path: Path) -> None:
    seen, held_out = balls(6), balls(2, seed=1)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(settings(tmp_path / "a"), seen, held_out, {})

    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(settings(tmp_path / "b"), seen, held_out, {}, stop)
    assert train(settings(tmp_path / "b"), seen, held_out, {})["history"] == whole["history"]


def test_weights_are_written_read_and_judged_alike(tmp_path: Path) -> None:
    held_out = balls(2, seed=1)
    # judged at the end, too
    record = train(settings(tmp_path, evaluate_steps=9), balls(4), held_out, {"source": "balls"})
    loaded = checkpoints.load(tmp_path / "net.safetensors")
    assert loaded.training["source"] == "balls"
    again = evaluate(finder(loaded.network(), 64), held_out, 64)
    assert again["mpjpe_mm"] == pytest.approx(record["held_out"]["mpjpe_mm"], rel=0.05)  # stored in half precision


def test_single_views_are_judged_in_the_picture(tmp_path: Path) -> None:
    def single(views: Views) -> Views:
        parts = {name: getattr(views, name)[:, :1] for name in ("crops", "projections", "pixels", "visible")}
        return replace(views, **parts, joints=torch.full_like(views.joints, torch.nan))

    given = settings(tmp_path, fused=False, views=1, evaluate_steps=1, learning_rate=1e-2)
    record = train(given, single(balls(4)), single(balls(2, seed=1)), {})
    state = torch.load(tmp_path / "net.safetensors.training", weights_only=True)
    told = [entry["px"] for entry in json.loads(state["history"]) if "px" in entry]
    assert len(told) == 4 and record["held_out"]["px"] == min(told) and "mpjpe_mm" not in record["held_out"]


def test_a_backbone_of_another_depth_is_named(tmp_path: Path) -> None:
    network = build(StereoArchitecture(JOINTS, 34, fused=False))
    torch.save({**network.encoder.state_dict(), "fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet34.pth")
    start_from(network, tmp_path / "resnet34.pth")
    with pytest.raises(UserError, match="another network"):
        start_from(build(StereoArchitecture(JOINTS, 50)), tmp_path / "resnet34.pth")
    (tmp_path / "notes.pth").write_text("no weights")
    with pytest.raises(UserError, match="holds no weights"):
        start_from(network, tmp_path / "notes.pth")


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        checkpoints.load(tmp_path / "absent.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\0" * 50)
    with pytest.raises(UserError, match="holds no stereo network"):
        checkpoints.load(tmp_path / "bad.safetensors")
