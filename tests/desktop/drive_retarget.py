"""Runs inside a windowed Blender: retargets and cleans, undoes and redoes, deletes what it needs in between, quits.

`blender --factory-startup --python drive_retarget.py -- CHECKOUT RESULT.json`
"""

import sys

import bpy

checkout, result = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [checkout, f"{checkout}/tests", f"{checkout}/tests/desktop"]
import in_blender  # noqa: E402


def keys(name):
    from blender_vp3d import animation

    curves = animation.curves_of(bpy.data.objects[name]) if name in bpy.data.objects else ()
    return [len(curves), sum(len(curve.keyframe_points) for curve in curves)]


def state():
    """Everything that one step may change."""
    return [len(bpy.context.scene.vp3d_retarget.pairs), len(bpy.data.actions), len(bpy.data.objects), keys("Mixamo")]


def walk():
    """What a user does in one go; the states after it."""
    yield
    import addon_utils

    addon_utils.enable("blender_vp3d", default_set=True)
    import bodies

    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    bodies.dancer(20)
    rig = bodies.known("mixamo", bodies.Shape(arms_deg=45))
    for thing in bpy.context.view_layer.objects:
        thing.select_set(thing == rig)
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    told = {"version": bpy.app.version_string}
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.ed.undo_push(message="A rig and a dancer")
        told["states"] = [state()]
        ours = bpy.ops.vp3d
        operators = [ours.retarget_add, ours.retarget, ours.retarget]
        operators += [ours.find_contacts, ours.clean, ours.lock_feet, ours.reduce_keys, ours.reduce_keys]
        operators += [ours.toggle_raw, ours.discard_clean]
        for operator in operators:
            assert operator("EXEC_DEFAULT", True) == {"FINISHED"}
            told["states"].append(state())
        told["undone"] = []
        for _ in operators:
            bpy.ops.ed.undo()
            told["undone"].insert(0, state())
        told["redone"] = []
        for _ in operators:
            bpy.ops.ed.redo()
            told["redone"].append(state())
        bpy.data.objects.remove(bpy.data.objects["Dancer"])
        bpy.ops.ed.undo_push(message="Delete the dancer")
        try:
            bpy.ops.vp3d.retarget("EXEC_DEFAULT", True)
        except RuntimeError as error:
            told["without_source"] = str(error)
        bpy.ops.ed.undo()
        told["restored"] = state()
    return told


in_blender.run(walk(), result)
