"""Reading and writing lifter weights: our own files, and those published with VideoPose3D.

Ours are safetensors with a JSON description in the header. The published ones are pickles, which may run code when
opened; they are read with torch's `weights_only`, which builds tensors and refuses the rest. Either way the
architecture is read from the weights.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as save_tensors

from vp3d.common.skeletons import SKELETONS
from vp3d.errors import UserError
from vp3d.lift.conventions import CONVENTIONS
from vp3d.lift.model import Architecture, TemporalModel, architecture_of

logger = logging.getLogger(__name__)

FORMAT = "vp3d-lifter"
VERSION = 1
_HINT = "Choose lifter weights made by `vp3d train lifter` or published with VideoPose3D."


@dataclass(frozen=True)
class Checkpoint:
    """Weights and what must be known to use them.

    Attributes:
        pose: weights of the network that gives root-relative poses.
        trajectory: weights of the network that gives the root's position, where there is one.
        convention: how joints are presented, a name in `conventions.CONVENTIONS`.
        input_joints, output_joints: names of joint sets in `vp3d.common.skeletons`.
        fps: frame rate of the training data, Hz.
        causal: whether poses depend on the past alone; weights do not tell.
        licence: of the weights.
        commercial: whether that licence allows commercial work.
        training: settings and measurements of the run that made them, for the record.
    """

    pose: dict[str, torch.Tensor]
    trajectory: dict[str, torch.Tensor] | None = None
    convention: str = "canonical"
    input_joints: str = "coco-17"
    output_joints: str = "h36m-17"
    fps: float = 50.0
    causal: bool = False
    licence: str = ""
    commercial: bool = False
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        """The pose network's architecture, from its weights."""
        return architecture_of(self.pose, self.causal)

    def build(self, strided: bool = False) -> TemporalModel:
        """The pose network in evaluation mode."""
        return _build(self.pose, self.causal, strided)

    def build_trajectory(self, strided: bool = False) -> TemporalModel | None:
        """The trajectory network in evaluation mode, or None."""
        return None if self.trajectory is None else _build(self.trajectory, self.causal, strided)


def _build(weights: dict[str, torch.Tensor], causal: bool, strided: bool) -> TemporalModel:
    model = TemporalModel(architecture_of(weights, causal), strided)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False)
    return model.eval()


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write our own format, half precision, replacing the file only when it is complete."""
    described = {
        "format": FORMAT,
        "version": VERSION,
        **{
            name: getattr(checkpoint, name)
            for name in (
                "convention",
                "input_joints",
                "output_joints",
                "fps",
                "causal",
                "licence",
                "commercial",
                "training",
            )
        },
    }
    networks = {"pose": checkpoint.pose, "trajectory": checkpoint.trajectory or {}}
    tensors = {
        f"{network}.{name}": tensor.detach().half().contiguous()
        for network, weights in networks.items()
        for name, tensor in weights.items()
        if tensor.is_floating_point()
    }
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(save_tensors(tensors, metadata={FORMAT: json.dumps(described)}))
    partial.replace(path)


def load(path: Path) -> Checkpoint:
    """Read lifter weights of either format.

    Raises:
        UserError: the file is missing, damaged, or not lifter weights.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UserError(f"The lifter weights {path} cannot be read: {error.strerror}.", _HINT) from error
    try:
        # A safetensors file starts with the length of its JSON header, so its ninth byte opens a brace.
        checkpoint = _load_ours(path) if start[8:9] == b"{" else _load_published(path)
        _check(checkpoint)
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise anything
        logger.info("not lifter weights: %s: %s", path, error)
        raise UserError(f"{path.name} does not hold lifter weights.", _HINT) from error
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    architecture = checkpoint.architecture
    convention = CONVENTIONS[checkpoint.convention]
    expected = convention.features_per_frame(len(SKELETONS[checkpoint.input_joints]))
    if architecture.features != expected:
        raise ValueError(f"{architecture.features} input features, but {checkpoint.convention} has {expected}")
    if architecture.joints != len(SKELETONS[checkpoint.output_joints]):
        raise ValueError(f"{architecture.joints} output joints do not fit {checkpoint.output_joints}")
    if checkpoint.trajectory is not None:
        architecture_of(checkpoint.trajectory, checkpoint.causal)


def _load_ours(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        described = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if described.pop("format", None) != FORMAT:
        raise ValueError("no description of a lifter")
    if described.pop("version") != VERSION:
        raise UserError(
            f"{path.name} was written by a newer version of VP3D.", "Update the add-on, or train the weights again."
        )
    networks: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        network, _, parameter = name.partition(".")
        networks.setdefault(network, {})[parameter] = tensor
    return Checkpoint(pose=networks["pose"], trajectory=networks.get("trajectory"), **described)


def _load_published(path: Path) -> Checkpoint:
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise ValueError("not a dictionary")
    pose = content["model_pos"]
    features = pose["expand_conv.weight"].shape[1]
    if features != CONVENTIONS["width-normalised"].features_per_frame(17):
        raise UserError(
            f"{path.name} takes {features} numbers a frame; published weights are known for 17 joints of two numbers.",
            "Choose pretrained_h36m_detectron_coco.bin.",
        )
    return Checkpoint(
        pose=dict(pose),
        trajectory=dict(content["model_traj"]) if content.get("model_traj") else None,
        convention="width-normalised",
        fps=50.0,
        licence="CC BY-NC 4.0 (VideoPose3D)",
        commercial=False,
    )


class _Inert:
    """Stands for an object that is no tensor: keeps nothing and does nothing."""

    def __new__(cls, *arguments: object) -> "_Inert":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


# VideoPose3D's files hold the state of a `numpy.random.RandomState`, under names that changed with NumPy's versions.
_RANDOM_STATE = (
    "numpy.random.__RandomState_ctor",
    "numpy.random.mtrand.__randomstate_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
)


def read_pickle(path: Path) -> Any:
    """The content of a file written by `torch.save`, old or new layout, if it holds tensors, plain containers and at
    most NumPy's random state, which is left out; any other is refused before anything of it runs."""
    with torch.serialization.safe_globals([(_Inert, name) for name in _RANDOM_STATE]):
        return torch.load(path, map_location="cpu", weights_only=True)
