from pathlib import Path

import numpy as np
import pytest
import torch
from vp3d.detect import open_detector
from vp3d.detect.basic_network import BasicNetwork, Weights, load, save
from vp3d.detect.layout import ALL_KEYPOINTS
from vp3d.errors import UserError

SMALL = (8, 8, 16, 16, 24)


def test_maps_and_size_of_the_network() -> None:
    network = BasicNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) < 3_000_000
    with torch.no_grad():
        heat, affinity = network.eval()(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
    assert heat.shape == (2, len(ALL_KEYPOINTS), 8, 12) and affinity.shape == (2, 46, 8, 12)
    assert heat.min() >= 0 and heat.max() <= 1


def test_weights_come_back_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BasicNetwork(SMALL).eval()
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8))
    path = tmp_path / "detector.safetensors"
    save(Weights(network.state_dict(), "CC0", True, {"steps": 3}), path)
    weights = load(path)
    assert (weights.licence, weights.commercial, weights.training) == ("CC0", True, {"steps": 3})
    built = weights.build()
    assert built.widths == SMALL
    with torch.no_grad():
        for ours, theirs in zip(built(image), network(image), strict=True):
            assert ours.numpy() == pytest.approx(theirs.numpy(), abs=0.01)


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    with pytest.raises(UserError, match="cannot be read"):
        load(path)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="no weights of a detector"):
        load(path)
    state = BasicNetwork(SMALL).state_dict()
    for name in ("heat.weight", "levels.2.0.0.weight", "levels.1.1.first.1.running_mean"):
        save(Weights({key: value for key, value in state.items() if key != name}), path)
        with pytest.raises(UserError, match="no weights of a detector"):
            load(path)


def test_weights_that_somebody_trained_are_a_detector(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save(Weights(BasicNetwork(SMALL).state_dict(), "CC0"), path)
    detector = open_detector(str(path), "fast", "cpu")
    assert (detector.name, detector.licence, detector.weights) == ("basic", "CC0", path)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    (found,) = detector.detect([image])
    assert found.joints.shape[1:] == (21, 2)
    detector.close()
