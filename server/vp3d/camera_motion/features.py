"""Features of the background, followed from frame to frame with pyramidal Lucas-Kanade, and cuts where that ends.

Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker" (2000); Kalal et al., "Forward-Backward Error"
(2010).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 640
"""px, longer side of the small grey copies that features are followed in."""

_MOST = 400
_FEWEST = 250
"""Features that are followed at once: new ones are looked for when fewer are left."""
_SPACING = 11
_QUALITY = 0.002
_CELLS = (8, 6)
"""Parts of the picture, across and down, of which each gets its share of the features."""
_WINDOW = (17, 17)
_LEVELS = 4
_RETURN = 0.5
"""px by which a feature followed forth and back may miss itself."""
_DRIFT = 1.5
"""px by which a feature followed from frame to frame may lie beside what it looked like at first; there it is put, so
that errors do not add up."""
_CHANGE = 20.0
"""Grey levels by which it may look different from then."""
_MARGIN = 0.15
"""Of a person's longer side, by which a box around the joints is widened: they lie inside the body."""
_SHORTEST = 24
"""px of that side at least: a person of whom little is known still covers something."""

_SURVIVORS = 0.35
"""Share of features below which the picture may have been cut."""
_ALIKE = 0.85
"""Correlation of tiny copies above which two pictures are of one shot, whatever became of the features."""
_MATCHES = 20
"""Matches that agree on a homography, with which two pictures show the same place."""


@dataclass(frozen=True)
class Followed:
    """Where features were seen: one row per observation, sorted by frame.

    Attributes:
        row: (M,) frame's row in the clip.
        feature: (M,) number of the feature.
        place: (M, 2) px of the small copy, (0, 0) the centre of the top-left pixel.
        cuts: rows that begin a new shot.
        looks: number of frames looked at.
        moved: px, the largest median movement among the frames looked at first, where nothing was followed.
    """

    row: np.ndarray
    feature: np.ndarray
    place: np.ndarray
    cuts: tuple[int, ...]
    looks: int
    moved: float = 0.0

    @classmethod
    def nothing(cls, looks: int, moved: float) -> "Followed":
        """Of a background that lies still."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, 2), np.float32), (), looks, moved)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for a cache."""
        return {**vars(self), "cuts": np.array(self.cuts, int)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Followed":
        """What `arrays` gave."""
        single = {
            "cuts": tuple(arrays["cuts"].tolist()),
            "looks": int(arrays["looks"]),
            "moved": float(arrays["moved"]),
        }
        return cls(**{**arrays, **single})


def scale(size: tuple[int, int]) -> float:
    """Small copy's px per px of a picture of this size."""
    return min(1.0, SIDE / max(size))


def small(image: np.ndarray) -> np.ndarray:
    """Grey copy (h, w) uint8 of an RGB picture (H, W, 3), at most `SIDE` px long."""
    factor = scale(image.shape[1::-1])
    if factor < 1:
        shape = (max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def boxes(joints: np.ndarray, factor: float) -> np.ndarray:
    """(T, P, 4) px of the small copy: left, top, right, bottom of what each person may cover; NaN where absent.

    Args:
        joints: (P, T, J, 2) px of the video, NaN where unknown.
        factor: small copy's px per px of the video.
    """
    known = np.isfinite(joints).all(-1, keepdims=True)
    low = np.where(known, joints, np.inf).min(2) * factor
    high = np.where(known, joints, -np.inf).max(2) * factor
    with np.errstate(invalid="ignore"):
        margin = np.maximum((high - low).max(-1, keepdims=True) * _MARGIN, _SHORTEST / 2)
        found = np.concatenate([low - margin, high + margin], -1)
    found[~np.isfinite(found).all(-1)] = np.nan
    return found.swapaxes(0, 1)


def background(shape: tuple[int, int], covered: np.ndarray) -> np.ndarray:
    """Mask (h, w) uint8, 255 where none of the boxes (P, 4) is."""
    mask = np.full(shape, 255, np.uint8)
    for left, top, right, bottom in covered[np.isfinite(covered).all(-1)].round().astype(int):
        mask[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)] = 0
    return mask


def find(grey: np.ndarray, mask: np.ndarray, places: np.ndarray, most: int = _MOST) -> np.ndarray:
    """(N, 2) px of the corners that are best to follow where the mask is set, apart from features (M, 2) that are
    followed already; spread over the picture, so that no checked tablecloth holds them all."""
    free = mask.copy()
    for x, y in places.round().astype(int):
        cv2.circle(free, (int(x), int(y)), _SPACING, 0, -1)
    corners = cv2.goodFeaturesToTrack(grey, 4 * most, _QUALITY, _SPACING, mask=free, blockSize=5)
    if corners is None:
        return np.zeros((0, 2), np.float32)
    corners = corners.reshape(-1, 2)
    cells = np.array(_CELLS)
    per_cell = -(-most // cells.prod())
    cell = (np.concatenate([places, corners]) / grey.shape[::-1] * cells).astype(int) @ [1, cells[0]]
    # the best corners come first, and in each cell those that are followed already before all
    order = np.argsort(cell, kind="stable")
    rank = np.empty(len(cell), int)
    rank[order] = np.arange(len(cell)) - np.searchsorted(cell[order], cell[order])
    return corners[rank[len(places) :] < per_cell][: max(most - len(places), 0)]


def follow(
    before: np.ndarray, after: np.ndarray, places: np.ndarray, guess: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Where features (N, 2) of one small copy are in another, (N, 2), and whether they were found, (N,) bool."""
    if not len(places):
        return places, np.zeros(0, bool)
    options = {"winSize": _WINDOW, "maxLevel": _LEVELS}
    start = None if guess is None else guess.astype(np.float32)
    flags = 0 if guess is None else cv2.OPTFLOW_USE_INITIAL_FLOW
    forth, found, _ = cv2.calcOpticalFlowPyrLK(before, after, places, start, flags=flags, **options)
    back, again, _ = cv2.calcOpticalFlowPyrLK(
        after, before, forth, places.copy(), flags=cv2.OPTFLOW_USE_INITIAL_FLOW, **options
    )
    height, width = after.shape
    inside = (forth > 0).all(-1) & (forth < (width - 1, height - 1)).all(-1)
    returned = np.linalg.norm(back - places, axis=-1) < _RETURN
    return forth, (found.ravel() > 0) & (again.ravel() > 0) & inside & returned


def settle(
    first: np.ndarray, after: np.ndarray, starts: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Followed features (N, 2) put where they look most like at their start (N, 2) in a first small copy; and (N,)
    bool, whether they still do."""
    options = {"winSize": _WINDOW, "maxLevel": 1, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    there, found, change = cv2.calcOpticalFlowPyrLK(first, after, starts, places.copy(), **options)
    near = np.linalg.norm(there - places, axis=-1) < _DRIFT
    return there, (found.ravel() > 0) & near & (change.ravel() < _CHANGE)


def clear(mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N,) bool, whether the mask is set at places (N, 2)."""
    at = places.round().astype(int)
    return mask[at[:, 1].clip(0, mask.shape[0] - 1), at[:, 0].clip(0, mask.shape[1] - 1)] > 0


def follow_all(pictures: Iterable[tuple[np.ndarray, np.ndarray]]) -> Followed:
    """Follow features through small grey copies (h, w), each with the boxes (P, 4) of its people."""
    rows: list[np.ndarray] = []
    names: list[np.ndarray] = []
    where: list[np.ndarray] = []
    cuts: list[int] = []
    before, mask_before = None, None
    places, features = np.zeros((0, 2), np.float32), np.zeros(0, int)
    firsts: dict[int, np.ndarray] = {}  # pictures in which features that are still followed were found
    starts, births = places, features
    count = 0
    for row, (grey, covered) in enumerate(pictures):
        mask = background(grey.shape, covered)
        if before is not None:
            moved, found = follow(before, grey, places)
            if found.sum() < max(_SURVIVORS * len(places), 12) and not _alike(before, grey):
                guess = _same_place(before, mask_before, grey, mask)
                if guess is None:
                    cuts.append(row)
                    found[:] = False
                elif len(places):
                    moved, found = follow(before, grey, places, cv2.perspectiveTransform(places[:, None], guess)[:, 0])
            found &= clear(mask, moved)
            for born, first in firsts.items():
                mine = np.flatnonzero(found & (births == born))
                if len(mine):
                    moved[mine], found[mine] = settle(first, grey, starts[mine], moved[mine])
            places, features, starts, births = moved[found], features[found], starts[found], births[found]
            firsts = {born: first for born, first in firsts.items() if born in births}
        if len(places) < _FEWEST:
            new = find(grey, mask, places)
            places = np.concatenate([places, new])
            features = np.concatenate([features, count + np.arange(len(new))])
            starts, births = np.concatenate([starts, new]), np.concatenate([births, np.full(len(new), row)])
            firsts[row] = grey
            count += len(new)
        rows.append(np.full(len(places), row, np.int32))
        names.append(features.astype(np.int32))
        where.append(places)
        before, mask_before = grey, mask
    return Followed(
        np.concatenate([np.zeros(0, np.int32), *rows]),
        np.concatenate([np.zeros(0, np.int32), *names]),
        np.concatenate([np.zeros((0, 2), np.float32), *where]),
        tuple(cuts),
        len(rows),
    )


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    tiny = [cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA).ravel().astype(float) for image in (one, other)]
    if min(values.std() for values in tiny) < 1:
        return all(values.std() < 1 for values in tiny)
    return float(np.corrcoef(*tiny)[0, 1]) > _ALIKE


def _same_place(one: np.ndarray, mask_one: np.ndarray, other: np.ndarray, mask_other: np.ndarray) -> np.ndarray | None:
    """Homography (3, 3) between two pictures of the same background, or None where they show different places."""
    orb = cv2.ORB_create(1000)
    (points, about), (points_other, about_other) = (
        orb.detectAndCompute(image, mask) for image, mask in ((one, mask_one), (other, mask_other))
    )
    if about is None or about_other is None or min(len(points), len(points_other)) < _MATCHES:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(about, about_other)
    if len(pairs) < _MATCHES:
        return None
    start = np.float32([points[pair.queryIdx].pt for pair in pairs])
    end = np.float32([points_other[pair.trainIdx].pt for pair in pairs])
    homography, inliers = cv2.findHomography(start, end, cv2.USAC_MAGSAC, 3.0)
    return homography if homography is not None and inliers.sum() >= _MATCHES else None
