"""Paths of cameras from features that were made up, with noise, wrong ones, and births and deaths at the border."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vp3d.camera_motion.paths import Shot, key_frames, travelling, turning

FOCAL, SIDE, HALF = 560.0, 640.0, np.array([320.0, 180.0])


def degrees_apart(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.degrees(Rotation.from_matrix(ours @ theirs.swapaxes(1, 2)).magnitude())


def shoot(
    rotation: np.ndarray, place: np.ndarray, zoom: np.ndarray, guess: float = 1.0, sigma: float = 0.25, seed: int = 0
) -> Shot:
    """What features of a room show to such cameras: 0.2 px of noise, every eighth feature runs astray."""
    rng = np.random.default_rng(seed)
    walls = rng.uniform([-6, -2, 3], [6, 1.5, 9], (1500, 3))
    walls[:600, 2] = 8.0
    walls[600:1000, 1] = 1.5
    Y = np.einsum("tij,tpj->tpi", rotation, walls - place[:, None])
    pixels = Y[..., :2] / Y[..., 2:] * (FOCAL * zoom)[:, None, None]
    visible = (Y[..., 2] > 0.5) & (np.abs(pixels) < HALF).all(-1) & (np.arange(1500) % 6 == 0)
    wander = np.cumsum(rng.normal(0, 1.5, (len(zoom), 1500, 2)), axis=0)
    pixels += rng.normal(0, 0.2, pixels.shape) + wander * (np.arange(1500) % 48 == 0)[:, None]
    row, feature = np.nonzero(visible)
    _, number = np.unique(feature, return_inverse=True)
    return Shot(len(zoom), row, number, pixels[row, feature], SIDE, FOCAL * guess, sigma)


def turns(frames: int, degrees: float) -> np.ndarray:
    along = np.linspace(0, 1, frames)[:, None]
    return Rotation.from_rotvec(np.radians(degrees) * along * [0.1, 1, 0.05]).as_matrix()


def test_key_frames_are_near_enough_to_share_features():
    shot = shoot(turns(60, 40), np.zeros((60, 3)), np.ones(60))
    keys = key_frames(shot)
    assert keys[0] == 0 and keys[-1] == 59 and (np.diff(keys) > 0).all()
    for one, other in itertools.pairwise(keys):
        shared = np.intersect1d(shot.feature[shot.row == one], shot.feature[shot.row == other])
        assert len(shared) > 0.4 * (shot.row == one).sum()


@pytest.mark.parametrize("wrong", [0.8, 1.25])
def test_a_pan_tells_its_angle_and_the_lens(wrong):
    rotation = turns(40, 40)
    track = turning(shoot(rotation, np.zeros((40, 3)), np.ones(40), wrong), zooms=False)
    assert degrees_apart(track.cameras.rotation, rotation).max() < 0.1
    assert track.cameras.focal == pytest.approx(FOCAL, rel=0.01)
    assert abs(np.log(track.cameras.focal / FOCAL)) < 3 * track.focal_sigma < 0.05
    assert np.nanmedian(track.error) < 0.4
    np.testing.assert_array_equal(track.cameras.place, 0)


def test_a_zoom_while_panning():
    zoom = np.geomspace(1, 2, 40)
    track = turning(shoot(turns(40, 15), np.zeros((40, 3)), zoom, sigma=0.0), zooms=True)
    np.testing.assert_allclose(np.exp(track.cameras.log_zoom), zoom, rtol=0.005)
    assert degrees_apart(track.cameras.rotation, turns(40, 15)).max() < 0.1


@pytest.mark.parametrize("wrong", [1.0, 1.2])
def test_a_walk_tells_its_path_up_to_scale(wrong):
    along = np.linspace(0, 1, 30)
    place = np.stack([2 * along, 0.05 * np.sin(12 * along), 0.6 * along], -1)
    rotation = turns(30, -12)
    shot = shoot(rotation, place, np.ones(30), wrong)
    turned = turning(shot, zooms=False)
    assert np.nanmedian(turned.error) > 1, "a turn does not explain it"
    track = travelling(shot, turned, zooms=False)
    assert np.nanmedian(track.error) < 0.4
    assert np.median(degrees_apart(track.cameras.rotation, rotation)) < 0.2
    scale = (track.cameras.place * place).sum() / (place**2).sum()
    assert scale > 0
    np.testing.assert_allclose(track.cameras.place / scale, place, atol=0.05)
    assert track.cameras.focal == pytest.approx(FOCAL, rel=0.02)
    assert 4 < 1 / scale < 10, "the unit is the median distance of the room"


def test_too_little_to_follow():
    shot = shoot(turns(10, 5), np.zeros((10, 3)), np.ones(10))
    few = shot.feature < 5
    assert turning(Shot(10, shot.row[few], shot.feature[few], shot.place[few], SIDE, FOCAL, 0.2), zooms=False) is None


def test_frames_without_features_lie_between_their_neighbours():
    rotation = turns(40, 20)
    shot = shoot(rotation, np.zeros((40, 3)), np.ones(40))
    keep = ~np.isin(shot.row, [17, 18, 19]) | (shot.feature % 90 == 0)
    track = turning(Shot(40, shot.row[keep], shot.feature[keep], shot.place[keep], SIDE, FOCAL, 0.0), zooms=False)
    assert degrees_apart(track.cameras.rotation, rotation).max() < 0.3
