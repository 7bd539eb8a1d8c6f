"""A second look at people who are small in the picture: each is cut out, enlarged, and searched for joints again.

A bottom-up network sees all of the picture at one size, at which someone far away is a few cells of its maps high. Such
people are looked at again at the size the network knows people best at, from the picture's own pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from vp3d.detect.types import Detector, People
from vp3d.track.oks import similarity, size

SIDE = 256
"""Of the square that a person is enlarged to, px."""
_ROOM = 1.5  # side of the square around a person, in extents of the joints
_SMALL = 0.5  # people whose joints extend over less than this share of the picture's short side are looked at again
_MOST = 6  # people looked at again in a picture: bounds what a crowd costs
_SAME = 0.3  # object key-point similarity of two views of one person


class CloserLook:
    """A detector that looks again at people who are small in the picture.

    Args:
        whole: sees whole pictures.
        close: sees the enlarged people, pictures of `SIDE` × `SIDE` px.
    """

    def __init__(self, whole: Detector, close: Detector) -> None:
        self._whole, self._close = whole, close
        self.name, self.licence, self.weights = whole.name, whole.licence, whole.weights
        self.batch_size = whole.batch_size
        self.description = f"{whole.description} It looked again at small people, enlarged."

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Detector`."""
        found = self._whole.detect(images)
        return [self._looked_again(image, people) for image, people in zip(images, found, strict=True)]

    def close(self) -> None:
        """See `Detector`."""
        self._whole.close()
        self._close.close()

    def _looked_again(self, image: np.ndarray, people: People) -> People:
        extent = size(people.joints) / np.sqrt(0.2)
        small = np.nonzero(extent < _SMALL * min(image.shape[:2]))[0][:_MOST]
        squares = [_square(people.joints[person], extent[person]) for person in small]
        seen = self._close.detect([_cut_out(image, *square) for square in squares])
        for person, (left, top, side), closely in zip(small, squares, seen, strict=True):
            joints = (closely.joints + 0.5) * (side / SIDE) - 0.5 + np.float32((left, top))
            alike = similarity(people.joints[[person]], joints, size(people.joints[[person]]))[0]
            if alike.max(initial=0) < _SAME:
                continue
            same = alike.argmax()
            better = np.isfinite(joints[same, :, 0])
            people.joints[person, better] = joints[same, better]
            people.confidence[person, better] = closely.confidence[same, better]
        return people


def _square(joints: np.ndarray, extent: float) -> tuple[int, int, int]:
    """Left, top and side (px) of the square around a person."""
    middle = (np.nanmin(joints, 0) + np.nanmax(joints, 0)) / 2
    side = max(round(_ROOM * extent), 8)
    left, top = np.round(middle - (side - 1) / 2).astype(int)
    return int(left), int(top), side


def _cut_out(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """The square, enlarged or shrunk to `SIDE`; the picture's edge goes on where it leaves the picture."""
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    method = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    return cv2.resize(image[rows[:, None], columns], (SIDE, SIDE), interpolation=method)
