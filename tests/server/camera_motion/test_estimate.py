"""From clips to what the camera did: clips made up here, our own render, and real ones whose camera stands still."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vp3d import media
from vp3d.camera_motion import CameraMotion, Clip, Followed, estimate, still, watch
from vp3d.errors import Cancelled

SIZE, FOCAL, FPS = (320, 180), 300.0, 25
K = np.array([[FOCAL, 0, 159.5], [0, FOCAL, 89.5], [0, 0, 1]])
NONE = np.zeros(5)


def panorama(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (700, 1400)), (0, 0), sigma) * sigma for sigma in (1.5, 4, 12)]
    return cv2.normalize(sum(layers), None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8)


def film(folder: Path, turns: np.ndarray, zooms: np.ndarray, seed: int = 0, first: int = 0) -> Clip:
    """Pictures of a far wall, with sensor noise and a striped person who walks through."""
    rng = np.random.default_rng(seed)
    wall, middle = panorama(seed), np.array([[FOCAL, 0, 699.5], [0, FOCAL, 349.5], [0, 0, 1]])
    joints = np.full((1, len(turns), 21, 2), np.nan)
    for index, (turn, zoom) in enumerate(zip(turns, zooms, strict=True)):
        lens = K @ np.diag([zoom, zoom, 1])
        picture = cv2.warpPerspective(wall, lens @ turn @ np.linalg.inv(middle), SIZE, flags=cv2.INTER_CUBIC)
        x = 40 + 3 * index
        picture[50:150, x : x + 30] = np.where(np.arange(100) // 6 % 2, 230, 30)[:, None]
        joints[0, index, :5] = [[x + 4, 55], [x + 26, 55], [x + 15, 90], [x + 5, 145], [x + 25, 145]]
        noisy = np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"shot_{first + index:04d}.png"), cv2.merge([noisy] * 3))
    return Clip(folder / "shot_####.png", np.arange(first, first + len(turns)), joints, SIZE, FPS)


def turned(frames: int, degrees: float) -> np.ndarray:
    along = np.linspace(0, 1, frames)[:, None]
    return Rotation.from_rotvec(np.radians(degrees) * along * [0.1, 1, 0]).as_matrix()


def solved(clip: Clip, wrong: float = 1.0, sigma: float = 0.25) -> CameraMotion:
    return estimate(clip, watch(clip), K * [[wrong, 1, 1], [1, wrong, 1], [1, 1, 1]], NONE, sigma)


def test_a_camera_that_stands_still(tmp_path):
    clip = film(tmp_path, turned(30, 0), np.ones(30))
    motion = solved(clip)
    assert motion.kind == "static" and not motion.moves and motion.sure
    assert motion.counts["frames"] < 15, "a look at few frames was enough"
    np.testing.assert_array_equal(motion.rotation, still(clip.frames, 0, {}, "").rotation)


def test_a_pan(tmp_path):
    motion = solved(film(tmp_path, turned(40, 30), np.ones(40)), wrong=1.2)
    assert motion.kind == "tripod" and motion.moves
    error = np.degrees(Rotation.from_matrix(motion.rotation @ turned(40, 30).swapaxes(1, 2)).magnitude())
    assert np.median(error) < 0.1 and error.max() < 0.4
    assert motion.focal_px == pytest.approx(FOCAL, rel=0.02) and motion.focal_sigma < 0.05
    np.testing.assert_array_equal(motion.zoom, 1)
    np.testing.assert_array_equal(motion.position, 0)
    assert "turns" in motion.note


def test_a_zoom_tells_no_focal_length(tmp_path):
    zoom = np.linspace(1, 1.6, 30)
    motion = solved(film(tmp_path, turned(30, 0), zoom))
    assert motion.moves and motion.focal_px is None
    np.testing.assert_allclose(motion.zoom, zoom, rtol=0.01)
    assert "zooms by a factor of 1.6" in motion.note


def test_a_cut(tmp_path):
    one = film(tmp_path, turned(20, 15), np.ones(20))
    other = film(tmp_path, turned(15, 0), np.ones(15), seed=1, first=20)
    clip = Clip(one.video, np.arange(35), np.concatenate([one.joints, other.joints], axis=1), SIZE, FPS)
    motion = solved(clip, sigma=0.0)
    assert motion.shots == ((0, 20), (20, 35))
    np.testing.assert_array_equal(motion.rotation[20:], np.tile(np.eye(3), (15, 1, 1)))
    assert np.degrees(Rotation.from_matrix(motion.rotation[19]).magnitude()) == pytest.approx(15, abs=0.5)
    assert "2 shots" in motion.note
    assert motion.shot(0).kind == "tripod" and motion.shot(1).kind == "static"
    assert motion.shot(1).frames.tolist() == list(range(20, 35))


def test_water_moves_no_camera(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(25):
        water = cv2.GaussianBlur(rng.normal(0, 1, (180, 320)), (0, 0), 3)
        picture = cv2.normalize(water, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"shot_{index:04d}.png"), cv2.merge([picture] * 3))
    nobody = np.full((1, 25, 21, 2), np.nan)
    motion = solved(Clip(tmp_path / "shot_####.png", np.arange(25), nobody, SIZE, FPS))
    assert motion.kind == "static"
    np.testing.assert_array_equal(motion.rotation, np.tile(np.eye(3), (25, 1, 1)))


def test_every_second_frame(tmp_path):
    clip = film(tmp_path, turned(40, 30), np.ones(40))
    motion = solved(Clip(clip.video, clip.frames[::2], clip.joints[:, ::2], SIZE, FPS))
    assert motion.frames.tolist() == list(range(0, 40, 2))
    error = Rotation.from_matrix(motion.rotation @ turned(40, 30)[::2].swapaxes(1, 2)).magnitude()
    assert np.degrees(np.median(error)) < 0.15


def test_cancelling(tmp_path):
    clip = film(tmp_path, turned(30, 20), np.ones(30))

    def stop(stage, done, total):
        assert stage == "camera" and 0 <= done <= total == 30
        if done >= 10:
            raise Cancelled

    with pytest.raises(Cancelled):
        watch(clip, stop)


def test_through_the_cache_and_back(tmp_path):
    clip = film(tmp_path, turned(30, 20), np.ones(30))
    followed = watch(clip)
    again = Followed.from_arrays({name: np.asarray(value) for name, value in followed.arrays().items()})
    motion = estimate(clip, again, K, NONE, 0.1)
    back = CameraMotion.from_arrays(motion.arrays())
    assert back.digest() == motion.digest() != "static"
    assert back.about() == motion.about() == json.loads(json.dumps(motion.about()))
    assert back.shots == motion.shots and back.counts == motion.counts


def test_our_own_render_of_a_free_camera(shared):
    video = shared / "clips" / "rendered" / "dance.mp4"
    truth = json.loads(video.with_suffix(".truth.json").read_text())
    focal = truth[0]["f"]
    R, eye = (np.array([frame[name] for frame in truth]) for name in ("R", "eye"))
    joints = np.array([[pixel[:2] for pixel in frame["people"][0]["J2"].values()] for frame in truth])[None]
    clip = Clip(video, np.arange(len(truth)), joints, (640, 360), 30.0)
    guess = np.array([[focal * 1.2, 0, 319.5], [0, focal * 1.2, 179.5], [0, 0, 1]])
    motion = estimate(clip, watch(clip), guess, NONE, 0.25)
    assert motion.kind == "free"
    assert motion.focal_px == pytest.approx(focal, rel=0.03)
    error = np.degrees(Rotation.from_matrix(motion.rotation @ R[0] @ R.swapaxes(1, 2)).magnitude())
    assert np.median(error) < 0.5 and error.max() < 1
    path = (eye - eye[0]) @ R[0].T
    scale = (motion.position * path).sum() / (motion.position**2).sum()
    assert np.median(np.linalg.norm(scale * motion.position - path, axis=-1)) < 0.05, "m, on a path of 2.2 m"


@pytest.mark.parametrize(
    "name", ["pose2sim-single/cam01", "sports2d/demo", "bodypose3d/cam0_test", "gmdcsa24/Subject_4_Fall_02"]
)
def test_real_cameras_that_stand_still(shared, name):
    """Nobody is masked here, which makes it harder."""
    video = shared / "clips" / f"{name}.mp4"
    info = media.probe(video)
    nobody = np.full((1, info.frame_count, 21, 2), np.nan)
    clip = Clip(video, np.arange(info.frame_count), nobody, (info.width, info.height), float(info.fps))
    motion = estimate(clip, watch(clip), np.diag([900.0, 900, 1]), NONE, 0.25)
    assert motion.kind == "static" and not motion.moves
