"""Camera and world of scenes whose truth is known."""

import json

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation
from takes import walk, walk_contacts
from vp3d.cameras import Camera
from vp3d.common.skeletons import H36M_FROM_COCO
from vp3d.common.take import Source
from vp3d.errors import Cancelled, UserError
from vp3d.refine import Lens, Wishes, solve
from vp3d.refine.gravity import world_rotation
from vp3d.track import Tracks

SIZE = (1920, 1080)
FPS = 25
K = np.array([[1500.0, 0, 959.5], [0, 1500, 539.5], [0, 0, 1]])
PITCH, ROLL, HEIGHT = -9.0, 2.0, 1.7
KNOWN = Lens(K, np.zeros(5), "user", "", 0.0)


def camera(distortion: np.ndarray | None = None) -> Camera:
    """5 m from the walk, looking along +Y, down and slightly turned."""
    p, r = np.radians([PITCH, ROLL])
    R = world_rotation(np.array([np.sin(r) * np.cos(p), -np.cos(r) * np.cos(p), np.sin(p)]))
    t = -R @ [0, -5, HEIGHT]
    return Camera(K[None], R[None], t[None], np.zeros(5) if distortion is None else distortion)


def there_and_back(frames: int) -> np.ndarray:
    """Walks 4 m towards the upper right of the camera's view and back, as one who turns round in between."""
    times = np.arange(frames) / FPS
    away = times < times[-1] / 2
    ahead = walk(np.where(away, times, 0))
    behind = walk(np.where(away, 0, times - times[-1] / 2))
    turn = np.array([[np.cos(0.9), np.sin(0.9), 0], [-np.sin(0.9), np.cos(0.9), 0], [0, 0, 1]])
    end = walk(np.array([times[-1] / 2]))[0, 0] * [1, 1, 0] @ turn
    return np.where(away[:, None, None], ahead @ turn, behind @ (turn * [[-1], [-1], [1]]) + end) - [1.0, 0, 0]


def shoot(people: np.ndarray, camera: Camera, noise: float = 2.0, missing: float = 0.1, seed: int = 0):
    """Tracks and exact camera-axes poses of people (P, T, 17, 3)."""
    rng = np.random.default_rng(seed)
    pixels = camera.project(people)
    P, T = pixels.shape[:2]
    joints = np.full((P, T, 21, 2), np.nan)
    for ours, coco in H36M_FROM_COCO.items():
        joints[:, :, coco] = pixels[:, :, ours] + rng.normal(0, noise, (P, T, 2))
    joints[rng.random((P, T, 21)) < missing] = np.nan
    confidence = np.where(np.isfinite(joints[..., 0]), 0.8, 0.0)
    source = np.where(confidence > 0, Source.MEASURED, Source.ABSENT).astype(np.uint8)
    seen = people @ camera.R[0].T + camera.t[0]
    tracks = Tracks(np.arange(T, dtype=np.int32), joints.astype(np.float32), confidence, source)
    return tracks, seen - seen[:, :, :1]


def in_camera(solution, scale: float = 1.0) -> np.ndarray:
    return (solution.joints @ solution.camera.R[0].T + solution.camera.t[0]) / scale


@pytest.fixture(scope="module")
def walking() -> np.ndarray:
    return there_and_back(200)


@pytest.fixture(scope="module")
def solved(walking):
    tracks, poses = shoot(walking[None], camera())
    return solve(tracks, poses, KNOWN, SIZE, FPS), tracks


def test_known_lens(solved, walking):
    solution, _ = solved
    person, about = solution.report["people"][0], solution.report["camera"]
    truth = walking @ camera().R[0].T + camera().t[0]
    ours = in_camera(solution, person["scale"])[0]
    off = np.linalg.norm(ours[:, 0] - truth[:, 0], axis=-1) / truth[:, 0, 2]
    assert np.median(off) < 0.02
    assert np.quantile(off, 0.95) < 0.03
    assert np.linalg.norm((ours - ours[:, :1]) - (truth - truth[:, :1]), axis=-1).mean() < 0.035
    assert about["pitch_deg"] == pytest.approx(PITCH, abs=1.5)
    assert about["roll_deg"] == pytest.approx(ROLL, abs=1.5)
    assert about["height_m"] / person["scale"] == pytest.approx(HEIGHT, rel=0.1)
    assert person["residual_px_median"] < 1.2 * 2 * np.sqrt(2 * np.log(2)), "the median of 2 px noise in two directions"
    assert solution.report["warnings"] == []


def test_world_convention(solved):
    solution, tracks = solved
    np.testing.assert_allclose(solution.joints[0, 0, 0, :2], 0, atol=1e-9)
    np.testing.assert_allclose(solution.camera.R[0] @ solution.camera.R[0].T, np.eye(3), atol=1e-9)
    assert solution.camera.position[0, 1] < -3
    assert solution.camera.R[0, 2, 1] > 0.9, "the camera looks along +Y"
    assert solution.camera.R.shape == (1, 3, 3)
    assert solution.joints.shape == (1, 200, 17, 3)
    assert solution.residual_px.shape == (1, 200, 17)
    assert np.isnan(solution.residual_px[..., :5]).all(), "nothing in the face to compare"
    assert (np.isnan(solution.residual_px[..., 5:]) == np.isnan(tracks.joints[..., 5:17, 0])).all()
    json.dumps(solution.report)


def test_feet_stand_on_the_floor(solved):
    solution, _ = solved
    truth = walk_contacts(np.arange(100) / FPS) > 0
    agree = (solution.contacts[0, :100] > 0) == truth
    assert agree.mean() > 0.8
    ankles = solution.joints[0][:, [6, 3]]
    planted = solution.contacts[0] > 0
    assert np.abs(ankles[..., 2][planted] - 0.085).max() < 0.05
    assert solution.report["people"][0]["contact_speed_m_s_median"] < 0.005
    lengths = np.linalg.norm(solution.joints[0, :, 2] - solution.joints[0, :, 3], axis=-1)
    assert lengths.std() < 0.005, "a shin keeps its length"


def test_a_known_height_scales_the_world(walking, solved):
    """Twice as tall: everything twice as large, pixels where they were."""
    tracks, poses = shoot(walking[None], camera())
    height = solved[0].report["people"][0]["stature_m"]
    tall = solve(tracks, poses, KNOWN, SIZE, FPS, wishes=Wishes(height_m=1.3 * height, foot_lock=0.0))
    loose = solve(tracks, poses, KNOWN, SIZE, FPS, wishes=Wishes(foot_lock=0.0))
    assert tall.report["people"][0]["stature_m"] == pytest.approx(1.3 * height, rel=1e-3)
    assert tall.report["camera"]["height_m"] == pytest.approx(1.3 * loose.report["camera"]["height_m"], rel=1e-3)
    np.testing.assert_allclose(tall.joints, 1.3 * loose.joints, rtol=2e-3, atol=5e-3)
    np.testing.assert_allclose(tall.residual_px, loose.residual_px, atol=1e-6)


def test_a_known_height_of_one_tells_of_the_other(walking):
    apart = np.array([1.4, 0.8, 0])
    tracks, poses = shoot(np.stack([walking, walking[::-1] + apart]), camera())
    plain = solve(tracks, poses, KNOWN, SIZE, FPS)
    second = plain.report["people"][1]["stature_m"]
    told = solve(tracks, poses, KNOWN, SIZE, FPS, wishes=Wishes(height_m=1.1 * second, height_of=1))
    people = told.report["people"]
    assert people[1]["stature_m"] == pytest.approx(1.1 * second, rel=1e-3)
    assert 1.02 < people[0]["stature_m"] / plain.report["people"][0]["stature_m"] < 1.1


@pytest.mark.parametrize("wishes", [{"height_m": 0.0}, {"height_m": 182.0}, {"foot_lock": 1.2}, {"foot_lock": -0.1}])
def test_impossible_wishes_are_refused_in_words(wishes):
    with pytest.raises(UserError) as caught:
        Wishes(**wishes)
    assert caught.value.message.endswith(".") and caught.value.hint.endswith(".")


@pytest.mark.parametrize("wrong", [0.8, 1.25])
def test_unknown_lens(walking, wrong):
    tracks, poses = shoot(walking[None], camera())
    guess = Lens(K * [[wrong, 1, 1], [1, wrong, 1], [1, 1, 1]], np.zeros(5), "prior", "A guess.", 0.25)
    solution = solve(tracks, poses, guess, SIZE, FPS)
    lens, person = solution.report["lens"], solution.report["people"][0]
    error = np.log(lens["focal_px"] / K[0, 0])
    assert abs(error) < 2 * lens["focal_sigma_relative"]
    assert abs(error) < abs(np.log(wrong))
    assert person["residual_px_median"] < 1.2 * 2 * np.sqrt(2 * np.log(2))
    assert solution.report["lens"]["note"] == "A guess."


@pytest.mark.parametrize("k1", [-0.38, 0.3])
def test_distorted_lens(walking, k1):
    distortion = np.array([k1, 0.1, 0.001, -0.001, 0.0])
    tracks, poses = shoot(walking[None], camera(distortion))
    solution = solve(tracks, poses, Lens(K, distortion, "calibration", "", 0.0), SIZE, FPS)
    assert solution.report["people"][0]["residual_px_median"] < 1.2 * 2 * np.sqrt(2 * np.log(2))
    np.testing.assert_array_equal(solution.camera.distortion, distortion)
    seen = solution.camera
    rotation = cv2.Rodrigues(seen.R[0])[0]
    for frame in (0, 120):
        ours = solution.joints[0, frame][list(H36M_FROM_COCO)]
        pixels = cv2.projectPoints(ours, rotation, seen.t[0], seen.K[0], distortion)[0][:, 0]
        coco = list(H36M_FROM_COCO.values())
        off = np.linalg.norm(pixels - tracks.joints[0, frame, coco], axis=-1)
        np.testing.assert_allclose(solution.residual_px[0, frame, coco], off, atol=1e-6)


def test_two_people_share_the_world(walking):
    apart = np.array([1.4, 0.8, 0])
    tracks, poses = shoot(np.stack([walking, walking[::-1] + apart]), camera())
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    scale = solution.report["people"][0]["scale"]
    distance = np.linalg.norm((solution.joints[1] - solution.joints[0])[:, 0] / scale, axis=-1)
    truth = np.linalg.norm((walking[::-1] + apart - walking)[:, 0], axis=-1)
    np.testing.assert_allclose(distance, truth, rtol=0.1, atol=0.15)


def test_a_person_on_a_roof_stays_there(walking):
    tracks, poses = shoot(np.stack([walking, walking * [0.3, 0.3, 1] + [0.5, 2.0, 1.2]]), camera())
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    lowest = np.nanmin(solution.joints[..., [3, 6], 2], axis=(1, 2))
    assert abs(lowest[0]) < 0.15
    assert lowest[1] == pytest.approx(1.25, abs=0.35)


def test_lying_person_alone(walking):
    lying = np.stack([walking[..., 2] - 0.9, walking[..., 1] * 0.3, walking[..., 0] * 0.1 + 0.3], axis=-1)
    tracks, poses = shoot(lying[None], camera())
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    assert np.isfinite(solution.joints).all()
    assert abs(solution.report["camera"]["roll_deg"]) < 5
    assert any("upright" in warning for warning in solution.report["warnings"])


def test_absence_stays_absent(walking):
    tracks, poses = shoot(walking[None], camera())
    gone = slice(60, 90)
    poses[0, gone], tracks.joints[0, gone], tracks.confidence[0, gone] = np.nan, np.nan, 0
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    absent = np.isnan(solution.joints[0]).any((1, 2))
    np.testing.assert_array_equal(np.flatnonzero(absent), np.arange(60, 90))
    assert not solution.contacts[0, gone].any()
    assert solution.report["people"][0]["frames"] == 170


def test_outliers_do_not_bend_it(walking):
    tracks, poses = shoot(walking[None], camera())
    rng = np.random.default_rng(5)
    wild = rng.random(tracks.joints.shape[:3]) < 0.04
    tracks.joints[wild] += rng.normal(0, 150, (wild.sum(), 2)).astype(np.float32)
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    truth = walking @ camera().R[0].T + camera().t[0]
    ours = in_camera(solution, solution.report["people"][0]["scale"])[0]
    off = np.linalg.norm((ours - ours[:, :1]) - (truth - truth[:, :1]), axis=-1)
    assert np.quantile(off, 0.95) < 0.08


def test_errors_of_a_lifter_shrink(walking):
    """Errors as lifters make them: smooth in time, three times larger along the view, and a view taken for another."""
    tracks, poses = shoot(walking[None], camera())
    rng = np.random.default_rng(3)
    error = gaussian_filter1d(rng.normal(0, 1, poses.shape), 6, axis=1)
    lifted = poses + error / error.std() * [0.015, 0.015, 0.045]
    lifted = lifted @ Rotation.from_euler("x", 8, degrees=True).as_matrix().T
    lifted -= lifted[:, :, :1]
    solution = solve(tracks, lifted, KNOWN, SIZE, FPS)
    ours = in_camera(solution, solution.report["people"][0]["scale"])
    before, after = (np.linalg.norm(p - p[:, :, :1] - poses, axis=-1).mean() for p in (lifted, ours))
    assert after < 0.75 * before
    assert solution.report["camera"]["pitch_deg"] == pytest.approx(PITCH, abs=5)


def test_frame_steps_count_as_time(walking):
    """Every second frame of a clip at 25 per second: numbers 0, 2, 4, so speeds stay what they are."""
    tracks, poses = shoot(walking[None, ::2], camera())
    tracks = Tracks(tracks.frames * 2, tracks.joints, tracks.confidence, tracks.source)
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    assert solution.report["people"][0]["residual_px_median"] < 1.2 * 2 * np.sqrt(2 * np.log(2))
    truth = walk_contacts(np.arange(0, 100, 2) / FPS) > 0
    assert ((solution.contacts[0, :50] > 0) == truth).mean() > 0.75


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_shortest_clips(walking, frames):
    tracks, poses = shoot(walking[None, :frames], camera(), missing=0.0)
    solution = solve(tracks, poses, KNOWN, SIZE, FPS)
    assert np.isfinite(solution.joints).all()


def test_nobody_to_place(walking):
    tracks, poses = shoot(walking[None, :10], camera())
    with pytest.raises(UserError):
        solve(tracks, np.full_like(poses, np.nan), KNOWN, SIZE, FPS)
    with pytest.raises(UserError):
        solve(tracks, -poses, KNOWN, SIZE, FPS)


def test_lens_of_another_picture(walking):
    tracks, poses = shoot(walking[None, :10], camera())
    with pytest.raises(UserError, match="another picture size"):
        solve(tracks, poses, KNOWN, (640, 360), FPS)


def test_cancel(walking):
    tracks, poses = shoot(walking[None, :50], camera())

    def stop(stage, done, total):
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        solve(tracks, poses, KNOWN, SIZE, FPS, stop)


def test_progress_runs_to_the_end(walking):
    tracks, poses = shoot(walking[None, :50], camera())
    seen = []
    solve(tracks, poses, KNOWN, SIZE, FPS, lambda stage, done, total: seen.append((stage, done, total)))
    assert {stage for stage, _, _ in seen} == {"refine"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1] == seen[-1][2]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(12))
def test_garbage_never_blows_up(seed):
    """Joints anywhere, poses of any size, people who come and go: finite results or a plain sentence."""
    rng = np.random.default_rng(seed)
    P, T = rng.integers(1, 4), rng.integers(1, 60)
    poses = rng.normal(0, rng.choice([0.0, 0.01, 0.3, 3.0]), (P, T, 17, 3))
    poses[rng.random((P, T)) < 0.3] = np.nan
    joints = rng.uniform(-200, 2200, (P, T, 21, 2)) if seed % 3 else np.full((P, T, 21, 2), 500.0)
    joints[rng.random((P, T, 21)) < rng.choice([0, 0.5, 0.95])] = np.nan
    confidence = np.where(np.isfinite(joints[..., 0]), rng.random((P, T, 21)), 0)
    frames = np.sort(rng.choice(500, T, replace=False)).astype(np.int32)
    lens = Lens(K, np.zeros(5), "prior", "A guess.", rng.choice([0, 0.25]))
    try:
        solution = solve(Tracks(frames, joints, confidence, np.ones((P, T, 21), np.uint8)), poses, lens, SIZE, FPS)
    except UserError:
        return
    assert all(np.isfinite(part).all() for part in (solution.camera.K, solution.camera.R, solution.camera.t))
    placed, present = (np.isfinite(array).all(axis=(2, 3)) for array in (solution.joints, poses))
    assert not (placed & ~present).any()
    json.dumps(solution.report, allow_nan=False)


@pytest.mark.parametrize("name", ["cam01", "cam02", "cam04"])
def test_real_camera_from_a_real_motion(shared, name):
    """A man who nearly loses his balance before cameras that are rolled by up to 26°: his 3D joints (measured by four
    cameras) as the lifter's poses, their pixels with 8 px of noise."""
    clip = shared / "clips" / "pose2sim-single"
    truth = json.loads((clip / "cameras.json").read_text())[name]
    K, distortion, R, t = (np.array(truth[key], float) for key in ("K", "distortion", "R", "t"))
    markers = np.loadtxt(clip / "single_filt.trc", skiprows=5)[:, 2:].reshape(100, -1, 3)[..., [2, 0, 1]]
    names = (clip / "single_filt.trc").read_text().split("\n")[3].split("\t")[2::3]
    at = {marker: markers[:, index] for index, marker in enumerate(filter(None, map(str.strip, names)))}
    hip = (at["RHip"] + at["LHip"]) / 2
    order = (
        "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "", "Neck", "Nose", "Head",
        "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
    )  # fmt: skip
    world = np.stack([hip, *(at[m] if m else (hip + at["Neck"]) / 2 for m in order)], axis=1)
    real = Camera(K[None], R[None], t[None], distortion)
    tracks, poses = shoot(world[None], real, noise=8.0)
    solution = solve(tracks, poses, Lens(K, distortion, "user", "", 0.0), (truth["width"], truth["height"]), 60)
    about, up = solution.report["camera"], R[:, 2]
    assert about["pitch_deg"] == pytest.approx(np.degrees(np.arcsin(up[2])), abs=5)
    assert about["roll_deg"] == pytest.approx(np.degrees(np.arctan2(up[0], -up[1])), abs=5)
    assert about["height_m"] == pytest.approx(real.position[0, 2], rel=0.2)
    assert solution.report["people"][0]["residual_px_median"] < 12
