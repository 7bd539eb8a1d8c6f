"""Training a lifter on motion capture seen by virtual cameras.

Recipe: strided windows, AdamW with a cosine schedule, the mean per-joint position error of Pavllo et al. (2019) plus a
term on the movement from one frame to the next, and an exponential moving average of the weights.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vp3d.common.skeletons import COCO_17, H36M_17
from vp3d.errors import UserError
from vp3d.evaluate.metrics import mpjpe, p_mpjpe
from vp3d.lift.checkpoint import Checkpoint, save
from vp3d.lift.conventions import CONVENTIONS
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.progress import Progress, silent
from vp3d.train.recordings import Recording, minutes, read_recordings, split
from vp3d.train.synthesis import Examples, Synthesis
from vp3d.train.views import PERFECT, NoiseModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LifterSettings:
    """What a training run is made of.

    Attributes:
        motion: zip archives or folders of motion capture.
        output: safetensors file to write; the state to resume from lies beside it as `OUTPUT.training`.
        steps: optimiser steps in all.
        seed: of the split, the initial weights and the examples.
        widths, channels: of the network.
        fps: frame rate that the lifter works at, Hz.
        causal: whether it may only look back.
        batch: windows per step; `pairs` of them come with the next frame's window for the velocity term.
        learning_rate, weight_decay, velocity_weight, averaging: of the optimisation.
        held_out: share of takes that only evaluation sees.
        save_seconds: time between saved states.
        evaluate_steps: steps between evaluations.
        evaluate_windows: windows per evaluation, at the end four times as many.
        licence: to write into the file.
        commercial: whether that licence allows commercial work.
    """

    motion: tuple[Path, ...]
    output: Path
    steps: int = 14_000
    seed: int = 1
    widths: tuple[int, ...] = (3, 3, 3)
    channels: int = 512
    fps: float = 30.0
    causal: bool = False
    batch: int = 512
    pairs: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    velocity_weight: float = 4.0
    averaging: float = 0.998
    held_out: float = 0.12
    save_seconds: float = 60.0
    evaluate_steps: int = 1000
    evaluate_windows: int = 2048
    licence: str = "GPL-3.0-or-later"
    commercial: bool = True


_MAY_CHANGE = {
    "motion",
    "output",
    "steps",
    "save_seconds",
    "evaluate_steps",
    "evaluate_windows",
    "licence",
    "commercial",
}
_WARM_UP = 0.04
"""Share of the steps over which the learning rate rises."""


@dataclass
class _State:
    """All that a run needs to go on where it stopped."""

    model: TemporalModel
    optimiser: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    rng: np.random.Generator
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def train(settings: LifterSettings, progress: Progress = silent) -> dict[str, Any]:
    """Train, or go on training, until `settings.steps`; writes the weights and returns the measurements.

    Returns:
        The JSON-able record that also stands in the file: settings, data, and errors on held-out takes in mm.

    Raises:
        UserError: there is no motion to train on, or the saved state belongs to other settings.
        Cancelled: from `progress`; the state is saved before.
    """
    recordings = read_recordings(settings.motion, progress)
    return train_on(recordings, settings, progress)


def train_on(recordings: Sequence[Recording], settings: LifterSettings, progress: Progress = silent) -> dict[str, Any]:
    """`train` with motion that is already read."""
    seen, held_out = split(recordings, settings.held_out, settings.seed)
    architecture = Architecture(
        CONVENTIONS["canonical"].features_per_frame(len(COCO_17)),
        len(H36M_17),
        settings.widths,
        settings.channels,
        settings.causal,
    )
    synthesis = _synthesis(seen, architecture, settings)
    state_file = settings.output.with_name(settings.output.name + ".training")
    state = _start(architecture, settings)
    if state_file.exists():
        _resume(state, state_file, settings)
        logger.info("going on from step %d", state.step)

    saved, losses = time.monotonic(), []
    try:
        while state.step < settings.steps:
            progress("train", state.step, settings.steps)
            losses.append(_step(state, synthesis.draw(settings.batch, settings.pairs, state.rng), settings))
            if state.step % 100 == 0:
                logger.info("step %d loss %.4f velocity %.4f", state.step, *np.mean(losses, axis=0))
                state.history.append({"step": state.step, "loss": float(np.mean(losses, axis=0)[0])})
                losses.clear()
            if state.step % settings.evaluate_steps == 0:
                logger.info(
                    "held out, mm: %s", evaluate(_averaged(state), held_out, settings, settings.evaluate_windows)
                )
            if time.monotonic() - saved > settings.save_seconds:
                _save_state(state, state_file, settings)
                saved = time.monotonic()
    finally:
        _save_state(state, state_file, settings)

    record = {
        "settings": _described(settings),
        "data": {
            "source": "CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu",
            "training_minutes": round(minutes(seen), 2),
            "held_out_minutes": round(minutes(held_out), 2),
            "held_out_takes": sorted({recording.take for recording in held_out}),
        },
        "held_out_mm": evaluate(_averaged(state), held_out, settings, 4 * settings.evaluate_windows),
        "history": state.history,
    }
    save(
        Checkpoint(
            pose=_averaged(state).state_dict(),
            fps=settings.fps,
            causal=settings.causal,
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

    MPJPE and P-MPJPE over all 17 joints, the root's zero counted; MPJVE in mm per frame at `settings.fps`.
    """
    results = {}
    for name, noise in (("perfect", PERFECT), ("noisy", NoiseModel(strength=(1.0, 1.0)))):
        synthesis = _synthesis(recordings, model.architecture, settings, noise=noise, augmented=False, speed=1.0)
        rng = np.random.default_rng(0)
        errors: dict[str, list[np.ndarray]] = {"mpjpe": [], "p_mpjpe": [], "mpjve": []}
        for _ in range(max(1, count // 256)):
            examples = synthesis.draw(256, 256, rng)
            with torch.no_grad():
                now, then = (model(torch.from_numpy(windows)).numpy()[:, 0] for windows in _windows(examples))
            then = then @ examples.next_rotation.swapaxes(-1, -2)
            true_now, true_then = examples.poses[:, 0], examples.poses[:, 1]
            errors["mpjpe"].append(mpjpe(now, true_now))
            errors["p_mpjpe"].append(p_mpjpe(now, true_now))
            errors["mpjve"].append(mpjpe(then - now, true_then - true_now))
        results[name] = {
            metric: round(float(np.concatenate(values).mean() * 1000), 2) for metric, values in errors.items()
        }
    return results


def _windows(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    return examples.features, examples.next_features


def _synthesis(
    recordings: Sequence[Recording], architecture: Architecture, settings: LifterSettings, **options: Any
) -> Synthesis:
    return Synthesis(recordings, architecture.receptive_field, architecture.padding[0], settings.fps, **options)


def _start(architecture: Architecture, settings: LifterSettings) -> _State:
    torch.manual_seed(settings.seed)
    model = TemporalModel(architecture, strided=True, dropout=0.0)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return _State(model, optimiser, average, np.random.default_rng(settings.seed))


def _step(state: _State, examples: Examples, settings: LifterSettings) -> tuple[float, float]:
    done = state.step / settings.steps
    rate = (
        settings.learning_rate
        * min(1.0, (state.step + 1) / (_WARM_UP * settings.steps))
        * 0.5
        * (1 + np.cos(np.pi * done))
    )
    for group in state.optimiser.param_groups:
        group["lr"] = float(rate)
    state.model.train()
    state.model.set_norm_momentum(0.1 * 0.01**done)

    windows = torch.from_numpy(np.concatenate(_windows(examples)))
    true = torch.from_numpy(examples.poses)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predicted = state.model(windows)[:, 0].float()
    now, then = predicted[: len(true)], predicted[len(true) :]
    pairs = len(then)
    then = then @ torch.from_numpy(examples.next_rotation).transpose(1, 2)
    error = torch.cat([now - true[:, 0], then - true[:pairs, 1]]).norm(dim=-1).mean()
    velocity = ((then - now[:pairs]) - (true[:pairs, 1] - true[:pairs, 0])).norm(dim=-1).mean()
    state.optimiser.zero_grad()
    (error + settings.velocity_weight * velocity).backward()
    state.optimiser.step()
    state.step += 1

    decay = min(settings.averaging, state.step / (state.step + 10))
    with torch.no_grad():
        for name, tensor in state.model.state_dict().items():
            if tensor.is_floating_point():
                state.average[name].lerp_(tensor, 1 - decay)
    return error.item(), velocity.item()


def _averaged(state: _State) -> TemporalModel:
    model = TemporalModel(state.model.architecture, strided=True)
    model.load_state_dict(state.average)
    return model.eval()


def _described(settings: LifterSettings) -> dict[str, Any]:
    described = asdict(settings)
    described["motion"] = [Path(path).name for path in settings.motion]
    described["output"] = settings.output.name
    described["widths"] = list(settings.widths)
    return described


def _save_state(state: _State, path: Path, settings: LifterSettings) -> None:
    partial = path.with_name(path.name + ".part")
    torch.save(
        {
            "settings": json.dumps(_described(settings)),
            "model": state.model.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "average": state.average,
            "rng": json.dumps(state.rng.bit_generator.state),
            "step": state.step,
            "history": json.dumps(state.history),
        },
        partial,
    )
    partial.replace(path)


def _resume(state: _State, path: Path, settings: LifterSettings) -> None:
    content = torch.load(path, weights_only=True)
    before, now = json.loads(content["settings"]), _described(settings)
    changed = sorted(name for name in now if name not in _MAY_CHANGE and before.get(name) != now[name])
    if changed:
        raise UserError(
            f"The training state {path.name} was made with another {' and '.join(changed)}.",
            "Delete it to start over, or give the settings it was made with.",
        )
    state.model.load_state_dict(content["model"])
    state.optimiser.load_state_dict(content["optimiser"])
    state.average = content["average"]
    state.rng.bit_generator.state = json.loads(content["rng"])
    state.step = content["step"]
    state.history = json.loads(content["history"])
