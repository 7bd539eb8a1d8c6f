"""Training examples: crops of pictures, turned, scaled, mirrored, covered and spoilt, whole batches on the device."""

import math
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from vp3d.common.skeletons import BODY_21
from vp3d.detect.layout import STRIDE
from vp3d.train.detector_labels import IGNORED
from vp3d.train.detector_pictures import Labelled, Pictures
from vp3d.train.detector_pixels import spoil
from vp3d.train.occlusion import Occlusion, hide, uncovered

HIDDEN_WEIGHT = 0.4
"""How much a joint counts that something covers."""
_FEWEST = 3  # visible joints of a person who can be found
_PASTE = 0.5  # share of examples onto which people of another picture are pasted
_TURNED = 0.12  # share of examples turned by any angle up to 100°, for falls and cartwheels


@dataclass(frozen=True)
class Examples:
    """A batch for the network.

    Attributes:
        images: (B, 3, C, C) RGB 0…1.
        joints: (B, P, 21, 2) px of the crop, NaN where not known or outside.
        weight: (B, P, 21), how much each joint counts.
        labelled: (B, 21) bool.
        ignored: (B, C/8, C/8) bool, cells with people who are not labelled.
    """

    images: torch.Tensor
    joints: torch.Tensor
    weight: torch.Tensor
    labelled: torch.Tensor
    ignored: torch.Tensor


@dataclass(frozen=True)
class _View:
    """Crops: `Examples` before anything is covered, with the outlines of people (B, C, C), 0…1."""

    images: torch.Tensor
    inside: torch.Tensor
    people: torch.Tensor
    ignored: torch.Tensor
    joints: torch.Tensor
    weight: torch.Tensor
    visible: torch.Tensor
    labelled: torch.Tensor


def draw(
    pictures: Pictures, count: int, crop: int, generator: torch.Generator, occlusions: tuple[Occlusion, ...]
) -> Examples:
    """A batch of augmented crops.

    Args:
        pictures: to draw from.
        count: examples.
        crop: side of a crop, px, a multiple of what the network needs.
        generator: on the pictures' device; the same state gives the same batch.
        occlusions: ways to cover parts of the crops, one after the other.
    """
    numbers = torch.multinomial(pictures.chance, count, replacement=True, generator=generator)
    view = _view(pictures.take(numbers), crop, generator)
    fill = torch.rand(count, 3, 1, 1, generator=generator, device=generator.device)
    if pictures.has_empty:
        numbers = torch.multinomial(pictures.empty, count, replacement=True, generator=generator)
        behind = _view(pictures.take(numbers), crop, generator, cover=True)
        fill = torch.where(behind.inside[:, None], behind.images, fill)
    images = torch.where(view.inside[:, None], view.images, fill)
    images = spoil(images, generator)
    if pictures.has_outlines:
        numbers = torch.multinomial(pictures.outlined, count, replacement=True, generator=generator)
        over = _view(pictures.take(numbers), crop, generator)
        images, view = _pasted(images, view, over, generator)
    visible = view.visible
    for occlusion in occlusions:
        covered = occlusion.mask(count, (crop, crop), generator)
        images = hide(images, covered)
        visible = visible & uncovered(view.joints.flatten(1, 2), covered).view_as(visible)
    enough = visible.sum(-1, keepdim=True) >= _FEWEST
    weight = view.weight * torch.where(visible, 1.0, HIDDEN_WEIGHT) * enough
    ignored = functional.max_pool2d(view.ignored[:, None], STRIDE)[:, 0] > 0.25
    return Examples(images, view.joints, weight, view.labelled, ignored)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator, device=generator.device)


def _view(batch: Labelled, crop: int, generator: torch.Generator, cover: bool = False) -> _View:
    """Crops with one person somewhere, or with as much of the picture as fills them."""
    count, size = len(batch.pixels), batch.pixels.shape[-1]
    matrix, centre = _geometry(batch, crop, generator)
    if cover:
        short = batch.extent.amin(-1, keepdim=True)
        scale = short / crop * _uniform(generator, 0.7, 1.0, count, 1)
        matrix = matrix / torch.linalg.det(matrix).abs().sqrt()[:, None, None] * scale[..., None]
        centre = batch.extent / 2
    steps = torch.arange(crop, device=centre.device) - (crop - 1) / 2
    offset = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    source = torch.einsum("bij,yxj->byxi", matrix, offset) + centre[:, None, None]
    inside = ((source >= -0.5) & (source <= batch.extent[:, None, None] - 0.5)).all(-1)
    layers = torch.cat(
        (
            batch.pixels.float() / 255,
            ((batch.mask > 0) & (batch.mask < IGNORED)).float()[:, None],
            (batch.mask == IGNORED).float()[:, None],
        ),
        1,
    )
    seen = functional.grid_sample(layers, (2 * source + 1) / size - 1, align_corners=False)

    back = torch.linalg.inv(matrix)
    joints = torch.einsum("bij,bpkj->bpki", back, batch.joints - centre[:, None, None]) + (crop - 1) / 2
    mirrored = torch.linalg.det(matrix) < 0
    order = list(BODY_21.mirrored)

    def swapped(values: torch.Tensor, axis: int) -> torch.Tensor:
        flag = mirrored.reshape(count, *(1,) * (values.dim() - 1))
        return torch.where(flag, values.index_select(axis, torch.tensor(order, device=values.device)), values)

    joints = swapped(joints, 2)
    outside = ((joints < 0) | (joints > crop - 1)).any(-1) | ~torch.isfinite(joints).all(-1)
    joints = torch.where(outside[..., None], torch.nan, joints)
    weight = swapped(batch.weight, 2) * ~outside
    visible = swapped(batch.visible, 2) & ~outside
    return _View(seen[:, :3], inside, seen[:, 3], seen[:, 4], joints, weight, visible, swapped(batch.labelled, 1))


def _geometry(batch: Labelled, crop: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices (B, 2, 2) from crop to picture, around the middle of the crop, and what is there (B, 2), px."""
    count = len(batch.pixels)
    known = torch.isfinite(batch.joints)
    low = torch.where(known, batch.joints, torch.inf).amin(2)
    high = torch.where(known, batch.joints, -torch.inf).amax(2)
    anyone = known.any(-1).any(-1)
    chosen = torch.multinomial(anyone.float() + 1e-6, 1, generator=generator)[:, 0]
    rows = torch.arange(count, device=chosen.device)
    low, high, somebody = low[rows, chosen], high[rows, chosen], anyone.any(1)

    spread = (high - low).amax(-1)
    wanted = crop * torch.exp(_uniform(generator, math.log(0.22), math.log(1.2), count))
    whole = batch.extent.amax(-1) / crop * torch.exp(_uniform(generator, math.log(0.5), math.log(1.3), count))
    scale = torch.where(somebody, spread / wanted, whole).clamp(0.4, 2.2)
    turn = torch.where(
        _uniform(generator, 0, 1, count) < _TURNED,
        _uniform(generator, -1.75, 1.75, count),
        0.17 * torch.randn(count, generator=generator, device=generator.device),
    )
    stretch = torch.exp(_uniform(generator, -0.1, 0.1, count))
    flip = torch.where(_uniform(generator, 0, 1, count) < 0.5, -1.0, 1.0)
    cos, sin = turn.cos(), turn.sin()
    matrix = torch.stack(
        (scale * cos * stretch * flip, -scale * sin, scale * sin * stretch * flip, scale * cos), -1
    ).reshape(count, 2, 2)

    jitter = _uniform(generator, -0.35, 0.35, count, 2) * crop * scale[:, None]
    anywhere = _uniform(generator, 0, 1, count, 2) * batch.extent
    centre = torch.where(somebody[:, None], torch.nan_to_num((low + high) / 2, 0, 0, 0) + jitter, anywhere)
    return matrix, centre


def _pasted(images: torch.Tensor, view: _View, over: _View, generator: torch.Generator) -> tuple[torch.Tensor, _View]:
    """People cut out of one batch of crops, with light of their own, in front of another batch."""
    count = len(images)
    chosen = _uniform(generator, 0, 1, count) < _PASTE
    alpha = over.people * chosen[:, None, None]
    images = torch.lerp(images, spoil(over.images, generator), alpha[:, None])
    covered = uncovered(view.joints.flatten(1, 2), alpha > 0.5).view_as(view.visible)
    there = chosen[:, None, None]
    return images, replace(
        view,
        ignored=view.ignored * (1 - alpha),
        joints=torch.cat((view.joints, torch.where(there[..., None], over.joints, torch.nan)), 1),
        weight=torch.cat((view.weight, over.weight * there), 1),
        visible=torch.cat((view.visible & covered, over.visible & there), 1),
        labelled=view.labelled & (over.labelled | ~chosen[:, None]),
    )
