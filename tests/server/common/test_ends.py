"""Head and feet from 2D joints: projected by OpenCV from heads and feet whose orientation is known."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import cameras, walker
from vp3d.common import armature
from vp3d.common.ends import seen_ends
from vp3d.common.skeletons import BODY_21, H36M_17

FRAMES = 60
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
# another head than the usual one: a longer nose, ears set back, left, up, forward in m
HEAD = np.array([[0, -0.03, 0.125], [0.033, 0.012, 0.078], [-0.033, 0.012, 0.078], [0.075, 0.004, -0.006],
                 [-0.075, 0.004, -0.006]])  # fmt: skip
AXES = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]).T  # left, up, forward of somebody who faces +X


def turned(yaw, pitch, roll):
    """World orientations (T, 3, 3) of heads: left, up and forward as columns; degrees from facing +X."""
    turns = Rotation.from_euler("ZYX", np.stack(np.broadcast_arrays(yaw, pitch, roll), -1), degrees=True)
    return turns.as_matrix() @ AXES


def looking(orientations, away=0.0, size=1.0, noise_px=0.0, distortion=(0, 0, 0, 0, 0), seed=0):
    """A walker's take with faces turned so; the camera 4 m in front of the walk, `away` degrees off."""
    count = len(orientations)
    take = walker(count)
    rng = np.random.default_rng(seed)
    take.joints3d[0] -= take.joints3d[0, :, :1] * [1, 1, 0]  # on the spot
    angle = np.radians(away)
    ahead = -np.array([np.cos(angle), np.sin(angle), 0.05])
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(ahead, right), ahead])
    eye = np.array([0, 0, 1.4]) - 4 * ahead
    take.camera_R, take.camera_t = R[None], (-R @ eye)[None]
    take.distortion = np.asarray(distortion, float)
    middle = take.joints3d[0, :, H36M_17.index("neck")] - [0.03, 0, 0]
    at = middle[:, None] + size * np.einsum("tij,kj->tki", orientations, HEAD)
    pixels, _ = cv2.projectPoints(at.reshape(-1, 3), cv2.Rodrigues(R)[0], take.camera_t[0], take.camera_K[0],
                                  take.distortion)  # fmt: skip
    pixels = pixels.reshape(count, 5, 2) + noise_px * rng.normal(size=(count, 5, 2))
    for n, name in enumerate(FACE):
        take.joints2d[0, :, BODY_21.index(name)], take.confidence[0, :, BODY_21.index(name)] = pixels[:, n], 0.9
    return take


def apart(a, b):
    """Degrees (T,) between orientations."""
    return np.degrees(Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b).magnitude())


def head_of(take):
    """World orientation (T, 3, 3) of the solved head: left, up, forward."""
    times = take.frames / float(take.fps)
    motion = armature.solve(take.joints3d[0], take.contacts[0], times, seen_ends(take, 0))
    matrices, _ = armature.forward(motion.rest, motion.location, motion.rotations)
    head, chest = motion.rest.names.index("head"), motion.rest.names.index("chest")
    return matrices[:, head] @ motion.rest.matrices[head].T @ motion.rest.matrices[chest], motion


@pytest.mark.parametrize("away", [0, 35, -70])
@pytest.mark.parametrize("axis", ["yaw", "pitch", "roll"])
def test_turned_heads_are_seen(axis, away):
    span = {"yaw": 45, "pitch": 25, "roll": 30}[axis]
    swing = span * np.sin(np.linspace(0, 2 * np.pi, FRAMES))
    wanted = turned(*(swing if name == axis else 0 * swing for name in ("yaw", "pitch", "roll")))
    ends = seen_ends(looking(wanted, away), 0)
    assert np.median(apart(ends.head, wanted)) < 6, "another head than the usual one"
    assert apart(ends.head, wanted).max() < 15
    assert ends.head_trust.min() > 0.4


def test_size_lens_and_noise_do_not_matter_much():
    wanted = turned(40 * np.sin(np.linspace(0, 6, FRAMES)), 15, 0)
    plain = seen_ends(looking(wanted), 0)
    for changes in ({"size": 1.15}, {"noise_px": 2.0}, {"distortion": [-0.2, 0.05, 0.001, 0.001, 0]}):
        found = seen_ends(looking(wanted, **changes), 0)
        assert np.median(apart(found.head, plain.head)) < 7, changes


def test_the_armatures_head_follows_and_the_neck_shares():
    yaw = 50 * np.sin(np.linspace(0, 2 * np.pi, FRAMES))
    wanted = turned(yaw, 0, 0)
    found, motion = head_of(looking(wanted, noise_px=1.0))
    assert np.median(apart(found, wanted)) < 7
    neck = Rotation.from_quat(motion.rotations[:, motion.rest.names.index("neck")], scalar_first=True).as_rotvec()
    share = np.polyfit(np.radians(yaw), neck[:, 1], 1)[0]
    assert 0.3 < share < 0.7


def test_hidden_ears_and_faces_make_no_pops():
    """Ears go one after the other, then the whole face; it comes back. The head goes on as smoothly as it turns."""
    frames = 150
    wanted = turned(40 * np.sin(np.linspace(0, 3 * np.pi, frames)), 10, 0)
    take = looking(wanted, noise_px=0.5)
    whole, _ = head_of(take)
    ear = [BODY_21.index(f"{side}_ear") for side in ("left", "right")]
    take.confidence[0, 20:60, ear[0]] = 0
    take.confidence[0, 45:60, ear[1]] = 0
    gone = [BODY_21.index(name) for name in FACE]
    take.confidence[0, 90:110][:, gone] = 0
    take.joints2d[0, 90:110][:, gone] = np.nan
    found, _ = head_of(take)
    steps = np.degrees(Rotation.from_matrix(np.swapaxes(found[:-1], 1, 2) @ found[1:]).magnitude())
    assert steps.max() < 6
    assert apart(found, whole)[20:60].max() < 20
    assert apart(found, whole)[120:].max() < 5


def test_without_a_face_nothing_changes():
    take = walker(30)
    times = take.frames / float(take.fps)
    plain = armature.solve(take.joints3d[0], take.contacts[0], times)
    ends = seen_ends(take, 0)  # only noses are known
    assert not ends.head_trust.any() and not ends.feet_trust.any()
    again = armature.solve(take.joints3d[0], take.contacts[0], times, ends)
    np.testing.assert_array_equal(plain.rotations, again.rotations)


def test_feet_point_where_heels_and_toes_do():
    take = walker(FRAMES)
    K, R, t = cameras(np.zeros(1), take.camera_K[0])
    out = np.radians(25)
    for side, sign in (("left", 1), ("right", -1)):
        ankle = take.joints3d[0, :, H36M_17.index(f"{side}_ankle")]
        along = np.array([np.cos(out), sign * np.sin(out), 0])
        for part, far in (("heel", -0.06), ("toe", 0.19)):
            at = ankle * [1, 1, 0] + [0, 0, 0.02] + far * along
            pixels, _ = cv2.projectPoints(at, cv2.Rodrigues(R[0])[0], t[0], K[0], None)
            point = BODY_21.index(f"{side}_{part}")
            take.joints2d[0, :, point], take.confidence[0, :, point] = pixels[:, 0], 0.9
    ends = seen_ends(take, 0)
    times = take.frames / float(take.fps)
    motion = armature.solve(take.joints3d[0], take.contacts[0], times, ends)
    matrices, _ = armature.forward(motion.rest, motion.location, motion.rotations)
    for side, letter, sign in ((0, "L", 1), (1, "R", -1)):
        stands = take.contacts[0, :, side] > 0.5
        there = np.tile([np.cos(out), sign * np.sin(out)], (stands.sum(), 1))
        np.testing.assert_allclose(ends.feet[stands, side], there, atol=0.05)
        ahead = matrices[:, motion.rest.names.index(f"toe.{letter}"), :2, 1][stands]
        yaw = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0]))
        # at both ends of a step the foot comes and goes
        assert abs(np.quantile(sign * yaw, 0.8) - 25) < 3
