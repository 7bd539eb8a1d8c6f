"""Joints to bone rotations, against SciPy's rotations and closed forms."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import STEP_TIME, walk, walk_contacts, walker
from vp3d.common import armature
from vp3d.common.skeletons import H36M_17

BONES = [bone.name for bone in armature.BONES]
TIMES = np.arange(75) / 25


def scipy_rotations(quaternions):
    return Rotation.from_quat(np.roll(quaternions, -1, axis=-1))


def pose(motion):
    """World rotations and heads by bone, by SciPy and nothing of ours."""
    rest, turned, heads = motion.rest, {}, {}
    for i, name in enumerate(rest.names):
        own = Rotation.from_matrix(rest.matrices[i]) * scipy_rotations(motion.rotations[:, i])
        if rest.parents[i] < 0:
            turned[name], heads[name] = own, motion.location
            continue
        parent = rest.names[rest.parents[i]]
        carry = turned[parent] * Rotation.from_matrix(rest.matrices[rest.parents[i]]).inv()
        turned[name] = carry * own
        heads[name] = heads[parent] + carry.apply(rest.heads[i] - rest.heads[rest.parents[i]])
    return turned, heads


def steps_deg(motion, bone):
    q = scipy_rotations(motion.rotations[:, BONES.index(bone)])
    return np.degrees((q[1:] * q[:-1].inv()).magnitude())


def rest_joints(rest):
    """The joints (17, 3) of the rest pose."""
    points = {bone.head: rest.heads[i] for i, bone in enumerate(armature.BONES)}
    points |= {bone.tail: rest.tails[i] for i, bone in enumerate(armature.BONES)}
    return np.stack([points[name] for name in H36M_17.joints])


def solve(joints, contacts=None, times=None):
    times = np.arange(len(joints)) / 25 if times is None else times
    return armature.solve(joints, np.zeros((len(joints), 2)) if contacts is None else contacts, times)


@pytest.fixture(scope="module")
def t_pose():
    return rest_joints(armature.fit_rest(walk(TIMES)))


def test_a_rigid_person_is_reproduced():
    joints = walk(TIMES)
    motion = solve(joints, walk_contacts(TIMES), TIMES)
    turned, heads = pose(motion)
    for i, bone in enumerate(armature.BONES):
        for point, at in (
            (bone.head, heads[bone.name]),
            (bone.tail, heads[bone.name] + turned[bone.name].as_matrix()[..., 1] * motion.rest.lengths[i]),
        ):
            if point in H36M_17.joints:
                np.testing.assert_allclose(at, joints[:, H36M_17.index(point)], atol=1e-4, err_msg=bone.name)
    np.testing.assert_allclose(armature.posed_joints(motion), joints, atol=1e-4)


def test_directions_are_exact_where_bone_lengths_change():
    joints = walk(TIMES) + np.random.default_rng(0).normal(0, 0.02, (75, 17, 3))
    joints[:, 0] = (joints[:, H36M_17.index("left_hip")] + joints[:, H36M_17.index("right_hip")]) / 2
    found = armature.posed_joints(solve(joints))
    for bone in armature.BONES[1:]:
        if bone.tail in H36M_17.joints and not bone.name.startswith("thigh"):
            head, tail = H36M_17.index(bone.head), H36M_17.index(bone.tail)
            wanted, got = joints[:, tail] - joints[:, head], found[:, tail] - found[:, head]
            np.testing.assert_allclose(np.cross(wanted, got), 0, atol=1e-9, err_msg=bone.name)
            assert (np.einsum("ti,ti->t", wanted, got) > 0).all()


def test_an_error_of_the_root_does_not_reach_the_feet():
    joints = walk(TIMES)
    joints[:, 0] += np.random.default_rng(0).normal(0, 0.03, (75, 3))
    found = armature.posed_joints(solve(joints))
    legs = [i for i, name in enumerate(H36M_17.joints) if name.endswith(("_hip", "_knee", "_ankle"))]
    np.testing.assert_allclose(found[:, legs], joints[:, legs], atol=1e-4)


def test_rest_is_a_t_pose_on_the_floor_that_faces_minus_y():
    joints = walk(TIMES)
    joints[:, H36M_17.index("left_wrist")] += 0.04 * (
        joints[:, H36M_17.index("left_wrist")] - joints[:, H36M_17.index("left_elbow")]
    )
    rest = armature.fit_rest(joints)
    lengths = dict(zip(rest.names, rest.lengths, strict=True))
    assert lengths["forearm.L"] == lengths["forearm.R"] == pytest.approx(0.26 * 1.02)
    assert lengths["thigh.L"] == pytest.approx(0.44)
    tails = dict(zip(rest.names, rest.tails, strict=True))
    for left, tail in tails.items():
        if left.endswith(".L"):
            np.testing.assert_allclose(tails[left[:-1] + "R"], tail * [-1, 1, 1], atol=1e-9)
    assert tails["hand.L"][0] > 0.7 and tails["toe.L"][1] < -0.1
    assert abs(rest.tails[:, 2].min()) < 0.01
    np.testing.assert_allclose(np.linalg.det(rest.matrices), 1)
    np.testing.assert_allclose(rest.matrices[..., 1], (rest.tails - rest.heads) / rest.lengths[:, None], atol=1e-9)


def test_the_t_pose_is_no_rotation(t_pose):
    motion = solve(np.repeat(t_pose[None], 10, 0), np.ones((10, 2)))
    np.testing.assert_allclose(motion.rotations, np.broadcast_to([1.0, 0, 0, 0], motion.rotations.shape), atol=1e-9)
    np.testing.assert_allclose(motion.location, np.repeat(t_pose[None, 0], 10, 0))


def test_turning_the_person_turns_only_the_hips(t_pose):
    joints = walk(TIMES)
    turn = Rotation.from_euler("z", 130, degrees=True)
    plain = solve(joints, walk_contacts(TIMES), TIMES)
    turned = solve(turn.apply(joints.reshape(-1, 3)).reshape(joints.shape), walk_contacts(TIMES), TIMES)
    same = np.abs((plain.rotations * turned.rotations).sum(-1))
    np.testing.assert_allclose(same[:, 1:], 1, atol=1e-9)
    hips = [pose(motion)[0]["hips"] for motion in (plain, turned)]
    np.testing.assert_allclose((turn * hips[0] * hips[1].inv()).magnitude(), 0, atol=1e-6)


@pytest.mark.parametrize("limb", ["left_elbow left_wrist forearm.L", "right_elbow right_wrist forearm.R"])
def test_elbows_bend_about_their_hinge_by_the_angle_of_the_joint(t_pose, limb):
    elbow, wrist, bone = limb.split()
    angle = np.radians(np.linspace(30, 120, 40))
    joints = np.repeat(t_pose[None], 40, 0)
    upper = t_pose[H36M_17.index(wrist)] - t_pose[H36M_17.index(elbow)]
    forward = np.array([0, -np.linalg.norm(upper), 0])
    bent = np.cos(angle)[:, None] * upper + np.sin(angle)[:, None] * forward
    joints[:, H36M_17.index(wrist)] = t_pose[H36M_17.index(elbow)] + bent
    vector = scipy_rotations(solve(joints).rotations[:, BONES.index(bone)]).as_rotvec()
    np.testing.assert_allclose(vector, angle[:, None] * [1, 0, 0], atol=1e-3)


def test_knees_bend_backward_and_about_their_hinge():
    motion = solve(walk(TIMES), walk_contacts(TIMES), TIMES)
    for bone in ("shin.L", "shin.R"):
        vector = scipy_rotations(motion.rotations[:, BONES.index(bone)]).as_rotvec(degrees=True)
        assert vector[:, 0].min() > 0 and vector[:, 0].max() > 40
        assert np.abs(vector[:, 1:]).max() < 2


@pytest.mark.parametrize("plane", ["sagittal", "frontal", "horizontal"])
def test_a_straight_arm_swings_without_twist_flips(t_pose, plane):
    """Half a second from end to end, straight up to detector noise."""
    swing = np.radians(70) * np.sin(np.linspace(0, 4 * np.pi, 100))
    arm = {
        "sagittal": np.stack([0 * swing + 0.1, -np.sin(swing), -np.cos(swing)], -1),
        "frontal": np.stack([np.cos(swing), 0 * swing - 0.2, np.sin(swing)], -1),
        "horizontal": np.stack([np.cos(swing), -np.sin(swing), 0 * swing], -1),
    }[plane]
    arm /= np.linalg.norm(arm, axis=-1, keepdims=True)
    rng = np.random.default_rng(1)
    joints = np.repeat(t_pose[None], 100, 0)
    shoulder = joints[:, H36M_17.index("left_shoulder")]
    joints[:, H36M_17.index("left_elbow")] = shoulder + 0.30 * arm + rng.normal(0, 0.008, (100, 3))
    joints[:, H36M_17.index("left_wrist")] = shoulder + 0.56 * arm + rng.normal(0, 0.008, (100, 3))
    motion = solve(joints)
    assert steps_deg(motion, "upper_arm.L").max() <= 20
    assert steps_deg(motion, "forearm.L").max() <= 20


def test_an_arm_that_straightens_keeps_the_roll_it_had(t_pose):
    """Bent upwards, like a waving arm, then straight for half a second, then bent again."""
    bend = np.radians(np.concatenate([np.full(20, 80), np.linspace(80, 0, 10), np.zeros(12), np.linspace(0, 80, 10)]))
    joints = np.repeat(t_pose[None], len(bend), 0)
    forearm = 0.26 * np.stack([np.cos(bend), 0 * bend, np.sin(bend)], -1)
    joints[:, H36M_17.index("left_wrist")] = t_pose[H36M_17.index("left_elbow")] + forearm
    motion = solve(joints)
    roll = scipy_rotations(motion.rotations[:, BONES.index("upper_arm.L")]).as_rotvec(degrees=True)
    np.testing.assert_allclose(roll[:30, 1], -90, atol=3)
    assert np.abs(roll[30:42, 1] + 90).max() < 25
    assert steps_deg(motion, "upper_arm.L").max() < 5


def test_a_knee_that_noise_bends_forward_does_not_turn_the_thigh(t_pose):
    joints = np.repeat(t_pose[None], 60, 0)
    joints[20:30, H36M_17.index("left_knee"), 1] += 0.06  # 16 degrees the wrong way
    assert steps_deg(solve(joints), "thigh.L").max() < 15


def test_a_standing_foot_is_level_and_keeps_its_yaw():
    joints, contacts = walk(TIMES), walk_contacts(TIMES)
    motion = solve(joints, contacts, TIMES)
    foot = pose(motion)[0]["foot.L"]
    rest = Rotation.from_matrix(motion.rest.matrices[BONES.index("foot.L")])
    from_rest = (foot * rest.inv()).as_rotvec(degrees=True)
    inner = (TIMES % (2 * STEP_TIME) > 0.15) & (TIMES % (2 * STEP_TIME) < 0.35)
    assert np.abs(from_rest[inner, :2]).max() < 3
    assert np.abs(from_rest[inner, 2] - 90).max() < 5


def test_short_gaps_are_interpolated_and_long_ones_have_no_keys():
    take = walker(100)
    joints = take.joints3d[0].astype(float)
    gappy = joints.copy()
    gappy[20:26, 3] = np.nan
    gappy[50:80] = np.nan
    motion = solve(gappy, take.contacts[0])
    assert np.flatnonzero(~motion.keyed).tolist() == list(range(50, 80))
    assert np.isfinite(motion.rotations).all()
    whole = solve(joints, take.contacts[0])
    apart = np.degrees(
        (scipy_rotations(motion.rotations[20:26, 0]) * scipy_rotations(whole.rotations[20:26, 0]).inv()).magnitude()
    )
    assert apart.max() < 5


def test_signs_are_continuous():
    turning = Rotation.from_euler("z", np.linspace(0, 1080, 150)[:, None], degrees=True).as_matrix()
    joints = np.einsum("tij,tkj->tki", turning, walk(np.arange(150) / 25) * [0, 1, 1])
    motion = solve(joints)
    assert ((motion.rotations[1:] * motion.rotations[:-1]).sum(-1) > 0).all()


def test_one_frame_is_enough():
    motion = solve(walk(TIMES[:1]))
    np.testing.assert_allclose(armature.posed_joints(motion), walk(TIMES[:1]), atol=1e-6)


def test_nobody_is_refused():
    with pytest.raises(ValueError, match="no frame"):
        solve(np.full((5, 17, 3), np.nan))


def test_quaternions_are_scipys():
    truth = Rotation.random(500, random_state=np.random.default_rng(2))
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3))
    for rotations in (truth, half_turns):
        found = armature.matrix_to_quaternion(rotations.as_matrix())
        np.testing.assert_allclose((scipy_rotations(found) * rotations.inv()).magnitude(), 0, atol=1e-7)
        np.testing.assert_allclose(armature.quaternion_to_matrix(found), rotations.as_matrix(), atol=1e-12)
