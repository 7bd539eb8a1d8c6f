"""The panel 'Retarget': from an empty scene to keys on several rigs, and what the user may do in between."""

import bodies
import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from bodies import Shape  # noqa: E402
from layout_recorder import draw  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d import animation  # noqa: E402
from blender_vp3d.retarget import panels, tables  # noqa: E402

FRAMES = range(1, 21)
BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
%s
}
MOTION
Frames: 3
Frame Time: 0.0333333
%s
"""


@pytest.fixture(autouse=True)
def registered():
    blender_vp3d.register()
    yield
    blender_vp3d.unregister()


def settings():
    return bpy.context.scene.vp3d_retarget


def select(*objects):
    for thing in bpy.context.view_layer.objects:
        thing.select_set(thing in objects)


def drawn():
    return [text for panel in (panels.VP3D_PT_retarget, panels.VP3D_PT_retarget_options,
                               panels.VP3D_PT_retarget_mapping) for text in draw(panel)]  # fmt: skip


def add(rig):
    select(rig)
    assert bpy.ops.vp3d.retarget_add() == {"FINISHED"}
    return settings().pair


def test_an_empty_scene_says_what_to_do():
    assert "Select your character's rig and add it with +." in " ".join(drawn())
    assert not bpy.ops.vp3d.retarget.poll()


def test_two_buttons_from_a_rig_to_its_keys():
    source, rig = bodies.dancer(20), bodies.known("mixamo", Shape(arms_deg=45))
    pair = add(rig)
    assert (pair.source, pair.target) == (source, rig)
    shown = drawn()
    assert "Dancer: VP3D Person" in shown
    assert "Mixamo: Mixamo" in shown
    assert "vp3d.retarget" in shown
    assert "Upper Arm Left" in shown
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    bones = pair.target_mapping.bones
    wanted = bodies.limb_directions(source, pair.source_mapping.bones, FRAMES)
    found = bodies.limb_directions(rig, bones, FRAMES)
    assert np.einsum("tnk,tnk->tn", wanted, found).min() > np.cos(np.radians(12)), "feet reach, so legs may differ"


def test_several_people_onto_several_rigs_in_one_go():
    people = [bodies.dancer(20, seed=n) for n in range(3)]
    rigs = [bodies.known(key) for key in ("mixamo", "unreal", "biped")]
    for person, rig in zip(people, rigs, strict=True):
        assert add(rig).source == person
    settings().pairs[1].use = False
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    assert [bool(animation.curves_of(rig)) for rig in rigs] == [True, False, True]
    apart = bodies.heads(people[0], [1], ["hips"])[0, 0] - bodies.heads(rigs[0], [1], ["Hips"])[0, 0]
    assert np.linalg.norm(apart[:2]) < 0.1


def test_one_rig_twice_is_refused():
    bodies.dancer(20, seed=0), bodies.dancer(20, seed=1)
    rig = bodies.known("mixamo")
    add(rig)
    add(rig).target = rig
    with pytest.raises(RuntimeError, match="One rig is in the list twice"):
        bpy.ops.vp3d.retarget()
    assert not rig.animation_data


@pytest.mark.parametrize("gone", ["source", "target", "both"])
def test_what_was_deleted_is_missed_in_words(gone):
    source, rig = bodies.dancer(20), bodies.known("mixamo")
    add(rig)
    for thing, name in ((source, "source"), (rig, "target")):
        if gone in (name, "both"):
            bpy.data.objects.remove(thing)
    drawn()
    if gone == "both":
        assert not bpy.ops.vp3d.retarget.poll()
        return
    with pytest.raises(RuntimeError, match="Choose the"):
        bpy.ops.vp3d.retarget()
    assert not bpy.ops.vp3d.recognise_rig.poll() if gone == "target" else bpy.ops.vp3d.recognise_rig.poll()


def test_bones_deleted_since_are_missed_in_words():
    bodies.dancer(20)
    rig = bodies.known("mixamo")
    add(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    rig.data.edit_bones.remove(rig.data.edit_bones["LeftLeg"])
    with pytest.raises(RuntimeError, match="Mixamo has no bone for Shin Left"):
        bpy.ops.vp3d.retarget()
    assert not animation.curves_of(rig)


def test_a_metarig_is_pointed_out():
    bodies.dancer(20)
    rig = bodies.known("rigify_metarig")
    add(rig)
    assert "This is a metarig: to animate the finished rig, press Generate Rig" in " ".join(drawn())
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}


def test_unknown_names_are_told_by_shape():
    source = bodies.dancer(20)
    bones = {bone: tuple(f"{name[::-1]}~" for name in chain) for bone, chain in tables.tables()["vp3d"].bones.items()}
    rig = bodies.make("Stranger", bones, Shape(arms_deg=40, seed=1))
    pair = add(rig)
    assert "Stranger: Unknown names; told by its shape" in drawn()
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    wanted = bodies.limb_directions(source, pair.source_mapping.bones, FRAMES)
    found = bodies.limb_directions(rig, bones, FRAMES)
    assert np.einsum("tnk,tnk->tn", wanted, found).min() > np.cos(np.radians(12))


def test_what_nobody_knows_is_filled_in_by_hand(tmp_path):
    bodies.dancer(20)
    line = {"hips": ("a",), "spine": ("b", "c", "d", "e", "f", "g", "h")}
    rig = bodies.make("Worm", line)
    pair = add(rig)
    shown = drawn()
    assert "Worm: Not recognised: fill in the list" in shown
    with pytest.raises(RuntimeError, match="Worm has no bone for Hips"):
        bpy.ops.vp3d.retarget()
    assert bpy.ops.vp3d.mapping_row(action="ADD") == {"FINISHED"}
    pair.target_mapping.rows[0].bone, pair.target_mapping.rows[0].name = "spine", "b"
    bpy.ops.vp3d.mapping_row(action="ADD")
    assert [row.bone for row in pair.target_mapping.rows] == ["spine", "spine"]
    bpy.ops.vp3d.mapping_row(action="REMOVE")
    assert pair.target_mapping.bones == {"spine": ("b",)}
    drawn()


def test_a_mapping_is_saved_and_loaded(tmp_path):
    bodies.dancer(20)
    rig = bodies.known("mixamo")
    pair = add(rig)
    mapping = pair.target_mapping
    row = next(row for row in mapping.rows if row.bone == "hand.L")
    row.offset = (0, 0.5, 0)
    bones, offsets = mapping.bones, mapping.offsets
    path = str(tmp_path / "mine.json")
    assert bpy.ops.vp3d.save_mapping(filepath=path) == {"FINISHED"}
    mapping.rows.clear()
    assert bpy.ops.vp3d.load_mapping(filepath=path) == {"FINISHED"}
    assert mapping.bones == bones
    np.testing.assert_allclose(mapping.offsets["LeftHand"], offsets["LeftHand"], atol=1e-5)
    assert mapping.kind == "mixamo", "what else is known of the rig still is"
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(RuntimeError, match=r"bad\.json is no mapping"):
        bpy.ops.vp3d.load_mapping(filepath=str(tmp_path / "bad.json"))
    assert mapping.bones == bones


def test_the_source_has_a_mapping_too():
    bodies.dancer(20)
    add(bodies.known("mixamo"))
    settings().side = "source"
    assert settings().mapping.bones["spine"] == ("spine", "chest")
    assert "Spine" in drawn()
    settings().mapping.rows.clear()
    bpy.ops.vp3d.recognise_rig()
    assert settings().mapping.bones["hips"] == ("hips",)


def test_wrong_settings_are_sentences():
    bodies.dancer(20)
    rig = bodies.known("mixamo")
    add(rig)
    settings().use_range, settings().first, settings().last = True, 10, 5
    with pytest.raises(RuntimeError, match="The last frame comes before the first one"):
        bpy.ops.vp3d.retarget()
    settings().use_range = False
    settings().parts = set()
    with pytest.raises(RuntimeError, match="No part of the body is chosen"):
        bpy.ops.vp3d.retarget()
    assert not rig.animation_data


def test_removing_a_rig_keeps_its_keys():
    bodies.dancer(20)
    rig = bodies.known("mixamo")
    add(rig)
    bpy.ops.vp3d.retarget()
    assert bpy.ops.vp3d.retarget_remove() == {"FINISHED"}
    assert settings().pair is None
    assert len(animation.curves_of(rig))
    drawn()


@pytest.mark.parametrize("selected", ["rig", "both"])
def test_without_a_take_another_armature_that_moves_is_the_source(selected):
    """The active armature is the rig, even where it has keys of its own."""
    mover, rig, still = (bodies.known(key) for key in ("unity", "mixamo", "unreal"))
    for thing, turn in ((mover, 0.5), (rig, 0.1)):
        hips = tables.recognise(bone.name for bone in thing.data.bones)[1]["hips"][0]
        for frame in (1, 10):
            thing.pose.bones[hips].rotation_quaternion = (1, 0, turn * frame / 10, 0)
            thing.pose.bones[hips].keyframe_insert("rotation_quaternion", frame=frame)
    for thing in (mover, rig, still):
        thing.select_set(thing == rig or (thing == mover and selected == "both"))
    bpy.context.view_layer.objects.active = rig
    assert bpy.ops.vp3d.retarget_add() == {"FINISHED"}
    pair = settings().pair
    assert (pair.source, pair.target) == (mover, rig)
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    mapped = [tables.recognise(bone.name for bone in thing.data.bones)[1] for thing in (mover, rig)]
    wanted, found = (bodies.limb_directions(*both, range(1, 11)) for both in zip((mover, rig), mapped, strict=True))
    assert np.abs(wanted - found).max() < 4e-3


def test_a_bvh_file_is_a_source(tmp_path):
    path = tmp_path / "motion.bvh"
    names = tables.tables()["bvh"].bones
    chain = "JOINT %s\n{\nOFFSET %s\nCHANNELS 3 Zrotation Xrotation Yrotation\n%s\n}\n"
    end = "End Site\n{\nOFFSET 0 -10 0\n}"

    def limb(bones, offsets):
        below = end
        for bone, offset in reversed(list(zip(bones, offsets, strict=True))):
            below = chain % (names[bone][0], offset, below)
        return below

    body = ""
    for side, s in ((".L", 1), (".R", -1)):
        body += limb([f"thigh{side}", f"shin{side}", f"foot{side}"], [f"{s * 9} 0 0", "0 -42 0", "0 -40 0"])
    arms = "".join(
        limb([f"{bone}{side}" for bone in ("shoulder", "upper_arm", "forearm", "hand")],
             [f"{s * 3} 20 0", f"{s * 15} 0 0", f"{s * 28} 0 0", f"{s * 25} 0 0"])
        for side, s in ((".L", 1), (".R", -1))
    )  # fmt: skip
    head = chain % ("Neck", "0 22 0", chain % ("Head", "0 10 0", end))
    body += chain % ("Chest", "0 20 0", chain % ("Chest2", "0 20 0", head + arms))
    count = body.count("CHANNELS 3")
    rows = "\n".join(f"0 {90 + n} 0 " + f"0 {30 * n} 0 " * (1 + count) for n in range(3))
    path.write_text(BVH % (body, rows))
    assert bpy.ops.vp3d.import_bvh(filepath=str(path)) == {"FINISHED"}
    pair = settings().pair
    assert pair.source_mapping.kind == "bvh"
    pair.target = rig = bodies.known("mixamo")
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    found = bodies.limb_directions(rig, pair.target_mapping.bones, range(1, 4))
    wanted = bodies.limb_directions(pair.source, pair.source_mapping.bones, range(1, 4))
    arms = [0, 1, 4, 5]
    assert np.einsum("tnk,tnk->tn", wanted, found)[:, arms].min() > np.cos(np.radians(1))
    (tmp_path / "none.bvh").write_text("HIERARCHY")
    with pytest.raises(RuntimeError, match=r"none\.bvh"):
        bpy.ops.vp3d.import_bvh(filepath=str(tmp_path / "none.bvh"))
    assert not [thing for thing in bpy.data.objects if thing.type == "ARMATURE" and not thing.data.bones]
