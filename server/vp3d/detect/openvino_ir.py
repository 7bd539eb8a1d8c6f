"""Read the constants of a published OpenVINO network (.xml graph and .bin weights) into our torch module.

Only the standard library and numpy look at the files. Convolutions are told apart by their place in the graph, not by
their names, so re-exported files load too.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vp3d.detect.network import PoseNetwork
from vp3d.errors import UserError

_DTYPES: dict[str, np.dtype] = {"f16": np.dtype("<f2"), "f32": np.dtype("<f4")}
_MAX_XML_BYTES = 16 << 20
_MAX_BIN_BYTES = 256 << 20
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


class _Unreadable(Exception):
    """Why a file is not the network we know."""


@dataclass(frozen=True)
class _Layer:
    kind: str
    data: dict[str, str]
    inputs: tuple[str, ...]


class _Graph:
    def __init__(self, xml: Path, weights: bytes) -> None:
        if xml.stat().st_size > _MAX_XML_BYTES:
            raise _Unreadable("the graph is far larger than expected")
        text = xml.read_bytes()
        # Entity declarations are how a small XML file grows without bound; OpenVINO never writes them.
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise _Unreadable("the graph holds XML declarations that OpenVINO does not write")
        root = ET.fromstring(text)
        sources: dict[str, list[tuple[int, str]]] = {}
        for edge in root.iterfind("edges/edge"):
            sources.setdefault(edge.attrib["to-layer"], []).append(
                (int(edge.attrib["to-port"]), edge.attrib["from-layer"])
            )
        self.weights = weights
        self.layers = {
            layer.attrib["id"]: _Layer(
                layer.attrib["type"],
                dict(data.attrib) if (data := layer.find("data")) is not None else {},
                tuple(source for _, source in sorted(sources.get(layer.attrib["id"], ()))),
            )
            for layer in root.iterfind("layers/layer")
        }

    @cached_property
    def consumers(self) -> dict[str, list[str]]:
        result: dict[str, list[str]] = {id_: [] for id_ in self.layers}
        for id_, layer in self.layers.items():
            for source in layer.inputs:
                result[source].append(id_)
        return result

    @cached_property
    def order(self) -> list[str]:
        """Layer ids so that every layer comes after its inputs."""
        waiting = {id_: len(layer.inputs) for id_, layer in self.layers.items()}
        ready = [id_ for id_, count in waiting.items() if count == 0]
        for id_ in ready:
            for consumer in self.consumers[id_]:
                waiting[consumer] -= 1
                if waiting[consumer] == 0:
                    ready.append(consumer)
        if len(ready) != len(self.layers):
            raise _Unreadable("the graph runs in a circle")
        return ready

    def constant(self, id_: str) -> np.ndarray | None:
        """Values behind a layer, looking through type conversions and reshapes; None where it is not a constant."""
        layer = self.layers[id_]
        while layer.kind in ("Convert", "Reshape"):
            layer = self.layers[layer.inputs[0]]
        if layer.kind != "Const":
            return None
        kind = layer.data["element_type"]
        if kind not in _DTYPES:
            raise _Unreadable(f"its weights are stored as {kind}: take the FP16 or FP32 release")
        shape = tuple(int(n) for n in layer.data["shape"].split(",") if n.strip())
        offset, count = int(layer.data["offset"]), math.prod(shape)
        if min((offset, *shape)) < 0 or offset + count * _DTYPES[kind].itemsize > len(self.weights):
            raise _Unreadable("the weights file is shorter than the graph says")
        return np.frombuffer(self.weights, _DTYPES[kind], count, offset).reshape(shape).astype(np.float32)

    def following(self, id_: str, kind: str) -> np.ndarray | None:
        """Constant of the one layer of a kind that directly follows a layer, or None."""
        for consumer in self.consumers[id_]:
            if self.layers[consumer].kind == kind:
                for source in self.layers[consumer].inputs:
                    if source != id_ and (values := self.constant(source)) is not None:
                        return values
        return None

    def convolutions(self) -> list[str]:
        """Convolution ids by depth; of two at one depth, the one on the way to more output channels first."""
        depth: dict[str, int] = {}
        for id_ in self.order:
            layer = self.layers[id_]
            depth[id_] = max((depth[source] for source in layer.inputs), default=0) + (layer.kind in _CONVOLUTIONS)
        outputs: dict[str, int] = {}
        below: dict[str, int] = {}
        for id_ in reversed(self.order):
            below[id_] = max((outputs[consumer] for consumer in self.consumers[id_]), default=0)
            outputs[id_] = len(self.weight(id_)) if self.layers[id_].kind in _CONVOLUTIONS else below[id_]
        found = [id_ for id_ in self.order if self.layers[id_].kind in _CONVOLUTIONS]
        return sorted(found, key=lambda id_: (depth[id_], -outputs[id_], -below[id_]))

    def weight(self, id_: str) -> np.ndarray:
        """Kernel of a convolution."""
        weight = self.constant(self.layers[id_].inputs[1])
        if weight is None:
            raise _Unreadable("a convolution's weights are computed, not stored: take the FP16 or FP32 release")
        return weight


def _pair(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(","))


@torch.no_grad()
def _fill(network: PoseNetwork, graph: _Graph) -> None:
    ids, modules = graph.convolutions(), network.convolutions()
    if len(ids) != len(modules):
        raise _Unreadable(f"it has {len(ids)} convolutions where Lightweight OpenPose has {len(modules)}")
    for number, (id_, module) in enumerate(zip(ids, modules, strict=True), start=1):
        weight, data = graph.weight(id_), graph.layers[id_].data
        same = (
            weight.size == module.weight.numel()
            and len(weight) == module.out_channels
            and _pair(data["strides"]) == module.stride
            and _pair(data["dilations"]) == module.dilation
        )
        if not same:
            raise _Unreadable(f"convolution {number} is not the one Lightweight OpenPose has there")
        bias = graph.following(id_, "Add")
        constants = {
            "weight": torch.from_numpy(weight).reshape(module.weight.shape),
            "bias": torch.zeros(module.out_channels) if bias is None else torch.from_numpy(bias).flatten(),
        }
        module.load_state_dict(constants)

    image = next(id_ for id_ in graph.order if graph.layers[id_].kind == "Parameter")
    for buffer, kind in ((network.scale, "Multiply"), (network.shift, "Add")):
        values = graph.following(image, kind)
        if values is not None:
            buffer.copy_(torch.from_numpy(values).expand_as(buffer))
            image = graph.consumers[image][0]
    # The published network takes BGR; frames here are RGB.
    for tensor in (network.scale, network.shift, modules[0].weight):
        tensor.copy_(tensor.flip(1))


def load_network(xml: Path) -> PoseNetwork:
    """Build the network with the constants of `NAME.xml` and the `NAME.bin` beside it.

    Args:
        xml: graph of `human-pose-estimation-0001` in FP16 or FP32.

    Raises:
        UserError: a file is missing, damaged, or not this network; the message names it.
    """
    network = PoseNetwork()
    binary = xml.with_suffix(".bin")
    try:
        if binary.stat().st_size > _MAX_BIN_BYTES:
            raise _Unreadable(f"{binary.name} is far larger than expected")
        _fill(network, _Graph(xml, binary.read_bytes()))
    except OSError as error:
        raise UserError(
            f"The detector's weights {error.filename or xml} cannot be read ({error.strerror}).",
            "Download them again or choose another models folder.",
        ) from error
    except (_Unreadable, ET.ParseError, KeyError, ValueError, IndexError, StopIteration, RuntimeError) as error:
        reason = str(error) if isinstance(error, _Unreadable) else "the file is damaged"
        raise UserError(
            f"The detector's weights {xml} are not usable: {reason}.",
            "Download them again or choose another models folder.",
        ) from error
    return network.eval().requires_grad_(False)
