"""The panel 'Clean Up' on takes and rigs: what Blender evaluates afterwards, and what is still there."""

from dataclasses import replace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

import bodies  # noqa: E402
from bodies import Shape  # noqa: E402
from layout_recorder import draw  # noqa: E402
from takes import walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d import animation, contact_keys  # noqa: E402
from blender_vp3d.clean import panels, tracks, versions  # noqa: E402
from blender_vp3d.clean.contacts import runs  # noqa: E402
from blender_vp3d.retarget import rotations as rot  # noqa: E402
from blender_vp3d.retarget.properties import bones_of  # noqa: E402
from blender_vp3d.skeleton import apply_take  # noqa: E402

FRAMES = 75
PARTS = (panels.VP3D_PT_clean, panels.VP3D_PT_clean_smooth, panels.VP3D_PT_clean_feet, panels.VP3D_PT_clean_keys)


@pytest.fixture(autouse=True)
def registered():
    blender_vp3d.register()
    yield
    blender_vp3d.unregister()


def noisy(frames=FRAMES, size=0.008, seed=0):
    """A walker whose joints tremble and whose feet, therefore, slide."""
    take = walker(frames)
    take.joints3d += np.random.default_rng(seed).normal(scale=size, size=take.joints3d.shape).astype(np.float32)
    return take


def person(take=None):
    made = apply_take(bpy.context, take or noisy(), "/somewhere/shot.vp3d").people[0]
    select(made)
    return made


def select(*objects):
    for thing in bpy.context.view_layer.objects:
        thing.select_set(thing in objects)
    bpy.context.view_layer.objects.active = objects[0]


def settings():
    return bpy.context.scene.vp3d_clean


def curves(armature, action=None):
    """Every key of an action: (path, index) → co, interpolation."""
    found = {}
    for curve in animation.curves_in(action or armature.animation_data.action, armature):
        co, kinds = np.empty(2 * len(curve.keyframe_points)), np.empty(len(curve.keyframe_points), np.int32)
        curve.keyframe_points.foreach_get("co", co)
        curve.keyframe_points.foreach_get("interpolation", kinds)
        found[curve.data_path, curve.array_index] = co.tolist(), kinds.tolist()
    return found


def same(before, after):
    assert before.keys() == after.keys()
    for key, (co, kinds) in before.items():
        np.testing.assert_allclose(co, after[key][0], atol=1e-6)
        assert kinds == after[key][1]


def evaluated(armature, frames=range(1, FRAMES + 1)):
    """Bone → (T, 4, 4) in the world, as Blender evaluates it."""
    posed = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        seen = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        posed.append({bone.name: np.array(seen.matrix_world @ bone.matrix) for bone in seen.pose.bones})
    return {name: np.array([pose[name] for pose in posed]) for name in posed[0]}


def feet(armature, frames=range(1, FRAMES + 1)):
    """(T, 2, 3) where Blender puts the ankles, and (T, 2) whether they stand."""
    bones = bones_of(bpy.context.scene, armature)
    posed = evaluated(armature, frames)
    ankles = np.stack([posed[bones[f"foot{side}"][0]][:, :3, 3] for side in (".L", ".R")], axis=1)
    return ankles, contact_keys.read(armature, np.array(list(frames), float))


def slid(ankles, contacts):
    return max(
        np.linalg.norm(at - np.median(at, axis=0), axis=-1).max()
        for side in (0, 1)
        for at in (ankles[a:b, side] for a, b in runs(contacts[:, side]))
    )


def speed(ankles, contacts, fps=25):
    both = contacts[1:] & contacts[:-1]
    return float(np.median(np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[both])) * fps


def blocks():
    kinds = ("actions", "objects", "armatures")
    return {kind: sorted(block.name for block in getattr(bpy.data, kind)) for kind in kinds}


def finite(armature):
    return all(np.isfinite(co).all() for co, _ in curves(armature).values())


def test_contacts_arrive_as_keys_that_hold_and_as_markers():
    take = walker(FRAMES)
    made = person(take)
    found = contact_keys.read(made, np.arange(1.0, FRAMES + 1))
    np.testing.assert_array_equal(found, take.contacts[0] > 0.5)
    for path in contact_keys.PATHS:
        co, kinds = curves(made)[path, 0]
        assert set(kinds) == {0} and set(co[1::2]) == {0.0, 1.0}
        assert len(kinds) == 1 + int((np.diff(found[:, contact_keys.PATHS.index(path)].astype(int)) != 0).sum())
    markers = {(marker.name, marker.frame) for marker in made.animation_data.action.pose_markers}
    downs = {1 + a for a, _ in runs(found[:, 0])}
    assert {frame for name, frame in markers if name == "L down"} == downs
    bpy.context.scene.frame_set(min(downs) + 1)
    assert made["contact_left"] is True or made["contact_left"] == 1


def test_smoothing_takes_the_trembling_and_leaves_the_raw_motion():
    made, truth = person(), person_truth()
    raw = curves(made)
    before = evaluated(made)
    assert bpy.ops.vp3d.clean() == {"FINISHED"}
    after = evaluated(made)
    for bone in ("hand.L", "hand.R", "head"):
        tremble = [np.diff(posed[bone][:, :3, 3], 3, axis=0).std() for posed in (truth, before, after)]
        assert tremble[2] < 0.4 * tremble[1]
        error = [np.abs(posed[bone] - truth[bone])[:, :3, 3].mean() for posed in (before, after)]
        assert error[1] < error[0]
    assert finite(made)
    same(raw, curves(made, versions.raw(made)))
    assert made.animation_data.action == versions.clean(made) != versions.raw(made)


def person_truth():
    """Evaluated without trembling; the armature itself is gone again."""
    made = apply_take(bpy.context, walker(FRAMES, video="/clips/truth.mp4"), "/somewhere/truth.vp3d").people[0]
    posed = evaluated(made)
    bpy.data.objects.remove(made)
    return posed


def test_again_starts_from_the_raw_motion_and_duplicates_nothing():
    made = person()
    assert bpy.ops.vp3d.clean() == bpy.ops.vp3d.lock_feet() == bpy.ops.vp3d.reduce_keys() == {"FINISHED"}
    first, known = curves(made), blocks()
    for operator in (bpy.ops.vp3d.clean, bpy.ops.vp3d.lock_feet, bpy.ops.vp3d.reduce_keys):
        assert operator() == {"FINISHED"}
        same(first, curves(made))
        assert blocks() == known
    assert versions.steps(made) == {"SMOOTH", "FEET", "KEYS"}


def test_raw_and_clean_are_switched():
    made = person()
    raw = curves(made)
    bpy.ops.vp3d.clean()
    clean = curves(made)
    assert bpy.ops.vp3d.toggle_raw() == {"FINISHED"}
    same(raw, curves(made))
    assert not versions.shows_clean(made) and versions.clean(made)
    bpy.ops.vp3d.clean()  # from the raw one, while it is shown
    same(clean, curves(made))
    bpy.ops.vp3d.discard_clean()
    same(raw, curves(made))
    assert versions.clean(made) is None and made.animation_data.action.name in blocks()["actions"]
    assert not any(name.endswith(" clean") for name in blocks()["actions"])


def test_feet_stand_still_and_over_the_floor():
    made = person()
    before = feet(made)
    assert slid(*before) > 0.02 and speed(*before) > 0.2
    bpy.ops.vp3d.clean()
    assert bpy.ops.vp3d.lock_feet() == {"FINISHED"}
    after = feet(made)
    assert slid(*after) <= 0.001
    assert speed(*after) <= 0.02
    posed = evaluated(made)
    for bone in ("foot.L", "foot.R", "toe.L", "toe.R"):
        tail = posed[bone] @ np.array([0, made.data.bones[bone].length, 0, 1])
        assert tail[:, 2].min() > -0.01
    bpy.ops.vp3d.reduce_keys()
    after = feet(made)
    assert slid(*after) <= 0.005, "few keys make feet slide"
    assert speed(*after) <= 0.02
    assert finite(made)


def test_moving_a_contact_and_locking_again_moves_the_feet():
    made = person()
    bpy.ops.vp3d.lock_feet()
    was = contact_keys.read(made, np.arange(1.0, FRAMES + 1))
    start, end = runs(was[:, 0])[1]
    curve = next(c for c in animation.curves_of(made) if c.data_path == contact_keys.PATHS[0])
    key = next(point for point in curve.keyframe_points if point.co[0] == 1 + start)
    key.co[0] += 5
    curve.update()
    assert not versions.edited(made)
    bpy.ops.vp3d.lock_feet()
    ankles, contacts = feet(made)
    assert runs(contacts[:, 0])[1] == (start + 5, end)
    assert np.linalg.norm(np.diff(ankles[start : start + 5, 0], axis=0), axis=-1).max() > 0.002
    assert slid(ankles, contacts) <= 0.005


def test_contacts_are_found_from_the_motion():
    made = person(walker(FRAMES))
    given = contact_keys.read(made, np.arange(1.0, FRAMES + 1))
    contact_keys.write(made, np.arange(1.0, FRAMES + 1), np.zeros_like(given))
    assert bpy.ops.vp3d.find_contacts() == {"FINISHED"}
    found = contact_keys.read(made, np.arange(1.0, FRAMES + 1))
    assert (found == given).mean() > 0.85
    settings().speed = 0.01
    settings().height = 0.001
    bpy.ops.vp3d.find_contacts()
    assert contact_keys.read(made, np.arange(1.0, FRAMES + 1)).sum() < found.sum()


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE"])
def test_few_keys_within_the_bound_in_any_rotation_mode(mode):
    made = rotated(person(walker(FRAMES)), mode)
    settings().bound_angle, settings().bound_mm = np.radians(0.8), 3.0
    before, keys = evaluated(made), tracks.keys_of(made)
    values = {one.path: tracks.read(made, one, np.arange(1.0, FRAMES + 1)) for one in tracks.tracks(made)}
    assert bpy.ops.vp3d.reduce_keys() == {"FINISHED"}
    assert tracks.keys_of(made) < 0.4 * keys
    for one in tracks.tracks(made):
        after = np.array([[curve.evaluate(frame) for curve in sorted(
            (c for c in animation.curves_of(made) if c.data_path == one.path), key=lambda c: c.array_index)]
            for frame in range(1, FRAMES + 1)])  # fmt: skip
        if one.mode:
            turn = rot.multiply(rot.conjugate(rot.from_mode(values[one.path], mode)), rot.from_mode(after, mode))
            assert np.degrees(2 * np.arccos(np.clip(np.abs(turn[:, 0]), 0, 1))).max() <= 0.8
        else:
            assert 1000 * np.linalg.norm(after - values[one.path], axis=-1).max() <= 3.0
    seen = evaluated(made)
    assert max(np.abs(seen[bone] - before[bone])[:, :3, 3].max() for bone in seen) < 0.05
    points = [point for curve in animation.curves_of(made) if "rotation" in curve.data_path
              for point in curve.keyframe_points]  # fmt: skip
    assert {point.interpolation for point in points} == {"BEZIER"}
    assert {point.handle_left_type for point in points} == {"ALIGNED"}
    assert finite(made)


def rotated(armature, mode):
    """The same motion with every bone in another rotation mode."""
    changed = {one: tracks.read(armature, one, np.arange(1.0, FRAMES + 1)) for one in tracks.tracks(armature)}
    over = tracks.span(armature, 25, None)
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    made = {}
    for one, values in changed.items():
        new = tracks.track(armature, one.bone, "rotation") if one.mode else one
        made[new] = rot.in_mode(rot.from_mode(values, one.mode), mode) if one.mode else values
    bag = animation.curves_of(armature)
    for curve in [curve for curve in bag if curve.data_path.endswith("rotation_quaternion")]:
        bag.remove(curve)
    tracks.write(armature, made, over)
    return armature


@pytest.mark.parametrize("mode", ["XYZ", "YXZ", "ZXY", "AXIS_ANGLE"])
def test_rotation_modes_stay_and_do_not_jump(mode):
    plain = person()
    bpy.ops.vp3d.clean()
    bpy.ops.vp3d.lock_feet()
    wanted = evaluated(plain)
    made = rotated(person(noisy(FRAMES)), mode)
    raw = {one.path: steps_of(made, one) for one in tracks.tracks(made)}
    bpy.ops.vp3d.clean()
    bpy.ops.vp3d.lock_feet()
    assert {bone.rotation_mode for bone in made.pose.bones} == {mode}
    seen = evaluated(made)
    assert max(np.abs(seen[bone] - wanted[bone])[:, :3, 3].max() for bone in seen) < 1e-3
    if mode in ("YXZ", "ZXY"):  # the axis of a small rotation is noise; XYZ locks where the hips face +X
        for one in tracks.tracks(made):
            assert steps_of(made, one) <= raw[one.path] + 0.5, f"{one.path} jumps where the raw motion did not"


def steps_of(armature, one):
    """Largest step of a track's values from frame to frame."""
    return np.abs(np.diff(tracks.read(armature, one, np.arange(1.0, FRAMES + 1)), axis=0)).max()


def test_only_the_range_changes_and_without_a_jump():
    made = person()
    raw = curves(made)
    settings().use_range, settings().first, settings().last = True, 20, 50
    before = evaluated(made)
    bpy.ops.vp3d.clean()
    bpy.ops.vp3d.lock_feet()
    after = evaluated(made)
    outside = np.r_[0:19, 50:FRAMES]
    for bone in after:
        np.testing.assert_allclose(after[bone][outside], before[bone][outside], atol=1e-5)
    moved = np.abs(after["hand.L"] - before["hand.L"])[:, :3, 3].max(-1)
    assert moved[20:48].max() > 0.003 and max(moved[19], moved[49]) < 0.01
    settings().last = 5
    with pytest.raises(RuntimeError, match="The last frame comes before the first one"):
        bpy.ops.vp3d.clean()
    settings().first, settings().last = 500, 600
    with pytest.raises(RuntimeError, match="no keyframes in this range"):
        bpy.ops.vp3d.clean()
    same(raw, curves(made, versions.raw(made)))


def test_a_gap_in_the_motion_stays_one():
    take = noisy()
    take.joints3d[0, 30:50] = np.nan
    made = person(take)
    bpy.ops.vp3d.clean()
    bpy.ops.vp3d.lock_feet()
    bpy.ops.vp3d.reduce_keys()
    posed = evaluated(made)
    np.testing.assert_allclose(posed["head"][30:50], np.tile(posed["head"][29], (20, 1, 1)), atol=1e-6)
    assert np.abs(posed["head"][50] - posed["head"][49])[:3, 3].max() > 0.1
    before = curves(made)
    bpy.ops.vp3d.reduce_keys()
    same(before, curves(made))


def test_what_was_edited_by_hand_is_kept():
    made = person()
    bpy.ops.vp3d.clean()
    mine = made.animation_data.action
    mine.name = "My version"
    curve = next(iter(animation.curves_of(made)))
    curve.keyframe_points[3].co[1] += 0.1
    curve.update()
    kept = curves(made)
    assert versions.edited(made)
    bpy.ops.vp3d.lock_feet()
    assert made.animation_data.action != mine and mine.use_fake_user
    same(kept, curves(made, mine))


def test_another_action_starts_afresh_and_nothing_is_lost():
    made = person()
    bpy.ops.vp3d.clean()
    first = versions.raw(made), versions.clean(made)
    mine = first[0].copy()
    mine.name = "Take two"
    versions.show(made, mine)
    assert versions.clean(made) is None
    bpy.ops.vp3d.clean()
    assert versions.raw(made) == mine and versions.clean(made) not in first
    assert all(action.use_fake_user for action in first)


def test_a_refusal_changes_nothing():
    made = person()
    bones = [bone.name for bone in made.data.bones]
    for number, name in enumerate(bones):
        made.data.bones[name].name = f"b{number}"
    made.data.bones["b" + str(bones.index("foot.L"))].name = "thing"
    before, known = curves(made), blocks()
    bpy.context.scene.vp3d_retarget.pairs.add().source = made
    mapping = bpy.context.scene.vp3d_retarget.pairs[0].source_mapping
    mapping.fill("", "", {"hips": ("b0",)})
    with pytest.raises(RuntimeError, match="has no bone for"):
        bpy.ops.vp3d.lock_feet()
    same(before, curves(made))
    assert blocks() == known
    assert bpy.ops.vp3d.clean() == {"FINISHED"}, "smoothing needs no names"


@pytest.mark.parametrize("legs", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("rig", ["mixamo", "unreal", "biped", "makehuman"])
def test_feet_stand_still_on_rigs_of_any_proportions(rig, legs):
    source = person(walker(FRAMES))
    target = bodies.known(rig, Shape(arms_deg=45, legs=legs, tails="sideways", seed=3))
    pair = bpy.context.scene.vp3d_retarget.pairs.add()
    pair.source, pair.target = source, target
    bpy.context.scene.vp3d_retarget.scale_path = legs != 0.8
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    select(target)
    assert bpy.ops.vp3d.lock_feet() == {"FINISHED"}
    ankles, contacts = feet(target)
    assert contacts.any(0).all(), "contacts come along with the motion"
    assert slid(ankles, contacts) <= 0.005
    assert speed(ankles, contacts) <= 0.02
    assert ankles[..., 2].min() > 0.08 - 0.01  # the ankles rest at 0.08 m
    assert finite(target)
    bpy.ops.vp3d.retarget()
    assert not versions.shows_clean(target)


def test_several_people_at_once():
    people = apply_take(bpy.context, replace(walker(30, people=2)), "/somewhere/two.vp3d").people
    select(*people)
    assert bpy.ops.vp3d.clean() == {"FINISHED"}
    assert all(versions.shows_clean(one) for one in people)
    bpy.ops.vp3d.toggle_raw()
    assert not any(versions.shows_clean(one) for one in people)


def test_applying_the_take_again_updates_the_raw_motion():
    take = noisy()
    made = person(take)
    bpy.ops.vp3d.clean()
    clean, known = curves(made, versions.clean(made)), blocks()
    take.joints3d += np.float32([0.5, 0, 0])
    assert person(take) == made
    assert not versions.shows_clean(made) and blocks() == known
    same(clean, curves(made, versions.clean(made)))
    bpy.ops.vp3d.clean()
    assert blocks() == known
    np.testing.assert_allclose(evaluated(made, [30])["hips"][0, 0, 3] - 0.5, dict_of(clean, 30), atol=1e-3)


def dict_of(found, frame):
    """World X of the hips, from the keys of their location: the hips' rest pose is upright over the origin."""
    co = np.reshape(found['pose.bones["hips"].location', 0][0], (-1, 2))
    return co[frame - 1, 1]


def test_objects_and_actions_may_go_in_between():
    made = person()
    bpy.ops.vp3d.clean()
    bpy.data.actions.remove(versions.raw(made))
    assert versions.clean(made) is None and bpy.ops.vp3d.lock_feet() == {"FINISHED"}
    bpy.data.actions.remove(made.animation_data.action)
    if bpy.ops.vp3d.toggle_raw.poll():
        bpy.ops.vp3d.toggle_raw()
    assert all(draw(panel) is not None for panel in PARTS)
    made.animation_data_clear()
    assert not bpy.ops.vp3d.clean.poll() and not bpy.ops.vp3d.toggle_raw.poll()
    bpy.data.objects.remove(made)
    assert not bpy.ops.vp3d.lock_feet.poll()
    assert draw(panels.VP3D_PT_clean) == ["Select an armature with keyframes."]


def test_undo_gives_back_the_file_as_it_was():
    bpy.context.preferences.edit.use_global_undo = True
    made = person()
    name, before, known = made.name, curves(made), blocks()
    bpy.ops.ed.undo_push(message="before")
    for operator in (bpy.ops.vp3d.clean, bpy.ops.vp3d.lock_feet, bpy.ops.vp3d.reduce_keys):
        operator()
        bpy.ops.ed.undo_push(message="after")
        bpy.ops.ed.undo()
        made = bpy.data.objects[name]
        assert blocks() == known
        same(before, curves(made))
        assert versions.clean(made) is None


def test_the_panel_says_what_was_done():
    person()
    assert "vp3d.clean" in draw(panels.VP3D_PT_clean_smooth)
    assert "vp3d.toggle_raw" not in draw(panels.VP3D_PT_clean)
    for operator in (bpy.ops.vp3d.clean, bpy.ops.vp3d.lock_feet, bpy.ops.vp3d.reduce_keys):
        operator()
    drawn = [text for panel in PARTS for text in draw(panel)]
    assert "smoothed, feet held, keys reduced" in " ".join(drawn)
    assert {"vp3d.toggle_raw", "vp3d.find_contacts", *contact_keys.PATHS} <= set(drawn)


def test_feet_stand_still_on_a_generated_rigify_rig():
    source = person(noisy(40))
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_human_metarig_add()
    bpy.ops.pose.rigify_generate()
    rig = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE" and "torso" in thing.data.bones)
    pair = bpy.context.scene.vp3d_retarget.pairs.add()
    pair.source, pair.target = source, rig
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    select(rig)
    for operator in (bpy.ops.vp3d.clean, bpy.ops.vp3d.lock_feet):
        assert operator() == {"FINISHED"}
    posed = evaluated(rig, range(1, 41))
    ankles = np.stack([posed[f"DEF-foot.{side}"][:, :3, 3] for side in "LR"], axis=1)
    contacts = contact_keys.read(rig, np.arange(1.0, 41))
    assert slid(ankles, contacts) <= 0.005 and speed(ankles, contacts) <= 0.02
    assert all(bone.rotation_mode == "YXZ" for bone in rig.pose.bones if bone.name in ("shoulder.L", "shoulder.R"))
    bpy.ops.preferences.addon_disable(module="rigify")


@pytest.mark.parametrize("motion", ["ROOT", "OBJECT"])
def test_feet_stand_still_when_root_or_object_go(motion):
    source = person(noisy())
    target = bodies.known("unreal", Shape(arms_deg=45, seed=3, tilt=(np.pi / 2, 0, 0), scale=0.01))
    pair = bpy.context.scene.vp3d_retarget.pairs.add()
    pair.source, pair.target = source, target
    bpy.context.scene.vp3d_retarget.root_motion = motion
    assert bpy.ops.vp3d.retarget() == {"FINISHED"}
    select(target)
    for operator in (bpy.ops.vp3d.clean, bpy.ops.vp3d.lock_feet, bpy.ops.vp3d.reduce_keys):
        assert operator() == {"FINISHED"}
        if operator.idname_py() != "vp3d.clean":
            assert slid(*feet(target)) <= 0.005 and speed(*feet(target)) <= 0.02


def test_keys_set_by_hand_are_smoothed_too():
    target = bodies.known("mixamo")
    select(target)
    bone = target.pose.bones[bones_of(bpy.context.scene, target)["forearm.L"][0]]
    bone.rotation_mode = "XYZ"
    for frame, angle in ((1, 0.0), (11, 1.0), (12, 0.2), (30, 1.2), (47, 0.0)):
        bone.rotation_euler = (angle, 0, 0)
        bone.keyframe_insert("rotation_euler", frame=frame)
    assert bpy.ops.vp3d.clean() == {"FINISHED"}
    after = tracks.read(target, tracks.tracks(target)[0], np.arange(1.0, 48))
    assert len(curves(target)[tracks.tracks(target)[0].path, 0][1]) == 47
    assert after[0, 0] == pytest.approx(0, abs=1e-5) and after[-1, 0] == pytest.approx(0, abs=1e-5)
    assert np.abs(np.diff(after[:, 0])).max() < 0.75


def test_what_cannot_be_cleaned_is_said():
    made = person(walker(20))
    made.animation_data.action = bpy.data.actions.new("empty")
    with pytest.raises(RuntimeError, match="moves nothing"):
        bpy.ops.vp3d.lock_feet()


def test_a_strip_that_is_tweaked_is_left_alone():
    made = person(walker(20))
    data = made.animation_data
    track = data.nla_tracks.new()
    strip = track.strips.new("strip", 1, data.action)
    data.action, strip.select, track.select = None, True, True
    data.use_tweak_mode = True
    known = blocks()
    with pytest.raises(RuntimeError, match="leave tweak mode"):
        bpy.ops.vp3d.clean()
    assert blocks() == known
    data.use_tweak_mode = False
