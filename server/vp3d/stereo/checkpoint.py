"""Weights of stereo networks as files: safetensors with a JSON description in the header."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vp3d.common.skeletons import SKELETONS
from vp3d.errors import UserError
from vp3d.stereo.networks import PoseNetwork, StereoArchitecture, build

FORMAT = "vp3d-stereo"
_HINT = "Choose weights made by `vp3d train pose2d` or `vp3d train cdrnet`."


@dataclass(frozen=True)
class StereoCheckpoint:
    """Weights and what must be known to use them.

    Attributes:
        weights: of the network.
        architecture: to build it.
        skeleton: name of the joint set in `vp3d.common.skeletons`.
        size: px, side of the crops it was trained with.
        licence: of the weights, and whether it allows `commercial` work.
        training: settings and measurements of the run that made them, for the record.
    """

    weights: dict[str, torch.Tensor]
    architecture: StereoArchitecture
    skeleton: str
    size: int
    licence: str = ""
    commercial: bool = False
    training: dict[str, Any] = field(default_factory=dict)

    def network(self) -> PoseNetwork:
        """The network in evaluation mode."""
        network = build(self.architecture)
        network.load_state_dict({name: tensor.float() for name, tensor in self.weights.items()}, strict=False)
        return network.eval()


def save(checkpoint: StereoCheckpoint, path: Path) -> None:
    """Write weights in half precision; the file changes whole or not at all."""
    about = {name: value for name, value in vars(checkpoint).items() if name not in ("weights", "architecture")}
    about |= {"format": FORMAT, "architecture": asdict(checkpoint.architecture)}
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.weights.items()
    }
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, {"vp3d": json.dumps(about)})
    partial.replace(path)


def load(path: Path) -> StereoCheckpoint:
    """Read weights written by `save`.

    Raises:
        UserError: the file is missing, damaged, or something else.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["vp3d"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.pop("format") != FORMAT or about["skeleton"] not in SKELETONS:
            raise KeyError("format")
        checkpoint = StereoCheckpoint(weights, StereoArchitecture(**about.pop("architecture")), **about)
        with torch.device("meta"):
            expected = build(checkpoint.architecture).state_dict()
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", _HINT) from None
    except Exception as error:  # a damaged file may raise anything
        raise UserError(f"{path.name} holds no stereo network.", _HINT) from error
    for name, tensor in expected.items():
        if not name.endswith("num_batches_tracked") and (name not in weights or weights[name].shape != tensor.shape):
            raise UserError(f"{path.name} does not fit its own description: {name} is missing or misshaped.", _HINT)
    return checkpoint
