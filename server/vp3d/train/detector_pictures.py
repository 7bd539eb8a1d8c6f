"""Pictures and labels of all sources as tensors of one size, ready for a device to draw batches from."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from vp3d.common.skeletons import BODY_21
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.train.detector_labels import IGNORED, Picture

logger = logging.getLogger(__name__)

MOST_PEOPLE = 8
"""People per picture; of more, the smaller ones are not labelled."""

_MOST_COMPLAINTS = 20  # pictures named one by one
_SHARE_OF_GPU = 0.4
_MEMORY = 6 << 30  # bytes of pictures that a processor's memory holds


@dataclass(frozen=True)
class Labelled:
    """Some pictures with their labels, on one device.

    Attributes:
        pixels: (B, 3, S, S) uint8 RGB, the picture in the top left corner.
        mask: (B, S, S) uint8, as `Picture.mask`.
        extent: (B, 2) width and height of the picture, px.
        joints: (B, P, 21, 2) px, NaN where not known.
        weight: (B, P, 21), how much each joint counts, 0…1.
        visible: (B, P, 21) bool.
        labelled: (B, 21) bool, joints that the picture's source labels at all.
    """

    pixels: torch.Tensor
    mask: torch.Tensor
    extent: torch.Tensor
    joints: torch.Tensor
    weight: torch.Tensor
    visible: torch.Tensor
    labelled: torch.Tensor


class Pictures:
    """Pictures of several sources, shrunk to fit a square.

    As many as fit stay decoded in the device's memory; where they do not all fit, every batch is decoded anew.

    Args:
        sources: pictures of each source.
        weights: how much of a batch comes from each source, relative to each other.
        size: side of the square, px.
        device: where batches are wanted.
        progress: called with ("read pictures", done, pictures).

    Attributes:
        chance: (N,) of being drawn, not normalised; `outlined` the same of pictures with people who can be cut out,
            `empty` of pictures with nobody.

    Raises:
        UserError: none of the pictures can be read.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[Picture]],
        weights: Sequence[float],
        size: int,
        device: torch.device,
        progress: Progress = silent,
    ) -> None:
        self.size, self.device = size, device
        self._pictures = [picture for source in sources for picture in source]
        chance = [weight / len(source) for source, weight in zip(sources, weights, strict=True) for _ in source]
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._complaints = 0
        whole = np.zeros(len(self._pictures), bool)
        resident = len(self._pictures) * 4 * size * size <= _room(device)
        self._pixels = torch.empty((len(whole) if resident else 0, 4, size, size), dtype=torch.uint8, device=device)
        for number, layers in enumerate(self._pool.map(self._read, self._pictures)):
            progress("read pictures", number, len(whole))
            whole[number] = layers is not None
            if resident and layers is not None:
                self._pixels[number] = torch.from_numpy(layers)
        progress("read pictures", len(whole), len(whole))
        if not whole.any():
            raise UserError("None of the pictures can be read.", "Make the labels anew with `vp3d data label`.")
        if self._complaints > _MOST_COMPLAINTS:
            logger.warning("In all, %d of %d pictures cannot be used.", self._complaints, len(whole))
        self._complaints = _MOST_COMPLAINTS  # they are named once, not in every batch
        self.chance = torch.tensor(np.where(whole, chance, 0), dtype=torch.float32, device=device)
        outlined = [any(picture.outlines) for picture in self._pictures]
        self.outlined = self.chance * torch.tensor(outlined, device=device)
        self.has_outlines = bool(self.outlined.any())
        empty = [len(picture.joints) == 0 and not picture.ignored for picture in self._pictures]
        self.empty = self.chance * torch.tensor(empty, device=device)
        self.has_empty = bool(self.empty.any())
        self._labels = _labels(self._pictures, size, device)

    def __len__(self) -> int:
        return len(self._pictures)

    def take(self, numbers: torch.Tensor) -> Labelled:
        """The pictures (B,) of these numbers."""
        if len(self._pixels):
            layers = self._pixels[numbers]
        else:
            read = self._pool.map(self._read, [self._pictures[number] for number in numbers.tolist()])
            blank = np.full((4, self.size, self.size), IGNORED, np.uint8)
            layers = torch.from_numpy(np.stack([blank if one is None else one for one in read])).to(self.device)
        return Labelled(layers[:, :3], layers[:, 3], *(tensor[numbers] for tensor in self._labels))

    def _read(self, picture: Picture) -> np.ndarray | None:
        """(4, S, S) uint8, RGB and mask; None, and its name in the log, where the picture cannot be read."""
        try:
            image = cv2.imdecode(np.fromfile(picture.path, np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise ValueError("it is no image")
            if image.shape[1::-1] != picture.size:
                raise ValueError("it has another size than its labels say")
            result = np.zeros((4, self.size, self.size), np.uint8)
            wide, high = fitted(picture.size, self.size)
            result[:3, :high, :wide] = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)[
                ..., ::-1
            ].transpose(2, 0, 1)
            result[3, :high, :wide] = cv2.resize(picture.mask(), (wide, high), interpolation=cv2.INTER_NEAREST)
        except (OSError, ValueError, TypeError, IndexError, cv2.error) as error:
            if self._complaints < _MOST_COMPLAINTS:
                logger.warning("%s cannot be used (%s) and is left out.", picture.path, error)
            self._complaints += 1
            return None
        return result


def fitted(picture: tuple[int, int], size: int) -> tuple[int, int]:
    """Width and height (px) of a picture shrunk, never enlarged, to fit a square."""
    scale = min(size / max(picture), 1)
    return max(round(picture[0] * scale), 1), max(round(picture[1] * scale), 1)


def _room(device: torch.device) -> int:
    return int(_SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else _MEMORY


def _labels(pictures: Sequence[Picture], size: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Extent, joints, weights, visibility and labelled joints of all pictures, as `Labelled` has them."""
    most = max(min(max((len(picture.joints) for picture in pictures), default=0), MOST_PEOPLE), 1)
    shape = (len(pictures), most, len(BODY_21))
    extent = np.array([fitted(picture.size, size) for picture in pictures], np.float32)
    joints, weight = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
    visible = np.zeros(shape, bool)
    for number, picture in enumerate(pictures):
        with np.errstate(all="ignore"):
            heights = np.nan_to_num(np.nanmax(picture.joints, 1) - np.nanmin(picture.joints, 1)).max(-1, initial=0)
        largest = np.argsort(-heights)[:most]
        scale = extent[number] / picture.size
        joints[number, : len(largest)] = (picture.joints[largest] + 0.5) * scale - 0.5
        weight[number, : len(largest)] = picture.confidence[largest]
        visible[number, : len(largest)] = picture.visible[largest]
    labelled = np.array([picture.labelled for picture in pictures])
    return tuple(torch.from_numpy(array).to(device) for array in (extent, joints, weight, visible, labelled))
