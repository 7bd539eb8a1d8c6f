"""The stereo networks: sizes, units, and what they may depend on."""

import pytest
import torch
from vp3d.detect.network import PoseNetwork as Detector
from vp3d.stereo.networks import (
    StereoArchitecture,
    build,
    gaussian_heatmaps,
    peak_confidence,
    soft_argmax,
    to_unit_crop,
    transform_features,
)
from vp3d.stereo.resnet import DEPTHS, ResNet, normalise


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_sizes_are_those_of_the_published_networks() -> None:
    with torch.device("meta"):
        assert parameters(ResNet(101)) == 42_500_160
        assert parameters(ResNet(50)) == 23_508_032
        assert parameters(ResNet(18)) == 11_176_512
        baseline = parameters(build(StereoArchitecture(19, 101, fused=False)))
        assert round(baseline / 1e6, 2) == 52.99


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_depth_reduces_by_32(depth: int) -> None:
    with torch.device("meta"):
        encoder = ResNet(depth)
        assert encoder(torch.zeros(1, 3, 64, 96)).shape == (1, encoder.channels, 2, 3)


def test_unknown_depth_is_named() -> None:
    with pytest.raises(ValueError, match="19"):
        ResNet(19)


def test_soft_argmax_undoes_the_gaussian() -> None:
    pixels = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)) * 200 + 28
    found = soft_argmax(gaussian_heatmaps(pixels, (64, 64)))
    assert (found - pixels).abs().max() < 0.05


def test_a_peak_is_as_sure_as_it_is_alone() -> None:
    pixels = torch.tensor([[101.3, 120.0], [101.3, 120.0], [40.0, 200.0]])
    one, same, other = gaussian_heatmaps(pixels, (64, 64))
    sure, torn, blank = peak_confidence(torch.stack([one, torch.maximum(same, other), torch.zeros(64, 64)]))
    assert sure > 0.99
    assert abs(torn - 0.5) < 0.01
    assert blank < 0.01


def test_an_unknown_joint_has_an_empty_heatmap() -> None:
    heatmap = gaussian_heatmaps(torch.tensor([[torch.nan, torch.nan]]), (16, 16))
    assert (heatmap == 0).all()


def test_feature_transform_moves_channels_as_points() -> None:
    features = torch.randn(2, 3, 6, 4, 5)
    matrices = torch.randn(2, 3, 4, 3)
    moved = transform_features(features, matrices)
    assert moved.shape == (2, 3, 8, 4, 5)
    assert torch.allclose(moved[1, 2, 4:, 1, 2], matrices[1, 2] @ features[1, 2, 3:, 1, 2], atol=1e-5)


def test_unit_crop_maps_corners_to_one_and_the_person_to_the_origin() -> None:
    K = torch.tensor([[500.0, 0, 127.5], [0, 500, 127.5], [0, 0, 1]])
    P = (K @ torch.cat([torch.eye(3), torch.tensor([[0.2], [0.1], [4.0]])], 1))[None]
    centre = torch.tensor([-0.2, -0.1, 0.0])
    unit = to_unit_crop(P, centre, (256, 256))
    assert torch.allclose(unit[0, :, 3], torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    corner = torch.tensor([0.3, 0.4, 1.0])
    pixel = P[0, :, :3] @ (centre + corner) + P[0, :, 3]
    expected = (pixel[:2] / pixel[2] + 0.5) * 2 / 256 - 1
    found = unit[0, :, :3] @ corner + unit[0, :, 3]
    assert torch.allclose(found[:2] / found[2], expected, atol=1e-5)


def willing(architecture: StereoArchitecture) -> torch.nn.Module:
    """An untrained network whose heatmaps and fusion weigh something."""
    network = build(architecture).eval()
    torch.nn.init.normal_(network.decoder[-1].weight, std=0.1)
    if architecture.fused:
        torch.nn.init.ones_(network.to_features[-1].weight)
    return network


def test_fusion_takes_part_from_the_start() -> None:
    torch.manual_seed(0)
    network = build(StereoArchitecture(17, 18, fused=True)).eval()
    torch.nn.init.normal_(network.decoder[-1].weight, std=0.1)
    crops, P = torch.rand(1, 2, 3, 64, 64), torch.randn(1, 2, 3, 4)
    other = torch.stack([crops[:, 0], torch.rand(1, 3, 64, 64)], 1)
    first, changed = network(crops, P)[:, 0], network(other, P)[:, 0]
    assert (first - changed).std() > 1e-3 * first.std(), "one view hears of the other"


def test_a_detectors_stem_finds_what_the_detector_finds_and_stays() -> None:
    torch.manual_seed(0)
    detector = Detector()
    detector.scale, detector.shift = torch.full((1, 3, 1, 1), 1 / 255), torch.full((1, 3, 1, 1), -0.5)
    network = build(StereoArchitecture(17, 18, fused=False, decoder=16, stem="detector"))
    network.encoder.detector.take(detector)
    image = torch.randint(256, (1, 64, 64, 3), dtype=torch.uint8)
    x = image.permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        features = detector.context(detector.backbone(detector.stem(x - 0.5)))
        expected = torch.cat((features, *detector.initial(detector.trunk(features))), 1)
    assert torch.allclose(network.encoder.detector(normalise(x)), expected, atol=1e-5)
    heatmaps = network(normalise(x)[:, None])
    assert heatmaps.shape == (1, 1, 17, 16, 16)
    heatmaps.square().sum().backward()
    assert network.beside[0].weight.grad.abs().max() > 0
    assert all(p.grad is None for p in network.encoder.detector.parameters())


def test_views_share_features_only_where_they_are_fused() -> None:
    torch.manual_seed(0)
    crops, other = torch.rand(1, 2, 3, 64, 64), torch.rand(1, 2, 3, 64, 64)
    other[:, 0] = crops[:, 0]
    P = torch.randn(1, 2, 3, 4)
    for fused in (False, True):
        network = willing(StereoArchitecture(17, 18, fused))
        with torch.no_grad():
            same = torch.allclose(network(crops, P)[:, 0], network(other, P)[:, 0], atol=1e-6)
        assert same is not fused


def test_any_number_of_views_in_any_order() -> None:
    torch.manual_seed(0)
    network = willing(StereoArchitecture(17, 18))
    crops, P = torch.rand(1, 3, 3, 64, 64), torch.randn(1, 3, 3, 4)
    with torch.no_grad():
        heatmaps = network(crops, P)
        turned = network(crops.flip(1), P.flip(1)).flip(1)
    assert heatmaps.shape == (1, 3, 17, 16, 16)
    assert torch.allclose(heatmaps, turned, atol=1e-5)
