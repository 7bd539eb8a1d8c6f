"""Our own bottom-up network: small, trained from random weights by `vp3d train detector`.

An encoder of residual blocks (He et al. 2016) down to stride 32, and a decoder back to stride 8 with lateral
connections (as in feature pyramids, Lin et al. 2017). It gives the maps of `network.PoseNetwork` plus those of heels
and toes, for a fifth of the work.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as save_tensors
from torch import nn
from torch.nn import functional

from vp3d.detect.integers import Ranges
from vp3d.detect.layout import ALL_KEYPOINTS, BASIC, FEET_LIMBS, LIMBS
from vp3d.errors import UserError
from vp3d.files import written_whole

FORMAT = "vp3d-detector"
VERSION = 1
WIDTHS = (32, 48, 96, 128, 160)
"""Channels at strides 2, 4, 8, 16 and 32."""

SHORT_SIDE = {"fast": 192, "normal": 256, "fine": 256}
"""Short side of the network's input (px) per level of detail."""

_BLOCKS = (0, 1, 2, 3, 2)
_HIDDEN = 128
_HINT = "Choose weights written by `vp3d train detector`."


class _Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(self.first(x)))


class BasicNetwork(nn.Module):
    """From bytes to maps: 22 heatmaps (0…1) and 46 part-affinity maps at stride 8."""

    layout = BASIC
    ranges: Ranges = ()
    """What the CPU needs to compute in 8-bit integers; nothing for floating point."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        levels, inputs = [], 3
        for outputs, blocks in zip(widths, _BLOCKS, strict=True):
            levels.append(
                nn.Sequential(_Convolution(inputs, outputs, stride=2), *(_Residual(outputs) for _ in range(blocks)))
            )
            inputs = outputs
        self.levels = nn.ModuleList(levels)
        _, _, fine, middle, deep = widths
        self.from_deep = nn.Conv2d(deep, middle, 1)
        self.from_middle = nn.Conv2d(middle, fine, 1)
        self.join_fine = _Residual(fine)
        self.hidden = _Convolution(fine, _HIDDEN, 1)
        self.heat = nn.Conv2d(_HIDDEN, len(ALL_KEYPOINTS), 1)
        self.affinity = nn.Conv2d(_HIDDEN, 2 * len(LIMBS + FEET_LIMBS), 1)
        nn.init.constant_(self.heat.bias, -4.0)  # joints are rare: without this the first steps only learn that

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the network.

        Args:
            images: (N, H, W, 3) uint8 RGB, H and W multiples of 32.

        Returns:
            Heatmaps (N, 22, H/8, W/8), 0…1, and part-affinity maps (N, 46, H/8, W/8), float32.
        """
        heat, affinity = self.maps(images.permute(0, 3, 1, 2).float() / 255)
        return heat.sigmoid(), affinity

    def maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the heatmaps and part-affinity maps of (N, 3, H, W) images, 0…1."""
        x = x * 4 - 2
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        _, _, fine, middle, deep = features
        middle = middle + _doubled(self.from_deep(deep))
        fine = self.join_fine(torch.relu(fine + _doubled(self.from_middle(torch.relu(middle)))))
        hidden = self.hidden(fine)
        return self.heat(hidden), self.affinity(hidden)


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Weights:
    """A network's weights and what must be known of them.

    Attributes:
        tensors: `BasicNetwork.state_dict()`.
        licence: of the weights.
        commercial: whether that licence allows commercial work.
        training: settings and measurements of the run that made them.
        ranges: what the CPU needs to compute in 8-bit integers, nothing for floating point.
    """

    tensors: dict[str, torch.Tensor]
    licence: str = ""
    commercial: bool = False
    training: dict[str, Any] = field(default_factory=dict)
    ranges: Ranges = ()

    def build(self) -> BasicNetwork:
        """The network in evaluation mode."""
        widths = tuple(len(self.tensors[f"levels.{level}.0.0.weight"]) for level in range(len(WIDTHS)))
        network = BasicNetwork(widths)
        network.load_state_dict({name: tensor.float() for name, tensor in self.tensors.items()}, strict=False)
        network.ranges = self.ranges
        return network.eval().requires_grad_(False)


def save(weights: Weights, path: Path) -> None:
    """Write weights in half precision; raises UserError where the file cannot be written."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "licence": weights.licence,
        "commercial": weights.commercial,
        "training": weights.training,
        "ranges": weights.ranges,
    }
    tensors = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in weights.tensors.items()
        if tensor.is_floating_point()
    }
    with written_whole(path) as partial:
        partial.write_bytes(save_tensors(tensors, {"vp3d": json.dumps(header)}))


def load(path: Path) -> Weights:
    """Read what `save` wrote; raises UserError for anything else."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["vp3d"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
        if header["format"] != FORMAT or header["version"] > VERSION:
            raise ValueError("another format")
        ranges = tuple((float(low), float(high)) for low, high in header.get("ranges", ()))
        weights = Weights(tensors, header["licence"], header["commercial"], header["training"], ranges)
        network = weights.build()
        if ranges and len(ranges) != sum(isinstance(module, nn.Conv2d) for module in network.modules()):
            raise ValueError("ranges of another network")
        expected = network.state_dict()
        missing = [n for n, t in expected.items() if t.is_floating_point() and n not in tensors]
        if missing:
            raise KeyError(missing[0])
    except OSError as error:
        raise UserError(
            f"The detector's weights “{path}” cannot be read ({error.strerror or error}).", _HINT
        ) from error
    except Exception as error:  # a damaged file may raise anything
        raise UserError(f"“{path}” holds no weights of a detector.", _HINT) from error
    return weights
