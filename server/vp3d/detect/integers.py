"""Our own network in 8-bit integers for the CPU, from ranges measured after training.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
(CVPR 2018): one range per convolution's input, the mean over pictures of its smallest and largest values, and one scale
per output channel of its weights. OpenVINO turns `FakeQuantize` operations with these into arithmetic on integers.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from openvino import Model

Ranges = tuple[tuple[float, float], ...]
"""Smallest and largest input of each convolution, in the order in which they run; only such that share their input may
run in any order."""

_LEVELS = 256
_WEIGHT_LEVELS = 255  # symmetric about 0, so that 0 stays 0


def measured(network: nn.Module, images: Iterable[np.ndarray]) -> Ranges:
    """Ranges of the convolutions' inputs.

    Args:
        network: in evaluation mode, takes (1, H, W, 3) uint8 RGB.
        images: pictures such as it will see, (H, W, 3) uint8 RGB, sides multiples of what it needs.
    """
    seen: list[tuple[float, float]] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(map(float, inputs[0].aminmax()))))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            for image in images:
                network(torch.from_numpy(image)[None].to(device))
    finally:
        for hook in hooks:
            hook.remove()
    means = np.reshape(seen, (-1, len(hooks), 2)).mean(0)
    return tuple((low, high) for low, high in means.tolist())


def quantise(model: "Model", ranges: Ranges) -> None:
    """Let a converted network compute its convolutions in integers; raises ValueError if they are not as many."""
    from openvino import opset13 as operations

    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    if len(convolutions) != len(ranges):
        raise ValueError(f"{len(ranges)} ranges for {len(convolutions)} convolutions")
    for node, (low, high) in zip(convolutions, ranges, strict=True):
        if low < 0:  # signed, with 0 on a step
            high = max(high, -low * (_LEVELS / 2 - 1) / (_LEVELS / 2))
            low = -high * (_LEVELS / 2) / (_LEVELS / 2 - 1)
        limits = [np.float32(low), np.float32(high)]
        data = operations.fake_quantize(node.input_value(0), *limits, *limits, _LEVELS)
        weights = node.input_value(1)
        largest = np.abs(weights.get_node().data).max((1, 2, 3), keepdims=True).astype(np.float32)
        limits = [-largest, largest]
        node.input(0).replace_source_output(data.output(0))
        node.input(1).replace_source_output(
            operations.fake_quantize(weights, *limits, *limits, _WEIGHT_LEVELS).output(0)
        )
    model.validate_nodes_and_infer_types()
