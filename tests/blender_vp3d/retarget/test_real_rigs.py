"""Rigs that others made (Rigify's generated human, Microsoft Rocketbox, MakeHuman) and motion that was captured."""

import zipfile

import bodies
import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from blender_vp3d.common import armature as ours  # noqa: E402
from blender_vp3d.common.skeletons import H36M_17  # noqa: E402
from blender_vp3d.retarget import apply, tables  # noqa: E402
from blender_vp3d.retarget.read import read_motion  # noqa: E402
from blender_vp3d.retarget.transfer import Options  # noqa: E402

LIMBS_DEG = 1.0  # how far a limb may point off
JUMP_DEG = 20.0  # per frame, beyond what the source does


def job(source, target, **changes):
    source_bones = tables.recognise(bone.name for bone in source.data.bones)[1]
    key, target_bones = tables.recognise(bone.name for bone in target.data.bones)
    table = tables.tables()[key]
    return apply.Job(source, target, source_bones, target_bones, table.parents, table.bends, table.switches, **changes)


def directions(armature, bones, frames, deform=None):
    """(T, 8, 3) where limbs point, by the heads of `deform` bones where these are others than the mapped ones."""
    return bodies.limb_directions(armature, {bone: (deform or {}).get(bone, chain) for bone, chain in bones.items()},
                                  frames)  # fmt: skip


def degrees_between(a, b):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def fastest(armature, names, frames):
    """(T - 1,) degrees a frame of the fastest of bones."""
    turned = bodies.matrices(armature, frames, names)
    trace = np.einsum("tnij,tnij->tn", turned[1:], turned[:-1])
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))).max(1)


def check_follows(source, target, done, frames, deform=None):
    assert apply.retarget(bpy.context, done) == []
    off = degrees_between(
        directions(source, done.source_bones, frames), directions(target, done.target_bones, frames, deform)
    )
    assert off.max() < LIMBS_DEG
    first = frames[: min(40, len(frames))]
    names = [chain[0] for bone, chain in done.target_bones.items() if bone in done.source_bones]
    ours_too = [chain[-1] for chain in done.source_bones.values()]
    assert (fastest(target, names, first) < fastest(source, ours_too, first) + JUMP_DEG).all()


@pytest.fixture(scope="module")
def rigify_file(tmp_path_factory):
    """A file with a metarig "metarig" and the rig "rig" that Rigify generates from it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_human_metarig_add()
    bpy.ops.pose.rigify_generate()
    path = tmp_path_factory.mktemp("rigify") / "rigify.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.preferences.addon_disable(module="rigify")
    return path


def load(path, name):
    with bpy.data.libraries.load(str(path)) as (_, wanted):
        wanted.objects = [name]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    bpy.context.view_layer.update()
    return wanted.objects[0]


ORG = {
    f"{kind}{side}": (f"ORG-{kind}{side}",)
    for side in (".L", ".R")
    for kind in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
}
"""Rigify's bones that end up where the limbs are, whatever controls them."""


def test_rigify_generated(rigify_file):
    source, rig = bodies.dancer(40), load(rigify_file, "rig")
    assert tables.recognise(bone.name for bone in rig.data.bones)[0] == "rigify"
    done = job(source, rig, reach_feet=False)
    check_follows(source, rig, done, range(1, 41), ORG)
    assert rig.pose.bones["upper_arm_parent.L"]["IK_FK"] == 1
    assert rig.pose.bones["torso"]["head_follow"] == 1
    # every mapped bone, head and neck included, is where the closed form of Rigify's hierarchy says
    posed, _ = apply.pose_target(bpy.context, done)
    names = [posed.controls.rig.names[bone] for bone in posed.controls.bones]
    turned = bodies.matrices(rig, [1, 17, 40], names)
    axes = ours.quaternion_to_matrix(posed.rotations[[0, 16, 39]])
    np.testing.assert_allclose(turned, axes, atol=2e-4)
    for bone in ("foot.L", "thigh.R", "upper_arm.L", "hand.R"):
        at = bodies.heads(rig, [1, 17, 40], ORG[bone])[:, 0]
        np.testing.assert_allclose(at, posed.heads[[0, 16, 39], posed.index(bone)], atol=2e-4, err_msg=bone)


@pytest.mark.parametrize("carrier", ["HIPS", "ROOT"])
def test_rigify_by_inverse_kinematics(rigify_file, carrier):
    """The same motion from hands, feet and poles: limbs lie as they do when turned bone by bone."""
    source, rig = bodies.dancer(40), load(rigify_file, "rig")
    table = tables.tables()["rigify"]
    done = job(source, rig, inverse=table.inverse, options=Options(root_motion=carrier))
    posed, _ = apply.pose_target(bpy.context, done)
    assert apply.retarget(bpy.context, done) == []
    assert rig.pose.bones["thigh_parent.R"]["IK_FK"] == 0
    some = [1, 11, 17, 29, 40]
    # Rigify's solver may shorten the bones of a bent limb by up to a tenth, which takes knees and elbows inward
    off_by = {"foot": 0.002, "hand": 0.002, "shin": 0.03, "forearm": 0.03}
    for bone in (f"{kind}{side}" for kind in off_by for side in (".L", ".R")):
        seen = bodies.heads(rig, some, ORG[bone])[:, 0]
        apart = np.linalg.norm(seen - posed.heads[[frame - 1 for frame in some], posed.index(bone)], axis=-1)
        assert apart.max() < off_by[bone[:-2]], bone


def test_rigify_metarig_is_known_as_one(rigify_file):
    source, rig = bodies.dancer(20), load(rigify_file, "metarig")
    key, _ = tables.recognise(bone.name for bone in rig.data.bones)
    assert key == "rigify_metarig"
    assert "Generate Rig" in tables.tables()[key].note
    check_follows(source, rig, job(source, rig, reach_feet=False), range(1, 21))


@pytest.mark.parametrize("name", ["Male_Adult_01", "Female_Adult_05"])
def test_rocketbox(shared, name):
    source, frames = bodies.captured(shared, "salsa/04", 600, 60)
    rig = bodies.rocketbox(shared, name)
    assert tables.recognise(bone.name for bone in rig.data.bones)[0] == "biped"
    check_follows(source, rig, job(source, rig, reach_feet=False), frames)
    hips = [f"Bip01 {name}" for name in ("Pelvis", "L Thigh", "R Thigh")]
    at = bodies.heads(rig, frames, hips)
    assert np.ptp(np.linalg.norm(at[:, 0] - at[:, 1], axis=-1)) < 1e-4, "thighs stay in the pelvis"


@pytest.mark.parametrize("kind", ["default", "game_engine", "mixamo", "cmu_mb"])
def test_makehuman(shared, kind):
    source, frames = bodies.captured(shared, "martial/05", 300, 60)
    rig = bodies.makehuman(shared, kind)
    assert tables.recognise(bone.name for bone in rig.data.bones)[0] == {
        "default": "makehuman", "game_engine": "unreal", "mixamo": "mixamo", "cmu_mb": "cmu",
    }[kind]  # fmt: skip
    check_follows(source, rig, job(source, rig, reach_feet=False), frames)


JOINTS = {
    "spine": ("spine", 1), "thorax": ("neck", 0), "neck": ("head", 0),
    **{f"{long}_{joint}": (f"{bone}{side}", 0) for side, long in ((".L", "left"), (".R", "right")) for joint, bone in (
        ("hip", "thigh"), ("knee", "shin"), ("ankle", "foot"), ("shoulder", "upper_arm"), ("elbow", "forearm"),
        ("wrist", "hand"))},
}  # fmt: skip


@pytest.mark.parametrize("name", ["salsa/04", "martial/05", "131_01"])
def test_captured_motion_comes_out_where_it_was(shared, name):
    """BVH → joints → our armature → a rig of the same proportions, otherwise named, rolled and A-posed."""
    source, frames = bodies.captured(shared, name, 300, 90)
    bones = tables.recognise(bone.name for bone in source.data.bones)[1]
    frames = np.array(frames, float)
    motion, stepped = read_motion(bpy.context, source, [n for chain in bones.values() for n in chain], frames)
    assert not stepped
    chains = motion.rig.chains(bones)
    at = {joint: motion.head(chains[bone][n if n < len(chains[bone]) else -1]) for joint, (bone, n) in JOINTS.items()}
    at["hip"] = (at["left_hip"] + at["right_hip"]) / 2
    up = at["neck"] - at["thorax"]
    at["head"] = at["neck"] + 0.16 * up / np.linalg.norm(up, axis=-1, keepdims=True)
    joints = np.stack([at[joint] for joint in H36M_17.joints], axis=1)
    person = bodies.capture(joints, frames)
    twin = bodies.twin(person, tables.tables()["mixamo"].bones, np.radians(45))
    assert apply.retarget(bpy.context, job(person, twin)) == []

    mapped = job(person, twin).target_bones
    seen = [joint for joint in JOINTS if joint not in ("spine", "thorax", "neck")]
    names = [mapped[JOINTS[joint][0]][0] for joint in seen]
    some = frames[::6]
    found = bodies.heads(twin, some, names)
    wanted = np.stack([at[joint] for joint in seen], axis=1)[::6]
    tall = np.ptp([bone.head_local.z for bone in person.data.bones]) + 0.1
    assert np.linalg.norm(found - wanted, axis=-1).mean() < 0.01 * tall
    same = bodies.heads(person, some, [job(person, twin).source_bones[JOINTS[joint][0]][0] for joint in seen])
    assert np.linalg.norm(found - same, axis=-1).mean() < 0.002 * tall


def test_a_rest_pose_that_is_no_person(shared):
    """Files whose rest pose has the legs upside down: a frame where the person stands takes its place."""
    with zipfile.ZipFile(shared / "mocap" / "cmu-bvh-60fps.zip") as archive:
        text = archive.read("cmu-bvh-60fps/subjects/002/002_01.bvh").decode()
    path = f"{bpy.app.tempdir}002_01.bvh"
    with open(path, "w") as file:  # noqa: PTH123
        file.write(text)
    bpy.ops.import_anim.bvh(filepath=path, global_scale=0.01)
    source, rig = bpy.context.object, bodies.known("mixamo")
    bpy.context.view_layer.update()
    done = job(source, rig, rest_frame=1, reach_feet=False, frames=(1, 60), options=Options(on_floor=True))
    assert apply.retarget(bpy.context, done) == []
    frames = range(1, 61, 6)
    assert (
        degrees_between(directions(source, done.source_bones, frames), directions(rig, done.target_bones, frames)).max()
        < LIMBS_DEG
    )
    top, feet = (bodies.heads(rig, frames, [done.target_bones[bone][0]])[:, 0, 2] for bone in ("head", "foot.L"))
    assert top.min() > 1.3 and feet.max() < 0.5
    assert bodies.matrices(rig, frames, ["Head"]).shape
