"""Momentum with orthogonal steps, which trains wide layers in fewer steps than Adam.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); the size of a step follows Liu
et al., "Muon is scalable for LLM training" (2025), so that a learning rate means about what it means to Adam.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration that drives all singular values towards 1."""
_ITERATIONS = 5
_STEP = 0.2
"""Root mean square of an orthogonal step, about that of a step of Adam."""


class Muon(torch.optim.Optimizer):
    """Weights of layers, matrices once inputs and filter taps are taken together, step along the orthogonal matrix
    nearest to their momentum; biases and normalisations follow Adam.

    Args:
        parameters: to optimise.
        lr: learning rate.
        weight_decay: of the layers.
        momentum: of the layers.
        betas: of Adam.
        others: factor on the learning rate of what is no layer.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        others: float = 2.0,
    ) -> None:
        super().__init__(
            parameters,
            {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas, "others": others},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step along the gradients that are there; `closure` computes them first where given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    (self._turn if parameter.ndim > 1 else self._adam)(parameter, parameter.grad, group)
        return loss

    def _turn(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        state["mean"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["mean"], group["momentum"])
        matrix = ahead.flatten(1)
        step = orthogonal(matrix).view_as(ahead) * (_STEP * math.sqrt(max(matrix.shape)))
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=group["lr"])

    def _adam(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        mean, square = group["betas"]
        state["mean"].lerp_(gradient, 1 - mean)
        state["square"].lerp_(gradient.square(), 1 - square)
        steps = state["step"].item()
        size = (state["square"] / (1 - square**steps)).sqrt_().add_(1e-8)
        parameter.addcdiv_(state["mean"], size, value=-group["lr"] * group["others"] / (1 - mean**steps))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest matrix (R, C) with orthonormal rows or columns; singular values come out from 0.7 to 1.2."""
    a, b, c = _NEWTON_SCHULZ
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).to(matrix.dtype)
