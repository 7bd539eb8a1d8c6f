"""Run the network: through OpenVINO on the CPU, through torch on CUDA and MPS."""

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn

from vp3d.detect.basic_network import BasicNetwork
from vp3d.detect.integers import quantise
from vp3d.devices import choose_device
from vp3d.errors import UserError

if TYPE_CHECKING:
    from openvino import Core, InferRequest, Model

Maps = tuple[np.ndarray, np.ndarray]
"""Heatmaps (K, h, w) and part-affinity maps (M, h, w) of one image, float32."""


RUNTIMES = ("auto", "float32", "torch")
"""OpenVINO in the precision it chooses, OpenVINO in float32, and torch itself."""

_EXAMPLE = 64  # px; any size that every network takes


class Runtime(Protocol):
    """A network ready to run; `batch_size` images at once use the device well."""

    batch_size: int

    def run(self, images: np.ndarray) -> Iterator[Maps]:
        """Yield the maps of (N, H, W, 3) uint8 RGB images in their order; H and W are multiples of the stride."""
        ...


def open_runtime(network: nn.Module | Path, device: str = "auto", runtime: str = "auto") -> Runtime:
    """Prepare a network, or a published graph, for a device ("auto", "cpu", "cuda", "mps").

    Args:
        runtime: one of `RUNTIMES`, to compare them; a published graph runs as it is.

    Raises:
        UserError: there is no such device, or the graph, which only the CPU runs, is damaged.
    """
    if isinstance(network, Path):
        return OpenVinoRuntime(network)
    device = choose_device(device)
    if runtime == "torch" or device != "cpu":
        return TorchRuntime(network, device)
    return OpenVinoRuntime(network, exact=runtime == "float32")


@functools.lru_cache(maxsize=2)
def _converted(network: nn.Module) -> "Model":
    """A network for OpenVINO, made once: it takes most of the time to open a detector, and tracing keeps megabytes."""
    import openvino

    # Traced here because OpenVINO's own tracing runs the network several times more, to check a network without
    # branches; that would triple the time to start.
    example = torch.zeros(1, _EXAMPLE, _EXAMPLE, 3, dtype=torch.uint8)
    return openvino.convert_model(torch.jit.trace(network, example, check_trace=False))


def _published(core: "Core", xml: Path) -> "Model":
    """A graph that takes BGR in floating point, channels first, made to take what our modules take."""
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    try:
        steps = PrePostProcessor(core.read_model(xml))
        image = steps.input()
        image.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(ColorFormat.RGB)
        image.tensor().set_spatial_dynamic_shape()
        image.preprocess().convert_element_type(Type.f32).convert_color(ColorFormat.BGR)
        image.model().set_layout(Layout("NCHW"))
        return steps.build()
    except RuntimeError as error:
        raise UserError(
            f"The detector's weights {xml} are not usable: the file is damaged.",
            "Download them again or choose another models folder.",
        ) from error


class OpenVinoRuntime:
    """The torch module converted for OpenVINO, or a published graph, compiled anew for every image size.

    Images run as single asynchronous requests on as many streams as OpenVINO finds right for the processor: as fast as
    batches, in less memory, and results are worked on while later images still run. The precision is the processor's
    own choice: bfloat16 where it computes in that, which halves the time and moves joints by 0.1 px.

    Args:
        network: the module, which may bring ranges for 8-bit integers, or the published graph.
        exact: float32 throughout.
    """

    batch_size = 4  # small, because a capture can only be cancelled between batches

    def __init__(self, network: nn.Module | Path, exact: bool = False) -> None:
        import openvino  # only here, because a computer with a GPU does without

        self._core = openvino.Core()
        self._model = _published(self._core, network) if isinstance(network, Path) else _converted(network).clone()
        if isinstance(network, BasicNetwork) and network.ranges and not exact:
            quantise(self._model, network.ranges)
        self._hints = {"PERFORMANCE_HINT": "THROUGHPUT", **({"INFERENCE_PRECISION_HINT": "f32"} if exact else {})}
        self._size: tuple[int, ...] = ()
        self._requests: list[InferRequest] = []
        # The published files have the affinity maps first.
        self._outputs = (1, 0) if isinstance(network, Path) else (0, 1)

    def _compile(self, size: tuple[int, ...]) -> None:
        self._model.reshape({0: [1, *size, 3]})
        compiled = self._core.compile_model(self._model, "CPU", self._hints)
        self._requests, self._size = [compiled.create_infer_request() for _ in range(self.batch_size)], size

    def run(self, images: np.ndarray) -> Iterator[Maps]:
        """See `Runtime`."""
        if images.shape[1:3] != self._size:
            self._compile(images.shape[1:3])
        for start in range(0, len(images), self.batch_size):
            running = list(zip(self._requests, images[start : start + self.batch_size], strict=False))
            for request, image in running:
                request.start_async({0: image[None]})
            for request, _ in running:
                request.wait()
                heat, affinity = (request.get_output_tensor(index).data[0].copy() for index in self._outputs)
                yield heat, affinity


class TorchRuntime:
    """The torch module itself, on a GPU."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self._device = torch.device(device)
        self.batch_size = 4 if device == "cpu" else 16
        self._network = copy.deepcopy(network).to(self._device)

    @torch.inference_mode()
    def run(self, images: np.ndarray) -> Iterator[Maps]:
        """See `Runtime`."""
        heat, affinity = self._network(torch.from_numpy(images).to(self._device))
        return zip(heat.cpu().numpy(), affinity.cpu().numpy(), strict=True)
