"""Runs inside a windowed Blender: shows the overlay over a plate in many views, and looks at what was drawn where.

`blender --factory-startup --python drive_overlay.py -- CHECKOUT FOLDER RESULT.json`
"""

import sys

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

checkout, folder, result = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [checkout, f"{checkout}/tests", f"{checkout}/server", f"{checkout}/tests/desktop"]
import in_blender  # noqa: E402

OFF = np.array([6.0, -8.0])  # px of the plate: where joints were detected, against where they are
VIEWS = {"whole": (0, 0, 0), "near": (25, 0.1, -0.05), "far": (-20, -0.3, 0.2)}
SHOTS = {
    "landscape": ((1280, 720), (1100, 1100, 639.5, 359.5)),
    "portrait, off centre": ((720, 1280), (1100, 1100, 300, 700)),
    "wide pixels": ((1280, 720), (900, 1170, 650, 330)),
}


def make_take(size, lens):
    from takes import walker

    fx, fy, cx, cy = lens
    take = walker(20, size=size, K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), moving_camera=True)
    take.joints2d[:, :, :17] += OFF
    take.residual_px = np.where(np.isfinite(take.joints2d[:, :, :17, 0]), np.hypot(*OFF), np.nan)
    return take


def see(take, area, region, drawn):
    """Largest distances in px of the region between what the overlay draws and where it belongs, and colours there."""
    from blender_vp3d.camera import compare, overlay

    scene, space = bpy.context.scene, area.spaces.active
    frame = scene.frame_current - 1
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        context = bpy.context
        strokes = overlay.strokes(context, scene.camera)
    person = next(thing for thing in scene.objects if thing.type == "ARMATURE")
    matrix = space.region_3d

    def on_screen(point):
        return np.array(location_3d_to_region_2d(region, matrix, Vector(point)))

    solved = np.array([on_screen(person.matrix_world @ person.pose.bones[b].head) for b in compare.JOINTS.values()])
    K, R, t = take.camera_K[frame], take.camera_R[frame], take.camera_t[frame]
    rays = [np.linalg.solve(K, np.append(take.joints2d[0, frame, joint], 1)) for joint in compare.JOINTS]
    seen = np.array([on_screen(R.T @ (3 * ray - t)) for ray in rays])

    centres = strokes.ends.mean(1)
    is_dot = (strokes.ends[:, 0] == strokes.ends[:, 1]).all(1)

    def farthest(points, among):
        return float(max(np.linalg.norm(among - point, axis=1).min() for point in points))

    inside = [tuple(map(int, p)) for p in seen if 0 < p[0] < region.width and 0 < p[1] < region.height]
    return {
        "dots": farthest(seen, centres[is_dot]),
        "crosses": farthest(solved, centres[~is_dot]),
        "points": inside,
        "colours": [drawn[p] for p in inside if p in drawn],
    }


def steps():
    """One step of a user between two yields."""
    import addon_utils

    addon_utils.enable("blender_vp3d", default_set=True)
    from blender_vp3d.camera import overlay
    from blender_vp3d.skeleton import apply_take

    told = {"version": bpy.app.version_string, "views": {}, "handles": []}
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    drawn, wanted = {}, []

    def look():
        import gpu

        frame = gpu.state.active_framebuffer_get()
        for x, y in wanted:
            drawn[x, y] = frame.read_color(x, y, 1, 1, 4, 0, "FLOAT").to_list()[0][0]

    looker = None
    for shot, (size, lens) in SHOTS.items():
        for thing in list(bpy.data.objects):
            bpy.data.objects.remove(thing)
        take = make_take(size, lens)
        apply_take(bpy.context, take, f"{folder}/{shot}.vp3d")
        bpy.context.scene.frame_set(11)
        bpy.context.window_manager.vp3d_overlay.show = True
        told["handles"].append(overlay._handle is not None)
        if looker is None:  # after the overlay's own
            looker = bpy.types.SpaceView3D.draw_handler_add(look, (), "WINDOW", "POST_PIXEL")
        space = area.spaces.active
        space.region_3d.view_perspective = "CAMERA"
        for view, (zoom, x, y) in VIEWS.items():
            space.region_3d.view_camera_zoom, space.region_3d.view_camera_offset = zoom, (x, y)
            for _ in range(3):
                area.tag_redraw()
                yield
            wanted[:] = see(take, area, region, {})["points"]
            for _ in range(3):
                area.tag_redraw()
                yield
            told["views"][f"{shot}, {view}"] = see(take, area, region, drawn)
            drawn.clear()
    bpy.types.SpaceView3D.draw_handler_remove(looker, "WINDOW")
    bpy.context.window_manager.vp3d_overlay.show = False
    told["handles"].append(overlay._handle is not None)
    bpy.context.window_manager.vp3d_overlay.show = True
    bpy.ops.wm.read_homefile(use_empty=False)
    yield
    told["handles"] += [overlay._handle is not None, bpy.context.window_manager.vp3d_overlay.show]
    bpy.context.window_manager.vp3d_overlay.show = True
    addon_utils.disable("blender_vp3d")
    told["handles"].append(overlay._handle is not None)
    return told


in_blender.run(steps(), result)
