"""Hiding parts of training images, so that a network learns to infer joints that it cannot see.

Cutout: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).
Hide-and-Seek: Singh and Lee (ICCV 2017).
"""

from dataclasses import dataclass
from typing import Literal

import torch

KINDS = ("none", "cutout", "hide-and-seek")
GREY = 0.5
"""What hidden pixels become, of 0..1."""


@dataclass(frozen=True)
class Occlusion:
    """How much of an image is hidden, and how often.

    Attributes:
        kind: `cutout` hides squares, `hide-and-seek` cells of a grid, `none` nothing.
        probability: share of the images that anything is hidden in.
        holes: squares of a cutout, and `length` their side as a share of the image's.
        cells: of the grid along a side, each hidden with the probability `hidden`.
    """

    kind: Literal["none", "cutout", "hide-and-seek"] = "none"
    probability: float = 0.3
    holes: int = 6
    length: float = 40 / 256
    cells: int = 4
    hidden: float = 0.4

    def mask(self, count: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
        """(count, height, width) bool, True where an image of this `size` (width, height) is hidden.

        Lies on the generator's device.
        """
        width, height = size
        device = generator.device
        if self.kind == "none":
            return torch.zeros(count, height, width, dtype=torch.bool, device=device)
        if self.kind == "cutout":
            centre = torch.rand(count, self.holes, 2, 1, generator=generator, device=device)
            half = self.length / 2
            across = (torch.arange(width, device=device) + 0.5) / width
            down = (torch.arange(height, device=device) + 0.5) / height
            by_x, by_y = (across - centre[:, :, 0]).abs() < half, (down - centre[:, :, 1]).abs() < half
            mask = (by_y[..., :, None] & by_x[..., None, :]).any(1)
        else:
            grid = torch.rand(count, self.cells, self.cells, generator=generator, device=device) < self.hidden
            rows = torch.arange(height, device=device) * self.cells // height
            columns = torch.arange(width, device=device) * self.cells // width
            mask = grid[:, rows][:, :, columns]
        chosen = torch.rand(count, 1, 1, generator=generator, device=device) < self.probability
        return mask & chosen


def hide(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) 0..1 with grey where `mask` (N, H, W) is True."""
    return torch.where(mask[:, None], torch.full_like(images, GREY), images)


def uncovered(pixels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(N, J) bool: which pixels (N, J, 2) lie inside the image and are not hidden; NaN is neither."""
    height, width = mask.shape[-2:]
    known = torch.isfinite(pixels).all(-1)
    x, y = torch.nan_to_num(pixels, nan=-1.0).round().long().unbind(-1)
    inside = known & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    hidden = mask.flatten(1).gather(1, y.clamp(0, height - 1) * width + x.clamp(0, width - 1))
    return inside & ~hidden
