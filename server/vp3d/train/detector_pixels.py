"""What cameras, light and compression do to pixels, on whole batches of RGB images (B, 3, H, W), 0…1."""

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

_LUMA = (0.299, 0.587, 0.114)
_KERNEL = 9
# ITU-T T.81, tables K.1 and K.2.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8 for _ in range(4)),
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))

_Between = Callable[..., torch.Tensor]
"""Low, high and a shape to random numbers, the first axis that of the images."""


def spoil(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Other colours and light, blur, noise, lower resolution and JPEG compression, each on some of the images."""

    def draw(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)

    images = images.clone()
    for share, effect in _EFFECTS:
        some = (draw(0, 1, len(images)) < share).nonzero()[:, 0]
        if len(some):
            images[some] = effect(images[some], partial(_each, draw, len(some)))
    return images.clamp_(0, 1)


def _each(draw: _Between, count: int, low: float, high: float, *shape: int) -> torch.Tensor:
    return draw(low, high, count, *shape)


def _lit(images: torch.Tensor, between: _Between) -> torch.Tensor:
    """Gamma, contrast, brightness, saturation, hue and colour cast."""
    images = images.clamp_min(1e-4) ** torch.exp(between(-0.4, 0.4, 1, 1, 1))
    images = images * torch.exp(between(-0.2, 0.2, 3, 1, 1))
    grey = (images * images.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    images = grey + (images - grey) * between(0.0, 1.7, 1, 1, 1)
    angle = between(-0.5, 0.5, 1, 1, 1) * (between(0, 1, 1, 1, 1) < 0.4)
    axis = 3**-0.5
    turned = torch.stack([images[:, 2] - images[:, 1], images[:, 0] - images[:, 2], images[:, 1] - images[:, 0]], 1)
    mean = images.mean(1, keepdim=True)
    images = images * angle.cos() + turned * axis * angle.sin() + mean * (1 - angle.cos())
    middle = images.mean((2, 3), keepdim=True)
    return (images - middle) * between(0.6, 1.4, 1, 1, 1) + middle + between(-0.15, 0.15, 1, 1, 1)


def _shaded(images: torch.Tensor, between: _Between) -> torch.Tensor:
    """Light that changes over the picture, up to glare."""
    field = functional.interpolate(between(-1.0, 1.0, 1, 4, 4), images.shape[-2:], mode="bicubic", align_corners=False)
    return images * torch.exp(0.5 * field) + between(0.0, 0.4, 1, 1, 1) * field.clamp_min(0)


def _blurred(images: torch.Tensor, between: _Between) -> torch.Tensor:
    """An elongated Gaussian in any direction: lack of focus, or movement."""
    count, channels = images.shape[:2]
    steps = torch.arange(_KERNEL, device=images.device) - _KERNEL // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    angle, long, short = between(0.0, 3.1416, 1, 1), between(0.3, 2.2, 1, 1), between(0.3, 1.0, 1, 1)
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    kernel = torch.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2))
    kernel = (kernel / kernel.sum((1, 2), keepdim=True)).repeat_interleave(channels, 0)[:, None]
    padded = functional.pad(images, [_KERNEL // 2] * 4, mode="reflect").reshape(
        1, count * channels, -1, images.shape[-1] + _KERNEL - 1
    )
    return functional.conv2d(padded, kernel, groups=count * channels).reshape(images.shape)


def _coarse(images: torch.Tensor, between: _Between) -> torch.Tensor:
    small = functional.interpolate(images, scale_factor=float(between(0.4, 0.8).mean()), mode="area")
    return functional.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)


def compressed(images: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """What JPEG leaves of images at qualities (B,) of 1…100; sides are multiples of 8, colour keeps its size."""
    count, _, height, width = images.shape
    to_ycc = images.new_tensor(_TO_YCC)
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, images * 255) - images.new_tensor((128.0, 0.0, 0.0))[:, None, None]
    blocks = ycc.reshape(count, 3, height // 8, 8, width // 8, 8)
    n = torch.arange(8, device=images.device, dtype=torch.float32)
    cosine = torch.cos((2 * n[None] + 1) * n[:, None] * torch.pi / 16) / 2
    cosine[0] *= 2**-0.5
    factor = torch.where(quality < 50, 50 / quality.clamp_min(1), 2 - quality / 50)[:, None, None, None]
    tables = torch.stack([images.new_tensor(table) for table in (_LUMA_TABLE, _CHROMA_TABLE, _CHROMA_TABLE)])
    steps = (tables * factor).round().clamp(1, 255)[:, :, None, :, None, :]
    waves = torch.einsum("ui,bchiwj,vj->bchuwv", cosine, blocks, cosine)
    waves = (waves / steps).round() * steps
    blocks = torch.einsum("ui,bchuwv,vj->bchiwj", cosine, waves, cosine)
    ycc = blocks.reshape(images.shape) + images.new_tensor((128.0, 0.0, 0.0))[:, None, None]
    return (torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), ycc) / 255).clamp(0, 1)


def _noisy(images: torch.Tensor, between: _Between) -> torch.Tensor:
    # The sum of three uniform numbers is near enough to a normal one.
    shape = images.shape[1:]
    return images + (between(-1, 1, *shape) + between(-1, 1, *shape) + between(-1, 1, *shape)) * between(
        0.0, 0.06, 1, 1, 1
    )


def _compressed(images: torch.Tensor, between: _Between) -> torch.Tensor:
    return compressed(images.clamp(0, 1), between(10.0, 80.0))


_EFFECTS = ((0.6, _lit), (0.15, _shaded), (0.12, _blurred), (0.08, _coarse), (0.15, _noisy), (0.2, _compressed))
"""How often each is applied."""
