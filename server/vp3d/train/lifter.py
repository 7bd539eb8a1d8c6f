"""Training a lifter on motion capture seen by virtual cameras: strided windows, any device, resumable.

What is optimised stands in `vp3d.train.recipes`, what is seen in `vp3d.train.views`. Every step draws its examples from
dice of its own, so a resumed run sees what an uninterrupted one would have seen.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vp3d.calibration import read_calibration
from vp3d.common.skeletons import COCO_17, H36M_17
from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.evaluate.metrics import mpjpe, p_mpjpe
from vp3d.lift.checkpoint import Checkpoint, load, save
from vp3d.lift.conventions import CONVENTIONS
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.progress import Progress, silent
from vp3d.train.dice import Dice
from vp3d.train.filmed import Filmed, read_filmed
from vp3d.train.grow import can_grow, grow
from vp3d.train.recipes import RECIPES, Recipe
from vp3d.train.recording import Recording
from vp3d.train.recordings import minutes, read_recordings, split
from vp3d.train.semi_supervised import Networks, SemiSupervision, UnlabelledWindows
from vp3d.train.semi_supervised import losses as step_losses
from vp3d.train.synthesis import Examples, Synthesis
from vp3d.train.views import EXACT, PERFECT, NoiseModel, ViewModel


@dataclass(frozen=True)
class LifterSettings:
    """What a training run is made of.

    Attributes:
        motion: zip archives or folders of motion capture.
        output: safetensors file to write; the state to resume from lies beside it as `OUTPUT.training`.
        initial: weights to start from instead of random ones: of the same architecture, or of one that `can_grow` to
            it.
        steps: optimiser steps in all.
        seed: of the split, the initial weights and the examples.
        device: "auto", "cpu", "cuda" or "mps".
        widths, channels: of the network.
        fps: frame rate that the lifter works at, Hz.
        causal: whether it may only look back.
        batch: windows per step; the first `pairs` of them come with the next frame's window for the velocity term.
        recipe: how it is optimised.
        views, noise, augmented, constant: what it is shown, as for `Synthesis`.
        convention: how, a name in `conventions.CONVENTIONS` whose features depend on the window.
        share: of the training takes that are used.
        trajectory: whether a second network learns where the root is; unlabelled films need it.
        unlabelled: takes, VideoPose3D key-points or folders of them, to learn from without 3D.
        calibration: of the cameras of key-points.
        semi: how unlabelled films take part.
        held_out: share of takes that only evaluation sees.
        held_out_takes: takes, and performers with all their takes, that only evaluation sees, in place of a share.
        save_seconds: time between saved states.
        evaluate_steps: steps between evaluations.
        evaluate_windows: windows per evaluation, at the end four times as many.
        licence: to write into the file.
        commercial: whether that licence allows commercial work.
    """

    motion: tuple[Path, ...]
    output: Path
    initial: Path | None = None
    steps: int = 24_000
    seed: int = 1
    device: str = "auto"
    widths: tuple[int, ...] = (3, 3, 3)
    channels: int = 512
    fps: float = 30.0
    causal: bool = False
    batch: int = 512
    pairs: int = 64
    recipe: Recipe = RECIPES["vp3d"]
    views: ViewModel = field(default_factory=ViewModel)
    noise: NoiseModel = field(default_factory=NoiseModel)
    augmented: bool = True
    constant: tuple[str, ...] = ()
    convention: str = "canonical"
    share: float = 1.0
    trajectory: bool = False
    unlabelled: tuple[Path, ...] = ()
    calibration: Path | None = None
    semi: SemiSupervision = field(default_factory=SemiSupervision)
    held_out: float = 0.12
    held_out_takes: tuple[str, ...] = ()
    save_seconds: float = 60.0
    evaluate_steps: int = 1000
    evaluate_windows: int = 2048
    licence: str = "GPL-3.0-or-later"
    commercial: bool = True


_MAY_CHANGE = (
    "motion",
    "output",
    "initial",
    "unlabelled",
    "calibration",
    "steps",
    "device",
    "save_seconds",
    "evaluate_steps",
    "evaluate_windows",
    "licence",
    "commercial",
)


def train(settings: LifterSettings, progress: Progress = silent) -> dict[str, Any]:
    """Train, or go on training, until `settings.steps`; writes the weights and returns the measurements.

    Returns:
        The JSON-able record that also stands in the file: settings, data, and errors on held-out takes in mm.

    Raises:
        UserError: there is nothing to train on, or the saved state belongs to other settings.
        Cancelled: from `progress`; the state is saved before.
    """
    recordings = read_recordings(settings.motion, progress)
    cameras = read_calibration(settings.calibration) if settings.calibration else []
    films = read_filmed(settings.unlabelled, cameras) if settings.unlabelled else []
    return train_on(recordings, settings, progress, films)


def train_on(
    recordings: Sequence[Recording],
    settings: LifterSettings,
    progress: Progress = silent,
    films: Sequence[Filmed] = (),
) -> dict[str, Any]:
    """`train` with motion and unlabelled films that are already read."""
    seen, held_out = split(recordings, settings.held_out, settings.seed, settings.held_out_takes, settings.share)
    architecture = Architecture(
        CONVENTIONS[settings.convention].features_per_frame(len(COCO_17)),
        len(H36M_17),
        settings.widths,
        settings.channels,
        settings.causal,
    )
    networks = _networks(architecture, settings, trajectory=settings.trajectory or bool(films))
    described = _described(settings)
    fixed = {name: value for name, value in described.items() if name not in _MAY_CHANGE}
    state_file = settings.output.with_name(settings.output.name + ".training")
    run = settings.recipe.run(networks, state_file, fixed, settings.steps, settings.seed)
    run.resume()
    synthesis = _synthesis(seen, architecture, settings, run.device)
    window, now = architecture.receptive_field, architecture.padding[0]
    unlabelled = UnlabelledWindows(films, window, now, settings.fps, run.device) if films else None

    def losses() -> dict[str, torch.Tensor]:
        # Dice of its own for every step: what a step sees does not depend on where a run was interrupted.
        dice = Dice(_mix(settings.seed, run.step), run.device)
        torch.manual_seed(_mix(settings.seed, run.step, 1))
        networks.train()
        networks.set_norm_momentum(0.1 * 0.01**run.done)
        examples = synthesis.draw(settings.batch, settings.pairs, dice)
        warm = unlabelled is not None and run.done >= settings.semi.warm_up
        features = unlabelled.draw(settings.batch, dice) if warm else None
        return step_losses(networks, examples, features, settings.recipe, settings.semi)

    def errors() -> dict[str, float]:
        return _flat(evaluate(run.averaged().pose, held_out, settings, settings.evaluate_windows))

    run.loop(losses, errors, settings.evaluate_steps, progress, settings.save_seconds)
    averaged = run.averaged()
    record = {
        "settings": described,
        "data": {
            "source": described["motion"],
            "training_minutes": round(minutes(seen), 2),
            "held_out_minutes": round(minutes(held_out), 2),
            "held_out_takes": sorted({recording.take for recording in held_out}),
            "unlabelled_minutes": round(sum(len(film.rays) / film.fps for film in films) / 60, 2),
        },
        "held_out_mm": evaluate(averaged.pose, held_out, settings, 4 * settings.evaluate_windows),
        "history": run.history,
    }
    save(
        Checkpoint(
            pose=_weights(averaged.pose),
            trajectory=averaged.trajectory and _weights(averaged.trajectory),
            fps=settings.fps,
            causal=settings.causal,
            convention=settings.convention,
            licence=settings.licence,
            commercial=settings.commercial,
            training=record,
        ),
        settings.output,
    )
    return record


def evaluate(
    model: TemporalModel, recordings: Sequence[Recording], settings: LifterSettings, count: int
) -> dict[str, dict[str, float]]:
    """Errors in mm with perfect 2D joints and with modelled detector errors, on motion as it was recorded.

    MPJPE and P-MPJPE over all 17 joints, the root's zero counted; MPJVE in mm per frame at `settings.fps`. Cameras
    stand still, upright, and their lens is known.
    """
    results = {}
    device = next(model.parameters()).device
    views = replace(ViewModel(), canted=(0.0, 0.0), **EXACT)
    for name, noise in (("perfect", PERFECT), ("noisy", NoiseModel(strength=(1.0, 1.0), perfect=0.0))):
        synthesis = Synthesis(
            recordings,
            model.architecture.receptive_field,
            model.architecture.padding[0],
            settings.fps,
            convention=settings.convention,
            views=views,
            noise=noise,
            speed=1.0,
            cut=0.0,
            views_per_motion=1,
            augmented=False,
            device=device,
        )
        errors: dict[str, list[np.ndarray]] = {"mpjpe": [], "p_mpjpe": [], "mpjve": []}
        for batch in range(max(1, count // 512)):
            examples = synthesis.draw(512, 512, Dice(_mix(0, batch), device))
            with torch.no_grad():
                now, then = model(_windows(examples))[:, 0].chunk(2)
            then = (then @ examples.next_rotation.mT).cpu().numpy()
            now, true = now.cpu().numpy(), examples.poses.cpu().numpy()
            errors["mpjpe"].append(mpjpe(now, true[:, 0]))
            errors["p_mpjpe"].append(p_mpjpe(now, true[:, 0]))
            errors["mpjve"].append(mpjpe(then - now, true[:, 1] - true[:, 0]))
        results[name] = {
            metric: round(float(np.concatenate(values).mean() * 1000), 2) for metric, values in errors.items()
        }
    return results


def _mix(*numbers: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _windows(examples: Examples) -> torch.Tensor:
    return torch.cat([examples.features, examples.next_features])


def _synthesis(
    recordings: Sequence[Recording], architecture: Architecture, settings: LifterSettings, device: torch.device
) -> Synthesis:
    return Synthesis(
        recordings,
        architecture.receptive_field,
        architecture.padding[0],
        settings.fps,
        convention=settings.convention,
        views=settings.views,
        noise=settings.noise,
        augmented=settings.augmented,
        constant=settings.constant,
        device=device,
    )


def _networks(architecture: Architecture, settings: LifterSettings, trajectory: bool) -> Networks:
    """What is trained, on its device."""
    torch.manual_seed(settings.seed)
    architectures = [architecture, *([replace(architecture, joints=1)] if trajectory else [])]
    networks = [TemporalModel(each, strided=True, dropout=settings.recipe.dropout) for each in architectures]
    if settings.initial is not None:
        initial = load(settings.initial)
        if not can_grow(initial.architecture, architecture):
            raise UserError(
                f"The weights {settings.initial.name} are of another architecture.",
                "Give its widths and channels, or more of them.",
            )
        for network, weights in zip(networks, (initial.pose, initial.trajectory), strict=False):
            if weights:
                grow(weights, network)
    return Networks(*networks).to(choose_device(settings.device))


def _weights(network: TemporalModel) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in network.state_dict().items()}


def _flat(errors: dict[str, dict[str, float]]) -> dict[str, float]:
    return {f"{noise}/{metric}": error for noise, metrics in errors.items() for metric, error in metrics.items()}


def _described(settings: LifterSettings) -> dict[str, Any]:
    """The settings as JSON, without where things lie on this computer."""
    described = asdict(settings)
    described["motion"] = [Path(path).name for path in settings.motion]
    described["unlabelled"] = [Path(path).name for path in settings.unlabelled]
    for name in ("output", "initial", "calibration"):
        path = getattr(settings, name)
        described[name] = path and Path(path).name
    return json.loads(json.dumps(described))
