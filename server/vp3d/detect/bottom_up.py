"""Bottom-up detectors: one network over the whole image, joints grouped into people afterwards."""

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from vp3d.common.skeletons import BODY_21
from vp3d.detect import WEIGHTS, basic_network
from vp3d.detect.grouping import affinity_matrix, group
from vp3d.detect.layout import ALL_KEYPOINTS, LIGHTWEIGHT_OPENPOSE, STRIDE, MapLayout
from vp3d.detect.openvino_ir import load_network
from vp3d.detect.peaks import Peaks, find_peaks
from vp3d.detect.runtime import open_runtime
from vp3d.detect.types import People
from vp3d.models import MODELS

SHORT_SIDE = {"fast": 256, "normal": 368, "fine": 368}
"""Short side of the network's input (px) per level of detail; 368 is where it is most accurate."""

_LONGEST = 4  # long side at most this many short sides: keeps memory in bounds for strips of images
_BODY_FROM_KEYPOINTS = {i: BODY_21.index(name) for i, name in enumerate(ALL_KEYPOINTS) if name != "neck"}


def input_size(width: int, height: int, short_side: int, multiple: int = STRIDE) -> tuple[int, int]:
    """Width and height (px) to resize an image to: about this short side, multiples of what the network needs."""
    scale = min(short_side / min(width, height), _LONGEST * short_side / max(width, height))
    wide, high = (max(round(side * scale / multiple), 1) * multiple for side in (width, height))
    return wide, high


def decode(
    heatmaps: np.ndarray,
    affinity_maps: np.ndarray,
    scale: tuple[float, float],
    layout: MapLayout = LIGHTWEIGHT_OPENPOSE,
) -> People:
    """Maps of one image to people.

    Args:
        heatmaps: (K, h, w), joints first.
        affinity_maps: (M, h, w).
        scale: pixels of the image per pixel of the network's input, along u and v.
        layout: what the maps mean.
    """
    peaks = find_peaks(heatmaps[: layout.joints], STRIDE)
    slots = group(peaks, affinity_matrix(peaks, affinity_maps, layout.affinity_centre))
    slots.sort(key=lambda slot: -peaks.score[slot[slot >= 0]].sum())
    return _people(slots, peaks, scale)


def _people(slots: list[np.ndarray], peaks: Peaks, scale: tuple[float, float]) -> People:
    people = People.empty(len(slots))
    position = (peaks.position + 0.5) * scale - 0.5
    for person, slot in enumerate(slots):
        for keypoint, joint in _BODY_FROM_KEYPOINTS.items():
            if slot[keypoint] >= 0:
                people.joints[person, joint] = position[slot[keypoint]]
                people.confidence[person, joint] = peaks.score[slot[keypoint]]
    return people


@functools.lru_cache(maxsize=2)
def _network(weights: Path, changed: int) -> tuple[nn.Module, str]:
    """The network of a weights file and its licence, kept for the next capture; `changed` is the file's time."""
    if weights.suffix == ".safetensors":
        trained = basic_network.load(weights)
        return trained.build(), trained.licence
    return load_network(weights), MODELS[WEIGHTS["bottom-up"]].licence


class BottomUp:
    """A bottom-up network behind the `Detector` interface.

    Args:
        weights: graph of Lightweight OpenPose (.xml), or weights of `vp3d train detector` (.safetensors).
        quantised: the graph is the release in 8-bit integers, which runs on the CPU as it is.
        detail: "fast", "normal" or "fine".
        device: "auto", "cpu", "cuda" or "mps".
        runtime: one of `runtime.RUNTIMES`.
        short_side: of what the network sees, px, in place of the detail's.

    Raises:
        UserError: the weights are missing or damaged, or there is no such device.
    """

    def __init__(
        self,
        weights: Path,
        detail: str = "normal",
        device: str = "auto",
        quantised: bool = False,
        runtime: str = "auto",
        short_side: int | None = None,
    ) -> None:
        self.weights = weights
        network: nn.Module | Path
        if quantised:
            network, self.licence = weights, MODELS[WEIGHTS["bottom-up-int8"]].licence
        else:
            network, self.licence = _network(weights, weights.stat().st_mtime_ns if weights.exists() else 0)
        if weights.suffix == ".safetensors":
            self.name = "basic"
            self._short_side = short_side or basic_network.SHORT_SIDE[detail]
            self.description = (
                f"The basic bottom-up detector ({weights.name}, short side {self._short_side} px) found everyone in "
                "the picture at once; Lightweight OpenPose (8 MB of weights, downloaded once) would be more exact."
            )
        else:
            self.name = "bottom-up-int8" if quantised else "bottom-up"
            self._short_side = short_side or SHORT_SIDE[detail]
            integers = ", 8-bit" if quantised else ""
            self.description = (
                f"The bottom-up detector (Lightweight OpenPose{integers}, short side {self._short_side} px) found "
                "everyone in the picture at once; MediaPipe Pose would follow one person only, but add heels and toes."
            )
        self._layout: MapLayout = LIGHTWEIGHT_OPENPOSE if isinstance(network, Path) else network.layout
        self._runtime = open_runtime(network, device, runtime)
        self.batch_size = self._runtime.batch_size

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Detector`."""
        if not images:
            return []
        height, width = images[0].shape[:2]
        size = input_size(width, height, self._short_side, self._layout.multiple)
        method = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
        batch = np.stack([cv2.resize(image, size, interpolation=method) for image in images])
        scale = width / size[0], height / size[1]
        return [decode(heat, affinity, scale, self._layout) for heat, affinity in self._runtime.run(batch)]

    def close(self) -> None:
        """See `Detector`."""
        del self._runtime
