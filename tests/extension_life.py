"""The life of the extension's zip in a Blender: installed, enabled, used, disabled and removed, by Blender's operators.

`python extension_life.py ZIP CLIP RESULT.json` in a Python with Blender as a module; `desktop/drive_extension.py` lets
a windowed Blender take the same steps.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Generator
from pathlib import Path

import bpy

NAME = "bl_ext.user_default.blender_vp3d"
FRAMES = 12


def traces() -> list[str]:
    """Everything of ours that Blender knows."""
    types = bpy.types
    owners = (types.Scene, types.WindowManager, types.Object, types.Armature, types.Camera, types.Bone, types.PoseBone)
    configurations = bpy.context.window_manager.keyconfigs
    return [
        *(f"class {name}" for name in dir(types) if "vp3d" in name.lower()),
        *(f"property {o.__name__}.{p}" for o in owners for p in o.bl_rna.properties.keys() if "vp3d" in p),  # noqa: SIM118
        *(f"operator {name}" for name in dir(bpy.ops.vp3d)),
        *(
            f"handler {function.__module__}"
            for name in dir(bpy.app.handlers)
            if isinstance(functions := getattr(bpy.app.handlers, name), list)
            for function in functions
            if "vp3d" in getattr(function, "__module__", "")
        ),
        *(
            f"key {item.idname}"
            for configuration in configurations
            for keymap in configuration.keymaps
            for item in keymap.keymap_items
            if item.idname.startswith("vp3d.")
        ),
        *(
            f"timer {name}"
            for name, module in list(sys.modules.items())
            if name.endswith(".ticker") and "vp3d" in name and bpy.app.timers.is_registered(module.tick)
        ),
    ]


def steps(archive: str, clip: str) -> Generator[None, None, dict]:
    """What a user does, with a pause of Blender's between two yields; returns what was seen."""
    told: dict = {"version": bpy.app.version_string, "before": traces()}
    assert bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True) == {
        "FINISHED"
    }
    yield
    assert NAME in bpy.context.preferences.addons
    told["enabled"] = len(traces())
    running = importlib.import_module(f"{NAME}.capture.running")
    settings = bpy.context.scene.vp3d
    settings.video, settings.detail = clip, "fast"
    settings.use_range, settings.first, settings.last = True, 1, FRAMES
    bpy.context.preferences.addons[NAME].preferences.idle_minutes = 7
    assert bpy.ops.vp3d.capture() == {"FINISHED"}
    told["idle_s"] = running.session.idle_seconds
    while running.session.busy:
        yield
    assert running.session.job.state.value == "done", running.session.job.report()
    told["server"] = running.session.server.pid
    assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
    told["armatures"] = len(bpy.data.armatures)
    folder = Path(importlib.import_module(NAME).__file__).parent
    told["written_into_it"] = [path.name for path in (folder / "server").rglob("*.pyc")]
    yield
    bpy.ops.preferences.addon_disable(module=NAME)
    yield
    told["disabled"] = traces()
    repositories = bpy.context.preferences.extensions.repos
    index = next(index for index, one in enumerate(repositories) if one.module == "user_default")
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="blender_vp3d")
    yield
    told["removed"] = not folder.exists() and NAME not in bpy.context.preferences.addons
    return told


def main() -> None:
    """Take the steps without pausing, and write what was seen."""
    archive, clip, result = sys.argv[1:]
    walk = steps(archive, clip)
    try:
        while True:
            next(walk)
    except StopIteration as end:
        told = end.value
    except BaseException:  # it is told to the test
        told = {"error": traceback.format_exc()}
    Path(result).write_text(json.dumps(told), encoding="utf-8")
    os._exit(0)  # Blender's module before 5.0 crashes while the interpreter shuts down


if __name__ == "__main__":
    main()
