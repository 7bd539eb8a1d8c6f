"""How a lifter is optimised: losses, optimiser, learning rate. Recipes are data, so that they can be compared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vp3d.common.skeletons import H36M_17
from vp3d.train.muon import Muon
from vp3d.train.run import Losses, Run

OPTIMISERS: dict[str, Callable[[Iterable[nn.Parameter], "Recipe"], torch.optim.Optimizer]] = {
    "muon": lambda parameters, recipe: Muon(parameters, recipe.learning_rate, recipe.weight_decay),
    "adamw": lambda parameters, recipe: torch.optim.AdamW(
        parameters, recipe.learning_rate, weight_decay=recipe.weight_decay
    ),
    "amsgrad": lambda parameters, recipe: torch.optim.Adam(parameters, recipe.learning_rate, amsgrad=True),
}
"""Optimisers by name; the last is Adam in that variant."""

_BONES = [(parent, joint) for joint, parent in enumerate(H36M_17.parents) if parent >= 0]


@dataclass(frozen=True)
class Recipe:
    """One way of training.

    Attributes:
        optimiser: a name in `OPTIMISERS`.
        learning_rate: its peak.
        decay: "cosine" to 0 after a short rise, or "exponential": 0.95 a turn for 80 turns.
        weight_decay: of the weights, where the optimiser has it.
        dropout: share of hidden units.
        velocity, scale_free, bones: weights of the losses beside the mean per-joint position error.
        averaging: decay of the exponential moving average of the weights that is shipped; 0 ships the last weights.
    """

    optimiser: str = "muon"
    learning_rate: float = 2e-3
    decay: str = "cosine"
    weight_decay: float = 0.01
    dropout: float = 0.0
    velocity: float = 3.0
    scale_free: float = 0.5
    bones: float = 0.1
    averaging: float = 0.998

    def run(self, model: nn.Module, file: Path, settings: dict[str, Any], steps: int, seed: int) -> Run:
        """A training run by this recipe; arguments as for `Run`."""
        return Run(
            model,
            file,
            settings,
            steps,
            self.learning_rate,
            rate=(lambda done: 0.95 ** int(80 * done)) if self.decay == "exponential" else None,
            optimiser=OPTIMISERS[self.optimiser](model.parameters(), self),
            averaging=self.averaging,
            seed=seed,
        )

    def loss(self, now: torch.Tensor, then: torch.Tensor, true_now: torch.Tensor, true_then: torch.Tensor) -> Losses:
        """The losses and their weighted sum `total`, all in metres.

        Args:
            now: (N, 17, 3) predicted poses.
            then: (M, 17, 3) predicted poses of the first M examples one frame later, in the same axes.
            true_now, true_then: what they should be.
        """
        pairs = len(then)
        predicted, true = torch.cat([now, then]), torch.cat([true_now, true_then])
        losses = {"position": _distance(predicted, true)}
        if self.velocity:
            losses["velocity"] = _distance(then - now[:pairs], true_then - true_now[:pairs])
        if self.scale_free:
            losses["scale_free"] = _scale_free(predicted, true)
        if self.bones:
            losses["bones"] = (bone_lengths(predicted) - bone_lengths(true)).abs().mean()
        weights = {"position": 1.0, "velocity": self.velocity, "scale_free": self.scale_free, "bones": self.bones}
        return losses | {"total": sum((weights[name] * loss for name, loss in losses.items()), torch.tensor(0.0))}


RECIPES = {
    "vp3d": Recipe(),
    "videopose3d": Recipe(
        optimiser="amsgrad",
        learning_rate=1e-3,
        decay="exponential",
        dropout=0.25,
        velocity=0.0,
        scale_free=0.0,
        bones=0.0,
        averaging=0.0,
    ),
}
"""Recipes by name: our own, and that of Pavllo et al. (2019)."""


def _distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one - other).norm(dim=-1).mean()


def _scale_free(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """N-MPJPE (Rhodin et al., 2018)."""
    scale = (predicted * true).sum((-1, -2)) / (predicted**2).sum((-1, -2)).clamp(min=1e-6)
    return _distance(scale[:, None, None] * predicted, true)


def bone_lengths(poses: torch.Tensor) -> torch.Tensor:
    """Lengths (N, 16) m of the bones of poses (N, 17, 3)."""
    parents, joints = zip(*_BONES, strict=True)
    return (poses[:, list(joints)] - poses[:, list(parents)]).norm(dim=-1)
