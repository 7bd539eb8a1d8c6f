"""Joints repaired where the frames around them leave no doubt: swapped labels, pops, short gaps."""

from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import maximum_filter1d

from vp3d.common.skeletons import BODY_21
from vp3d.common.take import Source
from vp3d.track import oks
from vp3d.track.tracks import Tracks

MAX_GAP_S = 1.0
"""Longest gap (s) that is interpolated."""
INTERPOLATED_CONFIDENCE = 0.5
"""Confidence of an interpolated joint, as a share of the lower one at the ends of its gap."""
MAX_SWAP_FRAMES = 3
"""Longest run of frames in which labels are taken for swapped, not the person for turned."""
MAX_LINK_S = 0.1
"""Longest time (s) over which left and right are followed without being seen."""
MAX_LIMB_SPEED = 8.0
"""Sizes per s (about 6 m/s): what limbs may pass each other with; faster, and their labels traded places."""
MIN_APART = 0.15
"""Distance (in sizes) between left and right from which one can tell that they traded places."""
MAX_MISFIT = 0.35
"""Where sides trade places, each lands nearer than this share of the way to where the other was."""
MAX_FLIPPED = 0.4
"""Larger shares of a stretch are not taken for flipped: nobody could say which part is right."""
POP = 0.1
"""Distance (in sizes) that a detector may miss by without being called wrong."""
MAX_ACCELERATION = 200.0
"""What a limb can do, in sizes per s^2 (about 150 m/s^2)."""

SIZE_S = 1.0
"""Time (s) to both sides whose largest extent of a person is taken for the size: limbs fold, and joints are missed."""

_LIMBS = [
    tuple(np.array([BODY_21.index(f"{side}_{part}") for part in parts]) for side in ("left", "right"))
    for parts in (("eye", "ear"), ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "heel", "toe"))
]
"""Left and right joints that a detector confuses together."""


def fill_gaps(tracks: Tracks, fps: float) -> Tracks:
    """Tracks with swapped sides put right, single-frame pops removed, and inner gaps up to `MAX_GAP_S` interpolated.

    Interpolated joints are marked `Source.INTERPOLATED`, with half the confidence of the weaker end. Nothing is
    extrapolated, and longer gaps stay NaN.

    Args:
        tracks: P people.
        fps: of these frames, per s, as for `track`.
    """
    times = np.arange(len(tracks.frames)) / fps
    joints, confidence, source = tracks.joints.astype(float), tracks.confidence.copy(), tracks.source.copy()
    for person in range(len(joints)):
        scale = maximum_filter1d(oks.size(joints[person]), size=2 * round(SIZE_S * fps) + 1, mode="nearest")
        _unflip(joints[person], confidence[person], source[person], scale, times)
        _unswap(joints[person], confidence[person], source[person], scale)
        pops = _pops(joints[person], times, scale)
        joints[person][pops] = np.nan
        confidence[person][pops] = 0
        source[person][pops] = Source.ABSENT
        _interpolate(joints[person], confidence[person], source[person], times)
    return Tracks(tracks.frames, joints.astype(np.float32), confidence, source)


def _unflip(
    joints: np.ndarray, confidence: np.ndarray, source: np.ndarray, scale: np.ndarray, times: np.ndarray
) -> None:
    """Swap left and right back, in place, in stretches that begin and end with a limb's sides trading places at once.

    A detector takes a stooping back for a front for seconds. People who turn do not teleport: their sides meet first.
    """
    for left, right in _LIMBS:
        apart = _apart(joints[:, left], joints[:, right])
        frames = np.flatnonzero(apart > MIN_APART * scale)
        steps = np.diff(times[frames])
        traded = _traded(joints[frames][:, left], joints[frames][:, right])
        traded &= np.minimum(apart[frames[1:]], apart[frames[:-1]]) > MAX_LIMB_SPEED * steps * scale[frames[1:]]
        for stretch in np.split(np.arange(len(frames)), np.flatnonzero(steps > MAX_LINK_S + 1e-6) + 1):
            flipped = np.cumsum(np.append(False, traded[stretch[:-1]])) % 2 == 1
            if not flipped.any():
                continue
            weight = confidence[np.ix_(frames[stretch], np.append(left, right))].sum(1)
            share = weight[flipped].sum() / max(weight.sum(), 1e-9)
            if share > 0.5:
                flipped, share = ~flipped, 1 - share
            if share <= MAX_FLIPPED:
                _swap((joints, confidence, source), frames[stretch][flipped], left, right)


def _apart(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean distance (px) between left and right (T, L, 2): (T,), 0 where no joint is known on both sides."""
    distance = _distance(left, right)
    known = np.isfinite(distance)
    return np.where(known, distance, 0).sum(1) / np.maximum(known.sum(1), 1)


def _traded(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether left and right (T, L, 2) trade places between each of T frames and the next: (T - 1,) bool."""
    stay = _distance(left[1:], left[:-1]) + _distance(right[1:], right[:-1])
    swap = _distance(right[1:], left[:-1]) + _distance(left[1:], right[:-1])
    known = np.isfinite(stay)
    stays, swaps = (np.where(known, cost, 0).sum(1) for cost in (stay, swap))
    return swaps < MAX_MISFIT * stays


def _swap(arrays: tuple[np.ndarray, ...], frames: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    for values in arrays:
        values[np.ix_(frames, left)], values[np.ix_(frames, right)] = (
            values[np.ix_(frames, right)],
            values[np.ix_(frames, left)],
        )


def _unswap(joints: np.ndarray, confidence: np.ndarray, source: np.ndarray, scale: np.ndarray) -> None:
    """Swap left and right back, in place, in short runs of frames where that brings a limb to where it has to be.

    Where a joint has to be is the straight line between the frames before and after the run.
    """
    for left, right in _LIMBS:
        for length in range(1, MAX_SWAP_FRAMES + 1):
            free = 0
            for start in np.flatnonzero(_swapped(joints[:, left], joints[:, right], length, scale)) + 1:
                if start < free:
                    continue
                _swap((joints, confidence, source), np.arange(start, start + length), left, right)
                free = start + length + 1


def _swapped(left: np.ndarray, right: np.ndarray, length: int, scale: np.ndarray) -> np.ndarray:
    """Whether the runs of `length` frames that begin at frame 1, 2, … have left and right (T, L, 2) swapped."""
    count = max(len(left) - length - 1, 0)
    swapped = np.ones(count, bool)
    before, after = slice(0, count), slice(length + 1, length + 1 + count)
    # Somebody who turns differs before and after; somebody whose labels were swapped does not.
    turn = _distance(left[before] - right[before], left[after] - right[after])
    for frame in range(1, length + 1):
        here, share = slice(frame, frame + count), frame / (length + 1)
        goals = [side[before] + share * (side[after] - side[before]) for side in (left, right)]
        stay = _distance(left[here], goals[0]) + _distance(right[here], goals[1])
        swap = _distance(right[here], goals[0]) + _distance(left[here], goals[1])
        known = np.isfinite(stay) & np.isfinite(swap)
        stays, swaps, turns = (np.where(known, cost, 0).sum(1) for cost in (stay, swap, turn))
        least = np.maximum(POP * scale[here] * known.sum(1), 0.75 * turns)
        swapped &= known.any(1) & (swaps < 0.5 * stays) & (stays > least)
    return swapped


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


def _pops(joints: np.ndarray, times: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Joints (T, 21) that leave and come back within one frame, faster than any limb of a person of size (T,) px."""
    pops = np.zeros(joints.shape[:2], bool)
    if len(joints) < 3:
        return pops
    before, here, after = joints[:-2], joints[1:-1], joints[2:]
    step = 0.5 * (times[2:] - times[:-2])[:, None]
    away = _distance(here, 0.5 * (before + after))
    reach = scale[1:-1, None] * (POP + 0.5 * MAX_ACCELERATION * step**2)
    # NaN compares false: a joint without both neighbours is left alone.
    pops[1:-1] = (away > reach) & (away > 2 * _distance(before, after))
    return pops


def _interpolate(joints: np.ndarray, confidence: np.ndarray, source: np.ndarray, times: np.ndarray) -> None:
    """Fill inner gaps up to `MAX_GAP_S`, in place, by monotone cubics, which never overshoot."""
    for joint in range(joints.shape[1]):
        known = np.flatnonzero(np.isfinite(joints[:, joint, 0]))
        if len(known) < 2:
            continue
        inside = [(a, b) for a, b in pairwise(known) if b - a > 1 and times[b] - times[a] <= MAX_GAP_S + 1e-6]
        if not inside:
            continue
        curve = PchipInterpolator(times[known], joints[known, joint])
        for a, b in inside:
            gap = slice(a + 1, b)
            joints[gap, joint] = curve(times[gap])
            confidence[gap, joint] = INTERPOLATED_CONFIDENCE * min(confidence[a, joint], confidence[b, joint])
            source[gap, joint] = Source.INTERPOLATED
