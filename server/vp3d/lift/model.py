"""The temporal convolutional network that turns a window of 2D joints into one 3D pose.

Source: Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training"
(CVPR 2019). Parameter names follow the weights published with the paper, so those load as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from operator import mul

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Architecture:
    """What is needed to build the network; all of it can be read back from its weights, except `causal`.

    Attributes:
        features: input numbers per frame.
        joints: output joints.
        widths: filter width of the first convolution and of every residual block, all odd.
        channels: hidden channels.
        causal: the output belongs to the last frame of the window instead of its middle.
    """

    features: int
    joints: int
    widths: tuple[int, ...] = (3, 3, 3)
    channels: int = 1024
    causal: bool = False

    def __post_init__(self) -> None:
        if not self.widths or any(width < 1 or width % 2 == 0 for width in self.widths):
            raise ValueError(f"filter widths must be odd, got {self.widths}")

    @property
    def receptive_field(self) -> int:
        """Input frames behind one output pose."""
        return prod(self.widths)

    @property
    def padding(self) -> tuple[int, int]:
        """Frames to repeat before the first and after the last so that every frame gets a pose."""
        missing = self.receptive_field - 1
        return (missing, 0) if self.causal else (missing // 2, missing // 2)


class TemporalModel(nn.Module):
    """Temporal convolutions with residual blocks.

    The dilated form slides over a sequence: (B, T, features) to (B, T - receptive_field + 1, joints, 3). The strided
    form takes windows of exactly one receptive field: (B, receptive_field, features) to (B, 1, joints, 3), without
    computing anything that one output does not need, which is what training wants. Weights are interchangeable.
    """

    def __init__(self, architecture: Architecture, strided: bool = False, dropout: float = 0.25) -> None:
        super().__init__()
        self.architecture = architecture
        self.strided = strided
        first, *rest = architecture.widths
        channels = architecture.channels
        self._dilations = list(accumulate(architecture.widths, mul))[:-1]
        self.expand_conv = nn.Conv1d(architecture.features, channels, first, bias=False)
        self.expand_bn = nn.BatchNorm1d(channels)
        self.layers_conv = nn.ModuleList()
        self.layers_bn = nn.ModuleList()
        for width, dilation in zip(rest, self._dilations, strict=True):
            self.layers_conv.append(nn.Conv1d(channels, channels, width, dilation=dilation, bias=False))
            self.layers_conv.append(nn.Conv1d(channels, channels, 1, bias=False))
            self.layers_bn.extend(nn.BatchNorm1d(channels) for _ in range(2))
        self.shrink = nn.Conv1d(channels, architecture.joints * 3, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Poses, metres and root-relative, for every window of the sequence."""
        x = features if self.strided else features.transpose(1, 2)
        x = self._layer(x, self.expand_conv, self.expand_bn)
        blocks = zip(self.architecture.widths[1:], self._dilations, strict=True)
        for block, (width, dilation) in enumerate(blocks):
            residual = self._residual(x, width, dilation)
            x = self._layer(x, self.layers_conv[2 * block], self.layers_bn[2 * block])
            x = self._layer(x, self.layers_conv[2 * block + 1], self.layers_bn[2 * block + 1])
            x = residual + x
        x = _without_overlap(x, self.shrink) if self.strided else self.shrink(x).transpose(1, 2)
        return x.unflatten(-1, (self.architecture.joints, 3))

    def _layer(self, x: torch.Tensor, convolution: nn.Conv1d, norm: nn.BatchNorm1d) -> torch.Tensor:
        if self.strided:
            x = _without_overlap(x, convolution)
            # Statistics over batch and time in one go, in full precision even where the product was not.
            x = norm(x.flatten(0, 1).float()).view(x.shape)
        else:
            x = norm(convolution(x))
        return self.dropout(torch.relu(x))

    def _residual(self, x: torch.Tensor, width: int, dilation: int) -> torch.Tensor:
        kept = width - 1 if self.architecture.causal else width // 2
        if self.strided:
            return x[:, kept::width]
        start, lost = kept * dilation, (width - 1) * dilation
        return x[:, :, start : x.shape[2] - lost + start]

    def set_norm_momentum(self, momentum: float) -> None:
        """Share of the newest batch in the running statistics of every batch normalisation."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = momentum


def _without_overlap(x: torch.Tensor, convolution: nn.Conv1d) -> torch.Tensor:
    """A convolution whose stride is its width, on (B, T, C): one matrix product, several times as fast as `Conv1d`."""
    outputs, inputs, width = convolution.weight.shape
    weight = convolution.weight.permute(0, 2, 1).reshape(outputs, width * inputs)
    return functional.linear(x.reshape(len(x), -1, width * inputs), weight, convolution.bias)


def count_parameters(model: nn.Module) -> int:
    """Learned numbers in a network."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(architecture: Architecture, shared: bool = True) -> int:
    """Multiplications of one output pose, normalisation not counted; the literature's "FLOPs" are twice as many.

    Args:
        architecture: of the network.
        shared: whether neighbouring outputs share hidden layers, as the dilated form does; else one window alone, as
            the strided form computes it.
    """
    first, *rest = architecture.widths
    channels = architecture.channels
    frames = 1 if shared else prod(rest)
    total = channels * architecture.features * first * frames
    for width in rest:
        frames = 1 if shared else frames // width
        total += channels * channels * (width + 1) * frames
    return total + channels * architecture.joints * 3


def architecture_of(weights: dict[str, torch.Tensor], causal: bool = False) -> Architecture:
    """Read the architecture back from a network's weights.

    Raises:
        ValueError: the names or shapes are not those of a `TemporalModel`.
    """
    missing = [name for name in ("expand_conv.weight", "shrink.weight") if name not in weights]
    if missing:
        raise ValueError(f"no {missing[0]}")
    channels, features, first = weights["expand_conv.weight"].shape
    widths = [first]
    while (name := f"layers_conv.{2 * (len(widths) - 1)}.weight") in weights:
        widths.append(weights[name].shape[2])
    outputs = weights["shrink.weight"].shape[0]
    if outputs % 3:
        raise ValueError(f"{outputs} outputs are not joints in 3D")
    architecture = Architecture(features, outputs // 3, tuple(widths), channels, causal)
    with torch.device("meta"):
        expected: Sequence[tuple[str, torch.Tensor]] = list(TemporalModel(architecture).state_dict().items())
    for name, tensor in expected:
        if name.endswith("num_batches_tracked"):
            continue
        if name not in weights:
            raise ValueError(f"no {name}")
        if weights[name].shape != tensor.shape:
            raise ValueError(f"{name} has shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}")
    return architecture
