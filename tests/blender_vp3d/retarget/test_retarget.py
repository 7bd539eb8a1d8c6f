"""Motion on rigs of every kind: what Blender evaluates against what the source does."""

import bodies
import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from bodies import Shape  # noqa: E402
from mathutils import Matrix  # noqa: E402

from blender_vp3d import animation  # noqa: E402
from blender_vp3d.common import armature as ours  # noqa: E402
from blender_vp3d.retarget import apply, body, tables, transfer  # noqa: E402
from blender_vp3d.retarget import rotations as rot  # noqa: E402
from blender_vp3d.retarget.bake import Destination  # noqa: E402
from blender_vp3d.retarget.frames import rest_axes  # noqa: E402
from blender_vp3d.retarget.read import RetargetError, read_rig  # noqa: E402
from blender_vp3d.retarget.transfer import Options  # noqa: E402

A_POSE = Shape(arms_deg=48, legs_deg=6, elbow_deg=18, seed=1)
Y_UP = Shape(tilt=(-np.pi / 2, 0, 0), scale=0.01, seed=2)
SIDEWAYS = Shape(arms_deg=45, elbow_deg=25, tails="sideways", tilt=(0, 0, np.pi / 2), scale=0.01, seed=3)
HANGING = Shape(arms_deg=85, legs_deg=20, seed=4)
RESTS = {"unreal": A_POSE, "makehuman": A_POSE, "mixamo": Y_UP, "unity": Y_UP, "biped": SIDEWAYS, "bvh": HANGING}
FRAMES = range(1, 41)


def job(source, target, **changes):
    source_table = tables.recognise(bone.name for bone in source.data.bones)
    target_table = tables.recognise(bone.name for bone in target.data.bones)
    table = tables.tables()[target_table[0]]
    known = {"parents": table.parents, "bends": table.bends, "switches": table.switches, "reach_feet": False}
    return apply.Job(source, target, source_table[1], target_table[1], **(known | changes))


PLAIN = Shape()


def onto(key="mixamo", shape=PLAIN, frames=40, seed=0, **changes):
    """Source, target, job, and sentences."""
    source, target = bodies.dancer(frames, seed), bodies.known(key, shape)
    bpy.context.view_layer.update()
    done = job(source, target, **changes)
    return source, target, done, apply.retarget(bpy.context, done)


def degrees_between(a, b):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def steps(turned):
    """(T - 1, N) degrees from frame to frame of (T, N, 3, 3)."""
    trace = np.einsum("tnij,tnij->tn", turned[1:], turned[:-1])
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def curve_values(target):
    return np.array([point.co for curve in animation.curves_of(target) for point in curve.keyframe_points])


@pytest.mark.parametrize("key", sorted(tables.tables()))
def test_limbs_point_where_the_sources_do(key):
    source, target, done, said = onto(key, RESTS.get(key, Shape(seed=5)))
    assert said == []
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    found = bodies.limb_directions(target, done.target_bones, FRAMES)
    assert degrees_between(wanted, found).max() < 0.2
    assert np.isfinite(curve_values(target)).all()

    names = [chain[0] for chain in done.target_bones.values()]
    ours = [chain[0] for chain in done.source_bones.values()]
    fastest = steps(bodies.matrices(source, FRAMES, ours)).max(1)
    assert (steps(bodies.matrices(target, FRAMES, names)).max(1) < fastest + 20).all()


@pytest.mark.parametrize("shape", [A_POSE, Y_UP, SIDEWAYS, HANGING], ids=["A", "Y up", "sideways", "hanging"])
def test_rest_pose_and_rolls_cancel(shape):
    """The same body drawn differently moves alike: every joint is where the T-posed twin has it."""
    source, plain, done, _ = onto("unity")
    other = bodies.known("unity", shape)
    bpy.context.view_layer.update()
    apply.retarget(bpy.context, job(source, other))
    names = [done.target_bones[bone][0] for bone in ("hips", "shin.L", "foot.L", "forearm.R", "hand.R", "hand.L")]
    apart = bodies.heads(plain, FRAMES, names) - bodies.heads(other, FRAMES, names)
    assert np.linalg.norm(apart, axis=-1).max() < 2e-3


def test_the_elbow_bends_about_its_hinge():
    """Rolls carry over too: the forearm's axis of flexion, as each rig has it, stays the same axis."""
    source, target, done, _ = onto("mixamo", A_POSE)
    axes = []
    for armature, bones in ((source, done.source_bones), (target, done.target_bones)):
        rig = read_rig(armature)
        index = rig.chains(bones)["forearm.L"][0]
        own = rot.quaternion_to_matrix(rig.rest[index]).T @ rest_axes(rig, rig.chains(bones))["forearm.L"]
        axes.append(bodies.matrices(armature, FRAMES, [bones["forearm.L"][0]])[:, 0] @ own)
    np.testing.assert_allclose(*axes, atol=2e-3)


@pytest.mark.parametrize("mode", ["XYZ", "YXZ", "ZYX", "AXIS_ANGLE", "QUATERNION"])
def test_rotation_modes_are_kept(mode):
    source, target = bodies.dancer(40), bodies.known("mixamo", A_POSE)
    for bone in target.pose.bones:
        bone.rotation_mode = mode
    done = job(source, target)
    assert apply.retarget(bpy.context, done) == []
    assert {bone.rotation_mode for bone in target.pose.bones} == {mode}
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2
    attribute = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")
    paths = {curve.data_path.rpartition(".")[2] for curve in animation.curves_of(target)}
    assert paths == {attribute, "location"}


@pytest.mark.parametrize("key", ["unreal", "biped", "daz_genesis_9"])
def test_a_placed_turned_and_scaled_object(key):
    source, target = bodies.dancer(40), bodies.known(key, SIDEWAYS)
    target.matrix_world = Matrix.Translation((3, -2, 0)) @ Matrix.Rotation(1.1, 4, "Z") @ target.matrix_world
    bpy.context.view_layer.update()
    stood = target.matrix_world.copy()
    done = job(source, target)
    assert apply.retarget(bpy.context, done) == []
    assert target.matrix_world == stood
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2
    start = [bodies.heads(a, [1], [b["hips"][0]])[0, 0] for a, b in
             ((source, done.source_bones), (target, done.target_bones))]  # fmt: skip
    assert np.linalg.norm((start[0] - start[1])[:2]) < 0.1, "it goes where the person was"


def test_from_where_the_rig_stands():
    source, target = bodies.dancer(40), bodies.known("unity")
    target.matrix_world = Matrix.Translation((3, -2, 0)) @ Matrix.Rotation(np.pi / 2, 4, "Z")
    bpy.context.view_layer.update()
    done = job(source, target, options=Options(at_target=True))
    assert apply.retarget(bpy.context, done) == []
    here = bodies.limb_directions(target, done.target_bones, FRAMES)
    there = bodies.limb_directions(source, done.source_bones, FRAMES) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert degrees_between(here, there).max() < 0.2
    assert np.linalg.norm(bodies.heads(target, [1], [done.target_bones["hips"][0]])[0, 0, :2] - [3, -2]) < 0.2


def test_a_rig_out_of_its_rest_pose():
    source, target = bodies.dancer(40), bodies.known("unreal", A_POSE)
    rng = np.random.default_rng(0)
    for bone in target.pose.bones:
        bone.rotation_quaternion = rot.unit(rng.standard_normal(4) * 0.2 + [1, 0, 0, 0])
    target.pose.bones["root"].location = (0.3, 0.2, 0.1)
    done = job(source, target)
    assert apply.retarget(bpy.context, done) == []
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2


@pytest.mark.parametrize("key", ["unreal", "mixamo"])
def test_bones_that_do_not_turn_with_their_parents_and_connected_ones(key):
    source, target = bodies.dancer(40), bodies.known(key, A_POSE)
    bones = tables.recognise(bone.name for bone in target.data.bones)[1]
    for bone in ("forearm.L", "thigh.R", "head"):
        target.data.bones[bones[bone][0]].use_inherit_rotation = False
    hips = target.data.bones[bones["hips"][0]]
    if key == "unreal":
        hips.use_local_location = False
    else:
        hips.use_inherit_rotation = False
    bpy.context.view_layer.objects.active = target
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in ("forearm.R", "shin.L"):
        edit = target.data.edit_bones[bones[bone][0]]
        edit.parent.tail = edit.head
        edit.use_connect = True
    bpy.ops.object.mode_set(mode="OBJECT")
    done = job(source, target)
    posed, _ = apply.pose_target(bpy.context, done)
    assert apply.retarget(bpy.context, done) == []
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2
    names = [posed.controls.rig.names[bone] for bone in posed.controls.bones]
    np.testing.assert_allclose(bodies.heads(target, FRAMES, names), posed.heads, atol=1e-4)


def test_bones_that_hang_on_the_wrong_one():
    """Biped rigs hang thighs on the spine and shoulders on the neck: hips must not swing with every bend."""
    source, target = bodies.dancer(40), bodies.known("biped", SIDEWAYS)
    bones = tables.recognise(bone.name for bone in target.data.bones)[1]
    bpy.context.view_layer.objects.active = target
    bpy.ops.object.mode_set(mode="EDIT")
    edit = target.data.edit_bones
    for side in (".L", ".R"):
        edit[bones[f"thigh{side}"][0]].parent = edit[bones["spine"][0]]
        edit[bones[f"shoulder{side}"][0]].parent = edit[bones["neck"][0]]
    bpy.ops.object.mode_set(mode="OBJECT")
    done = job(source, target)
    assert apply.retarget(bpy.context, done) == []
    names = [bones[bone][0] for bone in ("hips", "thigh.L", "thigh.R")]
    at = bodies.heads(target, FRAMES, names)
    across = np.linalg.norm(at[:, 1] - at[:, 2], axis=-1), np.linalg.norm(at[:, 0] - at[:, 1], axis=-1)
    assert max(np.ptp(length) for length in across) < 1e-4


def test_a_spine_of_any_number():
    """Chest and hips are the source's, whatever lies between; the bend is spread evenly."""
    source = bodies.dancer(40)
    for count in (1, 2, 3, 5):
        bones = dict(tables.tables()["mixamo"].bones) | {"spine": tuple(f"s{n}" for n in range(count))}
        target = bodies.make(f"spine {count}", bones, Shape(seed=count))
        done = apply.Job(source, target, job(source, bodies.known("unity")).source_bones, bones, reach_feet=False)
        assert apply.retarget(bpy.context, done) == []
        ours = bodies.matrices(source, FRAMES, ["hips", "spine", "chest"])
        theirs = bodies.matrices(target, FRAMES, [bones["hips"][0], *bones["spine"]])
        rest = np.array([target.data.bones[name].matrix_local.to_3x3() for name in (bones["hips"][0], *bones["spine"])])
        carried = theirs @ np.swapaxes(rest, -1, -2)
        source_rest = np.array([source.data.bones[name].matrix_local.to_3x3() for name in ("hips", "spine", "chest")])
        expected = ours @ np.swapaxes(source_rest, -1, -2)
        np.testing.assert_allclose(carried[:, 0], expected[:, 0], atol=2e-3)
        np.testing.assert_allclose(carried[:, -1], expected[:, -1], atol=2e-3)
        if count > 2:
            part = np.stack([theirs[:, n] @ rest[n].T for n in range(count + 1)], axis=1)
            bends = [steps(np.stack([part[:, n], part[:, n + 1]])) for n in range(count)]
            assert np.mean(bends[0]) > 0.2 * np.mean(bends)


def test_twist_bones_share_the_twist():
    _source, target, done, _ = onto("unreal", A_POSE)
    bones = done.target_bones
    frames = list(FRAMES)
    forearm, twist, hand = (rot.matrix_to_quaternion(m) for m in np.moveaxis(
        bodies.matrices(target, frames, [bones["forearm.L"][0], bones["forearm_twist.L"][0], bones["hand.L"][0]]), 1, 0
    ))  # fmt: skip
    rig = read_rig(target)
    chains = rig.chains(bones)
    rest = [rig.rest[chains[bone][0]] for bone in ("forearm.L", "forearm_twist.L", "hand.L")]
    along = rig.heads[chains["hand.L"][0]] - rig.heads[chains["forearm.L"][0]]

    def turned(child, child_rest):
        """Angle (rad) of a bone against the forearm, from rest, about the forearm's length."""
        axis = rot.unit(rot.rotate(rot.conjugate(rest[0]), along))
        start = rot.multiply(rot.conjugate(rest[0]), child_rest)
        q = rot.multiply(rot.conjugate(forearm), child, rot.conjugate(start))
        return 2 * np.arctan2(q[:, 1:] @ axis * np.sign(q[:, 0]), np.abs(q[:, 0]))

    whole = turned(hand, rest[2])
    assert np.ptp(whole) > 0.3
    share = turned(twist, rest[1])
    ratio = np.sum(share * whole) / np.sum(whole**2)
    assert 0.2 < ratio < 0.8
    np.testing.assert_allclose(share, ratio * whole, atol=0.02)


@pytest.mark.parametrize("key", [key for key, table in sorted(tables.tables().items())
                                 if table.bones.get("forearm_twist.L") and table.bones.get("hand.L")])  # fmt: skip
def test_forearm_twist_bones_turn_between_elbow_and_hand(key):
    """Every rig with bones for it; the share grows along the forearm, and none of it with the twist at 0."""
    _source, target, done, _ = onto(key, A_POSE)
    bones = done.target_bones
    frames = list(FRAMES)[::3]
    chain = [bones["forearm.L"][0], *bones["forearm_twist.L"], bones["hand.L"][0]]
    rig = read_rig(target)
    along = rig.heads[rig.names.index(chain[-1])] - rig.heads[rig.names.index(chain[0])]
    rest = [rig.rest[rig.names.index(name)] for name in chain]

    def twists():
        """Radians (T, N) of each bone against the forearm, from rest, about the forearm's length."""
        forearm, *others = (rot.matrix_to_quaternion(m) for m in
                            np.moveaxis(bodies.matrices(target, frames, chain), 1, 0))  # fmt: skip
        axis, found = rot.unit(rot.rotate(rot.conjugate(rest[0]), along)), []
        for turned, start in zip(others, rest[1:], strict=True):
            back = rot.conjugate(rot.multiply(rot.conjugate(rest[0]), start))
            q = rot.multiply(rot.conjugate(forearm), turned, back)
            found.append(2 * np.arctan2(q[:, 1:] @ axis * np.sign(q[:, 0]), np.abs(q[:, 0])))
        return np.stack(found, axis=-1)

    found = twists()
    assert np.ptp(found[:, -1]) > 0.3
    shares = (found[:, :-1] * found[:, -1:]).sum(0) / (found[:, -1] ** 2).sum()
    assert (np.diff(shares) > -0.02).all() and shares.min() > 0.1 and shares.max() < 1.02
    apply.retarget(bpy.context, job(_source, target, options=Options(twist=0.0)))
    np.testing.assert_allclose(twists()[:, :-1], 0, atol=0.02)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_shoulders_take_their_share(share):
    """The angle between shoulder and chest is that share of the source's; the arms point the same all the same."""
    source, target, done, said = onto("unreal", A_POSE, options=Options(clavicle=share))
    assert said == []

    def lifts(armature, bones):
        names = [bones["spine"][-1], bones["shoulder.L"][-1]]
        rig = read_rig(armature)
        chest, shoulder = (
            rot.matrix_to_quaternion(m) for m in np.moveaxis(bodies.matrices(armature, FRAMES, names), 1, 0)
        )
        chest_rest, shoulder_rest = (rig.rest[rig.names.index(name)] for name in names)
        rest = rot.multiply(rot.conjugate(chest_rest), shoulder_rest)
        q = rot.multiply(rot.conjugate(chest), shoulder, rot.conjugate(rest))
        return 2 * np.arctan2(np.linalg.norm(q[:, 1:], axis=-1), np.abs(q[:, 0]))

    np.testing.assert_allclose(lifts(target, done.target_bones), share * lifts(source, done.source_bones), atol=2e-3)
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2


@pytest.mark.parametrize("locked", [False, True])
def test_auto_rig_pros_controls_as_they_hang(locked):
    """FK arms hang on the chest and are only placed by the shoulders; hands, feet and head hang on helpers. With its
    head locked the rig's helper does not turn with the neck."""
    source, target = bodies.dancer(40), bodies.known("auto_rig_pro", A_POSE)
    bpy.context.view_layer.objects.active = target
    bpy.ops.object.mode_set(mode="EDIT")
    edit = target.data.edit_bones

    def helper(name, like, parent):
        made = edit.new(name)
        made.head, made.tail, made.roll = edit[like].head, edit[like].tail, edit[like].roll
        made.parent = edit[parent]
        return made

    edit["c_head.x"].parent = helper("head_scale_fix.x", "c_head.x", "c_neck.x")
    edit["head_scale_fix.x"].use_inherit_rotation = not locked
    hips = helper("root.x", "c_root_master.x", "c_root_master.x")
    for side in ("l", "r"):
        edit[f"c_arm_fk.{side}"].parent = edit["c_spine_03.x"]
        edit[f"c_thigh_fk.{side}"].parent = helper(f"c_thigh_b.{side}", f"c_thigh_fk.{side}", hips.name)
        edit[f"c_hand_fk.{side}"].parent = helper(
            f"c_hand_fk_scale_fix.{side}", f"c_hand_fk.{side}", f"c_forearm_fk.{side}"
        )
        edit[f"c_foot_fk.{side}"].parent = helper(
            f"c_foot_fk_scale_fix.{side}", f"c_foot_fk.{side}", f"c_leg_fk.{side}"
        )
    bpy.ops.object.mode_set(mode="OBJECT")
    for side in ("l", "r"):
        held = target.pose.bones[f"c_arm_fk.{side}"].constraints.new("COPY_LOCATION")
        held.target, held.subtarget, held.head_tail = target, f"c_shoulder.{side}", 1.0
    bpy.context.view_layer.update()
    done = job(source, target)
    assert apply.retarget(bpy.context, done) == []
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2
    names = [bones["head"][-1] for bones in (done.source_bones, done.target_bones)]
    turned = [
        bodies.matrices(armature, FRAMES, [name])[:, 0] for armature, name in zip((source, target), names, strict=True)
    ]
    went = [np.degrees(np.linalg.norm(ours.rotation_vector(m @ m[0].T), axis=-1)) for m in turned]
    np.testing.assert_allclose(went[1], went[0], atol=0.2)


@pytest.mark.parametrize("legs", [0.7, 1.0, 1.4])
def test_feet_reach_where_the_persons_did(legs):
    shape = Shape(arms_deg=45, legs=legs, shin=0.85, seed=6)
    source, target, done, said = onto("mixamo", shape, reach_feet=True, reach_hands=True)
    assert said == []
    posed, _ = apply.pose_target(bpy.context, done)
    names = [done.target_bones[bone][0] for bone in ("foot.L", "foot.R", "hand.L", "hand.R", "thigh.L", "shin.L")]
    at = bodies.heads(target, FRAMES, names)
    for n, bone in enumerate(("foot.L", "foot.R")):
        off = np.linalg.norm(at[:, n] - posed.joints[bone], axis=-1)
        assert np.median(off) < 2e-3, "soft where the leg is stretched"
        assert off.max() < 0.05
    scale = transfer.leg_length(read_rig(target), read_rig(target).chains(done.target_bones)) / transfer.leg_length(
        read_rig(source), read_rig(source).chains(done.source_bones)
    )
    way = [np.ptp(bodies.heads(a, FRAMES, [b["hips"][0]])[:, 0, :2], axis=0)
           for a, b in ((source, done.source_bones), (target, done.target_bones))]  # fmt: skip
    np.testing.assert_allclose(way[1], scale * way[0], rtol=0.08)
    # the knee still bends forward
    knees = bodies.limb_directions(target, done.target_bones, FRAMES)
    bend = np.einsum("tk,tk->t", np.cross(knees[:, 2], knees[:, 3]),
                     bodies.matrices(source, FRAMES, ["hips"])[:, 0, :, 0])  # fmt: skip
    assert bend.min() > -0.35


def test_the_path_can_stay_as_long_as_it_was():
    source, target, done, _ = onto("unity", Shape(legs=0.8), reach_feet=True, options=Options(scale_path=False))
    way = [bodies.heads(a, FRAMES, [b["hips"][0]])[:, 0, :2]
           for a, b in ((source, done.source_bones), (target, done.target_bones))]  # fmt: skip
    np.testing.assert_allclose(way[1] - way[1][0], way[0] - way[0][0], atol=0.03)


def test_in_place():
    _source, target, done, _ = onto("unity", options=Options(in_place=True))
    middle = bodies.heads(target, FRAMES, [done.target_bones[f"thigh{side}"][0] for side in (".L", ".R")]).mean(1)
    assert np.ptp(middle[:, :2], axis=0).max() < 1e-4
    assert np.ptp(middle[:, 2]) > 0.02


@pytest.mark.parametrize("carrier", ["ROOT", "OBJECT"])
def test_root_motion(carrier):
    source, target, done, _ = onto("unreal", A_POSE)
    names = [done.target_bones[bone][0] for bone in ("hips", "hand.L", "foot.R", "head")]
    plain = bodies.heads(target, FRAMES, names)
    stood = target.matrix_basis.copy()
    again = job(source, target, options=Options(root_motion=carrier))
    assert apply.retarget(bpy.context, again) == []
    np.testing.assert_allclose(bodies.heads(target, FRAMES, names), plain, atol=1e-3)
    hips = target.pose.bones[names[0]]
    moved = []
    for frame in FRAMES:
        bpy.context.scene.frame_set(frame)
        moved.append(target.location.copy() if carrier == "OBJECT" else target.pose.bones["root"].head.copy())
    moved = np.array(moved)
    assert np.ptp(moved[:, :2], axis=0).max() > 0.5
    assert np.ptp(moved[:, 2]) < 1e-4, "along the ground"
    assert hips.location.length < 0.3
    # and back: the object stands where it stood
    apply.retarget(bpy.context, job(source, target))
    np.testing.assert_allclose(bodies.heads(target, FRAMES, names), plain, atol=1e-3)
    np.testing.assert_allclose(target.matrix_basis, stood, atol=1e-5)


def test_twice_makes_nothing_twice():
    source, target, done, _ = onto("mixamo")
    kinds = (bpy.data.actions, bpy.data.objects, bpy.data.armatures, bpy.data.collections, bpy.data.texts)
    before = [[block.name for block in kind] for kind in kinds]
    values = curve_values(target)
    apply.retarget(bpy.context, done)
    assert [[block.name for block in kind] for kind in kinds] == before
    np.testing.assert_array_equal(curve_values(target), values)
    assert not target.constraints
    assert not any(bone.constraints for bone in target.pose.bones)
    assert not target.animation_data.drivers
    assert len(animation.curves_of(source)) == 3 + 4 * 21, "the source stays as it was"


def test_the_users_action_stays():
    source, target = bodies.dancer(40), bodies.known("mixamo")
    target.pose.bones["Hips"].keyframe_insert("location", frame=7)
    theirs = target.animation_data.action
    apply.retarget(bpy.context, job(source, target))
    assert target.animation_data.action != theirs
    assert theirs.use_fake_user
    target.animation_data.action = theirs
    assert [point.co[0] for curve in animation.curves_of(target) for point in curve.keyframe_points] == [7, 7, 7]


def test_into_a_strip_of_the_nla():
    source, target = bodies.dancer(40), bodies.known("mixamo")
    for _ in range(2):
        apply.retarget(bpy.context, job(source, target, destination=Destination("NLA", name="motion")))
        (track,) = target.animation_data.nla_tracks
        (strip,) = track.strips
        assert (strip.frame_start, strip.frame_end) == (1, 40)
        assert target.animation_data.action is None
    done = job(source, target)
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2


def test_over_the_present_action_only_what_is_chosen():
    _source, target, _done, _ = onto("mixamo", frames=60)
    action = target.animation_data.action
    names = ["LeftForeArm", "LeftLeg", "Hips"]
    before = bodies.matrices(target, range(1, 61), names)
    for point in (p for curve in animation.curves_of(target) for p in curve.keyframe_points):
        point.co[1] *= 0.99  # what the user did by hand since
    other = bodies.dancer(60, seed=3)
    over = job(other, target, destination=Destination("CURRENT", ("arms",)), frames=(20, 30))
    apply.retarget(bpy.context, over)
    assert target.animation_data.action == action
    after = bodies.matrices(target, range(1, 61), names)
    local = {curve.data_path: len(curve.keyframe_points) for curve in animation.curves_of(target)}
    assert set(local.values()) == {60}
    assert steps(np.stack([before[:, 1], after[:, 1]])).max() < 3, "legs are the old ones"
    arms = steps(np.stack([before[:, 0], after[:, 0]]))[0]
    assert arms[19:30].min() > 3
    assert max(arms[:18].max(), arms[31:].max()) < 3


def test_range_and_step():
    source, target, _, _ = onto("mixamo", frames=60)
    apply.retarget(bpy.context, job(source, target, frames=(10, 40), step=3))
    assert {point.co[0] for curve in animation.curves_of(target) for point in curve.keyframe_points} == set(
        range(10, 41, 3)
    )


def test_offsets_turn_a_bone_about_its_own_axes():
    source, target, done, _ = onto("mixamo")
    name = done.target_bones["hand.L"][0]
    before = bodies.matrices(target, FRAMES, [name])[:, 0]
    apply.retarget(bpy.context, job(source, target, options=Options(offsets={name: (0, np.pi / 2, 0)})))
    after = bodies.matrices(target, FRAMES, [name])[:, 0]
    turn = np.array(Matrix.Rotation(np.pi / 2, 3, "Y"))
    np.testing.assert_allclose(after, before @ turn, atol=1e-4)


def test_switches_are_set_and_keyed_at_the_first_frame():
    source, target = bodies.dancer(20), bodies.known("auto_rig_pro")
    bpy.context.view_layer.objects.active = target
    bpy.ops.object.mode_set(mode="EDIT")
    for name in ("c_hand_ik.l", "c_foot_ik.r"):
        edit = target.data.edit_bones.new(name)
        edit.head, edit.tail = (0, 0, 0), (0, 0.1, 0)
    bpy.ops.object.mode_set(mode="OBJECT")
    target.pose.bones["c_hand_ik.l"]["ik_fk_switch"] = 0.0
    assert apply.retarget(bpy.context, job(source, target)) == []
    assert target.pose.bones["c_hand_ik.l"]["ik_fk_switch"] == 1
    keys = {c.data_path: [tuple(p.co) for p in c.keyframe_points] for c in animation.curves_of(target)}
    assert keys['pose.bones["c_hand_ik.l"]["ik_fk_switch"]'] == [(1.0, 1.0)]


@pytest.mark.parametrize("how", ["constraint", "driver", "nla", "parent"])
def test_a_source_that_curves_do_not_tell_is_evaluated(how):
    source, target = bodies.dancer(20), bodies.known("mixamo")
    if how == "constraint":
        made = source.pose.bones["forearm.L"].constraints.new("LIMIT_ROTATION")
        made.use_limit_x, made.owner_space = True, "LOCAL"
    elif how == "driver":
        curve = source.pose.bones["head"].driver_add("rotation_quaternion", 1)
        curve.driver.expression = "sin(frame / 5) / 3"
    elif how == "nla":
        action = source.animation_data.action
        source.animation_data.nla_tracks.new().strips.new("strip", 1, action)
        source.animation_data.action = None
    else:
        carrier = bpy.data.objects.new("carrier", None)
        bpy.context.scene.collection.objects.link(carrier)
        carrier.rotation_euler = (0, 0, 1)
        source.parent = carrier
    bpy.context.view_layer.update()
    done = job(source, target)
    said = apply.retarget(bpy.context, done)
    assert len(said) == 1
    assert said[0].startswith("Dancer was evaluated frame by frame, which takes longer: ")
    frames = range(1, 21)
    wanted = bodies.limb_directions(source, done.source_bones, frames)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, frames)).max() < 0.2


def test_any_animated_armature_is_a_source():
    """Euler modes, sparse Bezier keys, an object that moves: read from the curves all the same."""
    source = bodies.known("unity", Shape(arms_deg=30, seed=7))
    rng = np.random.default_rng(1)
    source.rotation_mode = "XYZ"
    for frame in (1, 15, 40):
        source.location = rng.normal(size=3)
        source.rotation_euler = (0, 0, rng.normal())
        source.keyframe_insert("location", frame=frame)
        source.keyframe_insert("rotation_euler", frame=frame)
        for n, bone in enumerate(source.pose.bones):
            bone.rotation_mode = ("XYZ", "ZXY", "AXIS_ANGLE", "QUATERNION")[n % 4]
            if bone.rotation_mode == "QUATERNION":
                bone.rotation_quaternion = rot.unit(rng.normal(size=4) * 0.2 + [1, 0, 0, 0])
                bone.keyframe_insert("rotation_quaternion", frame=frame)
            elif bone.rotation_mode == "AXIS_ANGLE":
                bone.rotation_axis_angle = (rng.normal() * 0.4, *rot.unit(rng.normal(size=3)))
                bone.keyframe_insert("rotation_axis_angle", frame=frame)
            else:
                bone.rotation_euler = rng.normal(size=3) * 0.3
                bone.keyframe_insert("rotation_euler", frame=frame)
    target = bodies.known("unreal", A_POSE)
    done = job(source, target)
    assert apply.retarget(bpy.context, done) == []
    wanted = bodies.limb_directions(source, done.source_bones, FRAMES)
    assert degrees_between(wanted, bodies.limb_directions(target, done.target_bones, FRAMES)).max() < 0.2


def test_a_bone_that_does_not_follow_is_said():
    source, target = bodies.dancer(20), bodies.known("mixamo")
    target.pose.bones["LeftArm"].constraints.new("COPY_ROTATION").target = source
    (said,) = apply.retarget(bpy.context, job(source, target))
    assert "LeftArm" in said
    assert "do not go where their keys say" in said


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda s, t: s.animation_data_clear(), "Dancer has no animation: choose an armature that moves."),
        (lambda s, t: setattr(t, "scale", (-1, 1, 1)), "Mixamo is mirrored or flattened by a scale"),
        (lambda s, t: setattr(t, "scale", (1, 1, 2)), "Mixamo is scaled differently along its axes"),
    ],
)
def test_what_cannot_be_is_a_sentence(break_it, sentence):
    source, target = bodies.dancer(10), bodies.known("mixamo")
    done = job(source, target)
    break_it(source, target)
    with pytest.raises(RetargetError, match=sentence):
        apply.retarget(bpy.context, done)
    assert not target.animation_data


def test_lacking_bones_are_a_sentence():
    source, target = bodies.dancer(10), bodies.known("mixamo")
    done = job(source, target)
    lacking = {bone: chain for bone, chain in done.target_bones.items() if bone != "shin.L"}
    with pytest.raises(RetargetError, match=r"Mixamo has no bone for Shin Left: fill these in the mapping\."):
        apply.retarget(bpy.context, apply.Job(source, target, done.source_bones, lacking))
    with pytest.raises(RetargetError, match="has no root bone"):
        apply.retarget(bpy.context, job(source, bodies.known("vp3d"), options=Options(root_motion="ROOT")))
    with pytest.raises(RetargetError, match="same armature"):
        apply.check(source, source)


def test_linked_rigs_need_an_override_and_then_work(tmp_path):
    library = str(tmp_path / "library.blend")
    bodies.known("mixamo", A_POSE).name = "Hero"
    bpy.ops.wm.save_as_mainfile(filepath=library)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(library, link=True) as (_, wanted):
        wanted.objects = ["Hero"]
    linked = wanted.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    source = bodies.dancer(20)
    with pytest.raises(RetargetError, match="Hero is linked from another file: make a library override of it first"):
        apply.retarget(bpy.context, job(source, linked))
    ours = linked.override_create(remap_local_usages=True)
    done = job(source, ours)
    assert apply.retarget(bpy.context, done) == []
    frames = range(1, 21)
    wanted = bodies.limb_directions(source, done.source_bones, frames)
    assert degrees_between(wanted, bodies.limb_directions(ours, done.target_bones, frames)).max() < 0.2


def test_every_canonical_bone_belongs_to_a_part():
    parts = {bone for bones in body.PARTS.values() for bone in bones}
    assert {body.kind(bone) for bone in body.BONES} == parts | {"root"}
