"""Scenes with known identities: stick figures that walk, cross, hide and are missed."""

from typing import NamedTuple

import numpy as np
import pytest
from vp3d.common.skeletons import BODY_21
from vp3d.common.take import Source
from vp3d.errors import UserError
from vp3d.track import Tracks, choose, fill_gaps, track
from vp3d.track.oks import SIGMAS, similarity, size

FPS = 30.0


class People(NamedTuple):
    joints: np.ndarray
    confidence: np.ndarray


STANDING = {
    "nose": (0, -0.72), "eye": (0.03, -0.75), "ear": (0.07, -0.73), "shoulder": (0.18, -0.55), "elbow": (0.25, -0.3),
    "wrist": (0.25, -0.05), "hip": (0.1, 0), "knee": (0.11, 0.42), "ankle": (0.11, 0.83), "heel": (0.11, 0.87),
    "toe": (0.14, 0.88),
}  # fmt: skip
"""The left half of a person, m from between the hips; the right half mirrors it."""


def walker(
    t: np.ndarray, x: float, speed: float, scale: float = 200.0, y: float = 400.0, phase: float = 0.0
) -> np.ndarray:
    """(T, 21, 2) px: somebody who walks sideways at `speed` m/s, with swinging arms and legs; `scale` px per m."""
    figure = np.empty((len(t), len(BODY_21), 2))
    for j, name in enumerate(BODY_21.joints):
        side, _, part = name.partition("_")
        sign = {"left": 1, "right": -1}.get(side, 0)
        dx, dy = STANDING[part if sign else name]
        swing = {"knee": 0.15, "ankle": 0.3, "heel": 0.3, "toe": 0.3, "elbow": -0.12, "wrist": -0.25}.get(part, 0)
        figure[:, j, 0] = (sign or 1) * dx * 0.6 + sign * swing * np.sin(2 * np.pi * 0.9 * t + phase)
        figure[:, j, 1] = dy
    figure[..., 0] += (x + speed * t)[:, None]
    return figure * scale + (0, 400)


def scene(people: list[np.ndarray], noise: float = 2.0, seed: int = 0, seen=None, confidence=None) -> list[People]:
    """Detections per frame of walkers, in random order; `seen` (N, T) bool says who is detected when."""
    rng = np.random.default_rng(seed)
    frames = []
    for step in range(len(people[0])):
        who = [i for i in range(len(people)) if seen is None or seen[i][step]]
        rng.shuffle(who)
        joints = np.array([people[i][step] for i in who]).reshape(-1, 21, 2)
        joints = joints + rng.normal(0, noise, joints.shape)
        conf = np.array([1.0 if confidence is None else confidence[i] for i in who])
        frames.append(People(joints.astype(np.float32), np.repeat(conf[:, None], 21, 1).astype(np.float32) * 0.8))
    return frames


def owners(tracks: Tracks, people: list[np.ndarray]) -> list[set[int]]:
    """For every track, which true people its measured joints lie on."""
    found = []
    for joints in tracks.joints:
        steps = np.flatnonzero(np.isfinite(joints[..., 0]).any(-1))
        distance = np.stack([np.nanmean(np.linalg.norm(joints[steps] - p[steps], axis=-1), axis=-1) for p in people])
        found.append(set(distance.argmin(0).tolist()))
    return found


def run(people: list[np.ndarray], fps: float = FPS, **options) -> Tracks:
    return track(np.arange(len(people[0])), scene(people, **options), fps)


def test_oks_is_cocos():
    """Against COCO's formula written out: exp(-d^2 / (2 area (2 sigma)^2)), at the wrist, plus the detector's noise."""
    a = walker(np.zeros(1), 0, 0)[0]
    b = a.copy()
    b[9, 0] += 30
    area = 0.2 * np.ptp(a[:, 1]) ** 2
    moved = np.exp(-(30**2) / (2 * area * ((2 * SIGMAS[9]) ** 2 + 0.05**2)))
    assert similarity(a[None], b[None], size(a[None]))[0, 0] == pytest.approx((20 + moved) / 21)
    b[3:] = np.nan
    assert similarity(a[None], b[None], size(a[None]))[0, 0] == pytest.approx(1)
    b[2:] = np.nan
    assert similarity(a[None], b[None], size(a[None]))[0, 0] == 0


def test_two_walkers_keep_their_places_whatever_the_order():
    t = np.arange(90) / FPS
    people = [walker(t, 0, 1.0, scale=220), walker(t, 3, 0.3, scale=180)]
    tracks = run(people)
    assert owners(tracks, people) == [{0}, {1}]
    assert np.isfinite(tracks.joints).all() and (tracks.source == Source.MEASURED).all()
    assert tracks.joints.dtype == np.float32 and tracks.frames.dtype == np.int32


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_crossing_with_both_seen(seed, fps):
    t = np.arange(int(4 * fps)) / fps
    people = [walker(t, 0, 1.2), walker(t, 5, -1.3, phase=1.0)]
    tracks = run(people, fps, seed=seed)
    assert owners(tracks, people) == [{0}, {1}] or owners(tracks, people) == [{1}, {0}]
    assert len(tracks.joints) == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hidden", [0, 1])
def test_crossing_with_one_hidden_behind_the_other(seed, hidden):
    t = np.arange(120) / FPS
    people = [walker(t, 0, 1.2), walker(t, 5, -1.2, phase=1.0)]
    apart = np.abs(people[0][:, 11, 0] - people[1][:, 11, 0])
    seen = np.ones((2, len(t)), bool)
    seen[hidden] = apart > 80  # px: 0.4 m, about 10 frames
    assert 5 < (~seen[hidden]).sum() < 25
    tracks = run(people, seed=seed, seen=seen)
    assert sorted(map(tuple, owners(tracks, people))) == [(0,), (1,)]


def test_meeting_and_turning_back_is_not_a_crossing():
    t = np.arange(120) / FPS
    there_and_back = 2 - np.abs(2 - t)
    people = [walker(0 * t, 0, 0) for _ in range(2)]
    people[0] = people[0] + np.stack([there_and_back * 200, 0 * t], -1)[:, None]
    people[1] = people[1] + np.stack([(5 - there_and_back) * 200, 0 * t], -1)[:, None]
    tracks = run(people)
    assert sorted(map(tuple, owners(tracks, people))) == [(0,), (1,)]


@pytest.mark.parametrize("gap", [1, 4, 10, 25])
def test_gaps_are_bridged_and_stay_gaps(gap):
    t = np.arange(120) / FPS
    people = [walker(t, 0, 0.8), walker(t, 5, 0.2)]
    seen = np.ones((2, len(t)), bool)
    seen[0, 50 : 50 + gap] = False
    tracks = run(people, seen=seen)
    assert owners(tracks, people) == [{1}, {0}] or owners(tracks, people) == [{0}, {1}]
    first = owners(tracks, people).index({0})
    assert (np.isnan(tracks.joints[first]).any((1, 2)) == ~seen[0]).all()
    assert (tracks.source[first][~seen[0]] == Source.ABSENT).all() and (tracks.confidence[first][~seen[0]] == 0).all()


def test_somebody_lost_for_three_seconds_in_an_empty_room_is_the_same_person():
    t = np.arange(240) / FPS
    people = [walker(t, 1, 0.1)]
    seen = np.ones((1, len(t)), bool)
    seen[0, 80:170] = False
    assert len(run(people, seen=seen).joints) == 1


def test_somebody_who_leaves_on_one_side_is_not_who_comes_in_on_the_other():
    t = np.arange(150) / FPS
    people = [walker(t, 0, 1.0), walker(t, 12, -1.0)]
    seen = np.array([t < 2, t > 3])
    tracks = run(people, seen=seen)
    assert sorted(map(tuple, owners(tracks, people))) == [(0,), (1,)]


def test_false_detections_are_dropped():
    t = np.arange(150) / FPS
    people = [walker(t, 1, 0.5)]
    frames = scene(people)
    rng = np.random.default_rng(3)
    for step in range(0, 150, 4):  # a chair somewhere, a few joints, every fourth frame elsewhere
        ghost = np.full((1, 21, 2), np.nan, np.float32)
        ghost[0, 5:13] = rng.uniform((0, 0), (1900, 1000)) + rng.normal(0, 30, (8, 2))
        joints, confidence = frames[step]
        frames[step] = People(np.concatenate([joints, ghost]), np.concatenate([confidence, np.full((1, 21), 0.4)]))
    for step in range(60, 66):  # the same person found twice
        joints, confidence = frames[step]
        twice = joints[:1] + rng.normal(0, 3, (1, 21, 2))
        frames[step] = People(np.concatenate([joints, twice]), np.concatenate([confidence, confidence[:1] * 0.9]))
    tracks = track(np.arange(150), frames, FPS)
    assert owners(tracks, people) == [{0}]
    assert np.isfinite(tracks.joints[0]).all()


def test_three_frames_count_only_if_there_is_nobody_else():
    t = np.arange(60) / FPS
    glimpsed, present = walker(t, 1, 0.5), walker(t, 6, 0)
    seen = np.zeros((2, 60), bool)
    seen[0, 20:23] = True
    alone = run([glimpsed], seen=seen[:1])
    assert alone.joints.shape == (1, 60, 21, 2)
    assert np.isfinite(alone.joints[0, :, 0, 0]).sum() == 3
    seen[1] = True
    assert owners(run([glimpsed, present], seen=seen), [glimpsed, present]) == [{1}]


def test_nobody_at_all():
    empty = People(np.zeros((0, 21, 2), np.float32), np.zeros((0, 21), np.float32))
    lost = People(np.full((1, 21, 2), np.nan, np.float32), np.ones((1, 21), np.float32))
    tracks = track(np.arange(8), [empty, lost] * 4, FPS)
    assert tracks.joints.shape == (0, 8, 21, 2) and tracks.confidence.shape == tracks.source.shape == (0, 8, 21)
    assert fill_gaps(tracks, FPS).joints.shape == (0, 8, 21, 2)
    assert choose(tracks, "main") == []
    assert tracks.people([]).joints.shape == (0, 8, 21, 2)


def test_main_person_is_large_long_in_view_and_confident():
    t = np.arange(90) / FPS
    people = [walker(t, 0, 0, scale=100), walker(t, 4, 0, scale=250), walker(t, 9, 0, scale=240)]
    seen = np.ones((3, 90), bool)
    seen[1, 40:] = False
    assert owners(run(people, seen=seen), people) == [{2}, {1}, {0}]
    assert owners(run(people, confidence=[1, 0.4, 0.9]), people) == [{2}, {0}, {1}]


def test_choose():
    t = np.arange(30) / FPS
    people = [walker(t, 3.0 * i, 0, scale=220 - 20 * i) for i in range(3)]
    tracks = run(people)
    assert choose(tracks, "main") == [0]
    assert choose(tracks, "ALL") == [0, 1, 2]
    assert choose(tracks, "3, 1") == [2, 0]
    assert choose(tracks, "2,2") == [1]
    assert owners(tracks.people([2, 0]), people) == [{2}, {0}]
    for who, words in (
        ("4", "no person 4"),
        ("0,1", "no person 0"),
        ("somebody", "does not say"),
        ("1,", "does not say"),
    ):
        with pytest.raises(UserError, match=words):
            choose(tracks, who)


def one(joints: np.ndarray) -> Tracks:
    known = np.isfinite(joints[..., 0])
    return Tracks(
        np.arange(len(joints), dtype=np.int32),
        joints[None].astype(np.float32),
        (known * 0.8)[None].astype(np.float32),
        np.where(known, Source.MEASURED, Source.ABSENT).astype(np.uint8)[None],
    )


def test_short_gaps_are_interpolated_and_marked():
    t = np.arange(90) / FPS
    truth = walker(t, 0, 1.0)
    joints = truth.copy()
    joints[20:30] = np.nan
    joints[50:54, 9] = np.nan
    joints[:3] = np.nan
    filled = fill_gaps(one(joints), FPS)
    assert np.isnan(filled.joints[0, :3]).all() and np.isfinite(filled.joints[0, 3:]).all()
    assert np.abs(filled.joints[0, 50:54, 9] - truth[50:54, 9]).max() < 2
    made = filled.source[0] == Source.INTERPOLATED
    assert made[20:30].all() and made[50:54, 9].all() and made.sum() == 10 * 21 + 4
    assert filled.confidence[0][made] == pytest.approx(0.4)
    untouched = ~made
    np.testing.assert_array_equal(filled.joints[0][untouched], one(joints).joints[0][untouched])


@pytest.mark.parametrize("fps", [15.0, 30.0])
def test_long_gaps_stay_empty(fps):
    t = np.arange(100) / fps
    joints = walker(t, 0, 0.5)
    joints[20 : 20 + int(fps)] = np.nan  # the joints on both sides are a frame more than 1 s apart
    joints[70 : 70 + int(fps) - 1] = np.nan
    filled = fill_gaps(one(joints), fps)
    assert np.isnan(filled.joints[0, 20 : 20 + int(fps)]).all()
    assert np.isfinite(filled.joints[0, 70:]).all()


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("parts", [("hip", "knee", "ankle", "heel", "toe"), ("shoulder", "elbow", "wrist")])
def test_swapped_sides_are_put_right(length, parts):
    t = np.arange(60) / FPS
    truth = walker(t, 0, 0.8) + np.random.default_rng(0).normal(0, 1, (60, 21, 2))
    joints = truth.copy()
    left, right = ([BODY_21.index(f"{side}_{part}") for part in parts] for side in ("left", "right"))
    run_ = slice(40, 40 + length)  # legs apart: where they pass each other, nobody can tell
    joints[run_, left], joints[run_, right] = truth[run_, right], truth[run_, left]
    np.testing.assert_allclose(fill_gaps(one(joints), FPS).joints[0], truth, atol=1e-3)


def test_a_detector_that_takes_the_back_for_the_front_for_a_second():
    t = np.arange(120) / 60
    truth = walker(t, 0, 0.3) + np.random.default_rng(0).normal(0, 1, (120, 21, 2))
    left, right = (
        [BODY_21.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist")] for side in ("left", "right")
    )
    truth[:, left, 0] += 40
    truth[:, right, 0] -= 40
    joints = truth.copy()
    for run_ in (slice(30, 68), slice(75, 76)):
        joints[run_, left], joints[run_, right] = truth[run_, right], truth[run_, left]
    np.testing.assert_allclose(fill_gaps(one(joints), 60.0).joints[0], truth, atol=1e-3)


def test_a_turn_on_the_spot_keeps_its_sides():
    t = np.arange(60) / FPS
    turning = walker(t, 0, 0)
    turning[..., 0] *= np.cos(np.pi * np.clip((t - 0.7) / 0.6, 0, 1))[:, None]  # half a turn in 0.6 s
    np.testing.assert_allclose(fill_gaps(one(turning), FPS).joints[0], turning, atol=1e-3)


def test_turning_round_is_not_a_swap():
    t = np.arange(60) / FPS
    turned = walker(t, 0, 0)
    turned[30:] = turned[30:, list(BODY_21.mirrored)]
    np.testing.assert_allclose(fill_gaps(one(turned), FPS).joints[0], turned, atol=1e-3)


def test_pops_are_replaced_and_quick_movement_is_not():
    t = np.arange(60) / FPS
    truth = walker(t, 0, 1.0)
    joints = truth.copy()
    joints[25, 9] += (0, -150)
    filled = fill_gaps(one(joints), FPS)
    assert np.abs(filled.joints[0] - truth).max() < 3
    assert filled.source[0, 25, 9] == Source.INTERPOLATED and (filled.source == Source.INTERPOLATED).sum() == 1
    far = truth * 0.2  # the same person, seen small after having been near
    far[45, 9] += (0, -30)
    both = np.concatenate([truth, np.full((60, 21, 2), np.nan), far])
    assert fill_gaps(one(both), FPS).source[0, 120 + 45, 9] == Source.INTERPOLATED
    punch = walker(t, 0, 0)
    punch[:, 9, 0] += 0.5 * 200 * np.exp(-(((t - 1) / 0.08) ** 2))  # half a metre out and back in a quarter of a second
    np.testing.assert_allclose(fill_gaps(one(punch), FPS).joints[0], punch, atol=1e-3)
