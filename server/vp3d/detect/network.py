"""Lightweight OpenPose as a torch module.

Source: D. Osokin, "Real-time 2D Multi-Person Pose Estimation on CPU: Lightweight OpenPose" (2018): a MobileNet v1 whose
last blocks keep stride 8 by dilation, a context block, one initial stage and one refinement stage. Batch normalisation
is folded into weights and biases, as in the published network.
"""

import torch
from torch import nn

from vp3d.detect.layout import KEYPOINTS, LIGHTWEIGHT_OPENPOSE, LIMBS

HEATMAPS = len(KEYPOINTS) + 1
AFFINITY_MAPS = 2 * len(LIMBS)

# Channels out and stride or dilation of each depthwise-separable block after the first convolution.
_BACKBONE = (
    (64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 1, 1),
    (512, 1, 2), (512, 1, 1), (512, 1, 1), (512, 1, 1), (512, 1, 1),
)  # fmt: skip
FEATURES = 128
"""Channels that the stages share."""
_HIDDEN = 512


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, groups)


class Separable(nn.Sequential):
    """Depthwise 3×3 convolution and pointwise convolution, each followed by the activation."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1, activation: type = nn.ReLU
    ) -> None:
        super().__init__(
            _conv(inputs, inputs, 3, stride, dilation, groups=inputs),
            activation(),
            _conv(inputs, outputs),
            activation(),
        )


class Context(nn.Module):
    """Backbone channels to features: a reduction, three residual separable blocks with ELU, one 3×3 convolution."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(_conv(inputs, FEATURES), nn.ELU())
        self.residual = nn.Sequential(
            _conv(FEATURES, FEATURES),
            nn.ELU(),
            *(Separable(FEATURES, FEATURES, activation=nn.ELU) for _ in range(3)),
        )
        self.output = nn.Sequential(_conv(FEATURES, FEATURES, 3), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) to (N, 128, h, w)."""
        x = self.reduce(x)
        return self.output(x + self.residual(x))


class Heads(nn.Module):
    """Affinity maps and heatmaps from shared features, each through one hidden pointwise layer."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.affinity_hidden = _conv(inputs, hidden)
        self.heat_hidden = _conv(inputs, hidden)
        self.affinity = _conv(hidden, AFFINITY_MAPS)
        self.heat = _conv(hidden, HEATMAPS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, h, w) to affinity maps (N, 38, h, w) and heatmaps (N, 19, h, w)."""
        return self.affinity(torch.relu(self.affinity_hidden(x))), self.heat(torch.relu(self.heat_hidden(x)))


class RefinementBlock(nn.Module):
    """Reduction followed by a residual pair of 3×3 convolutions, the second one dilated: a 7×7 field for less."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(_conv(inputs, FEATURES), nn.ReLU())
        self.residual = nn.Sequential(
            _conv(FEATURES, FEATURES, 3), nn.ReLU(), _conv(FEATURES, FEATURES, 3, dilation=2), nn.ReLU()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) to (N, 128, h, w)."""
        x = self.reduce(x)
        return x + self.residual(x)


class PoseNetwork(nn.Module):
    """The whole network, from bytes to maps.

    Buffers `scale` and `shift` normalise the three input channels; the border is padded after that.
    """

    layout = LIGHTWEIGHT_OPENPOSE
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.stem = nn.Sequential(_conv(3, 32, 3, stride=2), nn.ReLU())
        blocks, channels = [], 32
        for outputs, stride, dilation in _BACKBONE:
            blocks.append(Separable(channels, outputs, stride, dilation))
            channels = outputs
        self.backbone = nn.Sequential(*blocks)
        self.context = Context(channels)
        self.trunk = nn.Sequential(*(m for _ in range(3) for m in (_conv(FEATURES, FEATURES, 3), nn.ReLU())))
        self.initial = Heads(FEATURES, _HIDDEN)
        self.refinement = nn.Sequential(
            *(RefinementBlock(AFFINITY_MAPS + HEATMAPS + FEATURES if i == 0 else FEATURES) for i in range(5))
        )
        self.final = Heads(FEATURES, FEATURES)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the network.

        Args:
            images: (N, H, W, 3) uint8 RGB, H and W multiples of 8.

        Returns:
            Heatmaps (N, 19, H/8, W/8) and part-affinity maps (N, 38, H/8, W/8), float32.
        """
        return self.maps(images.permute(0, 3, 1, 2).float() * self.scale + self.shift)

    def maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Heatmaps and part-affinity maps, as in `forward`, of normalised images (N, 3, H, W)."""
        features = self.context(self.backbone(self.stem(x)))
        first = self.initial(self.trunk(features))
        affinity, heat = self.final(self.refinement(torch.cat((*first, features), dim=1)))
        return heat, affinity

    def convolutions(self) -> list[nn.Conv2d]:
        """Every convolution in the order of the data's way; of two that run side by side, the affinity maps' first."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]
