"""Runs inside a windowed Blender: captures a clip by the add-on's own timer, loads a file meanwhile, applies, quits.

`blender --factory-startup --python drive.py -- CHECKOUT CLIP RESULT.json`
"""

import sys
import time

import bpy

checkout, clip, result = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [checkout, f"{checkout}/tests/desktop"]
import in_blender  # noqa: E402


def steps():
    """One step of a user between two yields."""
    import addon_utils

    began = time.perf_counter()
    addon_utils.enable("blender_vp3d", default_set=True)
    told = {"version": bpy.app.version_string, "enable_s": time.perf_counter() - began}
    from blender_vp3d import ticker
    from blender_vp3d.capture import running

    settings = bpy.context.scene.vp3d
    assert bpy.ops.vp3d.choose_video(filepath=clip) == {"FINISHED"}
    settings.detail = "fast"
    settings.use_range, settings.first, settings.last = True, 1, 40
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    job = running.session.job
    assert job.active, "with a window, capture returns at once"
    while not (job.stage == "detect" and job.done) and job.active:
        yield
    told["server"] = running.session.server.pid
    bpy.ops.object.empty_add()
    bpy.ops.ed.undo_push(message="Add Empty")
    bpy.ops.ed.undo()
    yield
    assert job.active, "undo ends no job"
    bpy.ops.wm.read_homefile(use_empty=False)
    yield
    assert job.active, "a new file ends no job"
    while job.active:
        yield
    told |= {"state": job.state.value, "message": job.message, "longest_tick_s": running.session.longest_tick}
    assert job.state.value == "done", job.report()
    yield
    assert len(bpy.context.window_manager.vp3d.people) == 1
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.vp3d.choose_video("EXEC_DEFAULT", True, filepath=clip)
        assert bpy.ops.vp3d.apply_take("EXEC_DEFAULT", True) == {"FINISHED"}
        told["view"] = area.spaces.active.region_3d.view_perspective
        told["armatures"] = [len(bpy.data.armatures)]
        bpy.ops.ed.undo()
        told["video_after_undo"] = bpy.context.scene.vp3d.video
        told["armatures"].append(len(bpy.data.armatures))
        bpy.ops.ed.redo()
        told["armatures"].append(len(bpy.data.armatures))
    told["people_after_undo"] = len(bpy.context.window_manager.vp3d.people)
    told["timer"] = bpy.app.timers.is_registered(ticker.tick)
    return told


in_blender.run(steps(), result)
