"""Networks that find a person's joints in crops of one or several views.

`PoseNetwork` looks at every view by itself: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking"
(ECCV 2018). `CDRNet` lets views share what they see through features turned into the world's axes and back: Remelli
et al., "Lightweight Multi-View 3D Pose Estimation through Camera-Disentangled Representation" (CVPR 2020).
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from vp3d.stereo.detector_stem import DetectorEncoder, DetectorStem
from vp3d.stereo.resnet import STRIDE, ResNet

CROP = 256
"""px, side of the square crop that the networks are made for."""
SURROUNDINGS = 1.3
"""Side of a crop over the extent of the joints in it."""
LEAST_SIDE = 32.0
"""px of the picture, of a crop: less shows nothing."""
HEATMAP_STRIDE = 4
"""Input pixels per heatmap cell: the encoder's 32, halved three times by the decoder."""
HEATMAP_SIGMA = 3.0
"""Heatmap cells, spread of the Gaussian of height 1 that a joint is trained to look like."""
SHARPNESS = 20.0
"""Factor on a heatmap before the softmax. A Gaussian of height 1 then outweighs 4,096 empty cells by far, and keeps a
spread of 0.67 cells: much narrower ones snap to cell centres. Together 0.005 px off at worst."""

_LEASH = 1e-4
"""Weight of the cameras' middle beside the rays when looking for the point that they are all directed at."""
_AT_FIRST = 0.5
"""Weight of what comes back from the world, beside a view's own features, when training starts. From 0 it
hardly grew: after 500 steps it was a thirtieth of them, and without it the network found the same."""
_COARSE = 6
"""Layers of the decoder up to 8 px per cell."""
_GROUPS = 100
CAMERA_FEATURES, WORLD_FEATURES = 3 * _GROUPS, 4 * _GROUPS
"""Channels that a view's axes and the world's axes are described by: homogeneous points, three and four at a time."""


@dataclass(frozen=True)
class StereoArchitecture:
    """What is needed to build a network.

    Attributes:
        joints: number of heatmaps.
        depth: layers of the encoder, one of `resnet.DEPTHS`.
        fused: whether views share features (`CDRNet`).
        decoder: channels of the decoder.
        stem: "resnet", or "detector" for our detector's weights in place of the residual network's first two levels;
            the decoder then sees its features too.
    """

    joints: int
    depth: int = 50
    fused: bool = True
    decoder: int = 256
    stem: str = "resnet"


def decoder(inputs: int, width: int, joints: int) -> nn.Sequential:
    """Three transposed convolutions and a 1×1: (B, C, h, w) to heatmaps (B, joints, 8 h, 8 w)."""
    layers: list[nn.Module] = []
    for channels in (inputs, width, width):
        layers += [nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    last = nn.Conv2d(width, joints, 1)
    nn.init.normal_(last.weight, std=0.001)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class PoseNetwork(nn.Module):
    """Encoder and decoder; every view by itself."""

    def __init__(self, architecture: StereoArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        stemmed = architecture.stem == "detector"
        self.encoder = (DetectorEncoder if stemmed else ResNet)(architecture.depth)
        self.beside = _mix(DetectorStem.channels, architecture.decoder)[:-1] if stemmed else None
        self.decoder = decoder(self.encoder.channels, architecture.decoder, architecture.joints)

    def forward(self, crops: torch.Tensor, projections: torch.Tensor | None = None) -> torch.Tensor:
        """Heatmaps (B, V, joints, H / 4, W / 4) of crops (B, V, 3, H, W); `projections` are not looked at."""
        return self._decode(*self._encode(crops)).unflatten(0, crops.shape[:2])

    def _encode(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features at the encoder's stride, and, of a detector's stem, those at 8 px."""
        features = self.encoder(crops.flatten(0, 1))
        return features if isinstance(features, tuple) else (features, None)

    def _decode(self, features: torch.Tensor, early: torch.Tensor | None) -> torch.Tensor:
        coarse, fine = self.decoder[:_COARSE], self.decoder[_COARSE:]
        x = coarse(features)
        return fine(x if early is None else x + self.beside(early))


class CDRNet(PoseNetwork):
    """`PoseNetwork` with canonical fusion between encoder and decoder: any number of views, also of unseen cameras.

    Every view's features become homogeneous points that its camera matrix turns into world axes, where they are
    averaged over views and mixed, and that turn back into each view. They are added to the view's own features, so
    training starts near what the backbone finds in each view, and a single view still works.
    """

    def __init__(self, architecture: StereoArchitecture) -> None:
        super().__init__(architecture)
        channels = self.encoder.channels
        self.to_points = _mix(channels, CAMERA_FEATURES)
        self.fuse = nn.Sequential(_mix(WORLD_FEATURES, WORLD_FEATURES), _mix(WORLD_FEATURES, WORLD_FEATURES))
        # No ReLU: behind one, a weight of nothing would never change.
        self.to_features = _mix(CAMERA_FEATURES, channels)[:-1]
        nn.init.constant_(self.to_features[-1].weight, _AT_FIRST)

    def forward(self, crops: torch.Tensor, projections: torch.Tensor | None = None) -> torch.Tensor:
        """Heatmaps (B, V, joints, H / 4, W / 4).

        Args:
            crops: (B, V, 3, H, W).
            projections: (B, V, 3, 4) from the world, metres around the person, to the crop, -1..1 (`to_unit_crop`).
        """
        if projections is None:
            raise ValueError("a network that fuses views needs their camera matrices")
        views = crops.shape[:2]
        features, early = self._encode(crops)
        points = self.to_points(features).unflatten(0, views)
        world = transform_features(points, torch.linalg.pinv(projections.float()))
        fused = self.fuse(world.mean(1))[:, None].expand(-1, views[1], -1, -1, -1)
        back = transform_features(fused, projections.float()).flatten(0, 1)
        return self._decode(features + self.to_features(back), early).unflatten(0, views)


def build(architecture: StereoArchitecture) -> PoseNetwork:
    """The network that an architecture describes."""
    return (CDRNet if architecture.fused else PoseNetwork)(architecture)


def _mix(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def transform_features(features: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Feature transform layer: consecutive channels (B, V, G·n, h, w) as points, times matrices (B, V, m, n).

    Returns (B, V, G·m, h, w). Remelli et al. (2020), section 3.2.
    """
    points = features.unflatten(2, (-1, matrices.shape[-1]))
    return torch.einsum("bvmn,bvgnhw->bvgmhw", matrices.to(features.dtype), points).flatten(2, 3)


def to_unit_crop(projections: torch.Tensor, centre: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Camera matrices for `CDRNet`: pixels of the crop as -1..1, the world's origin moved to the person.

    In these units a camera matrix is well conditioned (2.3 against 2,900 with pixels), and which part of the room a
    person stands in makes no difference.

    Args:
        projections: (..., V, 3, 4) from metres to pixels of the crop.
        centre: (..., 3) m, about where the person is.
        size: width and height of the crop, px.
    """
    moved = projections.clone()
    moved[..., 3] += (projections[..., :3] @ centre[..., None, :, None])[..., 0]
    width, height = size
    unit = projections.new_tensor([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    unit = unit @ moved
    return unit / unit[..., 2, 3][..., None, None]


def soft_argmax(heatmaps: torch.Tensor, stride: int = HEATMAP_STRIDE) -> torch.Tensor:
    """Pixels (..., 2) of the peaks of heatmaps (..., h, w), differentiable: the softmax's centre of mass.

    A cell's centre lies at (i + 0.5) · stride - 0.5 px.
    """
    h, w = heatmaps.shape[-2:]
    share = (heatmaps.float() * SHARPNESS).flatten(-2).softmax(-1).unflatten(-1, (h, w))
    x = (torch.arange(w, device=share.device) + 0.5) * stride - 0.5
    y = (torch.arange(h, device=share.device) + 0.5) * stride - 0.5
    return torch.stack([(share.sum(-2) * x).sum(-1), (share.sum(-1) * y).sum(-1)], -1)


def peak_confidence(heatmaps: torch.Tensor) -> torch.Tensor:
    """(...) 0..1: share of each heatmap's (..., h, w) softmax that lies within two cells of its peak."""
    share = (heatmaps.float() * SHARPNESS).flatten(-2).softmax(-1).view_as(heatmaps)
    near = functional.avg_pool2d(share.flatten(0, -3), 5, 1, 2, divisor_override=1)
    return near.flatten(-2).amax(-1).view(heatmaps.shape[:-2]).clamp(0, 1)


def gaussian_heatmaps(
    pixels: torch.Tensor, size: tuple[int, int], stride: int = HEATMAP_STRIDE, sigma: float = HEATMAP_SIGMA
) -> torch.Tensor:
    """Targets (..., h, w) with a Gaussian of height 1 at pixels (..., 2); empty where they are NaN.

    Args:
        pixels: of the crop.
        size: width and height of the heatmap, cells.
        stride: px of the crop per cell.
        sigma: spread, cells.
    """
    cell = torch.nan_to_num((pixels + 0.5) / stride - 0.5, nan=-1e6)
    x = torch.arange(size[0], device=pixels.device, dtype=pixels.dtype)
    y = torch.arange(size[1], device=pixels.device, dtype=pixels.dtype)
    by_x = torch.exp(-0.5 * ((x - cell[..., :1]) / sigma) ** 2)
    by_y = torch.exp(-0.5 * ((y - cell[..., 1:]) / sigma) ** 2)
    return by_y[..., :, None] * by_x[..., None, :]


def heatmap_size(crop: int) -> int:
    """Cells along a crop's side, a multiple of the encoder's stride."""
    if crop % STRIDE:
        raise ValueError(f"a crop's side must be a multiple of {STRIDE} px, not {crop}")
    return crop // HEATMAP_STRIDE


def middle_of(projections: torch.Tensor, size: int) -> torch.Tensor:
    """(N, 3) m, the point nearest to the rays through the crops' centres: about where the person is.

    Crops need not be centred well, and cameras may look at each other: where the rays leave the point open along a
    line, it is the one nearest to the middle of the cameras.
    """
    centre = projections.new_tensor([(size - 1) / 2, (size - 1) / 2, 1.0]).double()
    back = torch.linalg.inv(projections[..., :3].double())
    eye = -(back @ projections[..., 3:].double())[..., 0]
    ray = back @ centre
    ray = ray / ray.norm(dim=-1, keepdim=True)
    across = torch.eye(3, dtype=torch.float64, device=ray.device) - ray[..., :, None] * ray[..., None, :]
    leash = _LEASH * torch.eye(3, dtype=torch.float64, device=ray.device)
    right = (across @ eye[..., None]).sum(1) + _LEASH * eye.mean(1)[..., None]
    return torch.linalg.solve(across.sum(1) + leash, right)[..., 0].float()
