"""Short and long legs on every rig: feet that stand do not slide, nor go through the floor, whoever moves them."""

from dataclasses import replace

import bodies
import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from bodies import Shape  # noqa: E402
from takes import walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d import animation, contact_keys  # noqa: E402
from blender_vp3d.clean.contacts import runs  # noqa: E402
from blender_vp3d.retarget import tables  # noqa: E402
from blender_vp3d.retarget.properties import bones_of  # noqa: E402
from blender_vp3d.skeleton import apply_take  # noqa: E402

FRAMES = 40
RESTS = {
    "makehuman": Shape(arms_deg=48, legs_deg=6, elbow_deg=18, seed=1),
    "unreal": Shape(arms_deg=48, legs_deg=6, elbow_deg=18, seed=1),
    "mixamo": Shape(tilt=(-np.pi / 2, 0, 0), scale=0.01, seed=2),
    "unity": Shape(tilt=(-np.pi / 2, 0, 0), scale=0.01, seed=2),
    "biped": Shape(arms_deg=45, elbow_deg=25, tails="sideways", tilt=(0, 0, np.pi / 2), scale=0.01, seed=3),
    "bvh": Shape(arms_deg=85, legs_deg=12, seed=4),
}


@pytest.fixture(autouse=True)
def registered():
    blender_vp3d.register()
    yield
    blender_vp3d.unregister()


def walking(shared):
    return apply_take(bpy.context, walker(FRAMES), "/somewhere/walk.vp3d").people[0]


def dancing(shared):
    bpy.context.scene.render.fps = 30
    return bodies.captured(shared, "salsa/04", 600, FRAMES, every=4)[0]  # of 120 a second


def evaluated(armature, names):
    """(T, N, 4, 4) of bones in the world, as Blender evaluates them."""
    posed = []
    for frame in range(1, FRAMES + 1):
        bpy.context.scene.frame_set(frame)
        seen = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        posed.append([seen.matrix_world @ seen.pose.bones[name].matrix for name in names])
    return np.array(posed)


def steps(posed):
    """(T - 1, N) degrees from frame to frame."""
    axes = posed[..., :3, :3] / np.linalg.norm(posed[..., :3, :3], axis=-2, keepdims=True)
    trace = np.einsum("tnij,tnij->tn", axes[1:], axes[:-1])
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def soles(target, bones, posed, names, shape):
    """(T, S, 3) m: points on the floor at rest under ankles, balls and tips of toes, carried by feet and toes."""
    at, found = bodies.points(shape), []
    for side in (".L", ".R"):
        ankle, ball = at[f"foot{side}"]
        tip = at[f"toe{side}"][1]
        toe = bones.get(f"toe{side}", bones[f"foot{side}"])[0]
        for name, point in ((bones[f"foot{side}"][0], ankle), (bones[f"foot{side}"][0], ball), (toe, tip)):
            rest = np.array(target.matrix_world @ target.data.bones[name].matrix_local)
            own = np.linalg.inv(rest) @ [point[0], point[1], 0, 1]
            found.append((posed[:, names.index(name)] @ own)[:, :3])
    return np.stack(found, axis=1)


def onto(source, target):
    """Retarget with feet that reach, and hold them."""
    pair = bpy.context.scene.vp3d_retarget.pairs.add()
    pair.source, pair.target = source, target
    bpy.context.scene.vp3d_retarget.on_floor = True
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    bpy.ops.object.select_all(action="DESELECT")
    target.select_set(True)
    bpy.context.view_layer.objects.active = target
    assert bpy.ops.vp3d.lock_feet() == {"FINISHED"}
    for curve in animation.curves_of(target):
        values = np.empty(2 * len(curve.keyframe_points), np.float32)
        curve.keyframe_points.foreach_get("co", values)
        assert np.isfinite(values).all()


def check_stands(target, ankles):
    """Neither foot of (T, 2, 3) m moves while its contact keys say that it stands."""
    contacts = contact_keys.read(target, np.arange(1.0, FRAMES + 1))
    assert contacts.any(0).all()
    stands = [ankles[a:b, side] for side in (0, 1) for a, b in runs(contacts[:, side])]
    assert max(np.linalg.norm(at - np.median(at, axis=0), axis=-1).max() for at in stands) < 0.005
    fps = bpy.context.scene.render.fps / bpy.context.scene.render.fps_base
    speed = np.linalg.norm(np.concatenate([np.diff(at, axis=0) for at in stands]), axis=-1) * fps
    assert np.median(speed) < 0.02


@pytest.mark.parametrize("legs", [0.7, 1.3], ids=["short", "long"])
@pytest.mark.parametrize("motion", [walking, dancing])
@pytest.mark.parametrize("key", sorted(tables.tables()))
def test_feet_stand_on_short_and_long_legs(shared, key, motion, legs):
    source = motion(shared)
    shape = replace(RESTS.get(key, Shape(arms_deg=20, seed=5)), legs=legs)
    target = bodies.known(key, shape)
    onto(source, target)
    bones, theirs = (bones_of(bpy.context.scene, thing) for thing in (target, source))
    both = [bone for bone in bones if bone in theirs and bone != "root"]
    feet = [bone for bone in bones if bone.startswith(("foot", "toe")) and bone not in both]
    names = [bones[bone][0] for bone in (*both, *feet)]
    posed = evaluated(target, names)
    check_stands(target, np.stack([posed[:, names.index(bones[f"foot{s}"][0]), :3, 3] for s in (".L", ".R")], axis=1))
    assert soles(target, bones, posed, names, shape)[..., 2].min() > -0.01
    quick = steps(posed[:, : len(both)]) - steps(evaluated(source, [theirs[bone][0] for bone in both]))
    assert quick.max() < 20, both[int(quick.max(0).argmax())]


@pytest.mark.parametrize("legs", [0.7, 1.3], ids=["short", "long"])
def test_feet_stand_on_generated_rigify_rigs(shared, legs):
    source = walking(shared)
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_basic_human_metarig_add()
    bodies.stretch_legs(bpy.context.object, "thigh.L", "foot.L", legs)
    bpy.ops.pose.rigify_generate()
    rig = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE" and "torso" in thing.data.bones)
    onto(source, rig)
    posed = evaluated(rig, ["DEF-foot.L", "DEF-foot.R", "DEF-toe.L", "DEF-toe.R"])
    check_stands(rig, posed[:, :2, :3, 3])
    assert posed[:, 2:, 2, 3].min() > -0.01, "the balls of the feet"
    bpy.ops.preferences.addon_disable(module="rigify")


@pytest.mark.parametrize("legs", [0.7, 1.0, 1.3], ids=["short", "as made", "long"])
@pytest.mark.parametrize("make", [bodies.rocketbox, bodies.makehuman])
def test_feet_stand_on_rigs_that_others_made(shared, make, legs):
    source = dancing(shared)
    rig = make(shared, "Male_Adult_01" if make is bodies.rocketbox else "default")
    bones = bones_of(bpy.context.scene, rig)
    if legs != 1:
        bodies.stretch_legs(rig, bones["thigh.L"][0], bones["foot.L"][0], legs)
    onto(source, rig)
    names = [bones[f"foot{side}"][0] for side in (".L", ".R")]
    check_stands(rig, evaluated(rig, names)[..., :3, 3])
    for mesh in rig.children if legs == 1 else ():
        for frame in range(1, FRAMES + 1, 3) if mesh.type == "MESH" else ():
            bpy.context.scene.frame_set(frame)
            seen = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
            at = np.empty(3 * len(seen.data.vertices), np.float32)
            seen.data.vertices.foreach_get("co", at)
            up = np.array(seen.matrix_world)[2]
            assert (at.reshape(-1, 3) @ up[:3] + up[3]).min() > -0.01
