"""How a camera moved during one shot, as a turn about its place or as a free path, from followed features."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from vp3d.camera_motion.bundle import Adjusted, Cameras, Observations, Points, Unknown, adjust, projected

_KEY_MOVE = 0.015
"""Of the small copy's longer side, by which features move from one key-frame to the next; or so many frames pass."""
_KEY_FRAMES = 20
_KEY_SHARED = 0.6
"""Share of a key-frame's features that the next one still sees."""
_FEWEST = 8
"""Features without which a frame's camera is taken from its neighbours'."""
_PARALLAX = 0.008
"""Of the longer side, by which features differ from a pure turn between two key-frames that a path can begin with."""
_RAY_PX = 0.5
"""px of the small copy that a ray is off."""
_STARTS, _AGREE = 4, 0.03
"""Beginnings that are tried at most, until one leaves the same error, give or take, as the best before."""
_GROWTH = 4
"""Key-frames added between two adjustments of everything."""
_CHUNK = 400
"""Frames whose cameras are placed at once among known points."""


@dataclass(frozen=True)
class Shot:
    """Features of one shot.

    Attributes:
        frames: number of frames.
        row: (M,) frame of each observation, from 0, in order.
        feature: (M,) number of the feature, from 0.
        place: (M, 2) px of the small copy from the principal point, undistorted.
        side: px, longer side of the small copy.
        focal: px of the small copy, as far as the lens is known before.
        focal_sigma: relative sigma of it, 0 where it is known.
    """

    frames: int
    row: np.ndarray
    feature: np.ndarray
    place: np.ndarray
    side: float
    focal: float
    focal_sigma: float

    @property
    def prior(self) -> tuple[float, float] | None:
        """What the bundle is told of the focal length."""
        return (float(np.log(self.focal)), self.focal_sigma) if self.focal_sigma > 0 else None


@dataclass(frozen=True)
class Track:
    """Cameras of every frame of a shot, how far features lie from them, and what is known of the focal length.

    Attributes:
        cameras: of the T frames, first one at the origin with unit rotation and zoom; place in units of the median
            distance of the background.
        error: (M,) px of the small copy, of each of the shot's observations; NaN where the feature was not used.
        moved: (M,) px from where the first frame's camera would have seen it; 0 where the feature was not used.
        focal_sigma: relative.
        keys: number of key-frames.
        points: number of features.
    """

    cameras: Cameras
    error: np.ndarray
    moved: np.ndarray
    focal_sigma: float
    keys: int
    points: int


def key_frames(shot: Shot) -> np.ndarray:
    """Rows of key-frames, first and last frame among them, close enough for neighbours to share most features."""
    starts = np.searchsorted(shot.row, np.arange(shot.frames + 1))
    keys = [0]
    at = dict(zip(shot.feature[: starts[1]].tolist(), shot.place[: starts[1]], strict=True))
    for row in range(1, shot.frames):
        part = slice(starts[row], starts[row + 1])
        moved = [
            np.linalg.norm(p - at[f])
            for f, p in zip(shot.feature[part].tolist(), shot.place[part], strict=True)
            if f in at
        ]
        far = not moved or np.median(moved) > _KEY_MOVE * shot.side or len(moved) < _KEY_SHARED * len(at)
        if far or row - keys[-1] >= _KEY_FRAMES or row == shot.frames - 1:
            keys.append(row)
            at = dict(zip(shot.feature[part].tolist(), shot.place[part], strict=True))
    return np.array(keys)


def _on_keys(shot: Shot, keys: np.ndarray, shortest: int) -> tuple[Observations, np.ndarray]:
    """What the key-frames see of features that at least `shortest` of them see; and which features those are."""
    on = np.isin(shot.row, keys)
    counts = np.bincount(shot.feature[on], minlength=int(shot.feature.max(initial=-1)) + 1)
    on &= counts[shot.feature] >= shortest
    features, point = np.unique(shot.feature[on], return_inverse=True)
    return Observations(np.searchsorted(keys, shot.row[on]), point, shot.place[on]), features


def _bearings(place: np.ndarray, focal: float) -> np.ndarray:
    rays = np.concatenate([place / focal, np.ones((len(place), 1))], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _turn_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) that takes unit vectors (N, 3) to others, robustly: Kabsch with reweighting."""
    weight = np.ones(len(one))
    rotation = np.eye(3)
    for _ in range(8):
        rotation = Rotation.align_vectors(other, one, weights=weight)[0].as_matrix()
        error = np.linalg.norm(one @ rotation.T - other, axis=-1)
        weight = 1 / (1 + (error / (2 * np.median(error) + 1e-6)) ** 2) ** 2
    return rotation


def turning(shot: Shot, zooms: bool) -> Track | None:
    """The camera turns about its place, and zooms if it may; None where too little can be followed."""
    keys = key_frames(shot)
    seen, features = _on_keys(shot, keys, min(3, len(keys)))
    if len(features) < _FEWEST:
        return None
    count = len(keys)
    cameras = Cameras(np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)), np.zeros(count), shot.focal)
    by_key = [np.flatnonzero(seen.camera == key) for key in range(count)]
    for key in range(1, count):
        shared, a, b = np.intersect1d(seen.point[by_key[key - 1]], seen.point[by_key[key]], return_indices=True)
        if len(shared) < 4:
            cameras.rotation[key], cameras.log_zoom[key] = cameras.rotation[key - 1], cameras.log_zoom[key - 1]
            continue
        before, after = seen.place[by_key[key - 1][a]], seen.place[by_key[key][b]]
        grown = 0.0
        if zooms:
            similar, _ = cv2.estimateAffinePartial2D(before, after, method=cv2.RANSAC, ransacReprojThreshold=2.0)
            grown = 0.0 if similar is None else float(np.log(max(np.hypot(similar[0, 0], similar[1, 0]), 1e-3)))
        cameras.log_zoom[key] = cameras.log_zoom[key - 1] + grown
        rays = [_bearings(p, shot.focal * np.exp(cameras.log_zoom[k])) for p, k in ((before, key - 1), (after, key))]
        cameras.rotation[key] = _turn_between(*rays) @ cameras.rotation[key - 1]
    rays = _bearings(seen.place / np.exp(cameras.log_zoom[seen.camera])[:, None], shot.focal)
    rays = np.einsum("mji,mj->mi", cameras.rotation[seen.camera], rays)
    direction = np.stack([np.bincount(seen.point, axis, len(features)) for axis in rays.T], -1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    points = Points(direction, np.zeros(len(features)))
    unknown = Unknown(zoom=zooms, focal_prior=shot.prior)
    adjusted = adjust(cameras, points, seen, unknown, 40)
    return _whole(shot, keys, cameras, points, features, unknown, adjusted.focal_sigma)


def travelling(shot: Shot, turned: Track, zooms: bool) -> Track | None:
    """The camera moves freely; None where the background shows too little of it.

    Begins with two key-frames whose essential matrix is well determined (Nister 2004, by OpenCV), and goes on from
    neighbour to neighbour, each camera placed among the points known so far. Walls leave an essential matrix ambiguous,
    so several beginnings are tried, until two agree.

    Args:
        shot: its features.
        turned: the same shot, as if the camera only turned.
        zooms: whether the focal length may change.
    """
    keys = key_frames(shot)
    seen, features = _on_keys(shot, keys, 3)
    if len(features) < 2 * _FEWEST or len(keys) < 3:
        return None
    best, least = None, np.inf
    for pair in _pairs(shot, seen, len(keys))[:_STARTS]:
        track = _grow(shot, turned, zooms, keys, seen, features, pair)
        error = np.inf if track is None else np.nanmedian(track.error)
        agree = abs(error - least) < _AGREE * least
        if error < least:
            best, least = track, error
        if agree:
            break
    return best


def _grow(
    shot: Shot,
    turned: Track,
    zooms: bool,
    keys: np.ndarray,
    seen: Observations,
    features: np.ndarray,
    pair: tuple[int, int],
) -> Track | None:
    """The whole path from two of its key-frames; None where it does not get far."""
    cameras = turned.cameras.at(keys)
    cameras.place = cameras.place.copy()
    if not zooms:
        cameras.log_zoom = np.zeros(len(keys))
        cameras.focal = shot.focal
    begun = _begin(cameras, seen, len(features), pair)
    if begun is None:
        return None
    (first, second), (points, known) = pair, begun
    placed = np.zeros(len(keys), bool)
    placed[[first, second]] = True
    # between the two, then outwards
    order = sorted(
        range(len(keys)), key=lambda key: (not first < key < second, min(abs(key - first), abs(key - second)))
    )
    alone = Unknown(place=True, zoom=zooms, points=False, fixed=None)
    together = Unknown(place=True, zoom=zooms, depth=True, fixed=first, focal_prior=shot.prior)
    since = 0
    for key in (key for key in order if not placed[key]):
        near = np.flatnonzero(placed)
        beside = near[np.abs(near - key).argmin()]
        mine = seen.among((seen.camera == key) & known[seen.point])
        if len(mine.place) < _FEWEST:
            continue
        step = turned.cameras.rotation[keys[key]] @ turned.cameras.rotation[keys[beside]].T
        one = Cameras(
            (step @ cameras.rotation[beside])[None],
            cameras.place[[beside]].copy(),
            cameras.log_zoom[[beside]].copy(),
            cameras.focal,
        )
        mine.camera = np.zeros(len(mine.camera), int)
        adjust(one, points, mine, alone, 30)
        cameras.put([key], one)
        placed[key] = True
        since += 1
        new = ~known & (np.bincount(seen.point[placed[seen.camera]], minlength=len(known)) >= 2)
        usual = max(float(np.median(points.inverse[known])), 1e-3)
        _triangulate(cameras, points, seen.among(placed[seen.camera]), new, usual)
        known |= new
        if since % _GROWTH == 0:
            _adjust_some(cameras, points, seen, placed, known, together, 8)
    if placed.sum() < max(3, 0.5 * len(keys)):
        return None
    adjusted = _adjust_some(cameras, points, seen, placed, known, together, 40)
    return _whole(
        shot,
        keys[placed],
        cameras.at(placed),
        Points(points.direction[known], points.inverse[known]),
        features[known],
        together,
        adjusted.focal_sigma,
    )


def _pairs(shot: Shot, seen: Observations, keys: int) -> list[tuple[int, int]]:
    """Pairs of key-frames that a path can begin with, the best first, no two with the same first one."""
    pairs = []
    by_key = [np.flatnonzero(seen.camera == key) for key in range(keys)]
    for first in range(0, keys - 1, max(keys // 12, 1)):
        scores = {}
        for second in range(first + 1, min(first + 25, keys)):
            one, other = _shared(seen, by_key[first], by_key[second])
            if len(one) < 2 * _FEWEST:
                continue
            rays = [_bearings(seen.place[rows], shot.focal) for rows in (one, other)]
            turned = rays[0] @ _turn_between(*rays).T
            parallax = np.median(np.linalg.norm(turned - rays[1], axis=-1)) * shot.focal
            if parallax > 1.0:
                scores[second] = min(parallax / (_PARALLAX * shot.side), 4.0) * np.sqrt(len(one))
        if scores:
            second = max(scores, key=scores.get)
            pairs.append((scores[second], (first, second)))
    return [pair for _, pair in sorted(pairs, reverse=True)]


def _shared(seen: Observations, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows among `one` and among `other` that see the same points, in the same order."""
    _, a, b = np.intersect1d(seen.point[one], seen.point[other], return_indices=True)
    return one[a], other[b]


def _begin(cameras: Cameras, seen: Observations, count: int, pair: tuple[int, int]) -> tuple[Points, np.ndarray] | None:
    """Put the cameras of two key-frames in place; the points that they see, and (count,) bool which those are."""
    first, second = pair
    rows = _shared(seen, *(np.flatnonzero(seen.camera == key) for key in pair))
    shared, one, other = seen.point[rows[0]], *(seen.place[row] for row in rows)
    plane = [place / cameras.focal for place in (one, other)]
    essential, inliers = cv2.findEssentialMat(
        *plane, np.eye(3), method=cv2.USAC_MAGSAC, prob=0.9999, threshold=1.0 / cameras.focal
    )
    if essential is None or essential.shape != (3, 3):
        return None
    _, R, t, _, triangulated = cv2.recoverPose(essential, *plane, np.eye(3), distanceThresh=1e3, mask=inliers)
    homogeneous = triangulated.T
    length = np.linalg.norm(homogeneous[:, :3], axis=-1)
    sign = np.where(homogeneous[:, 2] < 0, -1.0, 1.0)
    direction = homogeneous[:, :3] / np.maximum(length, 1e-12)[:, None] * sign[:, None]
    inverse = homogeneous[:, 3] / np.maximum(length, 1e-12) * sign
    good = (inliers.ravel() > 0) & (inverse > 0)
    if good.sum() < _FEWEST:
        return None
    unit = np.median(inverse[good])
    points = Points(np.tile([0.0, 0.0, 1.0], (count, 1)), np.zeros(count))
    points.direction[shared[good]], points.inverse[shared[good]] = direction[good], inverse[good] / unit
    known = np.zeros(count, bool)
    known[shared[good]] = True
    cameras.rotation[first], cameras.place[first] = np.eye(3), 0.0
    cameras.rotation[second], cameras.place[second] = R, (-R.T @ t.ravel()) * unit
    cameras.log_zoom[[first, second]] = 0.0
    return points, known


def _triangulate(cameras: Cameras, points: Points, seen: Observations, new: np.ndarray, usual: float) -> None:
    """Place new points, (P,) bool, where the rays of all observations meet best: Hartley and Zisserman, 12.2.

    `usual` is the inverse distance that is expected of them.
    """
    seen = seen.among(new[seen.point])
    if not len(seen.point):
        return
    names, point = np.unique(seen.point, return_inverse=True)
    rays = _bearings(seen.place / np.exp(cameras.log_zoom[seen.camera])[:, None], cameras.focal)
    R = cameras.rotation[seen.camera]
    onto = np.concatenate([R, -(R @ cameras.place[seen.camera, :, None])], -1)
    rows = onto - rays[..., None] * np.einsum("mi,mij->mj", rays, onto)[:, None]
    squares = np.einsum("mia,mib->mab", rows, rows).reshape(-1, 16)
    normal = np.stack([np.bincount(point, column, len(names)) for column in squares.T], -1).reshape(-1, 4, 4)
    # two rays that are nearly one say little about how far away they meet: as far as others, give or take
    expected = np.concatenate([np.einsum("mij,mi->mj", R, rays) * -usual, np.ones((len(rays), 1))], -1)
    _, first = np.unique(point, return_index=True)
    expected = expected[first] * (_RAY_PX / cameras.focal / usual)
    normal += np.einsum("pa,pb->pab", expected, expected)
    homogeneous = np.linalg.eigh(normal)[1][..., 0]
    facing = np.bincount(point, np.einsum("mi,mij,mj->m", rays, onto, homogeneous[point]), len(names))
    homogeneous *= np.where(facing < 0, -1.0, 1.0)[:, None]
    length = np.maximum(np.linalg.norm(homogeneous[:, :3], axis=-1), 1e-9)
    points.direction[names] = homogeneous[:, :3] / length[:, None]
    points.inverse[names] = np.maximum(homogeneous[:, 3] / length, 0.0)


def _adjust_some(
    cameras: Cameras,
    points: Points,
    seen: Observations,
    placed: np.ndarray,
    known: np.ndarray,
    unknown: Unknown,
    steps: int,
) -> Adjusted:
    """Adjust the cameras and points that have their place so far; `unknown.fixed` counts all cameras."""
    seen = seen.among(placed[seen.camera] & known[seen.point])
    camera, point = np.cumsum(placed) - 1, np.cumsum(known) - 1
    seen = Observations(camera[seen.camera], point[seen.point], seen.place)
    some, those = cameras.at(placed), Points(points.direction[known], points.inverse[known])
    adjusted = adjust(some, those, seen, replace(unknown, fixed=int(camera[unknown.fixed])), steps)
    cameras.put(placed, some)
    points.direction[known], points.inverse[known] = those.direction, those.inverse
    return adjusted


def _whole(
    shot: Shot,
    keys: np.ndarray,
    cameras: Cameras,
    points: Points,
    features: np.ndarray,
    unknown: Unknown,
    focal_sigma: float,
) -> Track:
    """Cameras of all frames from those of the key-frames, each placed alone among the points."""
    rows = np.arange(shot.frames)
    inside = rows.clip(keys[0], keys[-1])
    turns = (
        Slerp(keys, Rotation.from_matrix(cameras.rotation))(inside).as_matrix()
        if len(keys) > 1
        else np.tile(cameras.rotation, (len(rows), 1, 1))
    )
    every = Cameras(
        turns,
        np.stack([np.interp(rows, keys, axis) for axis in cameras.place.T], -1),
        np.interp(rows, keys, cameras.log_zoom),
        cameras.focal,
    )
    used = np.flatnonzero(np.isin(shot.feature, features))
    seen = Observations(shot.row[used], np.searchsorted(features, shot.feature[used]), shot.place[used])
    enough = np.bincount(seen.camera, minlength=shot.frames) >= _FEWEST
    alone = replace(unknown, points=False, depth=False, fixed=None, focal_prior=None)
    for start in range(0, shot.frames, _CHUNK):
        part = slice(start, min(start + _CHUNK, shot.frames))
        some, mine = (
            every.at(part),
            seen.among((seen.camera >= start) & (seen.camera < part.stop) & enough[seen.camera]),
        )
        if len(mine.place):
            adjust(some, points, Observations(mine.camera - start, mine.point, mine.place), alone, 15)
            every.put(part, some)
    place, in_camera = projected(every, points, seen)
    error = np.full(len(shot.row), np.nan)
    error[used] = np.linalg.norm(place - seen.place, axis=-1)
    at_first, _ = projected(every, points, Observations(np.zeros_like(seen.camera), seen.point, seen.place))
    moved = np.zeros(len(shot.row))
    moved[used] = np.nan_to_num(np.linalg.norm(place - at_first, axis=-1))
    unit = 1.0
    if unknown.place:
        inverse = points.inverse[seen.point]
        near = inverse > 1e-6
        unit = float(np.median(np.linalg.norm(in_camera, axis=-1)[near] / inverse[near])) if near.any() else 1.0
    first = every.rotation[0]
    return Track(
        Cameras(
            every.rotation @ first.T,
            (every.place - every.place[0]) @ first.T / unit,
            every.log_zoom - every.log_zoom[0],
            float(every.focal * np.exp(every.log_zoom[0])),
        ),
        error,
        moved,
        focal_sigma,
        len(keys),
        len(features),
    )
