"""Camera and people where the camera turns, zooms or travels; how it moves is given, how far is not."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walk
from vp3d.camera_motion import CameraMotion, still
from vp3d.cameras import Camera
from vp3d.common.skeletons import H36M_FROM_COCO
from vp3d.common.take import Source
from vp3d.refine import Lens, solve
from vp3d.refine.closed_form import distance_travelled
from vp3d.refine.gravity import world_rotation
from vp3d.track import Tracks

SIZE, FPS = (1920, 1080), 25
K = np.array([[1500.0, 0, 959.5], [0, 1500, 539.5], [0, 0, 1]])
KNOWN = Lens(K, np.zeros(5), "user", "", 0.0)
UNIT = 4.0  # m in the unit of the camera's path


def there_and_back(frames: int) -> np.ndarray:
    """Walks to the upper right of the camera's view, and backwards again."""
    half = frames / 2 / FPS
    turn = np.array([[np.cos(0.9), np.sin(0.9), 0], [-np.sin(0.9), np.cos(0.9), 0], [0, 0, 1]])
    return walk(half - np.abs(np.arange(frames) / FPS - half)) @ turn - [1.0, 0, 0]


def motion(kind: str, frames: int) -> CameraMotion:
    """As the background would tell it: a pan of 40°, a zoom to twice the focal length, or a walk past the person."""
    along = np.linspace(0, 1, frames)
    parts = still(np.arange(frames), 0.0, {}, "")
    turn = Rotation.from_rotvec(along[:, None] * np.radians([3, 40, 2])).as_matrix()
    if kind == "zoom":
        return CameraMotion(**{**vars(parts), "zoom": 1 + along})
    if kind == "pan":
        return CameraMotion(**{**vars(parts), "kind": "tripod", "rotation": turn})
    position = np.stack([-0.5 * along, 0.02 * np.sin(20 * along), 0.25 * along], -1)
    return CameraMotion(**{**vars(parts), "kind": "free", "rotation": turn.swapaxes(1, 2), "position": position})


def moving(given: CameraMotion) -> Camera:
    upright = world_rotation(np.array([0.03, -0.98, -0.17]) / np.linalg.norm([0.03, -0.98, -0.17]))
    lens = np.tile(K, (len(given.frames), 1, 1))
    lens[:, [0, 1], [0, 1]] *= given.zoom[:, None]
    R = given.rotation @ upright
    place = [0, -5, 1.7] + UNIT * given.position @ upright
    return Camera(lens, R, -np.einsum("tij,tj->ti", R, place), np.zeros(5))


def shoot(people: np.ndarray, seen_by: Camera, noise: float = 2.0) -> tuple[Tracks, np.ndarray]:
    rng = np.random.default_rng(0)
    P, T = people.shape[:2]
    joints = np.full((P, T, 21, 2), np.nan)
    joints[:, :, list(H36M_FROM_COCO.values())] = seen_by.project(people)[:, :, list(H36M_FROM_COCO)]
    joints += rng.normal(0, noise, joints.shape)
    confidence = np.where(np.isfinite(joints[..., 0]), 0.8, 0.0)
    source = np.where(confidence > 0, Source.MEASURED, Source.ABSENT).astype(np.uint8)
    poses = np.einsum("tij,ptkj->ptki", seen_by.R, people)
    poses = poses - poses[:, :, :1]
    return Tracks(np.arange(T, dtype=np.int32), joints.astype(np.float32), confidence, source), poses


@pytest.mark.parametrize("kind", ["pan", "zoom", "walk"])
def test_people_stand_still_while_the_camera_moves(kind):
    walking = there_and_back(100)
    given = motion(kind, 100)
    truth = moving(given)
    tracks, poses = shoot(walking[None], truth)
    solution = solve(tracks, poses, KNOWN, SIZE, FPS, motion=given)
    about = solution.report["people"][0]
    assert solution.camera.R.shape == (100, 3, 3)
    turned = solution.camera.R @ solution.camera.R[0].T
    np.testing.assert_allclose(turned, truth.R @ truth.R[0].T, atol=1e-9)
    np.testing.assert_allclose(solution.camera.K, truth.K, rtol=1e-6)
    found = solution.camera.position - solution.camera.position[0]
    true = truth.position - truth.position[0]
    if kind == "walk":
        first = solution.camera.R[0] @ found[-1] / about["scale"], truth.R[0] @ true[-1]
        np.testing.assert_allclose(*first, rtol=0.05, atol=0.02)
    else:
        np.testing.assert_allclose(found, 0, atol=1e-9)
    # in the first camera's axes, where scale and place of the world are free
    ours = (solution.joints[0] @ solution.camera.R[0].T + solution.camera.t[0]) / about["scale"]
    theirs = walking @ truth.R[0].T + truth.t[0]
    off = np.linalg.norm(ours[:, 0] - theirs[:, 0], axis=-1) / theirs[:, 0, 2]
    assert np.median(off) < 0.02
    assert about["residual_px_median"] < 1.2 * 2 * np.sqrt(2 * np.log(2))
    assert about["contact_speed_m_s_median"] < 0.03
    json.dumps(solution.report)


def test_two_people_agree_how_far_the_camera_went():
    walking = there_and_back(120)
    people = np.stack([walking, walking[::-1] * 0.9 + [1.4, 0.8, 0]])
    given = motion("walk", 120)
    truth = moving(given)
    tracks, poses = shoot(people, truth)
    poses[1] *= 1.15  # a lifter knows no sizes
    solution = solve(tracks, poses, KNOWN, SIZE, FPS, motion=given)
    for person in solution.report["people"]:
        assert person["residual_px_median"] < 1.3 * 2 * np.sqrt(2 * np.log(2))
    found, true = solution.camera.position, truth.position
    ratio = np.linalg.norm(found[-1] - found[0]) / np.linalg.norm(true[-1] - true[0])
    apart = np.linalg.norm((solution.joints[1] - solution.joints[0])[:, 0], axis=-1) / ratio
    np.testing.assert_allclose(apart, np.linalg.norm((people[1] - people[0])[:, 0], axis=-1), rtol=0.1, atol=0.15)


def test_shots_are_solved_apart():
    walking = there_and_back(120)
    pan = motion("pan", 60)
    given = CameraMotion(
        **{
            **vars(still(np.arange(120), 0.0, {}, "")),
            "kind": "tripod",
            "rotation": np.concatenate([np.tile(np.eye(3), (60, 1, 1)), pan.rotation]),
            "shots": ((0, 60), (60, 120)),
        }
    )
    tracks, poses = shoot(np.stack([walking, walking]), moving(given))
    poses[0, 60:], poses[1, :60] = np.nan, np.nan
    seen = []
    solution = solve(
        tracks, poses, KNOWN, SIZE, FPS, lambda stage, done, total: seen.append(done / total), motion=given
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(solution.report["shots"]) == 2
    assert [person["person"] for person in solution.report["people"]] == [1, 2]
    assert np.isfinite(solution.joints[0, :60]).all()
    assert np.isfinite(solution.joints[1, 60:]).all()
    assert np.isnan(solution.joints[0, 60:]).all()
    np.testing.assert_allclose(solution.camera.R[:60], solution.camera.R[:1].repeat(60, 0))
    assert np.nanmedian(solution.residual_px) < 1.2 * 2 * np.sqrt(2 * np.log(2))


def test_a_shot_without_people_keeps_the_take_whole():
    walking = there_and_back(80)
    given = CameraMotion(**{**vars(still(np.arange(80), 0.0, {}, "")), "shots": ((0, 50), (50, 80))})
    tracks, poses = shoot(walking[None], moving(given))
    poses[0, 50:] = np.nan
    solution = solve(tracks, poses, KNOWN, SIZE, FPS, motion=given)
    assert np.isfinite(solution.joints[0, :50]).all()
    assert np.isfinite(solution.camera.t).all()
    np.testing.assert_allclose(np.linalg.det(solution.camera.R), 1)


def test_feet_tell_how_far_the_camera_went():
    joints = walk(np.arange(100) / FPS) @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) + [0, 1, 5]
    position = np.linspace(0, 1, 100)[:, None] * [0.4, 0.1, 0.3]
    ankles = joints[:, [3, 6]] - 3.0 * position[:, None]
    linked = np.ones(99, bool)
    assert distance_travelled(ankles, position, np.full(100, 5.0), linked, 1 / FPS) == pytest.approx(3.0, rel=0.05)
    alone = distance_travelled(ankles[:2], position[:2], np.full(2, 5.0), linked[:1], 1 / FPS)
    assert alone == pytest.approx(7.5, rel=0.05), (
        "with nothing to go by, the background lies somewhat behind the person"
    )
