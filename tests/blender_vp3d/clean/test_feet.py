"""Feet that stand, on walkers whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from takes import walk, walk_contacts

from blender_vp3d.clean import feet
from blender_vp3d.clean.contacts import Thresholds, find, runs
from blender_vp3d.common.skeletons import H36M_17
from blender_vp3d.retarget import rotations as rot

FPS = 50.0
TIMES = np.arange(0, 4, 1 / FPS)
CONTACTS = walk_contacts(TIMES) > 0.5
_, Y, Z = np.eye(3)
HEIGHT, BALL, TIP = 0.08, 0.15, 0.22  # m
LEVEL = rot.matrix_to_quaternion(np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]))  # left +Y, up +Z, ahead +X


def legs(thigh=0.44, shin=0.42, slide=0.0, path=1.0):
    """Both legs of the walker along +X with other lengths; the hips go `path` times as far and as high as the legs
    let them, and feet slide along with them by a share `slide`."""
    joints = {name: walk(TIMES)[:, i] for i, name in enumerate(H36M_17.joints)}
    made = []
    size = (thigh + shin) / 0.86
    for side in ("left", "right"):
        hip, knee, ankle = (joints[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        moved = hip * [path, 1, 1]
        moved[:, 2] = HEIGHT + size * (hip[:, 2] - HEIGHT)
        bent = moved + thigh * rot.unit(knee - hip)
        end = (
            bent + shin * rot.unit(ankle - knee) + slide * np.stack([0.1 * np.sin(9 * TIMES), 0 * TIMES, 0 * TIMES], -1)
        )
        hinge = np.broadcast_to([0.0, 1, 0], hip.shape)
        foot = np.broadcast_to(LEVEL, (len(TIMES), 4))
        made.append(feet.Leg(moved, bent, end, hinge, foot, foot, HEIGHT, BALL, TIP))
    return made


def raised(leg, height):
    return replace(leg, hip=leg.hip + height * Z, knee=leg.knee + height * Z, ankle=leg.ankle + height * Z)


def locked(made, contacts=CONTACTS, **settings):
    root, turns = feet.lock(made, contacts, 1 / FPS, feet.Settings(**settings))
    return root, [feet.moved(leg, root, turn) for leg, turn in zip(made, turns, strict=True)]


def slid(leg, down):
    """Farthest that any point of the sole is from its middle place in a contact, m."""
    return max(np.linalg.norm(leg.sole[a:b] - np.median(leg.sole[a:b], axis=0), axis=-1).max() for a, b in runs(down))


def speeds(leg, down):
    both = down[1:] & down[:-1]
    return (np.linalg.norm(np.diff(leg.ankle, axis=0), axis=-1) * FPS)[both]


def lengths(leg):
    return np.stack([np.linalg.norm(leg.knee - leg.hip, axis=-1), np.linalg.norm(leg.ankle - leg.knee, axis=-1)])


def test_feet_that_stand_already_are_left_alone():
    made = legs()
    root, after = locked(made)
    assert np.abs(root).max() < 1e-6
    for before, now in zip(made, after, strict=True):
        np.testing.assert_allclose(now.knee, before.knee, atol=1e-5)
        np.testing.assert_allclose(now.ankle, before.ankle, atol=1e-6)


@pytest.mark.parametrize(("thigh", "shin"), [(0.44, 0.42), (0.36, 0.34), (0.52, 0.50), (0.40, 0.46)])
def test_feet_do_not_slide_on_any_body(thigh, shin):
    size = (thigh + shin) / 0.86
    made = legs(thigh, shin, path=size)
    rough = legs(thigh, shin, slide=0.3, path=size)
    for bodies in (made, rough):
        before = lengths(bodies[0])
        root, after = locked(bodies)
        assert np.linalg.norm(root, axis=-1).max() <= 0.03
        for leg, down in zip(after, CONTACTS.T, strict=True):
            assert slid(leg, down) < 0.005
            assert np.median(speeds(leg, down)) < 0.02
            assert leg.sole[..., 2].min() > -0.01
        np.testing.assert_allclose(lengths(after[0]), before, atol=1e-9)


def test_a_path_that_does_not_fit_the_legs_costs_sliding_first():
    made = legs(0.40, 0.38, path=1.0)
    assert min(slid(leg, down) for leg, down in zip(made, CONTACTS.T, strict=True)) > 0.02
    _, after = locked(made)
    for leg, down in zip(after, CONTACTS.T, strict=True):
        assert slid(leg, down) < 0.005


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_strength_is_the_share_of_the_way(strength):
    made = legs(slide=0.3)
    _, after = locked(made, strength=strength, floor=None)
    full = slid(made[0], CONTACTS[:, 0])
    assert slid(after[0], CONTACTS[:, 0]) == pytest.approx((1 - strength) * full, abs=0.002)


def test_a_wrong_contact_pulls_a_little():
    made = legs()
    wrong = CONTACTS.copy()
    wrong[60:130, 0] = True  # through a whole swing: the foot goes 1.2 m
    root, after = locked(made, wrong)
    right, _ = locked(made)
    assert np.linalg.norm(root - right, axis=-1).max() <= 0.02
    gone = np.linalg.norm(after[0].ankle - made[0].ankle, axis=-1)
    assert gone.max() < 0.16
    fastest = [np.linalg.norm(np.diff(leg.ankle, axis=0), axis=-1).max() for leg in (made[0], after[0])]
    assert fastest[1] < fastest[0] + 1.0 / FPS
    np.testing.assert_allclose(lengths(after[0]), lengths(made[0]), atol=1e-9)


@pytest.mark.parametrize("height", [0.02, 0.05, 0.08, 0.12, 0.2])
def test_a_foot_that_hovers_does_not_pull_the_root_down(height):
    """Somebody stands on the right foot; a contact is keyed while the left one is held up."""
    posed = [
        replace(leg, **{name: np.repeat(value[75:76], len(TIMES), 0) for name, value in vars(leg).items()
                        if isinstance(value, np.ndarray)}) for leg in legs()
    ]  # fmt: skip
    left = posed[0]
    left = replace(left, ankle=left.ankle * [1, 1, 0] + (HEIGHT + height) * Z)
    up = np.zeros((len(TIMES), 2), bool)
    up[:, 1] = True
    right, _ = locked([left, posed[1]], up)
    up[60:100, 0] = True
    wrong, after = locked([left, posed[1]], up)
    assert np.linalg.norm(wrong - right, axis=-1).max() <= 0.02
    if height < 0.1:  # higher up it stands on something
        assert after[0].ankle[80, 2] < left.ankle[80, 2] - 0.3 * height, "the foot itself comes down"
    assert np.linalg.norm(after[1].ankle - posed[1].ankle, axis=-1).max() < 0.002


def test_a_foot_comes_and_goes_over_the_blend():
    made = legs()
    shift = np.zeros((len(TIMES), 2), bool)
    start, end = runs(CONTACTS[:, 0])[1]
    shift[start:end, 0] = True
    lifted = replace(made[0], ankle=np.where(shift[:, :1], made[0].ankle, made[0].ankle + 0.03 * Y))
    _, (after, _) = locked([lifted, made[1]], shift, blend=5, floor=None)
    before = np.linalg.norm(after.ankle - lifted.ankle, axis=-1)
    assert before[: start - 6].max() < 0.021 and before[end + 6 :].max() < 0.021  # the root's share at most


def test_feet_lie_level_and_point_one_way():
    made = legs()
    wobble = rot.turn(np.array([0, 1.0, 0]), 0.3 * np.sin(8 * TIMES))
    yaw = rot.turn(np.array([0, 0, 1.0]), 0.2 * np.cos(8 * TIMES))
    foot = rot.multiply(yaw, wobble, LEVEL)
    made[0] = replace(made[0], foot=foot, toe=foot)
    _, after = locked(made)
    for start, end in runs(CONTACTS[:, 0]):
        up, ahead = (rot.rotate(after[0].foot[start:end], v) for v in ([0, 1.0, 0], [0, 0, 1.0]))
        np.testing.assert_allclose(up, np.broadcast_to([0, 0, 1.0], up.shape), atol=1e-6)
        np.testing.assert_allclose(ahead, np.broadcast_to(ahead[0], ahead.shape), atol=1e-6)


@pytest.mark.parametrize("height", [-0.3, -0.08, 0.05])
def test_a_motion_over_or_under_the_floor_comes_to_it_as_a_whole(height):
    made = legs()
    root, after = locked([raised(leg, height) for leg in made])
    np.testing.assert_allclose(root, np.tile(-height * Z, (len(TIMES), 1)), atol=1e-4)
    np.testing.assert_allclose(after[0].knee, made[0].knee, atol=1e-3)


def test_a_short_gap_between_two_places_is_crossed_without_a_jump():
    made = legs(slide=0.5)
    broken = CONTACTS.copy()
    start, end = runs(CONTACTS[:, 0])[1]
    broken[(start + end) // 2 : (start + end) // 2 + 3, 0] = False
    _, after = locked(made, broken)
    places = [after[0].ankle[(start + end) // 2 + step] for step in (-2, 3)]
    apart = np.linalg.norm(places[1] - places[0])
    steps = np.linalg.norm(np.diff(after[0].ankle[start:end], axis=0), axis=-1)
    assert steps.max() < 0.6 * apart + 0.01


def test_nothing_goes_through_the_floor():
    made = legs()
    pitched = rot.multiply(rot.turn(np.array([0, 1.0, 0]), 0.5 + 0.4 * np.sin(5 * TIMES)), LEVEL)
    sunk = [replace(raised(leg, -0.03), foot=pitched, toe=pitched) for leg in made]
    assert min(leg.sole[..., 2].min() for leg in sunk) < -0.05
    _, after = locked(sunk)
    assert min(leg.sole[..., 2].min() for leg in after) > -1e-3


def test_a_foot_on_a_box_stays_on_it():
    made = [raised(leg, 0.5) for leg in legs()]
    _, after = locked(made)
    np.testing.assert_allclose(after[0].ankle, made[0].ankle, atol=1e-5)


def test_contacts_are_found():
    for fps in (25.0, 30.0, 60.0, 120.0):
        times = np.arange(0, 4, 1 / fps)
        joints = {name: walk(times)[:, i] for i, name in enumerate(H36M_17.joints)}
        for side, name in enumerate(("left", "right")):
            sole = joints[f"{name}_ankle"][:, None] - [0, 0, HEIGHT]
            wrong = find(sole, 1 / fps) != (walk_contacts(times)[:, side] > 0.5)
            assert wrong.mean() < 0.13  # the sine of the swing starts and ends at rest
            assert len(runs(find(sole, 1 / fps))) == len(runs(walk_contacts(times)[:, side] > 0.5))


def test_contacts_do_not_flicker_at_the_threshold():
    rng = np.random.default_rng(0)
    speed = np.where(np.abs(TIMES - 2) < 1, 0.28, 2.0) + rng.uniform(-0.08, 0.08, len(TIMES))
    sole = np.stack([np.cumsum(speed) / FPS, 0 * TIMES, 0 * TIMES], -1)[:, None]
    assert len(runs(find(sole, 1 / FPS, Thresholds(speed=0.3)))) == 1
    assert not find(sole + 0.2 * Z, 1 / FPS).any()
