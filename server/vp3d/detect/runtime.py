"""Run the network: through OpenVINO on the CPU, through torch on CUDA and MPS."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn

from vp3d.devices import choose_device

if TYPE_CHECKING:
    from openvino import InferRequest

Maps = tuple[np.ndarray, np.ndarray]
"""Heatmaps (K, h, w) and part-affinity maps (M, h, w) of one image, float32."""


_EXAMPLE = 64  # px; any size that every network takes


class Runtime(Protocol):
    """A network ready to run; `batch_size` images at once use the device well."""

    batch_size: int

    def run(self, images: np.ndarray) -> Iterator[Maps]:
        """Yield the maps of (N, H, W, 3) uint8 RGB images in their order; H and W are multiples of the stride."""
        ...


def open_runtime(network: nn.Module, device: str = "auto") -> Runtime:
    """Prepare a network for a device ("auto", "cpu", "cuda", "mps"); raises UserError where there is none."""
    device = choose_device(device)
    return OpenVinoRuntime(network) if device == "cpu" else TorchRuntime(network, device)


class OpenVinoRuntime:
    """The torch module converted for OpenVINO, compiled anew for every image size.

    Images run as single asynchronous requests on as many streams as OpenVINO finds right for the processor: as fast as
    batches, in less memory, and results are worked on while later images still run. The precision is the processor's
    own choice: bfloat16 where it computes in that, which halves the time and moves joints by 0.1 px.
    """

    batch_size = 4  # small, because a capture can only be cancelled between batches

    def __init__(self, network: nn.Module) -> None:
        import openvino  # only here, because a computer with a GPU does without

        # Traced here because OpenVINO's own tracing runs the network several times more, to check a network without
        # branches; that would triple the time to start.
        example = torch.zeros(1, _EXAMPLE, _EXAMPLE, 3, dtype=torch.uint8)
        self._model = openvino.convert_model(torch.jit.trace(network, example, check_trace=False))
        self._core = openvino.Core()
        self._size: tuple[int, ...] = ()
        self._requests: list[InferRequest] = []

    def _compile(self, size: tuple[int, ...]) -> None:
        self._model.reshape({0: [1, *size, 3]})
        compiled = self._core.compile_model(self._model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
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
                yield request.get_output_tensor(0).data[0].copy(), request.get_output_tensor(1).data[0].copy()


class TorchRuntime:
    """The torch module on a GPU."""

    batch_size = 16

    def __init__(self, network: nn.Module, device: str) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device)

    @torch.inference_mode()
    def run(self, images: np.ndarray) -> Iterator[Maps]:
        """See `Runtime`."""
        heat, affinity = self._network(torch.from_numpy(images).to(self._device))
        return zip(heat.cpu().numpy(), affinity.cpu().numpy(), strict=True)
