"""The vertical and the focal length from edges of rooms whose camera is known."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walk
from vp3d import media
from vp3d.camera_motion import CameraMotion, still
from vp3d.refine import Lens
from vp3d.refine.background import Background, Edges, find_edges, gather, sharpened
from vp3d.refine.gravity import estimate, tangent_basis, world_rotation

SIZE = (1920, 1080)
K = np.array([[1400.0, 0, 959.5], [0, 1400, 539.5], [0, 0, 1]])
KNOWN = Lens(K, np.zeros(5), "user", "", 0.0)
STILL = still(np.arange(3), 0.0, {}, "")


def up_of(pitch: float, roll: float) -> np.ndarray:
    """(3,) degrees, as reports give them."""
    p, r = np.radians([pitch, roll])
    return np.array([np.sin(r) * np.cos(p), -np.cos(r) * np.cos(p), np.sin(p)])


def room(pitch: float, roll: float, heading: float = 35.0, seed: int = 0, clutter: int = 30) -> Edges:
    """Edges of furniture along the walls, seen in three frames with 1 px of noise, and as many that follow nothing."""
    rng = np.random.default_rng(seed)
    turned = Rotation.from_euler("z", heading, degrees=True).as_matrix()
    R = world_rotation(up_of(pitch, roll)) @ turned
    found = []
    for row in range(3):
        start = (
            rng.uniform([-4, 2, -1.6], [4, 9, 1.2], (400, 3))
            @ Rotation.from_euler("z", heading, degrees=True).as_matrix()
        )
        along = np.eye(3)[rng.integers(0, 3, len(start))] * rng.uniform(0.4, 2.0, (len(start), 1))
        ends = np.stack([start, start + along], axis=1) @ R.T
        pixels = ends[..., :2] / np.maximum(ends[..., 2:], 0.1) * 1400 + K[:2, 2]
        inside = (ends[..., 2] > 0.5).all(-1) & ((pixels > 0) & (pixels < SIZE)).all((1, 2))
        pixels = pixels[inside & (np.linalg.norm(pixels[:, 1] - pixels[:, 0], axis=-1) > 60)][:70]
        middle, angle = rng.uniform(0, 1, (clutter, 2)) * SIZE, rng.uniform(0, np.pi, clutter)
        reach = rng.uniform(30, 100, (clutter, 1)) * np.stack([np.cos(angle), np.sin(angle)], -1)
        pixels = np.concatenate([pixels, np.stack([middle - reach, middle + reach], axis=1)])
        found.append((row, pixels + rng.normal(0, 1.0, pixels.shape)))
    return Edges(np.concatenate([np.full(len(p), row) for row, p in found]), np.concatenate([p for _, p in found]))


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (-22, -26), (-10, 3), (12, 0), (-30, 14)])
def test_up_of_a_room(pitch, roll):
    gravity = Background(room(pitch, roll), KNOWN, STILL).gravity(0.0, 0.0)
    assert off(gravity.up, up_of(pitch, roll)) < 0.5
    sigma = np.degrees(np.sqrt(np.diag(np.linalg.inv(gravity.information))))
    assert (sigma < 1.5).all()


def test_said_as_surely_as_it_is():
    """Both tilts lie within two sigmas in at least nine of ten rooms."""
    inside = []
    for seed in range(20):
        up = up_of(-12 + seed, 10 - seed)
        gravity = Background(room(-12 + seed, 10 - seed, seed * 7.0, seed), KNOWN, STILL).gravity(0.0, 0.0)
        inside.append(np.abs(tangent_basis(up) @ gravity.up) < 2 * np.sqrt(np.diag(np.linalg.inv(gravity.information))))
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize("wrong", [0.78, 1.25])
def test_focal_length_of_a_room(wrong):
    guess = Lens(K * [[wrong, 1, 1], [1, wrong, 1], [1, 1, 1]], np.zeros(5), "prior", "A guess.", 0.25)
    edges = room(-15, 4)
    lens = sharpened(guess, edges, STILL)
    assert lens.source == "background"
    assert lens.focal_sigma < 0.1
    assert abs(np.log(lens.K[0, 0] / 1400)) < 2 * lens.focal_sigma
    assert f"{lens.K[0, 0]:.0f} px" in lens.note
    assert off(Background(edges, replace(lens, focal_sigma=0.0), STILL).frame.up, up_of(-15, 4)) < 1.0
    assert sharpened(KNOWN, edges, STILL) is KNOWN


def test_an_unsure_focal_length_makes_the_pitch_unsure():
    background = Background(room(-25, 0), KNOWN, STILL)
    sure, unsure = (np.linalg.inv(background.gravity(0.0, sigma).information) for sigma in (0.0, 0.2))
    assert unsure[1, 1] > 2 * sure[1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_clutter_alone_says_nothing(seed):
    rng = np.random.default_rng(seed)
    angle, middle = rng.uniform(0, np.pi, 300), rng.uniform(0, 1, (300, 2)) * SIZE
    reach = 60 * np.stack([np.cos(angle), np.sin(angle)], -1)
    clutter = Edges(np.repeat(np.arange(3), 100), np.stack([middle - reach, middle + reach], axis=1))
    assert Background(clutter, KNOWN, STILL).gravity(0.0, 0.0) is None
    guess = replace(KNOWN, source="prior", focal_sigma=0.25)
    assert sharpened(guess, clutter, STILL) is guess


def test_no_edges():
    nothing = gather([(0, np.full((120, 160, 3), 90, np.uint8), np.full((1, 21, 2), np.nan))])
    assert nothing.ends.shape == (0, 2, 2)
    assert Background(nothing, KNOWN, STILL).gravity(0.0, 0.0) is None


def test_a_camera_that_turns_and_zooms():
    turns = Rotation.from_euler("yx", [[0, 0], [8, 2], [16, -3]], degrees=True).as_matrix()
    zoom = np.array([1.0, 1.2, 1.5])
    edges = room(-15, 4, clutter=0)
    ends = np.concatenate([(edges.ends - K[:2, 2]) / 1400, np.ones((len(edges.ends), 2, 1))], axis=-1)
    seen = np.einsum("nij,nkj->nki", turns[edges.rows], ends)
    pixels = seen[..., :2] / seen[..., 2:] * 1400 * zoom[edges.rows, None, None] + K[:2, 2]
    motion = CameraMotion(
        "tripod", np.arange(3), turns, np.zeros((3, 3)), zoom, ((0, 3),), None, None, 0.0, {}, ""
    )  # fmt: skip
    gravity = Background(Edges(edges.rows, pixels), KNOWN, motion).gravity(0.0, 0.0)
    assert off(gravity.up, up_of(-15, 4)) < 0.5


def test_edges_are_found_outside_the_people():
    image = np.full((480, 640, 3), 200, np.uint8)
    cv2.rectangle(image, (60, 40), (160, 440), (40, 40, 40), -1)
    cv2.rectangle(image, (400, 100), (500, 400), (40, 40, 40), -1)
    person = np.full((21, 2), np.nan)
    person[:2] = [[410, 110], [490, 390]]
    everything = find_edges(image, person[None] * np.nan)
    edges = find_edges(image, person[None])
    assert len(edges) < len(everything)
    assert (edges[..., 0] < 300).all()
    upright = edges[np.ptp(edges[..., 1], axis=1) > 300]
    np.testing.assert_allclose(
        np.sort(upright.mean((1, 2)) - upright.mean(1)[:, 1] / 2, axis=0)[[0, -1]] * 2, [60, 160], atol=1.5
    )


def test_bodies_and_background_together():
    """Where nobody stands the background decides; a lifter's walkers who lean 8° hardly move what it says."""
    told = Background(room(-22, -26), KNOWN, STILL).gravity(0.0, 0.0)
    R = world_rotation(up_of(-22, -26))
    walking = walk(np.arange(100) / 25) @ R.T
    lying = walking @ Rotation.from_rotvec(np.pi / 2 * R[:, 1]).as_matrix().T
    assert estimate([lying], [np.ones(100)], 1 / 25, told) is told
    leaning = walking @ Rotation.from_rotvec(np.radians(8) * R[:, 1]).as_matrix().T
    alone, both = (estimate([leaning], [np.ones(100)], 1 / 25, gravity) for gravity in (None, told))
    assert off(alone.up, up_of(-22, -26)) > 4
    assert off(both.up, up_of(-22, -26)) < 1.5
    assert both.postures > 1


@pytest.mark.parametrize("name", ["cam01", "cam02", "cam04"])
@pytest.mark.parametrize("known", [True, False])
def test_real_room(shared, name, known):
    """A laboratory before cameras that are rolled by up to 26°, with a lens that is known, and with a guess at it."""
    clip = shared / "clips" / "pose2sim-single"
    truth = json.loads((clip / "cameras.json").read_text())[name]
    matrix, up = np.array(truth["K"]), np.array(truth["R"])[:, 2]
    frames = media.read_frames(clip / f"{name}.mp4", 0, 100, 50)
    edges = gather((row, frame.image, np.zeros((0, 21, 2))) for row, frame in enumerate(frames))
    lens = Lens(matrix, np.array(truth["distortion"]), "calibration", "", 0.0)
    if not known:
        guess = matrix * [[0.9, 1, 1], [1, 0.9, 1], [1, 1, 1]]
        lens = sharpened(Lens(guess, np.zeros(5), "prior", "", 0.15), edges, STILL)
        assert lens.source == "background"
        assert abs(np.log(lens.K[0, 0] / matrix[0, 0])) < min(2 * lens.focal_sigma, 0.1)
    gravity = Background(edges, replace(lens, focal_sigma=0.0), STILL).gravity(0.0, 0.0)
    assert off(gravity.up, up) < 1.5
