"""Registering leaves nothing behind."""

import time

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

import blender_vp3d  # noqa: E402
from blender_vp3d import ticker  # noqa: E402


def traces():
    """Everything of ours that Blender knows."""
    handlers = [
        f"handler {function.__module__}"
        for name in dir(bpy.app.handlers)
        if isinstance(functions := getattr(bpy.app.handlers, name), list)
        for function in functions
        if "vp3d" in getattr(function, "__module__", "")
    ]
    classes = [f"class {name}" for name in dir(bpy.types) if "vp3d" in name.lower()]
    owners = (bpy.types.Scene, bpy.types.WindowManager, bpy.types.Object, bpy.types.Armature, bpy.types.Camera)
    properties = [f"property {o.__name__}.{p}" for o in owners for p in o.bl_rna.properties.keys() if "vp3d" in p]  # noqa: SIM118
    timers = ["timer"] if bpy.app.timers.is_registered(ticker.tick) else []
    return classes + properties + handlers + timers + [f"operator {name}" for name in dir(bpy.ops.vp3d)]


def test_ten_times_leaves_nothing():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert traces() == []
    slowest = 0.0
    for _ in range(10):
        began = time.perf_counter()
        blender_vp3d.register()
        slowest = max(slowest, time.perf_counter() - began)
        assert {"class VP3D_PT_capture", "property Scene.vp3d", "operator capture"} <= set(traces())
        blender_vp3d.unregister()
        assert traces() == []
    assert slowest < 0.5, "Blender's start must not wait for the add-on"
