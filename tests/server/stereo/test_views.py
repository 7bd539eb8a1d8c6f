"""Several views of walkers whose place is known, put side by side and solved together."""

import numpy as np
import pytest
from server.ring import K, ring
from takes import walk
from vp3d.cameras import Camera
from vp3d.common.skeletons import BODY_21, H36M_FROM_COCO
from vp3d.common.take import Source
from vp3d.errors import UserError
from vp3d.refine import Lens, solve
from vp3d.stereo.relative_pose import sample
from vp3d.stereo.views import ClipView, frames_needed, join
from vp3d.track import Tracks

FPS, SIZE = 50.0, (1000, 960)
LENS = Lens(K, np.zeros(5), "user", "", 0.0)


def people(frames: int, count: int = 1) -> np.ndarray:
    """(P, T, 17, 3) m: walkers in opposite directions, who hop at times of their own."""
    seconds = np.arange(frames) / FPS
    walkers = []
    for person in range(count):
        joints = walk(seconds + 0.4 * person) - [0.6, 0, 0]
        if person:
            joints = joints * [-1, -1, 1] + [0, 1.0, 0]
        hop = 0.2 * np.exp(-(((seconds - 1.1 - 0.5 * person) / 0.1) ** 2))
        walkers.append(joints + hop[:, None, None] * [0, 0, 1])
    return np.stack(walkers)


def clip_view(joints: np.ndarray, matrix: np.ndarray, name: str, seed: int, calibrated: bool = True) -> ClipView:
    """What a camera (3, 4) sees of people, with 2 px of noise."""
    pose = np.linalg.inv(K) @ matrix
    camera = Camera(K[None], pose[None, :, :3], pose[None, :, 3], np.zeros(5))
    P, T = joints.shape[:2]
    pixels = np.full((P, T, len(BODY_21), 2), np.nan)
    pixels[:, :, list(H36M_FROM_COCO.values())] = camera.project(joints)[:, :, list(H36M_FROM_COCO)]
    pixels += np.random.default_rng(seed).normal(0, 2.0, pixels.shape)
    confidence = np.where(np.isfinite(pixels[..., 0]), 0.9, 0.0)
    source = np.where(confidence > 0, Source.MEASURED, Source.ABSENT).astype(np.uint8)
    tracks = Tracks(np.arange(T, dtype=np.int32), pixels, confidence, source)
    R, t = (pose[:, :3], pose[:, 3]) if calibrated else (None, None)
    return ClipView(name, tracks, np.arange(T) / FPS, LENS, R, t)


def lifted(joints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Poses (P, T, 17, 3) as a lifter might give them: in camera axes, 6 % too large, some cm off along the view."""
    seen = joints @ (np.linalg.inv(K) @ matrix)[:, :3].T
    noise = np.random.default_rng(3).normal(size=(*joints.shape[:1], 1, *joints.shape[2:])) * [0.01, 0.01, 0.05]
    return 1.06 * (seen - seen[:, :, :1]) + noise - noise[:, :, :1]


def in_camera(joints: np.ndarray, camera: Camera) -> np.ndarray:
    return joints @ camera.R[0].T + camera.t[0]


@pytest.mark.parametrize("angles", [[0, 60], [0, 45, 120]])
def test_people_are_placed_to_the_centimetre_and_have_their_true_size(angles: list[float]) -> None:
    true, P = people(100), ring(angles).numpy()
    main, *others = [clip_view(true, matrix, f"{i}.mp4", i) for i, matrix in enumerate(P)]
    joined = join(main, others, [0.0] * len(others))
    assert joined.side.metres
    solved = solve(main.tracks, lifted(true, P[0]), LENS, SIZE, FPS, beside=joined.side)
    pose = np.linalg.inv(K) @ P[0]
    expected = true[0] @ pose[:, :3].T + pose[:, 3]
    error = np.linalg.norm(in_camera(solved.joints[0], solved.camera) - expected, axis=-1)
    assert np.median(error[:, list(H36M_FROM_COCO)]) < 0.015
    alone = solve(main.tracks, lifted(true, P[0]), LENS, SIZE, FPS)
    worse = np.linalg.norm(in_camera(alone.joints[0], alone.camera) - expected, axis=-1)
    assert np.median(worse) > 3 * np.median(error)


def test_cameras_of_other_views_stand_where_they_stood() -> None:
    true, P = people(100), ring([0, 60]).numpy()
    views = [clip_view(true, matrix, f"{i}.mp4", i) for i, matrix in enumerate(P)]
    joined = join(views[0], views[1:], [0.0])
    solved = solve(views[0].tracks, lifted(true, P[0]), LENS, SIZE, FPS, beside=joined.side)
    (side,) = solved.report["views"]
    camera = Camera(np.array(side["K"])[None], np.array(side["R"])[None], np.array(side["t"])[None], np.zeros(5))
    limbs = list(H36M_FROM_COCO)
    off = camera.project(solved.joints[0])[:, limbs] - views[1].tracks.joints[0][:, list(H36M_FROM_COCO.values())]
    assert np.median(np.linalg.norm(off, axis=-1)) < 4  # px, of which 2.4 are the noise


def test_everybody_is_found_in_the_other_view() -> None:
    true, P = people(100, count=2), ring([0, 60]).numpy()
    main = clip_view(true, P[0], "a.mp4", 0)
    other = clip_view(true[::-1], P[1], "b.mp4", 1)  # its main person is the other one
    joined = join(main, [other], [0.0])
    pose = np.linalg.inv(K) @ P[0]
    limbs, coco = list(H36M_FROM_COCO), list(H36M_FROM_COCO.values())
    for person in range(2):
        expected = (true[person] @ pose[:, :3].T + pose[:, 3])[:, limbs]
        found = joined.side.points[person][:, coco]
        assert np.nanmedian(np.linalg.norm(found - expected, axis=-1)) < 0.02


def test_cameras_and_time_from_the_people_alone() -> None:
    true, P = people(160), ring([0, 70]).numpy()
    main = clip_view(true, P[0], "a.mp4", 0, calibrated=False)
    whole = clip_view(true, P[1], "b.mp4", 1, calibrated=False)
    late = 0.43
    times = np.arange(0, 2.4, 1 / FPS)
    joints, confidence = sample(whole.tracks.joints[0], whole.tracks.confidence[0], FPS, times + late)
    source = np.where(confidence > 0, Source.MEASURED, Source.ABSENT).astype(np.uint8)
    tracks = Tracks(np.arange(len(times), dtype=np.int32), joints[None], confidence[None], source[None])
    joined = join(main, [ClipView("b.mp4", tracks, times, LENS)], [None])
    assert abs(joined.offsets[0] - late) < 0.01
    assert not joined.side.metres
    assert "starts 0.4" in joined.notes[0] and "placed by the people" in joined.notes[1]
    pose = [np.linalg.inv(K) @ matrix for matrix in P]
    relative = pose[1][:, :3] @ pose[0][:, :3].T
    turn = np.degrees(np.arccos((np.trace(joined.side.views[0].R.T @ relative) - 1) / 2))
    assert turn < 2


def test_clips_of_different_motion_are_refused() -> None:
    true, P = people(100), ring([0, 60]).numpy()
    main = clip_view(true, P[0], "a.mp4", 0)
    rng = np.random.default_rng(0)
    tracks = main.tracks
    shaken = tracks.joints + np.cumsum(rng.normal(0, 12, (*tracks.joints.shape[:2], 1, 2)), 1)
    other = ClipView("b.mp4", Tracks(tracks.frames, shaken, tracks.confidence, tracks.source), main.times, LENS)
    with pytest.raises(UserError):
        join(main, [other], [None])
    with pytest.raises(UserError, match="No other view shows the main person"):
        wrong = clip_view(true + np.array([0, 2.0, 0]), P[1], "c.mp4", 1)
        join(main, [wrong], [0.0])


def test_only_the_frames_beside_the_main_views_are_needed() -> None:
    times = np.arange(500, 1000) / 50  # 10 to 19.98 s
    assert frames_needed(times, 0.2, 25.0, 2000) == range(200, 500)
    assert frames_needed(times, 0.22, 25.0, 2000) == range(200, 500)
    assert frames_needed(times, 1.0, 100.0, 2000) == range(900, 1900)
    assert frames_needed(times, -12.0, 25.0, 730) == range(500, 730)
    assert not frames_needed(times, 25.0, 25.0, 2000)
    assert frames_needed(times, None, 25.0, 2000) == range(2000)
