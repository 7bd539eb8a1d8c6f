"""What every training run has: a schedule, an average of the weights, a log, and a state to go on from after a stop."""

import copy
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vp3d.errors import UserError
from vp3d.progress import Progress

logger = logging.getLogger(__name__)

LOG_STEPS = 50
_WARM_UP = 0.04
"""Share of the steps over which the learning rate rises."""

Losses = dict[str, torch.Tensor]


class Run:
    """A network in training; everything it needs to go on lies in one file.

    Args:
        model: the network, on its device.
        file: of the state, read by `resume` and written by `save`.
        settings: JSON-able; a state that was made with other ones is refused.
        steps: optimiser steps in all, over which the learning rate rises, then falls along a cosine to nothing.
        learning_rate, weight_decay: of AdamW.
        rate: factor on the learning rate by the share of the steps that is done, in place of that course.
        optimiser: of the model's parameters, in place of AdamW.
        averaging: share of the exponential average of the weights that a step leaves.
        clip: largest norm of a gradient.
        seed: of everything drawn.

    Attributes:
        generator: for all random draws, on the network's device; its state is saved too.
        step: steps done.
        history: one entry every `LOG_STEPS` steps and for every evaluation.
    """

    def __init__(
        self,
        model: nn.Module,
        file: Path,
        settings: dict[str, Any],
        steps: int,
        learning_rate: float,
        rate: Callable[[float], float] | None = None,
        optimiser: torch.optim.Optimizer | None = None,
        weight_decay: float = 0.01,
        averaging: float = 0.998,
        clip: float = 5.0,
        seed: int = 1,
    ) -> None:
        self.model, self.file, self.settings, self.steps = model, file, settings, steps
        self.learning_rate, self.averaging, self.clip = learning_rate, averaging, clip
        self.device = next(model.parameters()).device
        self.optimiser = optimiser or torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=weight_decay)
        self._rate = rate or self._rise_and_fall
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, torch.Tensor] = {}
        self._events = _event_writer(file)

    @property
    def done(self) -> float:
        """Share of the steps that is done, 0..1."""
        return self.step / self.steps

    def loop(
        self,
        losses: Callable[[], Losses],
        evaluate: Callable[[], dict[str, float]],
        evaluate_steps: int,
        progress: Progress,
        save_seconds: float = 60.0,
    ) -> None:
        """Step until all steps are done; the state is saved now and then, and however this ends.

        Args:
            losses: forward pass of one batch; the value `total` is minimised, the others are logged.
            evaluate: figures of the averaged weights, every `evaluate_steps` steps.
        """
        saved = time.monotonic()
        try:
            while self.step < self.steps:
                progress("train", self.step, self.steps)
                for name, value in self._descend(losses()).items():
                    self._sums[name] = self._sums.get(name, 0.0) + value
                if self.step % LOG_STEPS == 0:
                    self.log({name: float(total) / LOG_STEPS for name, total in self._sums.items()})
                    self._sums = {}
                if self.step % evaluate_steps == 0:
                    self.log(evaluate())
                if time.monotonic() - saved > save_seconds:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()

    def log(self, figures: dict[str, float]) -> None:
        """Write figures of this step to the history, the log and, where TensorBoard is installed, its event file."""
        self.history.append({"step": self.step, **figures})
        logger.info("step %d %s", self.step, " ".join(f"{name} {value:.5g}" for name, value in figures.items()))
        if self._events:
            for name, value in figures.items():
                self._events.add_scalar(name, value, self.step)

    def averaged(self) -> nn.Module:
        """A copy of the network with the averaged weights, ready to be used."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.eval()

    def save(self) -> None:
        """Write the state; the file changes whole or not at all."""
        partial = self.file.with_name(self.file.name + ".part")
        content = {
            "settings": json.dumps(self.settings, sort_keys=True),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "generator": self.generator.get_state(),
            "step": self.step,
            "sums": {name: torch.as_tensor(total) for name, total in self._sums.items()},
            "history": json.dumps(self.history),
        }
        torch.save(content, partial)
        partial.replace(self.file)

    def resume(self) -> None:
        """Go on from the state, where there is one.

        Raises:
            UserError: it was made with other settings.
        """
        if not self.file.exists():
            return
        content = torch.load(self.file, map_location=self.device, weights_only=True)
        before = json.loads(content["settings"])
        changed = sorted(name for name, value in self.settings.items() if before.get(name) != value)
        if changed:
            raise UserError(
                f"The training state {self.file.name} was made with another {' and '.join(changed)}.",
                "Delete it to start over, or give the settings it was made with.",
            )
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.average = content["average"]
        self.generator.set_state(content["generator"].cpu())
        self._sums = content["sums"]
        self.step, self.history = content["step"], json.loads(content["history"])
        logger.info("going on from step %d", self.step)

    def _rise_and_fall(self, done: float) -> float:
        rise = min(1.0, (done + 1 / self.steps) / _WARM_UP)
        return rise * 0.5 * (1 + math.cos(math.pi * done))

    def _descend(self, losses: Losses) -> dict[str, torch.Tensor]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * self._rate(self.done)
        self.optimiser.zero_grad()
        losses["total"].backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(self.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - decay)
                else:
                    self.average[name].copy_(tensor)
        return {**{name: value.detach() for name, value in losses.items()}, "gradient": norm}


def _event_writer(file: Path) -> Any:
    """TensorBoard's, where it is installed: it is no requirement of the server."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(file.with_name(file.stem + ".events"))
