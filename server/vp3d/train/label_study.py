"""What unlabelled films are worth: small lifters trained with few labels, with and without the rest as films."""

import json
import logging
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vp3d.common.skeletons import COCO_17, H36M_17
from vp3d.devices import choose_device
from vp3d.evaluate.film import film
from vp3d.evaluate.metrics import mpjpe, p_mpjpe
from vp3d.lift.conventions import CONVENTIONS
from vp3d.lift.lifter import to_rays
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.progress import Progress, silent
from vp3d.train.dice import Dice
from vp3d.train.filmed import Filmed
from vp3d.train.recipes import Recipe
from vp3d.train.recording import Recording
from vp3d.train.recordings import minutes, split
from vp3d.train.semi_supervised import Networks, SemiSupervision, UnlabelledWindows, losses
from vp3d.train.synthesis import Examples, Synthesis
from vp3d.train.views import EXACT, PERFECT, ViewModel

logger = logging.getLogger(__name__)

MPJPE_ONLY = Recipe(learning_rate=5e-3, velocity=0.0, scale_free=0.0, bones=0.0, averaging=0.98)
"""The published loss."""
_ENOUGH = 0.5
"""s; a rest shorter than this is neither labelled nor filmed."""


@dataclass(frozen=True)
class LabelStudy:
    """What is compared; the same for every run but the labels.

    Attributes:
        output: folder for the states of the runs.
        shares: of the training motion that has labels.
        seeds: of the choice of labels, the first weights and the order of examples.
        steps, batch, widths, channels, fps: of every training run; a batch is as many labelled windows and, after the
            warm-up, as many unlabelled ones.
        recipe, semi: how it is trained.
        examples, windows: labelled examples and unlabelled windows to draw batches from.
        augmented: whether labelled poses are varied.
        held_out: share of takes that judges; the same takes in every run.
        judged: held-out windows.
        device: "auto", "cpu", "cuda" or "mps".
    """

    output: Path
    shares: tuple[float, ...] = (0.01, 0.05, 0.1)
    seeds: tuple[int, ...] = (1, 2, 3)
    steps: int = 3000
    batch: int = 128
    widths: tuple[int, ...] = (3, 3)
    channels: int = 128
    fps: float = 30.0
    recipe: Recipe = field(default_factory=lambda: MPJPE_ONLY)
    semi: SemiSupervision = field(default_factory=lambda: SemiSupervision(warm_up=0.1, alike=1.0))
    examples: int = 6000
    windows: int = 8000
    augmented: bool = False
    held_out: float = 0.12
    judged: int = 2000
    device: str = "auto"


def run_study(recordings: Sequence[Recording], study: LabelStudy, progress: Progress = silent) -> list[dict[str, Any]]:
    """Train and judge all pairs of runs, 2D joints being perfect everywhere.

    Returns:
        A row per share and seed, JSON-able: `share`, `seed`, `labelled_minutes`, `unlabelled_minutes`, and for
        `supervised` and `semi_supervised` `mpjpe` and `p_mpjpe` in mm.

    Raises:
        Cancelled: from `progress`; a repeated study goes on where it was.
    """
    device = torch.device(choose_device(study.device))
    study.output.mkdir(parents=True, exist_ok=True)
    training, held_out = split(recordings, study.held_out, 1)
    judged = _draw(_synthesis(held_out, study, device, augmented=False), study.judged, 0)
    films = {recording.name: _film(recording, study.fps) for recording in training}
    rows = []
    for seed in study.seeds:
        for share in study.shares:
            progress("study", len(rows), len(study.shares) * len(study.seeds))
            labelled, rest = label(training, share, seed)
            examples = _draw(_synthesis(labelled, study, device, study.augmented), study.examples, seed)
            others = {recording.name for recording in rest} - {recording.name for recording in labelled}
            windows = _windows([film for name in sorted(others) for film in films[name]], study, device, seed)
            row = {"share": share, "seed": seed, "labelled_minutes": round(minutes(labelled), 2)}
            row["unlabelled_minutes"] = round(minutes(rest), 2)
            for name, unlabelled in (("supervised", None), ("semi_supervised", windows)):
                pose = _train(f"{name}-{share}-{seed}", examples, unlabelled, study, seed, progress)
                row[name] = _judge(pose, judged)
            logger.info("%s", row)
            rows.append(row)
    return sorted(rows, key=lambda row: (row["share"], row["seed"]))


def summarise(rows: Sequence[dict[str, Any]], metric: str = "mpjpe") -> list[dict[str, float]]:
    """Mean and standard deviation over the seeds, mm, and the mean gain, for every share."""
    result = []
    for share in sorted({row["share"] for row in rows}):
        values = {
            name: np.array([row[name][metric] for row in rows if row["share"] == share])
            for name in ("supervised", "semi_supervised")
        }
        summary = {"share": share, "gain": float(1 - values["semi_supervised"].mean() / values["supervised"].mean())}
        for name, errors in values.items():
            summary |= {name: float(errors.mean()), f"{name}_spread": float(errors.std(ddof=len(errors) > 1))}
        result.append(summary)
    return result


def label(recordings: Sequence[Recording], share: float, seed: int) -> tuple[list[Recording], list[Recording]]:
    """Whole recordings chosen at random until they are that share of all frames, the last one cut; and the others."""
    wanted = round(sum(len(recording.points) for recording in recordings) * share)
    shortest = round(_ENOUGH * 60)
    labelled, rest = [], []
    for i in np.random.default_rng(seed).permutation(len(recordings)):
        points = recordings[i].points
        for part, cut in ((labelled, points[:wanted]), (rest, points[wanted:])):
            if len(cut) >= shortest:
                part.append(replace(recordings[i], points=cut))
        wanted = max(0, wanted - len(points))
    return labelled, rest


def _synthesis(recordings: Sequence[Recording], study: LabelStudy, device: torch.device, augmented: bool) -> Synthesis:
    architecture = _architecture(study)
    return Synthesis(
        recordings,
        architecture.receptive_field,
        architecture.padding[0],
        study.fps,
        views=replace(ViewModel(), canted=(0.0, 0.0), **EXACT),
        noise=PERFECT,
        speed=1.0,
        cut=0.0,
        augmented=augmented,
        device=device,
    )


def _architecture(study: LabelStudy) -> Architecture:
    features = CONVENTIONS["canonical"].features_per_frame(len(COCO_17))
    return Architecture(features, len(H36M_17), study.widths, study.channels)


def _draw(synthesis: Synthesis, count: int, seed: int) -> Examples:
    return synthesis.draw(count - count % synthesis.views_per_motion, 0, Dice(seed, synthesis.device))


def _film(recording: Recording, fps: float) -> list[Filmed]:
    """What static cameras see of a recording, one for every few seconds."""
    return [
        Filmed(clip.name, to_rays(clip.joints[:, : len(COCO_17)], clip.K), clip.confidence[:, : len(COCO_17)], fps)
        for clip in film([recording], fps, cameras=1, seed=zlib.crc32(recording.name.encode()))
    ]


def _windows(films: Sequence[Filmed], study: LabelStudy, device: torch.device, seed: int) -> torch.Tensor:
    """Features (N, W, F)."""
    architecture = _architecture(study)
    source = UnlabelledWindows(films, architecture.receptive_field, architecture.padding[0], study.fps, device)
    return source.draw(study.windows, Dice(seed, device))


def _train(
    name: str,
    examples: Examples,
    unlabelled: torch.Tensor | None,
    study: LabelStudy,
    seed: int,
    progress: Progress,
) -> TemporalModel:
    """The averaged pose network of one run."""
    torch.manual_seed(seed)
    architecture = _architecture(study)
    pose = TemporalModel(architecture, strided=True, dropout=study.recipe.dropout)
    root = None
    if unlabelled is not None:
        root = TemporalModel(replace(architecture, joints=1), strided=True, dropout=study.recipe.dropout)
    networks = Networks(pose, root).to(examples.features.device)
    settings = asdict(replace(study, output=Path(name), shares=(), seeds=(), device=""))
    fixed = json.loads(json.dumps(settings, default=str))
    run = study.recipe.run(networks, study.output / f"{name}.training", fixed, study.steps, seed)
    run.resume()

    def step() -> dict[str, torch.Tensor]:
        dice = Dice(seed + 1000 * run.step, run.device)
        networks.train()
        networks.set_norm_momentum(0.1)  # so short a run has no time to forget older statistics
        labelled = dice.choice(torch.arange(len(examples.features), device=run.device), study.batch)
        batch = replace(
            examples,
            features=examples.features[labelled],
            poses=examples.poses[labelled],
            root=examples.root[labelled],
        )
        films = None
        if unlabelled is not None and run.done >= study.semi.warm_up:
            films = dice.choice(unlabelled, study.batch)
        return losses(networks, batch, films, study.recipe, study.semi)

    run.loop(step, dict, study.steps + 1, progress)
    return run.averaged().pose


def _judge(pose: TemporalModel, judged: Examples) -> dict[str, float]:
    with torch.no_grad():
        found = torch.cat([pose(features)[:, 0] for features in judged.features.split(1000)]).cpu().numpy()
    true = judged.poses[:, 0].cpu().numpy()
    found = found - found[:, :1]
    return {
        name: round(float(metric(found, true).mean() * 1000), 2)
        for name, metric in (("mpjpe", mpjpe), ("p_mpjpe", p_mpjpe))
    }
