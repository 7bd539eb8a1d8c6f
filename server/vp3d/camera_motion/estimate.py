"""Static, tripod or free: the camera's motion from what the followed features of the background allow."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from vp3d import media
from vp3d.camera_motion import features
from vp3d.camera_motion.features import Followed
from vp3d.camera_motion.paths import Shot, Track, travelling, turning
from vp3d.camera_motion.types import CameraMotion, still
from vp3d.cameras import undistort_points
from vp3d.progress import Progress, silent

STAGE = "camera"

_PROBE_SECONDS = 0.5
_FEWEST_PROBES = 8
"""How often a clip is looked at before its background is followed, and how often at least."""
_PROBED = 150
"""Features followed from one such look to the next."""
_FOUND = 0.3
"""Share of them without which the background is not the same any more."""
_STILL = 0.5
"""px of the small copy within which the median feature of a still camera stays."""
_ENOUGH = 8
"""Features without which nothing can be said."""
_MOVED = 1.0
"""px of the small copy by which a motion has to move the median feature: features that rest creep, too."""
_SUSTAINED = 3
"""Frames in which it has to."""
_SHARE = 0.7
"""Share of the features by whose error a motion is judged: the rest may be leaves, screens, and people not found."""
_PROVEN = 0.5
"""What may be left of a still camera's error where a motion explains the background."""
_BETTER, _BETTER_PX = 1.3, 0.12
"""A richer motion is believed only where a simpler one leaves more than so many times its error and so many px."""
_ZOOMED = 0.02
"""Relative change of the focal length below which there is none."""
_TURNED = np.radians(0.01)
"""Turn below which there is none."""
_POOR = 2.0
"""px of the small copy: a motion that leaves more explains nothing."""
_TOLD = 0.7
"""Share of the lens's uncertainty that the background has to take away, to be said to tell the focal length."""


@dataclass(frozen=True)
class Clip:
    """What of a video is looked at.

    Attributes:
        video: a file or an image sequence.
        frames: (T,) evenly spaced frame numbers.
        joints: (P, T, J, 2) px, everybody's; NaN where unknown.
        size: width and height, px.
        fps: frames per second of the video.
    """

    video: Path
    frames: np.ndarray
    joints: np.ndarray
    size: tuple[int, int]
    fps: float


@dataclass(frozen=True)
class _Solved:
    """A shot's motion, None where the camera stands still; its error (px of the small copy), and whether it is sure."""

    kind: str
    track: Track | None
    error: float
    sure: bool = True


def watch(clip: Clip, progress: Progress = silent) -> Followed:
    """Follow the background outside the people through a clip, if it moves at all.

    A few frames are looked at first; where the background lies still in all of them, that is all there is to see.

    Args:
        clip: frames and people.
        progress: called as "camera"; may raise `Cancelled`.
    """
    covered = features.boxes(clip.joints, features.scale(clip.size))
    looks, moved = _look(clip, covered, progress)
    if moved > _STILL:
        return features.follow_all(_pictures(clip, covered, progress))
    progress(STAGE, len(clip.frames), len(clip.frames))
    return Followed.nothing(looks, moved)


def estimate(
    clip: Clip,
    followed: Followed,
    K: np.ndarray,
    distortion: np.ndarray,
    focal_sigma: float,
    progress: Progress = silent,
) -> CameraMotion:
    """How the camera moved: for each shot the simplest motion that explains the background.

    A camera stands still unless its motion is proven.

    Args:
        clip: frames and people.
        followed: what `watch` saw of its background.
        K: (3, 3) px, the lens as far as it is known.
        distortion: (5,) of the lens.
        focal_sigma: relative sigma of the focal length in K, 0 where it is known.
        progress: called as "camera" before each shot; may raise `Cancelled`.
    """
    factor = features.scale(clip.size)
    if not len(followed.row):
        note = "The camera stands still: the background does not move."
        return still(clip.frames, followed.moved / factor, {"frames": followed.looks}, note)
    bounds = [0, *followed.cuts, len(clip.frames)]
    solved = []
    for start, end in pairwise(bounds):
        progress(STAGE, start, len(clip.frames))
        solved.append(_solve(_shot(followed, start, end, clip.size, K, distortion, focal_sigma)))
    progress(STAGE, len(clip.frames), len(clip.frames))
    return _together(clip, bounds, solved, K, focal_sigma)


def _read(clip: Clip, every: int) -> Iterator[media.Frame]:
    step = int(clip.frames[1] - clip.frames[0]) if len(clip.frames) > 1 else 1
    yield from media.read_frames(clip.video, int(clip.frames[0]), int(clip.frames[-1]) + 1, step * every)


def _look(clip: Clip, covered: np.ndarray, progress: Progress) -> tuple[int, float]:
    """How many frames were looked at, and the largest median movement (px of the small copy) among them."""
    step = int(clip.frames[1] - clip.frames[0]) if len(clip.frames) > 1 else 1
    every = max(round(_PROBE_SECONDS * clip.fps / step), 1)
    every = max(min(every, len(clip.frames) // _FEWEST_PROBES), 1)
    looks, largest = 0, 0.0
    earlier: list[tuple[np.ndarray, np.ndarray]] = []  # the first picture and the last, with their features
    for number, frame in enumerate(_read(clip, every)):
        progress(STAGE, 0, len(clip.frames))
        grey = features.small(frame.image)
        mask = features.background(grey.shape, covered[min(number * every, len(covered) - 1)])
        for before, places in earlier:
            largest = max(largest, _moved(before, places, grey, mask))
        looks += 1
        if largest > _STILL:
            break
        earlier = [*earlier[:1], (grey, features.find(grey, mask, np.zeros((0, 2), np.float32), _PROBED))][-2:]
    return looks, largest


def _moved(before: np.ndarray, places: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:
    """Median movement (px) of features (N, 2); infinite where most are not found again."""
    places = places[features.clear(mask, places)]
    if len(places) < _ENOUGH:
        return 0.0
    there, found = features.follow(before, after, places)
    if found.sum() < _FOUND * len(places):
        return np.inf
    return float(np.median(np.linalg.norm(there - places, axis=-1)[found]))


def _pictures(clip: Clip, covered: np.ndarray, progress: Progress) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for row, frame in zip(range(len(clip.frames)), _read(clip, 1), strict=False):
        if row % 10 == 0:
            progress(STAGE, row, len(clip.frames))
        # a joint may be missing where its neighbours in time have it
        yield features.small(frame.image), covered[max(row - 1, 0) : row + 2].reshape(-1, 4)
    progress(STAGE, len(clip.frames), len(clip.frames))


def _shot(
    followed: Followed,
    start: int,
    end: int,
    size: tuple[int, int],
    K: np.ndarray,
    distortion: np.ndarray,
    focal_sigma: float,
) -> Shot:
    factor = features.scale(size)
    mine = (followed.row >= start) & (followed.row < end)
    _, feature = np.unique(followed.feature[mine], return_inverse=True)
    pixels = undistort_points((followed.place[mine] + 0.5) / factor - 0.5, K, distortion)
    focal = K[0, 0] * factor
    place = (pixels - K[:2, 2]) / np.diag(K)[:2] * focal
    return Shot(end - start, followed.row[mine] - start, feature, place, max(size) * factor, focal, focal_sigma)


def _solve(shot: Shot) -> _Solved:
    resting = _resting_error(shot)
    medians = _frame_medians(shot, resting)
    hot, sure = medians > _STILL, (medians > _MOVED).sum() < _SUSTAINED
    if hot.sum() < _SUSTAINED:
        return _Solved("static", None, _judge(resting))
    tried = _attempts(shot)
    comparable = np.isfinite([track.error for _, track in tried]).all(0)
    errors = [_judge(track.error[comparable]) for _, track in tried]
    if not comparable.any() or min(errors) > _POOR:
        return _Solved("static", None, _judge(resting), sure)
    enough = max(_BETTER * min(errors), min(errors) + _BETTER_PX)
    simplest = next(i for i, error in enumerate(errors) if error <= enough)
    kind, track = tried[simplest]
    seen = hot[shot.row] & comparable
    if not seen.any() or np.median(track.error[seen]) > _PROVEN * np.median(resting[seen]):
        return _Solved("static", None, _judge(resting), sure)
    if (_frame_medians(shot, track.moved) > _MOVED).sum() < _SUSTAINED:
        return _Solved("static", None, _judge(resting))
    if kind == "tripod" and _largest_turn(track) < _TURNED:
        kind = "static"
    return _Solved(kind, track, errors[simplest])


def _attempts(shot: Shot) -> list[tuple[str, Track]]:
    """Motions that could explain a shot, the simplest first, as far as simpler ones leave something to explain."""
    tried: list[tuple[str, Track]] = []
    turned = turning(shot, zooms=False)
    if turned is None:
        return tried
    tried.append(("tripod", turned))
    if _judge(turned.error) > _BETTER_PX:
        zoomed = turning(shot, zooms=True) or turned
        tried.append(("tripod", zoomed))
        if _judge(zoomed.error) > _BETTER_PX:
            free = travelling(shot, turned, zooms=False)
            if free is None or _judge(free.error) > _POOR:
                free = travelling(shot, zoomed, zooms=True) or free
            if free is not None:
                tried.append(("free", free))
    return tried


def _resting_error(shot: Shot) -> np.ndarray:
    """(M,) px from the middle of where each feature was seen."""
    middle = np.zeros((int(shot.feature.max(initial=-1)) + 1, 2))
    order = np.argsort(shot.feature, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(shot.feature[order])) + 1):
        if len(rows):
            middle[shot.feature[rows[0]]] = np.median(shot.place[rows], axis=0)
    return np.linalg.norm(shot.place - middle[shot.feature], axis=-1)


def _frame_medians(shot: Shot, error: np.ndarray) -> np.ndarray:
    starts = np.searchsorted(shot.row, np.arange(shot.frames + 1))
    return np.array([np.median(error[a:b]) if b - a >= _ENOUGH else 0.0 for a, b in pairwise(starts)])


def _judge(error: np.ndarray) -> float:
    error = error[np.isfinite(error)]
    return float(np.quantile(error, _SHARE)) if len(error) else 0.0


def _largest_turn(track: Track) -> float:
    """rad, between the first frame and any other."""
    cosine = (np.einsum("tii->t", track.cameras.rotation) - 1) / 2
    return float(np.arccos(np.clip(cosine, -1, 1)).max())


def _together(clip: Clip, bounds: list[int], solved: list[_Solved], K: np.ndarray, focal_sigma: float) -> CameraMotion:
    T, factor = len(clip.frames), features.scale(clip.size)
    rotation, position, zoom = np.tile(np.eye(3), (T, 1, 1)), np.zeros((T, 3)), np.ones(T)
    focal, sigma = None, None
    for (start, end), shot in zip(pairwise(bounds), solved, strict=True):
        if shot.track is None:
            continue
        rows, cameras = slice(start, end), shot.track.cameras
        rotation[rows] = cameras.rotation
        if shot.kind == "free":
            position[rows] = cameras.place
        if 0 < shot.track.focal_sigma < _TOLD * focal_sigma:
            if focal is None:
                focal, sigma = cameras.focal / factor, shot.track.focal_sigma
            zoom[rows] = cameras.focal / factor / focal
        if np.ptp(cameras.log_zoom) > _ZOOMED:
            zoom[rows] *= np.exp(cameras.log_zoom)
    kinds = {shot.kind for shot in solved}
    kind = "free" if "free" in kinds else "tripod" if "tripod" in kinds else "static"
    tracks = [shot.track for shot in solved if shot.track is not None]
    return CameraMotion(
        kind=kind,
        frames=np.asarray(clip.frames, np.int32),
        rotation=rotation,
        position=position,
        zoom=zoom,
        shots=tuple(pairwise(bounds)),
        focal_px=focal,
        focal_sigma=sigma,
        sigma_px=float(np.median([shot.error for shot in solved])) / factor,
        counts={
            "frames": T,
            "shots": len(solved),
            "key_frames": sum(track.keys for track in tracks),
            "features": sum(track.points for track in tracks),
        },
        note=_note(kind, solved, zoom),
        sure=all(shot.sure for shot in solved),
    )


def _note(kind: str, solved: list[_Solved], zoom: np.ndarray) -> str:
    did = {"static": "stands still", "tripod": "turns on the spot", "free": "moves freely"}[kind]
    text = f"The camera {did}"
    if np.ptp(zoom) > _ZOOMED and len(solved) == 1:
        text += f" and zooms by a factor of {zoom.max() / zoom.min():.2f}"
    if len(solved) > 1:
        text += f"; the picture is cut into {len(solved)} shots, which are solved apart"
    if not all(shot.sure for shot in solved):
        text += "; the background moves, too, but not as a camera would make it move"
    return text + "."
