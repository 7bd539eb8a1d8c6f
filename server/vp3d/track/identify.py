"""Identities in two steps: sure tracklets frame by frame, then tracklets joined across gaps and crossings.

Frame by frame, OKS with the predicted pose and the Hungarian method pair people with tracklets: strong detections
first; weak ones, such as a body half hidden or a tree, only continue what strong ones began (as in ByteTrack, Zhang et
al. 2022). Where two people could be one detection (a crossing), or one could be two, the tracklets end rather than
guess; the second step sees both sides of the crossing and pairs ends with beginnings by pose, velocity and size.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from vp3d.common.skeletons import BODY_21, COCO_17
from vp3d.common.take import Source
from vp3d.errors import UserError
from vp3d.track import oks
from vp3d.track.tracks import Tracks

if TYPE_CHECKING:
    from vp3d.detect import People

STRONG = 0.25
"""Mean confidence over the 17 COCO joints from which a detection may begin a tracklet, if there are any such."""
SAME = 0.3
"""OKS from which a strong detection may continue a tracklet."""
SAME_WEAK = 0.5
"""OKS from which a weak detection may continue a tracklet."""
RIVAL = 0.6
"""A second candidate with this share of the winner's OKS makes a match a guess."""
DUPLICATE = 0.7
"""Two detections of one frame that agree this well are one person found twice."""
JOINED = 0.15
"""Fit from which a tracklet may continue another after a gap."""
BLINK_S = 0.15
"""A detector may lose a person this long without ending the tracklet."""
GAP_S = 1.0
"""Gap (s) across which tracklets are joined wherever they fit."""
LONG_GAP_S = 4.0
"""Gap (s) across which what is then left is joined: somebody who fell behind a sofa, with nobody else around."""
WANDER = 1.0
"""Standard deviation of unforeseen speed, in sizes per s (about 0.75 m/s), from one frame to the next."""
SPEED = 4.0
"""Standard deviation of speed while nothing is known of it, in sizes per s (about 3 m/s)."""
WANDER_UNSEEN = 1.5
"""The same across a gap, in which the pose changes too."""
VELOCITY_S = 0.4
"""Window (s) over which velocity is fitted, and the longest time it is trusted ahead."""
MIN_LIFE_S = 0.4
"""Shorter appearances are false detections, if there is anybody else."""
MIN_WEIGHT = 0.05
"""People with less than this share of the main person's weight are false detections."""


@dataclass(eq=False)
class _Tracklet:
    """One person over some of the frames."""

    steps: list[int] = field(default_factory=list)  # positions in `frames`
    joints: list[np.ndarray] = field(default_factory=list)
    confidence: list[np.ndarray] = field(default_factory=list)

    def add(self, step: int, joints: np.ndarray, confidence: np.ndarray) -> None:
        self.steps.append(step)
        self.joints.append(joints)
        self.confidence.append(confidence)

    def extend(self, later: "_Tracklet") -> None:
        self.steps += later.steps
        self.joints += later.joints
        self.confidence += later.confidence


@dataclass(frozen=True)
class _End:
    """How a person moves at one end of a tracklet."""

    time: float  # s
    pose: np.ndarray  # (21, 2) px, each joint where it was last known in the window
    velocity: np.ndarray  # (2,) px/s, NaN where unknown
    size: float  # px

    def at(self, time: float) -> np.ndarray:
        ahead = np.clip(time - self.time, -VELOCITY_S, VELOCITY_S)
        return self.pose + np.nan_to_num(self.velocity) * ahead


def _end(tracklet: _Tracklet, times: np.ndarray, last: bool) -> _End:
    """State at the last (or first) observation of a tracklet."""
    near = times[tracklet.steps[-1 if last else 0]]
    order = range(len(tracklet.steps) - 1, -1, -1) if last else range(len(tracklet.steps))
    window = []
    for i in order:
        if abs(times[tracklet.steps[i]] - near) > VELOCITY_S:
            break
        window.append(i)
    t = times[[tracklet.steps[i] for i in window]]
    joints = np.stack([tracklet.joints[i] for i in window]).astype(float)
    pose = joints[0].copy()
    for older in joints[1:]:
        missing = np.isnan(pose[:, 0])
        if not missing.any():
            break
        pose[missing] = older[missing]
    return _End(float(near), pose, _velocity(t, joints), float(oks.size(joints).max()))


def _velocity(t: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Velocity (2,) px/s of a body: median over joints of the slopes of fitted lines; NaN from fewer than 3 poses."""
    known = np.isfinite(joints[..., :1])
    count = known.sum(0)
    weight = np.maximum(count, 1)
    offset = np.where(known, t[:, None, None] - (t[:, None, None] * known).sum(0) / weight, 0.0)
    spread = (offset**2).sum(0)
    usable = (count >= 3) & (spread > 0)
    if not usable.any():
        return np.full(2, np.nan)
    slope = (offset * np.nan_to_num(joints)).sum(0) / np.where(usable, spread, 1.0)
    return np.median(slope[usable[:, 0]], axis=0)


def _pairs(score: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs (row, column) that maximise the summed score, none below `least`."""
    rows, columns = linear_sum_assignment(np.where(score >= least, score, 0.0), maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if score[r, c] >= least]


def _distinct(joints: np.ndarray, confidence: np.ndarray) -> list[int]:
    """Positions of the people (N, 21, 2), (N, 21) of one frame, without those found twice."""
    strength = _strength(confidence)
    order = [int(i) for i in np.argsort(-strength) if strength[i] > 0]
    alike = oks.similarity(joints, joints, oks.size(joints))
    kept: list[int] = []
    for i in order:
        if all(max(alike[i, j], alike[j, i]) < DUPLICATE for j in kept):
            kept.append(i)
    return sorted(kept)


def _strength(confidence: np.ndarray) -> np.ndarray:
    """Mean confidence (...) of people (..., 21) over the COCO joints, absent ones counting 0."""
    return confidence[..., : len(COCO_17)].mean(-1)


def _tracklets(people: list[tuple[np.ndarray, np.ndarray]], times: np.ndarray) -> list[_Tracklet]:
    """Runs of detections that are surely one person each."""
    best = max((float(_strength(confidence).max(initial=0)) for _, confidence in people), default=0.0)
    strong = STRONG if best >= STRONG else 0.0
    finished: list[_Tracklet] = []
    live: list[_Tracklet] = []
    for step, (joints, confidence) in enumerate(people):
        # Beyond a blink, or beyond one processed frame where frames are far apart, the second step decides.
        fresh = [t for t in live if times[step] - times[t.steps[-1]] <= BLINK_S or t.steps[-1] == step - 1]
        finished += [t for t in live if t not in fresh]
        kept = _distinct(joints, confidence)
        certain = [i for i in kept if _strength(confidence[i]) >= strong]
        ends = [_end(t, times, last=True) for t in fresh]

        score = _continuation(ends, joints[certain], times[step])
        pairs = _pairs(score, SAME)
        guesses = _guesses(score, pairs)
        matched = {column: fresh[row] for row, column in pairs if row not in guesses}
        finished += [fresh[row] for row in guesses]
        live = [t for row, t in enumerate(fresh) if row not in guesses]
        for column, person in enumerate(certain):
            tracklet = matched.get(column)
            if tracklet is None:
                tracklet = _Tracklet()
                live.append(tracklet)
            tracklet.add(step, joints[person], confidence[person])

        idle = [row for row, t in enumerate(fresh) if row not in guesses and t.steps[-1] != step]
        weak = [i for i in kept if i not in certain]
        for row, column in _pairs(_continuation([ends[row] for row in idle], joints[weak], times[step]), SAME_WEAK):
            fresh[idle[row]].add(step, joints[weak[column]], confidence[weak[column]])
    return finished + live


def _continuation(ends: list[_End], joints: np.ndarray, now: float) -> np.ndarray:
    """OKS (E, N) of the people (N, 21, 2) seen now with where tracklets should be now."""
    if not ends or not len(joints):
        return np.zeros((len(ends), len(joints)))
    moving, still = np.stack([end.at(now) for end in ends]), np.stack([end.pose for end in ends])
    sizes = np.array([end.size for end in ends])
    ago = np.array([now - end.time for end in ends])
    drift = np.where([np.isnan(end.velocity[0]) for end in ends], SPEED, WANDER) * ago
    # Somebody may stop dead; and a detector that takes a back for a front has not found somebody else.
    guesses = (moving, still, moving[:, BODY_21.mirrored])
    score = np.max([oks.similarity(poses, joints, sizes, drift) for poses in guesses], axis=0)
    return score / (1 + (ago - ago.min()) / BLINK_S)[:, None]


def _guesses(score: np.ndarray, pairs: list[tuple[int, int]]) -> set[int]:
    """Rows whose partner could as well be another row's, or who could as well have another partner."""
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    guesses = set()
    for row, column in pairs:
        least = max(RIVAL * score[row, column], SAME)
        rivals = {r for r in range(len(score)) if r not in rows and score[r, column] >= least}
        others = {c for c in range(score.shape[1]) if c not in columns and score[row, c] >= least}
        if rivals or others:
            guesses |= {row, *rivals}
    return guesses


def _join(tracklets: list[_Tracklet], times: np.ndarray, longest: float) -> list[_Tracklet]:
    """Join ends with beginnings not more than `longest` s later, where pose, velocity and size agree."""
    tracklets = sorted(tracklets, key=lambda t: t.steps[0])
    tails = [_end(t, times, last=True) for t in tracklets]
    heads = [_end(t, times, last=False) for t in tracklets]
    score = np.zeros((len(tracklets), len(tracklets)))
    for i, tail in enumerate(tails):
        for j, head in enumerate(heads):
            if 0 < head.time - tail.time <= longest + 1e-6:
                score[i, j] = _fit(tail, head)
    following = dict(_pairs(score, JOINED))
    joined = []
    for i in sorted(set(range(len(tracklets))) - set(following.values())):
        chain = _Tracklet()
        step: int | None = i
        while step is not None:
            chain.extend(tracklets[step])
            step = following.get(step)
        joined.append(chain)
    return joined


def _fit(tail: _End, head: _End) -> float:
    """How well a beginning continues an end, 0..1, from poses predicted both ways, velocities, sizes and the gap."""
    gap = head.time - tail.time
    size = max(tail.size, head.size)
    change = (head.velocity - tail.velocity) / max(size, 1e-9)
    known = np.isfinite(change).all()
    drift = WANDER_UNSEEN * gap + (0 if known else SPEED * min(gap, BLINK_S))

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(oks.similarity(a[None], b[None], np.array([size]), drift)[0, 0])

    moving = 0.5 * (alike(tail.at(head.time), head.pose) + alike(head.at(tail.time), tail.pose))
    pose = max(moving, alike(tail.pose, head.pose))
    # A body needs time to change its speed; velocities themselves are known to about WANDER.
    steady = np.exp(-(change @ change) / (2 * WANDER**2 * (1 + (gap / VELOCITY_S) ** 2))) if known else 1.0
    ratio = min(tail.size, head.size) / max(size, 1e-9)
    return float(pose * (0.5 + 0.5 * steady) * min(1.0, 2 * ratio) / (1 + 0.25 * gap))


def _weight(person: _Tracklet) -> float:
    """Largest, longest, most confident: size (px) times the mean confidences summed over frames."""
    return float(np.median(oks.size(np.stack(person.joints))) * _strength(np.stack(person.confidence)).sum())


def _believable(people: list[_Tracklet], times: np.ndarray) -> list[_Tracklet]:
    """People by weight, without false detections; the first stays however short its appearance is."""
    people = sorted(people, key=_weight, reverse=True)
    if not people:
        return []
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    least = min(MIN_LIFE_S / step, 0.2 * len(times))
    alive = [p for p in people if len(p.steps) >= least] or people[:1]
    return [p for p in alive if _weight(p) >= MIN_WEIGHT * _weight(alive[0])]


def track(frames: np.ndarray, people: "Sequence[People]", fps: float) -> Tracks:
    """People over time from people per frame.

    Args:
        frames: (T,) increasing, evenly spaced frame numbers of the video.
        people: T times the people of a frame.
        fps: of these frames, per s: the video's rate over the step between them.

    Returns:
        Everybody who is not a false detection, the main person (large, long in view, confident) first. P may be 0.
    """
    frames = np.asarray(frames, np.int32)
    times = np.arange(len(frames)) / fps
    found = _tracklets([_known(found) for found in people], times)
    for longest in (GAP_S, LONG_GAP_S):
        found = _join(found, times, longest)
    kept = _believable(found, times)
    shape = (len(kept), len(frames), len(oks.SIGMAS))
    joints = np.full((*shape, 2), np.nan, np.float32)
    confidence = np.zeros(shape, np.float32)
    for i, person in enumerate(kept):
        joints[i, person.steps] = person.joints
        confidence[i, person.steps] = person.confidence
    source = np.where(np.isfinite(joints[..., 0]), Source.MEASURED, Source.ABSENT).astype(np.uint8)
    return Tracks(frames, joints, confidence, source)


def _known(people: "People") -> tuple[np.ndarray, np.ndarray]:
    """Joints and confidences of one frame, where a joint is either whole or NaN with confidence 0."""
    known = np.isfinite(people.joints).all(-1)
    return np.where(known[..., None], people.joints, np.nan), np.where(known, people.confidence, 0.0)


def asked(who: str) -> str:
    """The user's choice of people in plain form; raises UserError for what is none, whoever may be found."""
    plain = who.strip().lower()
    if not re.fullmatch(r"main|all|\d+(\s*,\s*\d+)*", plain):
        raise UserError(f"“{who}” does not say which people.", "Use main, all, or numbers such as 1,3.")
    return plain


def choose(tracks: Tracks, who: str) -> list[int]:
    """Positions, from 0, of the people a user asks for, in the order asked.

    Args:
        tracks: from `track`.
        who: "main", "all", or numbers from 1 as the list of people shows them, such as "1,3".

    Raises:
        UserError: `who` is none of these, or names somebody who was not found.
    """
    count = len(tracks.joints)
    who = asked(who)
    if who == "all":
        return list(range(count))
    if who == "main":
        return [0] if count else []
    chosen = list(dict.fromkeys(int(number) for number in who.split(",")))
    unknown = [number for number in chosen if not 1 <= number <= count]
    if unknown:
        found = "1 person was" if count == 1 else f"{count} people were"
        raise UserError(
            f"There is no person {', '.join(map(str, unknown))}: {found} found.",
            f"Choose from 1 to {count}, or all." if count else "Use all.",
        )
    return [number - 1 for number in chosen]
