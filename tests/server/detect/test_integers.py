from pathlib import Path

import numpy as np
import pytest
import torch
from vp3d.detect.basic_network import BasicNetwork, Weights, load, save
from vp3d.detect.integers import measured, quantise
from vp3d.detect.runtime import OpenVinoRuntime
from vp3d.errors import UserError

WIDTHS = (16, 16, 32, 32, 32)


@pytest.fixture
def network() -> BasicNetwork:
    """With weights and normalisations that are not those it starts with."""
    torch.manual_seed(0)
    network = BasicNetwork(WIDTHS)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval().requires_grad_(False)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)


def test_ranges_are_what_goes_into_the_convolutions(network: BasicNetwork, images: np.ndarray) -> None:
    ranges = measured(network, images)
    first = images.reshape(len(images), -1) / 255 * 4 - 2
    assert ranges[0] == pytest.approx((first.min(1).mean(), first.max(1).mean()), abs=1e-5)
    assert len(ranges) == sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    assert all(low == 0 for low, _ in ranges[1:14])  # after a rectifier


def test_all_convolutions_run_in_integers_and_give_nearly_the_same(network: BasicNetwork, images: np.ndarray) -> None:
    exact = list(OpenVinoRuntime(network, exact=True).run(images))
    network.ranges = measured(network, images)
    runtime = OpenVinoRuntime(network)
    for one, two in zip(exact, runtime.run(images), strict=True):
        for maps, coarse in zip(one, two, strict=True):
            assert np.abs(maps - coarse).max() > 0
            assert np.corrcoef(maps.ravel(), coarse.ravel())[0, 1] > 0.97
    convolutions = [node for node in runtime._model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    assert len(convolutions) == len(network.ranges)
    for node in convolutions:
        assert [node.input_value(i).get_node().get_type_name() for i in range(2)] == ["FakeQuantize"] * 2
    with pytest.raises(ValueError, match="27 ranges for 28"):
        quantise(runtime._model, network.ranges[1:])


def test_ranges_lie_in_the_weights_file(network: BasicNetwork, images: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    ranges = measured(network, images)
    save(Weights(network.state_dict(), ranges=ranges), path)
    assert load(path).ranges == ranges == load(path).build().ranges
    save(Weights(network.state_dict(), ranges=ranges[1:]), path)
    with pytest.raises(UserError, match="no weights of a detector"):
        load(path)
