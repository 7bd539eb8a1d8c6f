"""How long retargeting takes, beside `bpy_extras.anim_utils.bake_action` on the same armature and frames.

    python tests/blender_vp3d/retarget/bench.py

in a Python with Blender's `bpy` module. Prints one line of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]

import bodies  # noqa: E402
import bpy  # noqa: E402
from bpy_extras import anim_utils  # noqa: E402

from blender_vp3d.retarget import apply, tables  # noqa: E402

SHORT, LONG = 2_000, 10_000  # frames


def job(source, target):
    source_bones = tables.recognise(bone.name for bone in source.data.bones)[1]
    key, target_bones = tables.recognise(bone.name for bone in target.data.bones)
    # bending limbs to reach is something that constraints would have to be added for
    return apply.Job(source, target, source_bones, target_bones, tables.tables()[key].parents, reach_feet=False)


def timed(repeats, call, *arguments):
    """Shortest wall-clock and processor seconds of several calls."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        call(*arguments)
        found.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return tuple(map(min, zip(*found, strict=True)))


def by_constraints(done, frames):
    """What other tools do: constraints to the source, then Blender's own baking of what they evaluate to."""
    for bone, chain in done.target_bones.items():
        for name in chain if bone in done.source_bones else ():
            made = done.target.pose.bones[name].constraints.new("COPY_ROTATION")
            made.target, made.subtarget = done.source, done.source_bones[bone][0]
    options = anim_utils.BakeOptions(
        only_selected=False, do_pose=True, do_object=False, do_visual_keying=True, do_constraint_clear=True,
        do_parents_clear=False, do_clean=False, do_location=True, do_rotation=True, do_scale=False, do_bbone=False,
        do_custom_props=False,
    )  # fmt: skip
    anim_utils.bake_action(done.target, action=None, frames=frames, bake_options=options)


def main():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    target = bodies.known("mixamo", bodies.Shape(arms_deg=45))
    short = job(bodies.dancer(SHORT), target)
    ours = timed(6, apply.retarget, bpy.context, short)
    target.animation_data_clear()
    theirs = timed(2, by_constraints, short, range(1, 1 + SHORT))
    target.animation_data_clear()
    # a source of which all 52 bones move
    twin = bodies.known("unity", bodies.Shape(seed=1))
    apply.retarget(bpy.context, job(bodies.dancer(LONG, seed=1), twin))
    for bone in twin.pose.bones:
        bone.keyframe_insert("rotation_quaternion", frame=1)
    gentle = bodies.known("mixamo", bodies.Shape(seed=2))
    apply.retarget(bpy.context, job(twin, gentle))
    whole = job(gentle, target)
    seconds = timed(3, apply.retarget, bpy.context, whole)
    posed, _ = apply.pose_target(bpy.context, whole)
    baking = timed(3, apply.bake_target, bpy.context, whole, posed)
    told = {
        "blender": bpy.app.version_string,
        "frames": SHORT,
        "retarget_s": round(ours[0], 3),
        "bake_action_s": round(theirs[0], 2),
        "times_faster": round(theirs[0] / ours[0], 1),
        "times_less_processor_time": round(theirs[1] / ours[1], 1),
        "long_frames": LONG,
        "long_bones": len(posed.controls.bones),
        "long_retarget_s": round(seconds[0], 2),
        "long_of_it_baking_s": round(baking[0], 2),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    os._exit(0)  # Blender's module before 5.0 crashes while the interpreter shuts down
