"""Views of one instant as a stereo network is trained on: crops, camera matrices and joints, varied on the fly."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional

from vp3d.train.occlusion import Occlusion, hide, uncovered

CROP_MARGIN = math.sqrt(2)
"""Side of a stored crop over the side that a network sees: room for turning."""


@dataclass
class Views:
    """N instants of one person in V calibrated views each.

    Attributes:
        crops: (N, V, 3, S, S) uint8 RGB, `CROP_MARGIN` times as wide as what a network sees.
        projections: (N, V, 3, 4) float32, from world metres to pixels of the crop.
        pixels: (N, V, J, 2) float32 px of the crop; NaN where unknown.
        visible: (N, V, J) bool: nothing hides the joint in the picture.
        joints: (N, J, 3) float32 m, world; NaN where unknown.
    """

    crops: torch.Tensor
    projections: torch.Tensor
    pixels: torch.Tensor
    visible: torch.Tensor
    joints: torch.Tensor

    def __len__(self) -> int:
        return len(self.crops)

    def take(self, instants: torch.Tensor, views: torch.Tensor | None = None) -> "Views":
        """Some instants (n,), and of each some `views` (n, v)."""
        if views is None:
            return Views(*(getattr(self, name)[instants] for name in self.__dataclass_fields__))
        row = instants[:, None]
        seen = [getattr(self, name)[row, views] for name in ("crops", "projections", "pixels", "visible")]
        return Views(*seen, self.joints[instants])

    def to(self, device: torch.device) -> "Views":
        """The same on another device."""
        return Views(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Variation:
    """How much training views differ from what was recorded; standard deviations, clipped at 2.

    Attributes:
        scale: of the person in the crop, a share.
        rotation: about the line of sight, degrees, of the share `rotated` of the views.
        shift: of the crop, as a share of its side.
        flip: share of the instants that are seen in a mirror.
        colour: of brightness, contrast and each channel's gain.
        noise: of pixel values 0..1.
        occlusion: parts of the images that are hidden.
    """

    scale: float = 0.12
    rotation: float = 12.0
    rotated: float = 0.6
    shift: float = 0.04
    flip: float = 0.5
    colour: float = 0.2
    noise: float = 0.02
    occlusion: Occlusion = field(default_factory=Occlusion)


NONE = Variation(0, 0, 0, 0, 0, 0, 0)
"""Nothing varies: how evaluation sees the views."""


def present(
    views: Views, size: int, variation: Variation, mirrored: tuple[int, ...], generator: torch.Generator
) -> Views:
    """Crops of `size` px as float 0..1, varied, with camera matrices and joints that agree with them.

    Whatever moves pixels is a matrix that also multiplies the camera's. A mirrored instant keeps its 3D joints: the
    picture's mirror becomes part of the camera, and left and right change their names.

    Args:
        mirrored: index of every joint's counterpart on the other side.
        generator: on the views' device.
    """
    n, v = views.crops.shape[:2]
    device = views.crops.device

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device).clamp(-2, 2)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    angle = torch.deg2rad(variation.rotation * normal(n, v) * (uniform(n, v) < variation.rotated))
    scale = CROP_MARGIN * size / views.crops.shape[-1] * torch.exp(variation.scale * normal(n, v))
    flip = uniform(n) < variation.flip
    middle = (views.crops.shape[-1] - 1) / 2
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    linear = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    linear[..., 0, :] = torch.where(flip[:, None, None], -linear[..., 0, :], linear[..., 0, :])
    target = (size - 1) / 2 + variation.shift * size * normal(n, v, 2)
    offset = target - (linear @ torch.full((2, 1), middle, device=device))[..., 0]
    affine = torch.cat([linear, offset[..., None]], -1)

    crops = warp(views.crops.flatten(0, 1).float() / 255, affine.flatten(0, 1), size)
    pixels = (linear[:, :, None] @ views.pixels[..., None])[..., 0] + offset[:, :, None]
    third = torch.tensor([0.0, 0.0, 1.0], device=device).expand(n, v, 1, 3)
    projections = torch.cat([affine, third], -2) @ views.projections

    crops = _recolour(crops, variation, normal)
    mask = variation.occlusion.mask(n * v, (size, size), generator)
    crops = hide(crops, mask)
    clear = uncovered(pixels.flatten(0, 1), mask).unflatten(0, (n, v))

    order = torch.arange(pixels.shape[2], device=device).expand(n, -1)
    order = torch.where(flip[:, None], order[:, list(mirrored)], order)
    pick = order[:, None, :].expand(-1, v, -1)
    return replace(
        views,
        crops=crops.unflatten(0, (n, v)),
        projections=projections,
        pixels=pixels.gather(2, pick[..., None].expand(-1, -1, -1, 2)),
        visible=(views.visible & clear).gather(2, pick),
        joints=views.joints.gather(1, order[..., None].expand(-1, -1, 3)),
    )


def warp(images: torch.Tensor, affine: torch.Tensor, size: int) -> torch.Tensor:
    """Images (N, 3, S, S) under maps (N, 2, 3) from their pixels to pixels of the result (N, 3, size, size)."""
    inverse = torch.linalg.inv(affine[..., :2])
    side = images.shape[-1]
    # Where -1 and 1 are the outer edges of the first and the last pixel, pixel p lies at (2 p + 1) / side - 1.
    scale = inverse * (size / side)
    source = (inverse @ (((size - 1) / 2) - affine[..., 2:]))[..., 0]
    theta = torch.cat([scale, ((2 * source + 1) / side - 1)[..., None]], -1)
    grid = functional.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _recolour(crops: torch.Tensor, variation: Variation, normal: Callable[..., torch.Tensor]) -> torch.Tensor:
    if variation.colour:
        count = len(crops)
        gain = torch.exp(variation.colour * 0.5 * (normal(count, 1, 1, 1) + 0.5 * normal(count, 3, 1, 1)))
        contrast = torch.exp(variation.colour * normal(count, 1, 1, 1))
        mean = crops.mean((1, 2, 3), keepdim=True)
        crops = ((crops - mean) * contrast + mean * gain).clamp(0, 1)
    if variation.noise:
        strength = variation.noise * normal(len(crops), 1, 1, 1).abs()
        crops = (crops + strength * normal(*crops.shape)).clamp(0, 1)
    return crops


def all_pairs(views: int) -> list[tuple[int, int]]:
    """Every pair of so many views."""
    return [(i, j) for i in range(views) for j in range(i + 1, views)]


def random_views(count: int, available: int, wanted: int, generator: torch.Generator) -> torch.Tensor:
    """(count, wanted) different views of those available, at random."""
    if wanted > available:
        raise ValueError(f"{wanted} views are wanted of {available}")
    order = torch.rand(count, available, generator=generator, device=generator.device).argsort(1)
    return order[:, :wanted]
