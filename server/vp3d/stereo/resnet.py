"""Residual networks as encoders of images, named as torchvision names them, so that its published weights load.

Source: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016).
"""

import torch
from torch import nn

BOTTLENECK = 4
"""How many times as many channels a bottleneck block puts out as it works with."""

DEPTHS: dict[int, tuple[bool, tuple[int, int, int, int]]] = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
"""Per depth: whether its blocks are bottlenecks, and how many there are at each resolution."""

STRIDE = 32
"""Input pixels per cell of the encoder's output."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, 0..1, which published weights expect taken out."""


class _Block(nn.Module):
    """Two 3×3 convolutions, or a 3×3 between two 1×1 (a bottleneck), beside a shortcut. Only the first 3×3 strides."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = width * BOTTLENECK if bottleneck else width
        if bottleneck:
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
        else:
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.bottleneck = bottleneck
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def initialise(network: nn.Module) -> None:
    """Weights of convolutions that keep the gradients' size, after He et al., "Delving Deep into Rectifiers" (2015)."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def residual_level(depth: int, number: int, inputs: int) -> tuple[nn.Sequential, int]:
    """The blocks of one resolution, `number` 1 to 4, and how many channels they put out."""
    bottleneck, blocks = DEPTHS[depth]
    width = 64 * 2 ** (number - 1)
    outputs = width * BOTTLENECK if bottleneck else width
    strides = [1 if number == 1 else 2] + [1] * (blocks[number - 1] - 1)
    return nn.Sequential(
        *(_Block(inputs if i == 0 else outputs, width, stride, bottleneck) for i, stride in enumerate(strides))
    ), outputs


class ResNet(nn.Module):
    """Encoder of (B, 3, H, W) images, normalised by `MEAN` and `DEVIATION`, to (B, `channels`, H / 32, W / 32).

    Raises:
        ValueError: a depth that is not in `DEPTHS`.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"a residual network has {', '.join(map(str, DEPTHS))} layers, not {depth}")
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels = 64
        for number in (1, 2, 3, 4):
            level, self.channels = residual_level(depth, number, self.channels)
            setattr(self, f"layer{number}", level)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the last resolution."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def normalise(crops: torch.Tensor) -> torch.Tensor:
    """Crops (..., 3, H, W) 0..1 as encoders expect them."""
    mean, deviation = (crops.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return (crops - mean) / deviation
