"""Runs inside a windowed Blender: how long the add-on takes to be enabled, and its panels to draw, with a take applied.

`blender --factory-startup --python bench_panels.py -- RESULT.json`; times in ms, the median and the longest of many.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bpy

(result,) = sys.argv[sys.argv.index("--") + 1 :]
tests = Path(__file__).parents[1]
sys.path[:0] = [str(tests / "desktop"), str(tests), str(tests.parent / "server"), str(tests.parent)]
import in_blender  # noqa: E402
from takes import walker  # noqa: E402

from blender_vp3d.common.take import save  # noqa: E402

DRAWS = 60


def measured(draw: Callable, spent: list[float]) -> Callable:
    """`draw`, which also notes how long it takes."""

    def drawing(self: object, context: bpy.types.Context) -> None:
        began = time.perf_counter()
        draw(self, context)
        spent.append((time.perf_counter() - began) * 1000)

    return drawing


def steps():
    """One redraw between two yields."""
    import addon_utils

    began = time.perf_counter()
    addon_utils.enable("blender_vp3d", default_set=True)
    told = {"version": bpy.app.version_string, "enable_ms": round((time.perf_counter() - began) * 1000, 1)}
    take = Path(tempfile.mkdtemp()) / "walk.vp3d"
    save(walker(frames=30, people=2), take)
    bpy.ops.vp3d.import_take(filepath=str(take))
    bpy.ops.vp3d.apply_take()
    shutil.rmtree(take.parent)
    spent: dict[str, list[float]] = {}
    for name in (name for name in dir(bpy.types) if name.startswith("VP3D_PT_")):
        panel = getattr(bpy.types, name)
        panel.draw = measured(panel.draw, spent.setdefault(name, []))
        panel.bl_options = getattr(panel, "bl_options", set()) - {"DEFAULT_CLOSED"}
        bpy.utils.unregister_class(panel)
        bpy.utils.register_class(panel)
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    sidebar = next(region for region in area.regions if region.type == "UI")
    yield
    sidebar.active_panel_category = "VP3D"
    for _ in range(DRAWS):
        sidebar.tag_redraw()
        yield
    told["panels_ms"] = {
        name: [round(statistics.median(times), 2), round(max(times), 2)] for name, times in spent.items() if times
    }
    told["not_shown"] = [name for name, times in spent.items() if not times]
    told["all_ms"] = round(sum(median for median, _ in told["panels_ms"].values()), 2)
    return told


in_blender.run(steps(), result)
