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
_PASTE = 0.35  # share of examples onto which people of another picture are pasted
_TURNED = 0.06  # share of examples turned by any angle up to 100°, for falls and cartwheels


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
    images = view.images
    gaps = (~view.inside).any(-1).any(-1).nonzero()[:, 0]
    if len(gaps):
        images[gaps] = torch.where(view.inside[gaps, None], images[gaps], _behind(pictures, len(gaps), crop, generator))
    images = spoil(images, generator)
    some = (_uniform(generator, 0, 1, count) < _PASTE).nonzero()[:, 0]
    if pictures.has_outlines and len(some):
        numbers = torch.multinomial(pictures.outlined, len(some), replacement=True, generator=generator)
        images, view = _pasted(
            images, view, _view(pictures.take(numbers), crop, generator, cut_out=True), some, generator
        )
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


def _view(batch: Labelled, crop: int, generator: torch.Generator, cut_out: bool = False) -> _View:
    """Crops around people, with their outlines if they are to be cut out."""
    count, size = len(batch.pixels), batch.pixels.shape[-1]
    matrix, centre = _geometry(batch, crop, generator)
    steps = torch.arange(crop, device=centre.device) - (crop - 1) / 2
    offset = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    source = torch.einsum("bij,yxj->byxi", matrix, offset) + centre[:, None, None]
    inside = ((source >= -0.5) & (source <= batch.extent[:, None, None] - 0.5)).all(-1)
    grid = (2 * source + 1) / size - 1

    def warped(values: torch.Tensor) -> torch.Tensor:
        return functional.grid_sample(values.float(), grid, align_corners=False)

    def warped_mask(values: torch.Tensor, wanted: bool) -> torch.Tensor:
        return warped(values[:, None])[:, 0] if wanted else torch.zeros(source.shape[:3], device=centre.device)

    images = warped(batch.pixels) / 255
    ignored = batch.mask == IGNORED
    people = warped_mask((batch.mask > 0) & ~ignored, cut_out)
    ignored = warped_mask(ignored, bool(ignored.any()))

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
    return _View(images, inside, people, ignored, joints, weight, visible, swapped(batch.labelled, 1))


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
    wanted = crop * torch.exp(_uniform(generator, math.log(0.3), math.log(1.1), count))
    whole = batch.extent.amax(-1) / crop * torch.exp(_uniform(generator, math.log(0.5), math.log(1.3), count))
    scale = torch.where(somebody, spread / wanted, whole).clamp(0.4, 2.2)
    turn = torch.where(
        _uniform(generator, 0, 1, count) < _TURNED,
        _uniform(generator, -1.75, 1.75, count),
        0.15 * torch.randn(count, generator=generator, device=generator.device),
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


def _behind(pictures: Pictures, count: int, crop: int, generator: torch.Generator) -> torch.Tensor:
    """Images (count, 3, C, C) to show around pictures: colours, or other pictures with nobody in them."""
    colour = torch.rand(count, 3, 1, 1, generator=generator, device=generator.device)
    if not pictures.has_empty:
        return colour.expand(count, 3, crop, crop)
    images = colour.repeat(1, 1, crop, crop)
    numbers = torch.multinomial(pictures.empty, count, replacement=True, generator=generator)
    behind = pictures.take(numbers)
    room = (behind.extent - crop).clamp_min(0)
    corners = (room * _uniform(generator, 0, 1, count, 2)).long().tolist()
    sizes = behind.extent.clamp_max(crop).long().tolist()
    for image, pixels, (left, top), (wide, high) in zip(images, behind.pixels, corners, sizes, strict=True):
        image[:, :high, :wide] = pixels[:, top : top + high, left : left + wide].float() / 255
    return images


def _pasted(
    images: torch.Tensor, view: _View, over: _View, some: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, _View]:
    """People cut out of crops `over`, with light of their own, in front of `some` of a batch of crops."""
    images[some] = torch.lerp(images[some], spoil(over.images, generator), over.people[:, None])
    covered = torch.zeros_like(view.inside)
    covered[some] = over.people > 0.5
    ignored, labelled = view.ignored.clone(), view.labelled.clone()
    ignored[some] *= 1 - over.people
    labelled[some] &= over.labelled

    def joined(own: torch.Tensor, others: torch.Tensor, nothing: float) -> torch.Tensor:
        full = own.new_full((len(own), *others.shape[1:]), nothing)
        full[some] = others
        return torch.cat((own, full), 1)

    uncovered_joints = uncovered(view.joints.flatten(1, 2), covered).view_as(view.visible)
    return images, replace(
        view,
        ignored=ignored,
        labelled=labelled,
        joints=joined(view.joints, over.joints, torch.nan),
        weight=joined(view.weight, over.weight, 0),
        visible=joined(view.visible & uncovered_joints, over.visible, False),
    )
