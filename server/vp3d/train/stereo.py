"""Training the networks that look at one or several views: `PoseNetwork` by itself, and `CDRNet`.

Recipe: heatmaps first; after a warm-up also the error of the triangulated joints, whose gradient passes through the
triangulation into both views (Remelli et al., CVPR 2020).
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from vp3d.common.skeletons import SKELETONS
from vp3d.devices import choose_device, computes_in_half
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.stereo import checkpoint as checkpoints
from vp3d.stereo.networks import (
    CROP,
    HEATMAP_SIGMA,
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


@dataclass(frozen=True)
class StereoSettings:
    """What a training run is made of.

    Attributes:
        output: safetensors file to write, the best by validation; the state lies beside it as `OUTPUT.training`.
        skeleton: joint set of the data.
        fused: whether views share features (CDRNet) or every view is looked at by itself (the baseline).
        depth: layers of the encoder.
        backbone: weights to start from, ours or an encoder's as torchvision names them.
        steps, batch, views: optimiser steps, instants per step, views per instant; one view trains in 2D only.
        size: px, side of a crop.
        warm_up: share of the steps in 2D only.
        loss_3d: "mpjpe" in m, or "smooth-mse" in cm² after Iskakov et al.
        weight_3d: of that loss beside the heatmaps' error, which is given as a share of a Gaussian's energy.
        variation: of crops, occlusion among them.
        learning_rate, clip, seed: of the optimisation.
    """

    output: Path
    skeleton: str = "coco-17"
    fused: bool = True
    depth: int = 50
    backbone: Path | None = None
    steps: int = 20_000
    batch: int = 32
    views: int = 2
    size: int = CROP
    warm_up: float = 0.4
    loss_3d: Literal["mpjpe", "smooth-mse"] = "mpjpe"
    weight_3d: float = 1.0
    variation: Variation = field(default_factory=Variation)
    learning_rate: float = 1e-3
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
        UserError: the saved state belongs to other settings, or the backbone does not fit.
        Cancelled: from `progress`; the state is saved before.
    """
    device = torch.device(choose_device(settings.device))
    torch.manual_seed(settings.seed)
    architecture = StereoArchitecture(len(SKELETONS[settings.skeleton]), settings.depth, settings.fused)
    model = build(architecture)
    if settings.backbone:
        start_from(model, settings.backbone)
    model.to(device, memory_format=torch.channels_last)
    run = Run(
        model,
        settings.output.with_name(settings.output.name + ".training"),
        {name: value for name, value in _described(settings).items() if name not in _MAY_CHANGE},
        settings.steps,
        settings.learning_rate,
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
        figures = evaluate(run.averaged(), held_out, settings.size)
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
    """Losses of presented views: `heatmap` (share of a Gaussian's energy), `mpjpe` (m) where `in_3d`, and `total`.

    Joints that are unknown, hidden or outside the crop count neither as errors nor as hits; in 3D a joint counts where
    any view sees it.
    """
    heatmaps, points = look(model, batch, settings.size)
    known = torch.isfinite(batch.pixels).all(-1) & batch.visible
    cells = heatmap_size(settings.size)
    error = (heatmaps - gaussian_heatmaps(batch.pixels, (cells, cells))).square().sum((-2, -1))
    heatmap = _mean(error / (torch.pi * HEATMAP_SIGMA**2), known)
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


@torch.no_grad()
def predict(
    model: PoseNetwork, views: Views, pair: Sequence[int], size: int, batch: int = 32
) -> tuple[torch.Tensor, torch.Tensor, Views]:
    """Joints (N, J, 3) m and (N, v, J, 2) px of the crops that some of the views show, and those views."""
    world, pixels, shown = [], [], []
    mirrored = tuple(range(views.pixels.shape[2]))
    generator = torch.Generator(views.crops.device)
    for instants in torch.arange(len(views), device=views.crops.device).split(batch):
        chosen = torch.tensor(list(pair), device=instants.device).expand(len(instants), -1)
        seen = present(views.take(instants, chosen), size, NONE, mirrored, generator)
        heatmaps, points = look(model, seen, size)
        confidence = peak_confidence(heatmaps).clamp_min(_LEAST_CONFIDENCE)
        world.append(_triangulated(points.double(), seen.projections.double(), confidence.double()).float())
        pixels.append(points)
        shown.append(replace(seen, crops=seen.crops[:, :, :, :1, :1]))
    joined = Views(*(torch.cat([getattr(s, n) for s in shown]) for n in Views.__dataclass_fields__))
    return torch.cat(world), torch.cat(pixels), joined


def evaluate(model: PoseNetwork, views: Views, size: int) -> dict[str, float]:
    """Errors over all pairs of views: `mpjpe_mm`, `mpjpe_root_mm` (root taken out), `px` at `size`, `missing`.

    Of single views only `px` is known. Joints whose place is not known are left out; `missing` is the share that could
    not be triangulated, each of which costs the MPJPE half a metre, so that silence does not pay.
    """
    absolute, relative, px, missing = [], [], [], []
    for pair in all_pairs(views.crops.shape[1]) or [(0,)]:
        world, points, shown = predict(model, views, pair, size)
        if len(pair) > 1:
            figures = errors(world.cpu().numpy(), shown.joints.cpu().numpy())
            absolute.append(figures["mpjpe_mm"])
            relative.append(figures["mpjpe_root_mm"])
            missing.append(figures["missing"])
        known = torch.isfinite(shown.pixels).all(-1) & shown.visible
        px.append(float((points - shown.pixels).norm(dim=-1)[known].mean()))
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
