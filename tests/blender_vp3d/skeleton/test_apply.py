"""Takes applied to a scene: what Blender evaluates is what the take says."""

from fractions import Fraction

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from takes import walker  # noqa: E402

from blender_vp3d import animation, contact_keys  # noqa: E402
from blender_vp3d.camera import observed  # noqa: E402
from blender_vp3d.common import armature  # noqa: E402
from blender_vp3d.common.skeletons import COCO_17, H36M_17  # noqa: E402
from blender_vp3d.common.take import TakeError  # noqa: E402
from blender_vp3d.skeleton import apply_take, confidence  # noqa: E402
from blender_vp3d.skeleton.person import colour_sides  # noqa: E402


def apply(take, people=None, path="/somewhere/shot 1.vp3d", **options):
    return apply_take(bpy.context, take, path, people, **options)


def joints_at(person, frame):
    """(17, 3) where Blender puts the joints."""
    bpy.context.scene.frame_set(frame)
    posed = person.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = {}
    for bone in armature.BONES:
        points[bone.head] = posed.matrix_world @ posed.pose.bones[bone.name].head
        points[bone.tail] = posed.matrix_world @ posed.pose.bones[bone.name].tail
    return np.array([points[joint] for joint in H36M_17.joints])


def names():
    kinds = (bpy.data.objects, bpy.data.armatures, bpy.data.cameras, bpy.data.actions, bpy.data.collections)
    return [sorted(block.name for block in kind) for kind in kinds]


def paths(thing):
    return {curve.data_path for curve in animation.curves_of(thing)}


@pytest.mark.parametrize("frame_start", [1, 101])
def test_joints_are_where_the_take_has_them(frame_start):
    take = walker(30, people=2)
    applied = apply(take, frame_start=frame_start)
    assert [person.name for person in applied.people] == ["VP3D Person 1", "VP3D Person 2"]
    for index, person in enumerate(applied.people):
        for frame in (0, 7, 29):
            np.testing.assert_allclose(
                joints_at(person, frame_start + frame), take.joints3d[index, frame], atol=2e-5, err_msg=f"frame {frame}"
            )


def test_blenders_bones_have_the_rest_axes():
    take = walker(10)
    rest = armature.solve(take.joints3d[0], take.contacts[0], take.frames / 25).rest
    bones = apply(take).people[0].data.bones
    for i, name in enumerate(rest.names):
        np.testing.assert_allclose(np.array(bones[name].matrix_local)[:3, :3], rest.matrices[i], atol=1e-5)
        assert bones[name].use_connect == (i > 0 and np.allclose(rest.heads[i], rest.tails[rest.parents[i]]))
    assert bones["thigh.L"].color.custom.normal != bones["thigh.R"].color.custom.normal


def test_the_scene_gets_the_videos_time():
    scene = bpy.context.scene
    apply(walker(40, fps=Fraction(30000, 1001), every=2), frame_start=1)
    assert scene.render.fps == 30 and scene.render.fps / scene.render.fps_base == pytest.approx(30000 / 1001)
    assert (scene.frame_start, scene.frame_end) == (1, 79)


def test_frames_left_out_lie_between_keys():
    take = walker(20, every=3)
    person = apply(take).people[0]
    keys = {point.co[0] for point in animation.curves_of(person)[0].keyframe_points}
    assert keys == set(range(1, 60, 3))
    np.testing.assert_allclose(joints_at(person, 1 + 3 * 6), take.joints3d[0, 6], atol=2e-5)
    between = joints_at(person, 1 + 3 * 6 + 1)[0]
    np.testing.assert_allclose(between, (2 * take.joints3d[0, 6, 0] + take.joints3d[0, 7, 0]) / 3, atol=1e-4)


def test_a_long_gap_holds_the_last_pose():
    take = walker(60)
    take.joints3d[0, 20:50] = np.nan
    person = apply(take).people[0]
    np.testing.assert_allclose(joints_at(person, 1 + 40), take.joints3d[0, 19], atol=2e-5)
    np.testing.assert_allclose(joints_at(person, 1 + 50), take.joints3d[0, 50], atol=2e-5)


def test_applying_again_updates_and_duplicates_nothing():
    take = walker(30, people=2)
    applied = apply(take)
    person = applied.people[0]
    person.name = "The dancer"
    before = names()
    before_pointers = {block.session_uid for block in (*bpy.data.objects, *bpy.data.actions)}
    take.joints3d += [0.5, 0, 0]
    again = apply(take)
    assert names() == before
    assert {block.session_uid for block in (*bpy.data.objects, *bpy.data.actions)} == before_pointers
    assert again.people[0] == person
    np.testing.assert_allclose(joints_at(person, 11), take.joints3d[0, 10], atol=2e-5)
    # rotations and confidence of bones, the hips' location, confidence, residual and contacts of the whole
    assert len(animation.curves_of(person)) == 5 * len(armature.BONES) + 3 + 2 + len(contact_keys.PATHS)


def test_what_the_user_added_stays():
    take = walker(10)
    person = apply(take).people[0]
    person.location = (1, 2, 3)
    person.pose.bones["hand.L"].constraints.new("LIMIT_ROTATION")
    bpy.context.view_layer.objects.active = person
    bpy.ops.object.mode_set(mode="EDIT")
    extra = person.data.edit_bones.new("prop.L")
    extra.head, extra.tail = (0, 0, 0), (0, 0, 1)
    extra.parent = person.data.edit_bones["hand.L"]
    bpy.ops.object.mode_set(mode="POSE")
    ours = paths(person)
    person.keyframe_insert('pose.bones["prop.L"].scale', frame=3)
    person.keyframe_insert('pose.bones["hand.L"].constraints[0].influence', frame=3)
    keyed = paths(person)
    assert len(keyed) == len(ours) + 2
    apply(take)
    assert paths(person) == keyed
    assert tuple(person.location) == (1, 2, 3)
    assert len(person.pose.bones["hand.L"].constraints) == 1
    assert person.data.bones["prop.L"].parent.name == "hand.L"
    assert bpy.context.view_layer.objects.active == person


def test_a_hidden_or_moved_armature_is_still_found():
    take = walker(10)
    applied = apply(take)
    other = bpy.data.collections.new("elsewhere")
    bpy.context.scene.collection.children.link(other)
    for collection in applied.people[0].users_collection:
        collection.objects.unlink(applied.people[0])
    other.objects.link(applied.people[0])
    applied.people[0].hide_viewport = True
    bpy.context.view_layer.layer_collection.children["elsewhere"].exclude = True
    before = names()
    assert apply(take).people == applied.people
    assert names() == before


def test_another_video_makes_another_set():
    apply(walker(10, video="/clips/a.mp4"), path="/takes/a.vp3d")
    apply(walker(10, video="/clips/b.mp4"), path="/takes/b.vp3d")
    assert len([thing for thing in bpy.data.objects if thing.type == "ARMATURE"]) == 2
    assert {"VP3D a", "VP3D b"} == {collection.name for collection in bpy.context.scene.collection.children}


@pytest.mark.parametrize(
    ("video", "title"),
    [
        ("/clips/my dance.mp4", "my dance"),
        ("/clips/shot.####.png", "shot"),
        ("/clips/%04d.png", "take 7"),
        ("", "take 7"),
    ],
)
def test_the_collection_is_called_after_the_video(video, title):
    assert apply(walker(3, video=video), path="/takes/take 7.vp3d").collection.name == f"VP3D {title}"


def test_only_the_chosen_people_are_built():
    assert [person["vp3d_person"] for person in apply(walker(10, people=3), [1, 3]).people] == [1, 3]


def test_someone_without_a_pose_is_left_out_and_said():
    take = walker(10, people=2)
    take.joints3d[1] = np.nan
    applied = apply(take)
    assert len(applied.people) == 1
    assert "Person 2 has no 3D pose and was left out." in applied.warnings


def test_nobody_is_an_error_and_changes_nothing():
    before = names()
    with pytest.raises(TakeError, match=r"shot 1\.vp3d has no 3D pose of the people chosen"):
        apply(walker(10), [7])
    assert names() == before


def test_confidence_is_animated():
    take = walker(10)
    take.confidence[0, 5] *= 0.5
    person = apply(take).people[0]
    bpy.context.scene.frame_set(2)
    assert person["confidence"] == pytest.approx(0.9, abs=1e-6)
    bpy.context.scene.frame_set(6)
    assert person["confidence"] == pytest.approx(0.45, abs=1e-6)


def test_each_bone_knows_how_sure_its_joints_are():
    take = walker(10)
    take.confidence[0, 5, COCO_17.index("left_wrist")] = 0.1
    person = apply(take).people[0]
    bpy.context.scene.frame_set(6)
    sure = {bone.name: bone["confidence"] for bone in person.pose.bones}
    assert sure["hand.L"] == pytest.approx(0.1) and sure["forearm.L"] == pytest.approx(0.5)
    assert sure["upper_arm.L"] == sure["hand.R"] == pytest.approx(0.9)


def test_bone_colours_show_confidence_and_go_back():
    take = walker(10, video="/clips/a.mp4")
    take.confidence[0, 3:6, COCO_17.index("left_wrist")] = 0.1
    person = apply(take).people[0]
    colours = {bone.name: tuple(bone.color.custom.normal) for bone in person.data.bones}
    seen = observed.read(person)
    confidence.colour(person, seen.frames, seen.confidence)
    for frame, sure in ((2, True), (5, False), (8, True)):
        bpy.context.scene.frame_set(frame)
        red, green, _ = person.data.bones["hand.L"].color.custom.normal
        assert (green > red) == sure
    keys = {curve.data_path: len(curve.keyframe_points) for curve in animation.curves_of(person.data)}
    assert keys['bones["hand.L"].color.custom.normal'] == 3 and keys['bones["hand.R"].color.custom.normal'] == 1
    take.confidence[0, :, COCO_17.index("left_wrist")] = 0.1
    apply(take)
    assert confidence.is_coloured(person), "colours stay what the user chose, and follow the new take"
    bpy.context.scene.frame_set(2)
    assert person.data.bones["hand.L"].color.custom.normal[0] > 0.9
    confidence.uncolour(person)
    colour_sides(person.data)
    assert not animation.curves_of(person.data)
    assert colours == {bone.name: tuple(bone.color.custom.normal) for bone in person.data.bones}


def test_what_the_capture_saw_is_kept_with_the_armature(tmp_path):
    take = walker(10, people=2, every=2)
    take.residual_px[1] = np.random.default_rng(1).uniform(0, 9, take.residual_px[1].shape)
    take.residual_px[1, 3] = np.nan
    take.joints2d[1, 4] = np.nan
    person = apply(take, frame_start=101).people[1]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    person = bpy.data.objects["VP3D Person 2"]
    seen = observed.read(person)
    np.testing.assert_array_equal(seen.frames, 101 + take.frames)
    np.testing.assert_array_equal(seen.joints, take.joints2d[1, :, :17])
    np.testing.assert_array_equal(seen.confidence, take.confidence[1, :, :17])
    np.testing.assert_array_equal(seen.residual, take.residual_px[1])
    assert seen.row(105) == 2 and seen.row(106) is None and seen.row(500) is None
    frames, values = observed.residual_keys(person)
    known = np.arange(10) != 3
    np.testing.assert_array_equal(frames, 101 + take.frames[known])
    np.testing.assert_allclose(values, take.residual_px[1, known].mean(1), rtol=1e-6)
    assert observed.read(bpy.data.objects.new("other", None)) is None


def test_keys_are_linear_and_turn_into_smooth_curves():
    person = apply(walker(30)).people[0]
    moving = [curve for curve in animation.curves_of(person) if curve.data_path not in contact_keys.PATHS]
    assert len(moving) > len(armature.BONES)
    for curve in moving:
        assert {point.interpolation for point in curve.keyframe_points} == {"LINEAR"}
        between = curve.evaluate(3.5)
        assert between == pytest.approx((curve.evaluate(3) + curve.evaluate(4)) / 2, abs=1e-6)
        for point in curve.keyframe_points:
            point.interpolation = "BEZIER"
        curve.update()
        assert {point.handle_left_type for point in curve.keyframe_points} == {"AUTO_CLAMPED"}
        for point in curve.keyframe_points:
            assert 0 < point.co[0] - point.handle_left[0] < 1
