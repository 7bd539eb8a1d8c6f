from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from torch import nn
from vp3d.detect.network import PoseNetwork
from vp3d.detect.openvino_ir import load_network
from vp3d.detect.runtime import OpenVinoRuntime, TorchRuntime
from vp3d.errors import UserError


class Published(nn.Module):
    """The form in which the network is published: BGR, floating point, channels first."""

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, bgr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.maps(bgr * self.network.scale + self.network.shift)


def random_network() -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork()
    network.scale.fill_(1 / 255)
    network.shift.copy_(torch.tensor((-0.5, -0.4, -0.3)).reshape(1, 3, 1, 1))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "network.xml"
    traced = torch.jit.trace(Published(random_network()), torch.zeros(1, 3, 32, 32), check_trace=False)
    model = openvino.convert_model(traced)
    openvino.save_model(model, path, compress_to_fp16=True)
    return path


def run_published(path: Path, image: np.ndarray) -> dict[int, np.ndarray]:
    """What OpenVINO itself computes from the files: number of channels to maps."""
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    bgr = image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    return {value.shape[1]: value for value in compiled(bgr).values()}


def assert_same_maps(network: PoseNetwork, path: Path, image: np.ndarray, tolerance: float) -> None:
    expected = run_published(path, image)
    heat, affinity = network(torch.from_numpy(image[None].copy()))
    assert np.abs(expected[19] - heat.numpy()).max() < tolerance
    assert np.abs(expected[38] - affinity.numpy()).max() < tolerance


def test_size_of_the_network() -> None:
    network = PoseNetwork()
    assert sum(layer.weight.numel() for layer in network.convolutions()) == 4_086_848
    heat, affinity = network(torch.zeros(2, 64, 72, 3, dtype=torch.uint8))
    assert heat.shape == (2, 19, 8, 9)
    assert affinity.shape == (2, 38, 8, 9)


def test_exported_constants_come_back(exported: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    assert_same_maps(load_network(exported), exported, image, 1e-4)


def test_public_weights_give_the_maps_that_openvino_gives(shared: Path) -> None:
    import cv2

    path = shared / "models/human-pose-estimation-0001/FP16/human-pose-estimation-0001.xml"
    reader = cv2.VideoCapture(str(shared / "clips/bodypose3d/cam0_test.mp4"))
    _, frame = reader.read()
    image = cv2.resize(frame, (456, 256))[..., ::-1]
    assert_same_maps(load_network(path), path, image, 1e-4)


def test_the_quantised_release_is_refused_with_advice(shared: Path) -> None:
    path = shared / "models/human-pose-estimation-0001/FP16-INT8/human-pose-estimation-0001.xml"
    with pytest.raises(UserError, match="take the FP16 or FP32 release"):
        load_network(path)


def damage(exported: Path, folder: Path, xml: bytes | None = None, weights: bytes | None = None) -> Path:
    path = folder / "damaged.xml"
    path.write_bytes(exported.read_bytes() if xml is None else xml)
    path.with_suffix(".bin").write_bytes(exported.with_suffix(".bin").read_bytes() if weights is None else weights)
    return path


@pytest.mark.parametrize("kind", ["text", "cut", "entities", "other", "circle", "offset", "negative"])
def test_a_damaged_graph_is_refused_in_a_sentence(kind: str, exported: Path, tmp_path: Path) -> None:
    xml = exported.read_bytes()
    changed = {
        "text": b"this is no graph",
        "cut": xml[: len(xml) // 2],
        "entities": b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + xml,
        "other": xml.replace(b'strides="2, 2"', b'strides="1, 1"'),
        "circle": xml.replace(b'from-layer="0"', b'from-layer="30"'),
        "offset": xml.replace(b'offset="0"', b'offset="99999999"'),
        "negative": xml.replace(b'offset="0"', b'offset="-8"'),
    }[kind]
    assert changed != xml
    with pytest.raises(UserError, match=r"damaged\.xml"):
        load_network(damage(exported, tmp_path, xml=changed))


def test_short_missing_and_quantised_weights_are_refused(exported: Path, tmp_path: Path) -> None:
    path = damage(exported, tmp_path, weights=exported.with_suffix(".bin").read_bytes()[:-100])
    with pytest.raises(UserError, match="shorter than the graph says"):
        load_network(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match=r"damaged\.bin"):
        load_network(path)
    path = damage(exported, tmp_path, xml=exported.read_bytes().replace(b'"f16"', b'"u8"'))
    with pytest.raises(UserError, match="FP16"):
        load_network(path)


def test_openvino_and_torch_agree_and_keep_the_order_of_images() -> None:
    network = random_network()
    images = np.random.default_rng(1).integers(0, 256, (5, 64, 96, 3), np.uint8)
    for size in ((64, 96), (48, 80)):
        part = np.ascontiguousarray(images[:, : size[0], : size[1]])
        expected = TorchRuntime(network, "cpu").run(part)
        for (heat, affinity), (heat_torch, affinity_torch) in zip(
            OpenVinoRuntime(network).run(part), expected, strict=True
        ):
            # bfloat16, where the processor has it, keeps three digits.
            assert heat == pytest.approx(heat_torch, abs=0.02 * np.abs(heat_torch).max())
            assert affinity == pytest.approx(affinity_torch, abs=0.02 * np.abs(affinity_torch).max())
