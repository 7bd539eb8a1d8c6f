"""Training the networks that look at one or several views: `PoseNetwork` by itself, and `CDRNet`.

Recipe: places in the picture first; after a warm-up also the error of the triangulated joints, whose gradient passes
through the triangulation into both views (Remelli et al., CVPR 2020).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from vp3d import models
from vp3d.common.skeletons import SKELETONS
from vp3d.detect import WEIGHTS
from vp3d.detect.openvino_ir import load_network
from vp3d.devices import choose_device, computes_in_half
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.stereo import checkpoint as checkpoints
from vp3d.stereo.networks import (
    CROP,
    HEATMAP_SIGMA,
    HEATMAP_STRIDE,
    SHARPNESS,
    PoseNetwork,
    StereoArchitecture,
    build,
    gaussian_heatmaps,
    heatmap_size,
    middle_of,
    peak_confidence,
    soft_argmax,
    to_unit_crop,
)
from vp3d.stereo.resnet import normalise
from vp3d.stereo.triangulation import triangulate
from vp3d.train.run import Run
from vp3d.train.stereo_views import NONE, Variation, Views, all_pairs, present, random_views

logger = logging.getLogger(__name__)

_SMOOTH_THRESHOLD = 400.0
"""cm², above which the smooth squared error flattens out. Iskakov et al., "Learnable Triangulation" (ICCV 2019)."""
_SMOOTH_POWER = 0.1
_LEAST_CONFIDENCE = 0.02
_SPREAD = 1.0
"""Cells, of the distribution around a joint that the cross entropy asks for."""


@dataclass(frozen=True)
class StereoSettings:
    """What a training run is made of.

    Attributes:
        output: safetensors file to write, the best by validation; the state lies beside it as `OUTPUT.training`.
        skeleton: joint set of the data.
        fused: whether views share features (CDRNet) or every view is looked at by itself (the baseline).
        depth, decoder, stem: see `StereoArchitecture`; a detector's stem has our detector's weights, and keeps them.
        backbone: weights to start from, ours or an encoder's as torchvision names them.
        steps, batch, views: optimiser steps, instants per step, views per instant; one view trains in 2D only.
        size: px, side of a crop.
        warm_up: share of the steps in 2D only.
        loss_2d: "mse" of heatmaps, as a share of a Gaussian's energy, or "cross-entropy" of the softmax that
            `soft_argmax` takes of them, in nats, together with that peak's distance in cells.
        loss_3d: "mpjpe" in m, or "smooth-mse" in cm² after Iskakov et al.
        weight_3d: of that loss beside the one in 2D.
        variation: of crops, occlusion among them.
        learning_rate, clip, seed: of the optimisation.
    """

    output: Path
    skeleton: str = "coco-17"
    fused: bool = True
    depth: int = 50
    decoder: int = 256
    stem: Literal["resnet", "detector"] = "resnet"
    backbone: Path | None = None
    steps: int = 20_000
    batch: int = 32
    views: int = 2
    size: int = CROP
    warm_up: float = 0.4
    loss_2d: Literal["mse", "cross-entropy"] = "mse"
    loss_3d: Literal["mpjpe", "smooth-mse"] = "mpjpe"
    weight_3d: float = 1.0
    variation: Variation = field(default_factory=Variation)
    learning_rate: float = 3e-4
    clip: float = 5.0
    seed: int = 1
    device: str = "auto"
    evaluate_steps: int = 500
    save_seconds: float = 60.0
    licence: str = "GPL-3.0-or-later"
    commercial: bool = False


_MAY_CHANGE = {"output", "backbone", "device", "save_seconds", "licence", "commercial"}


def train(
    settings: StereoSettings, seen: Views, held_out: Views, about: dict[str, Any], progress: Progress = silent
) -> dict[str, Any]:
    """Train, or go on training; writes the weights that are best on `held_out` and returns the measurements.

    Args:
        seen, held_out: instants of people who are on one side only.
        about: JSON-able, where the data is from; goes into the file.

    Raises:
        UserError: the saved state belongs to other settings, the backbone does not fit, or the detector is missing.
        Cancelled: from `progress`; the state is saved before.
    """
    device = torch.device(choose_device(settings.device))
    torch.manual_seed(settings.seed)
    joints = len(SKELETONS[settings.skeleton])
    model = build(StereoArchitecture(joints, settings.depth, settings.fused, settings.decoder, settings.stem))
    if settings.stem == "detector":
        model.encoder.detector.take(load_network(models.require(WEIGHTS["bottom-up"])))
    if settings.backbone:
        start_from(model, settings.backbone)
    model.to(device, memory_format=torch.channels_last)
    run = Run(
        model,
        settings.output.with_name(settings.output.name + ".training"),
        {name: value for name, value in _described(settings).items() if name not in _MAY_CHANGE},
        settings.steps,
        settings.learning_rate,
        optimiser=torch.optim.AdamW(
            model.parameters(), settings.learning_rate, weight_decay=0.01, fused=device.type != "mps"
        ),
        clip=settings.clip,
        seed=settings.seed,
    )
    run.resume()
    seen, held_out = seen.to(device), held_out.to(device)
    mirrored = SKELETONS[settings.skeleton].mirrored
    judged = "mpjpe_mm" if held_out.crops.shape[1] > 1 else "px"

    def losses() -> dict[str, torch.Tensor]:
        run.model.train()
        instants = torch.randint(len(seen), (settings.batch,), generator=run.generator, device=device)
        views = random_views(settings.batch, seen.crops.shape[1], settings.views, run.generator)
        batch = present(seen.take(instants, views), settings.size, settings.variation, mirrored, run.generator)
        return batch_losses(run.model, batch, settings, in_3d=run.done >= settings.warm_up and settings.views > 1)

    def evaluate_now() -> dict[str, float]:
        figures = evaluate(finder(run.averaged(), settings.size), held_out, settings.size)
        known = [entry[judged] for entry in run.history if judged in entry]
        if not known or figures[judged] < min(known):
            _write(run, settings, {**about, "held_out": figures, "step": run.step})
        return figures

    run.loop(losses, evaluate_now, settings.evaluate_steps, progress, settings.save_seconds)
    if not any(entry["step"] == run.step and judged in entry for entry in run.history):
        run.log(evaluate_now())
        run.save()
    return checkpoints.load(settings.output).training


def batch_losses(model: PoseNetwork, batch: Views, settings: StereoSettings, in_3d: bool) -> dict[str, torch.Tensor]:
    """Losses of presented views: `heatmap` (`loss_2d`), `mpjpe` (m) where `in_3d`, and `total`.

    Joints that are unknown, hidden or outside the crop count neither as errors nor as hits; in 3D a joint counts where
    any view sees it.
    """
    heatmaps, points = look(model, batch, settings.size)
    known = torch.isfinite(batch.pixels).all(-1) & batch.visible
    cells = (heatmap_size(settings.size),) * 2
    if settings.loss_2d == "mse":
        error = (heatmaps - gaussian_heatmaps(batch.pixels, cells)).square().sum((-2, -1)) / (
            torch.pi * HEATMAP_SIGMA**2
        )
    else:
        wanted = gaussian_heatmaps(batch.pixels, cells, sigma=_SPREAD).flatten(-2)
        wanted = wanted / wanted.sum(-1, keepdim=True).clamp_min(1e-6)
        distance = (points - torch.nan_to_num(batch.pixels)).norm(dim=-1) / HEATMAP_STRIDE
        error = distance - (wanted * (SHARPNESS * heatmaps).flatten(-2).log_softmax(-1)).sum(-1)
    heatmap = _mean(error, known)
    result = {"heatmap": heatmap, "total": heatmap}
    if in_3d:
        confidence = peak_confidence(heatmaps).detach().clamp_min(_LEAST_CONFIDENCE)
        world = _triangulated(points, batch.projections, confidence)
        counted = known.any(1) & torch.isfinite(world).all(-1) & torch.isfinite(batch.joints).all(-1)
        difference = torch.where(counted[..., None], world - batch.joints, 0.0)
        distance = (difference.square().sum(-1) + 1e-12).sqrt()
        result["mpjpe"] = _mean(distance, counted)
        if settings.loss_3d == "mpjpe":
            loss = result["mpjpe"]
        else:
            squared = (100 * difference).square()
            far = squared.clamp_min(_SMOOTH_THRESHOLD) ** _SMOOTH_POWER * _SMOOTH_THRESHOLD ** (1 - _SMOOTH_POWER)
            loss = _mean(torch.where(squared > _SMOOTH_THRESHOLD, far, squared).mean(-1), counted)
        result["total"] = heatmap + settings.weight_3d * loss
    return result


def look(model: PoseNetwork, views: Views, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Heatmaps (N, V, J, h, w) in full precision, and their peaks (N, V, J, 2) in pixels of the crops."""
    unit = None
    if model.architecture.fused:
        origin = middle_of(views.projections, size) if views.crops.shape[1] > 1 else views.joints.nanmean(1)
        unit = to_unit_crop(views.projections, origin, (size, size))
    device = views.crops.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=computes_in_half(device)):
        heatmaps = model(normalise(views.crops), unit)
    heatmaps = heatmaps.float()
    return heatmaps, soft_argmax(heatmaps)


def _triangulated(points: torch.Tensor, projections: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """(N, J, 3) m from (N, V, J, 2) px and (N, V, 3, 4)."""
    return triangulate(points.transpose(1, 2), projections[:, None], confidence.transpose(1, 2))


def _mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    return (values * counted).sum() / counted.sum().clamp_min(1)


Finder = Callable[[Views], tuple[torch.Tensor, torch.Tensor]]
"""Joints (N, V, J, 2) px of shown crops, NaN where not found, and how sure they are (N, V, J) 0..1."""


def finder(model: PoseNetwork, size: int) -> Finder:
    """What a network finds in crops of a `size`."""

    def find(shown: Views) -> tuple[torch.Tensor, torch.Tensor]:
        heatmaps, points = look(model, shown, size)
        return points, peak_confidence(heatmaps)

    return find


@torch.no_grad()
def predict(
    find: Finder, views: Views, pair: Sequence[int], size: int, batch: int = 32
) -> tuple[torch.Tensor, torch.Tensor, Views]:
    """Joints (N, J, 3) m and (N, v, J, 2) px of the crops that some of the views show, and those views."""
    world, pixels, shown = [], [], []
    mirrored = tuple(range(views.pixels.shape[2]))
    generator = torch.Generator(views.crops.device)
    for instants in torch.arange(len(views), device=views.crops.device).split(batch):
        chosen = torch.tensor(list(pair), device=instants.device).expand(len(instants), -1)
        seen = present(views.take(instants, chosen), size, NONE, mirrored, generator)
        points, confidence = find(seen)
        confidence = confidence.clamp_min(_LEAST_CONFIDENCE)
        world.append(_triangulated(points.double(), seen.projections.double(), confidence.double()).float())
        pixels.append(points)
        shown.append(replace(seen, crops=seen.crops[:, :, :, :1, :1]))
    joined = Views(*(torch.cat([getattr(s, n) for s in shown]) for n in Views.__dataclass_fields__))
    return torch.cat(world), torch.cat(pixels), joined


def evaluate(find: Finder, views: Views, size: int) -> dict[str, float]:
    """Errors over all pairs of views: `mpjpe_mm`, `mpjpe_root_mm` (root taken out), `px` at `size`, `missing`.

    Of single views only `px` is known, of joints that were found. Joints whose place is not known are left out;
    `missing` is the share that could not be triangulated, each of which costs the MPJPE half a metre, so that silence
    does not pay.
    """
    absolute, relative, px, missing = [], [], [], []
    for pair in all_pairs(views.crops.shape[1]) or [(0,)]:
        world, points, shown = predict(find, views, pair, size)
        if len(pair) > 1:
            figures = errors(world.cpu().numpy(), shown.joints.cpu().numpy())
            absolute.append(figures["mpjpe_mm"])
            relative.append(figures["mpjpe_root_mm"])
            missing.append(figures["missing"])
        known = torch.isfinite(shown.pixels).all(-1) & shown.visible
        px.append(float((points - shown.pixels).norm(dim=-1)[known].nanmean()))
    names = ("mpjpe_mm", "mpjpe_root_mm", "px", "missing")
    return {name: float(np.mean(v)) for name, v in zip(names, (absolute, relative, px, missing), strict=True) if v}


_MISSING_M = 0.5
_HIPS = (11, 12)


def errors(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Errors in mm of joints (N, J, 3) in COCO order; see `evaluate`."""
    known = np.isfinite(true).all(-1)
    there = known & np.isfinite(found).all(-1)
    distance = np.where(there, np.linalg.norm(np.nan_to_num(found - true), axis=-1), _MISSING_M)
    root = (found - true)[:, _HIPS].mean(1, keepdims=True)
    centred = np.where(
        there & np.isfinite(root).all(-1), np.linalg.norm(np.nan_to_num(found - true - root), axis=-1), _MISSING_M
    )
    return {
        "mpjpe_mm": float(1000 * np.minimum(distance, _MISSING_M)[known].mean()),
        "mpjpe_root_mm": float(1000 * np.minimum(centred, _MISSING_M)[known].mean()),
        "missing": float(1 - there[known].mean()),
    }


def start_from(model: PoseNetwork, path: Path) -> None:
    """Take over all weights that a file has for a network: ours, or an encoder's as torchvision publishes them.

    Raises:
        UserError: the file is neither, or of another depth.
    """
    if path.suffix == ".safetensors":
        weights = checkpoints.load(path).weights
    else:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            weights = {f"encoder.{name}": tensor for name, tensor in content.items() if not name.startswith("fc.")}
        except Exception as error:
            raise UserError(f"{path.name} holds no weights.", "Choose a file of torchvision's, or of ours.") from error
    own = model.state_dict()
    wrong = [name for name, tensor in weights.items() if name in own and own[name].shape != tensor.shape]
    if wrong or not any(name in own for name in weights):
        raise UserError(
            f"{path.name} belongs to another network than this one of {model.architecture.depth} layers.",
            "Choose the depth that the weights were made for.",
        )
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items() if name in own}, strict=False)


def _described(settings: StereoSettings) -> dict[str, Any]:
    described = asdict(settings)
    described["output"] = settings.output.name
    described["backbone"] = settings.backbone.name if settings.backbone else None
    return described


def _write(run: Run, settings: StereoSettings, record: dict[str, Any]) -> None:
    checkpoints.save(
        checkpoints.StereoCheckpoint(
            weights=run.average,
            architecture=run.model.architecture,
            skeleton=settings.skeleton,
            size=settings.size,
            licence=settings.licence,
            commercial=settings.commercial,
            training={**record, "settings": _described(settings), "history": run.history},
        ),
        settings.output,
    )
