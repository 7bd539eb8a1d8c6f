"""An encoder whose first half is our detector's: it knows people from tens of thousands of photographs already."""

import torch
from torch import nn

from vp3d.detect.network import AFFINITY_MAPS, FEATURES, HEATMAPS
from vp3d.detect.network import PoseNetwork as Detector
from vp3d.stereo.resnet import DEVIATION, MEAN, initialise, residual_level

_PARTS = ("stem", "backbone", "context", "trunk", "initial")


class DetectorStem(nn.Module):
    """Lightweight OpenPose up to its first maps, as it was trained; these weights do not change.

    Takes images (B, 3, H, W) normalised by `resnet.MEAN` and `DEVIATION`, returns its features and first maps
    (B, `channels`, H / 8, W / 8).
    """

    channels = FEATURES + AFFINITY_MAPS + HEATMAPS
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.take(Detector())

    def take(self, detector: Detector) -> None:
        """Take over a detector's weights."""
        for name in _PARTS:
            setattr(self, name, getattr(detector, name))
        self.requires_grad_(False)
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
        self.scale = 255 * deviation * detector.scale
        self.shift = 255 * mean * detector.scale + detector.shift

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features and first maps; no gradient passes."""
        features = self.context(self.backbone(self.stem(x * self.scale + self.shift)))
        return torch.cat((features, *self.initial(self.trunk(features))), 1)


class DetectorEncoder(nn.Module):
    """`DetectorStem`, then the last two levels of a residual network of `depth` layers.

    Attributes:
        channels: of the features.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layer3, channels = residual_level(depth, 3, DetectorStem.channels)
        self.layer4, self.channels = residual_level(depth, 4, channels)
        initialise(self)
        self.detector = DetectorStem()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, `channels`, H / 32, W / 32), and the stem's."""
        early = self.detector(x)
        return self.layer4(self.layer3(early)), early
