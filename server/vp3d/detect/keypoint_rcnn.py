"""Keypoint R-CNN (He et al., "Mask R-CNN", 2017) behind the `Detector` interface, from detectron2 or torchvision.

Neither library is a requirement: whichever is installed is used, detectron2 first. Both find boxes of people and, in
each, a map of logits for every COCO joint; the joint is the maximum of its map.
"""

import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from vp3d.detect.types import People
from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.models import MODELS

SHORT_SIDE = {"fast": 480, "normal": 800, "fine": 1080}
"""Short side of the image (px) per level of detail; 800 is what the published networks were trained with."""
WEIGHTS = {"detectron2": "keypoint-rcnn-detectron2", "torchvision": "keypoint-rcnn-torchvision"}
"""What each library's weights are called in `models.MODELS`."""

MIN_PERSON = 0.7
"""Boxes less sure than this are no people (as in VideoPose3D's preparation of videos)."""

_ASPECT = 5 / 3  # long side at most this many short sides, 1333 for 800
_TOLERANCE = 3.4  # cells of a 56 × 56 map over a box: about 0.2 of the torso of a person as high as the box
_PICKLED = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
}  # fmt: skip


class Found(NamedTuple):
    """People in one image, as a library gives them.

    Attributes:
        score: (N,) how sure each box is a person, 0…1.
        joints: (N, 17, 2) px in COCO's order, (0, 0) at the centre of the first pixel.
        peak: (N, 17) height of the softmax over a joint's map, 0…1.
    """

    score: np.ndarray
    joints: np.ndarray
    peak: np.ndarray


class Library(Protocol):
    """A way to run the network on (H, W, 3) uint8 RGB images."""

    def __call__(self, images: Sequence[np.ndarray]) -> list[Found]:
        """Find people in images of one size."""
        ...


def confidence(peak: np.ndarray) -> np.ndarray:
    """Chance that a joint lies where its softmax is highest, from the height of that peak.

    The peak of a spatial softmax is no probability of being right: spread over 56 × 56 cells it is small even for
    joints that are sure, 1 / (2 π s²) for a Gaussian with a standard deviation of s cells. The chance to lie within r
    cells of its middle is then 1 - exp(-r² / (2 s²)) = 1 - exp(-π r² peak): 0.11 for a peak of 0.0033 (s = 7), 0.3
    for 0.01, 0.84 for 0.05, 0.97 for 0.1.
    """
    return 1 - np.exp(-np.pi * _TOLERANCE**2 * np.asarray(peak, np.float64))


def people(found: Found) -> People:
    """What a library found, in our terms, surest first."""
    chosen = np.argsort(-found.score, kind="stable")
    chosen = chosen[found.score[chosen] >= MIN_PERSON]
    result = People.empty(len(chosen))
    result.joints[:, : found.joints.shape[1]] = found.joints[chosen]
    result.confidence[:, : found.peak.shape[1]] = confidence(found.peak[chosen])
    return result


class KeypointRCNN:
    """Keypoint R-CNN: everyone in the picture, surest for people who stand apart; slow without a GPU.

    Args:
        detail: "fast", "normal" or "fine".
        device: "auto", "cpu" or "cuda".
        weights: file of published weights; None to look them up, which raises UserError where they are missing.

    Raises:
        UserError: neither library is installed, or the weights are missing or others.
    """

    name = "keypoint-rcnn"

    def __init__(self, detail: str = "normal", device: str = "auto", weights: Path | None = None) -> None:
        from vp3d import models

        library = installed()
        row = MODELS[WEIGHTS[library]]
        self.weights = weights or models.require(row.name)
        self.licence = row.licence
        where = choose_device(device)
        open_library = Detectron2 if library == "detectron2" else Torchvision
        self._run: Library = open_library(self.weights, SHORT_SIDE[detail], "cpu" if where == "mps" else where)
        self.batch_size = 8 if where == "cuda" else 2
        self.description = (
            f"Keypoint R-CNN ({library}) found everyone in the picture, box by box; the bottom-up detector would be "
            "many times faster on a processor."
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Detector`."""
        return [people(found) for found in self._run(images)] if len(images) else []

    def close(self) -> None:
        """See `Detector`."""
        del self._run


def installed() -> str:
    """The library to use, "detectron2" or "torchvision"; raises UserError that says how to get one."""
    for library in WEIGHTS:
        if importlib.util.find_spec(library):
            return library
    raise UserError(
        "Keypoint R-CNN needs detectron2 or torchvision, and neither is installed.",
        "Install the torchvision that fits this torch, or build detectron2 from its source with "
        "`pip install --no-build-isolation`, in the server's environment.",
    )


class Detectron2:
    """detectron2's network.

    Args:
        weights: `model_final_….pkl` of the model zoo, None for random ones.
        short_side: of the images it sees, px.
        device: "cpu" or "cuda".
        config: of the model zoo.
    """

    def __init__(
        self,
        weights: Path | None,
        short_side: int,
        device: str,
        config: str = "COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x.yaml",
    ) -> None:
        from detectron2.config import get_cfg
        from detectron2.modeling import build_model

        settings = get_cfg()
        # Its `model_zoo` would find this too, but needs a part of setuptools that newer ones no longer have.
        zoo = Path(importlib.util.find_spec("detectron2").origin).with_name("model_zoo")
        settings.merge_from_file(str(zoo / "configs" / config))
        settings.MODEL.DEVICE = device
        settings.MODEL.WEIGHTS = ""
        self._network = build_model(settings).eval()
        self._device, self._short_side = device, short_side
        if weights is not None:
            _fill(self._network, read_detectron2(weights), weights)

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See `Library`."""
        height, width = images[0].shape[:2]
        size = _resized(height, width, self._short_side)
        inputs = [
            {"image": _scaled(image[..., ::-1], size), "height": height, "width": width}  # the zoo's networks take BGR
            for image in images
        ]
        with torch.autocast(self._device, dtype=torch.float16, enabled=self._device == "cuda"):
            outputs = self._network(inputs)
        return [found_by_detectron2(output["instances"]) for output in outputs]


def found_by_detectron2(instances: Any) -> Found:
    """Fields `scores` (N,) and `pred_keypoints` (N, 17, 3), whose third column is the peak of the softmax."""
    points = instances.pred_keypoints.float().cpu().numpy()
    # Its coordinates are continuous: the centre of the first pixel is (0.5, 0.5).
    return Found(instances.scores.float().cpu().numpy(), points[..., :2] - 0.5, points[..., 2])


class Torchvision:
    """torchvision's network; arguments as for `Detectron2`."""

    def __init__(self, weights: Path | None, short_side: int, device: str) -> None:
        from torchvision.models.detection import keypointrcnn_resnet50_fpn

        self._network = keypointrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, min_size=short_side, max_size=round(short_side * _ASPECT)
        ).eval()
        if weights is not None:
            _fill(self._network, _loaded(weights), weights)
        self._network.to(device)
        self._device = device
        self._logits: list[torch.Tensor] = []
        # The result holds the highest logit of each joint; the softmax needs them all.
        self._network.roi_heads.keypoint_predictor.register_forward_hook(
            lambda module, inputs, output: self._logits.append(output.float())
        )

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Found]:
        """See `Library`."""
        self._logits.clear()
        batch = [torch.from_numpy(np.ascontiguousarray(i)).to(self._device).permute(2, 0, 1) / 255 for i in images]
        with torch.autocast(self._device, dtype=torch.float16, enabled=self._device == "cuda"):
            outputs = self._network(batch)
        logits = self._logits.pop().split([len(output["scores"]) for output in outputs])
        return [found_by_torchvision(output, maps) for output, maps in zip(outputs, logits, strict=True)]


def found_by_torchvision(output: dict[str, torch.Tensor], logits: torch.Tensor) -> Found:
    """Entries `scores` (N,) and `keypoints` (N, 17, 3), and the logits (N, 17, 56, 56) behind them."""
    peak = logits.flatten(2).softmax(-1).amax(-1)
    # Its training takes COCO's joints, which count from the centre of the first pixel, for continuous: so do results.
    return Found(output["scores"].cpu().numpy(), output["keypoints"][..., :2].cpu().numpy(), peak.cpu().numpy())


def _resized(height: int, width: int, short_side: int) -> tuple[int, int]:
    scale = min(short_side / min(height, width), short_side * _ASPECT / max(height, width))
    return round(height * scale), round(width * scale)


def _scaled(image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    return torch.nn.functional.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)[0]


class _Unpickler(pickle.Unpickler):
    """Builds arrays and plain containers, and calls nothing else: a pickle may ask for any function."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PICKLED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_detectron2(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a file of detectron2's model zoo; raises UserError for anything else."""
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in content["model"].items()}
    except OSError as error:
        raise _unusable(path, error.strerror or error) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise _unusable(path, "they are damaged, or another file") from error
    if not any("keypoint" in name for name in tensors):
        raise _unusable(path, "they are those of another network")
    return tensors


def _loaded(path: Path) -> dict[str, torch.Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _unusable(path, error.strerror or error) from error
    except Exception as error:  # the same
        raise _unusable(path, "they are damaged, or another file") from error


def _fill(network: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        missing, _ = network.load_state_dict(tensors, strict=False)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise _unusable(path, "they are those of another network") from error
    missing = [name for name in missing if not name.endswith(("num_batches_tracked", "pixel_mean", "pixel_std"))]
    if missing:
        raise _unusable(path, f"they lack {missing[0]}")


def _unusable(path: Path, reason: object) -> UserError:
    return UserError(
        f"The weights “{path}” cannot be used for Keypoint R-CNN ({reason}).",
        "Take the file that `vp3d models list` names for the library that is installed.",
    )
