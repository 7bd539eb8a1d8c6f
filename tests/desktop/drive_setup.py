"""Runs inside a windowed Blender: installs the server from the panel, captures, verifies, removes it, quits.

`blender --factory-startup --python drive_setup.py -- CHECKOUT CLIP FOLDER RESULT.json`
"""

import sys
import time
from pathlib import Path

import bpy

checkout, clip, folder, result = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [checkout, f"{checkout}/tests/desktop"]
import in_blender  # noqa: E402

in_blender.SECONDS = 1500.0


def steps():
    """One step of a user between two yields."""
    import addon_utils

    addon_utils.enable("blender_vp3d", default_set=True)
    bpy.context.preferences.system.use_online_access = True
    bpy.context.preferences.view.show_splash = False
    from blender_vp3d import data_home
    from blender_vp3d.capture import running
    from blender_vp3d.setup import operators, panels

    told = {"version": bpy.app.version_string, "states": [], "frames_while_installing": 0}
    bpy.utils.unregister_class(panels.VP3D_PT_extras)
    bpy.utils.unregister_class(bpy.types.VP3D_PT_models)
    bpy.utils.unregister_class(panels.VP3D_PT_setup)
    panels.VP3D_PT_setup.bl_options = set()  # unfolded, for the pictures
    for panel in (panels.VP3D_PT_setup, panels.VP3D_PT_extras):
        bpy.utils.register_class(panel)
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    sidebar = next(region for region in area.regions if region.type == "UI")

    def shown(name):
        """The sidebar drawn anew and left alone for a moment; a file of that name tells a photographer."""
        told["states"].append([name, data_home.server_environment().state.value])
        note = Path(folder, name)
        note.touch()
        for _ in range(60):
            area.tag_redraw()
            yield
        note.unlink(missing_ok=True)

    def finished():
        """The present run of the installer at its end, while cubes are added as by somebody who goes on working."""
        while operators.installation.running:
            cube = bpy.data.objects.new("Cube", None)
            bpy.context.collection.objects.link(cube)
            told["frames_while_installing"] += 1
            for _ in range(10):
                yield
        assert not operators.installation.message, operators.installation.message + str(operators.installation.said)

    for _ in range(20):
        area.tag_redraw()
        yield
    sidebar.active_panel_category = "VP3D"
    for _ in range(200):
        yield
        if operators.plan and operators.plan.result:
            break
    yield from shown("1 before")
    with bpy.context.temp_override(window=window, area=area, region=sidebar):
        assert bpy.ops.vp3d.install() == {"FINISHED"}
    while operators.installation.running and operators.installation.total < 2:
        yield
    yield from shown("2 installing")
    began = time.monotonic()
    yield from finished()
    told["install_s"] = time.monotonic() - began
    yield from shown("3 ready")
    settings = bpy.context.scene.vp3d
    assert bpy.ops.vp3d.choose_video(filepath=clip) == {"FINISHED"}
    settings.detail = "fast"
    settings.use_range, settings.first, settings.last = True, 1, 20
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    job = running.session.job
    while job.active:
        yield
    told |= {"capture": job.state.value, "message": job.message}
    yield from shown("4 captured")
    assert bpy.ops.vp3d.verify() == {"FINISHED"}
    yield from finished()
    yield from shown("5 verified")
    assert bpy.ops.vp3d.copy_setup_report() == {"FINISHED"}
    told["report"] = bpy.context.window_manager.clipboard
    bpy.ops.vp3d.remove("INVOKE_DEFAULT")
    yield from shown("6 asked")
    told["still_there"] = data_home.server_environment().state.value
    assert bpy.ops.vp3d.remove("EXEC_DEFAULT") == {"FINISHED"}
    yield from finished()
    for _ in range(60):
        yield
    yield from shown("7 removed")
    return told


in_blender.run(steps(), result)
