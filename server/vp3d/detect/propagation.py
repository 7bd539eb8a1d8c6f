"""Detection on every n-th image, and optical flow between: joints follow the pixels under them.

Joints are followed from the detection before and from the one after, and both are blended by how near in time they are.
Flow: pyramidal Lucas-Kanade (Bouguet 2000), OpenCV's.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from vp3d.detect.types import Detector, People
from vp3d.track.oks import similarity, size

_LONG_SIDE = 640  # px; enough to follow a limb, and a tenth of a detection's time
_WINDOW = 21
_LEVELS = 3
_SAME = 0.3  # object key-point similarity of two views of one person


class EveryNth:
    """A detector that looks at every n-th image; of a batch also at the last, so that nothing waits for the next batch.

    Args:
        detector: does the looking.
        every: n, from 2.
    """

    def __init__(self, detector: Detector, every: int) -> None:
        self._detector, self._every = detector, every
        self.name, self.licence, self.weights = detector.name, detector.licence, detector.weights
        self.description = (
            f"{detector.description} It looked at every {every}. frame; between them joints follow the optical flow."
        )
        self.batch_size = every * max(detector.batch_size, 2)
        self._before: tuple[np.ndarray, People] | None = None

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Detector`."""
        if not len(images):
            return []
        grey = [_small(image) for image in images]
        # With people of the batch before, the first image need not be looked at: it is followed from there.
        first = 0 if self._before is None else self._every - 1
        looked = sorted({*range(min(first, len(images) - 1), len(images), self._every), len(images) - 1})
        found = dict(zip(looked, self._detector.detect([images[i] for i in looked]), strict=True))
        result: list[People] = []
        previous, start = self._before, -1
        for stop in looked:
            if previous is not None:
                result += _between(previous, grey[start + 1 : stop], (grey[stop], found[stop]), _scale(images[0]))
            result.append(found[stop])
            previous, start = (grey[stop], found[stop]), stop
        self._before = previous
        return result

    def restart(self) -> None:
        """Forget the images before: the next ones may be of another place in the video."""
        self._before = None

    def close(self) -> None:
        """See `Detector`."""
        self._detector.close()


def _scale(image: np.ndarray) -> float:
    return min(_LONG_SIDE / max(image.shape[:2]), 1.0)


def _small(image: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _scale(image)
    return grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _between(
    before: tuple[np.ndarray, People], images: list[np.ndarray], after: tuple[np.ndarray, People], scale: float
) -> list[People]:
    """People in the images between two that were looked at."""
    if not images:
        return []
    forward = _followed(before[1], [before[0], *images, after[0]], scale)
    backward = _followed(after[1], [after[0], *images[::-1], before[0]], scale)[::-1]
    pairs = _paired(forward[-1], after[1])
    alone = [p for p in range(len(before[1])) if p not in {a for a, _ in pairs}]
    new = [p for p in range(len(after[1])) if p not in {b for _, b in pairs}]
    result = []
    for number, (past, future) in enumerate(zip(forward, backward[1:], strict=False), start=1):
        share = number / (len(images) + 1)
        both = [_blended(past, a, future, b, share) for a, b in pairs]
        # Who comes or goes is there as long as the nearer detection says so.
        people = both + ([_one(past, p) for p in alone] if share < 0.5 else [_one(future, p) for p in new])
        joints = np.array([joints for joints, _ in people], np.float32).reshape(-1, *before[1].joints.shape[1:])
        confidence = np.array([sure for _, sure in people], np.float32).reshape(joints.shape[:2])
        result.append(People(joints, confidence))
    return result


def _followed(people: People, images: list[np.ndarray], scale: float) -> list[People]:
    """People in all images but the first, where they are known."""
    result = []
    known = np.isfinite(people.joints[..., 0])
    points = ((people.joints[known] + 0.5) * scale - 0.5).astype(np.float32)
    lost = np.zeros(len(points), bool)
    for one, two in itertools.pairwise(images):
        if len(points):
            points, status, _ = cv2.calcOpticalFlowPyrLK(
                one, two, points[:, None], None, winSize=(_WINDOW, _WINDOW), maxLevel=_LEVELS
            )
            points, lost = points[:, 0], lost | (status[:, 0] == 0)
        joints, confidence = people.joints.copy(), people.confidence.copy()
        joints[known] = (points + 0.5) / scale - 0.5
        confidence[known] *= np.where(lost, 0.5, 1.0)
        result.append(People(joints, confidence))
    return result


def _paired(a: People, b: People) -> list[tuple[int, int]]:
    alike = similarity(a.joints, b.joints, size(a.joints))
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(-alike), strict=True) if alike[i, j] >= _SAME]


def _blended(past: People, a: int, future: People, b: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Joints and confidences of one person, from both sides; a joint that one side lacks comes from the other."""
    weight = np.stack((past.confidence[a] * (1 - share), future.confidence[b] * share))
    joints = np.stack((past.joints[a], future.joints[b]))
    weight = np.where(np.isfinite(joints[..., 0]), weight, 0)
    total = weight.sum(0)
    mean = (np.nan_to_num(joints) * weight[..., None]).sum(0) / np.maximum(total, 1e-9)[:, None]
    sure = (1 - share) * past.confidence[a] + share * future.confidence[b]
    return np.where(total[:, None] > 0, mean, np.nan), np.where(total > 0, sure, 0)


def _one(people: People, person: int) -> tuple[np.ndarray, np.ndarray]:
    return people.joints[person], people.confidence[person]
