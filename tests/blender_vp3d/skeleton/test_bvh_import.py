"""The server's BVH files as Blender's own importer reads them."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from takes import walker  # noqa: E402
from vp3d.common import armature  # noqa: E402
from vp3d.common.skeletons import H36M_17  # noqa: E402
from vp3d.export import bvh  # noqa: E402


def test_blender_imports_the_motion(tmp_path):
    take = walker(30)
    bvh.write(take, tmp_path / "walk.bvh", 0)
    bpy.ops.import_anim.bvh(
        filepath=str(tmp_path / "walk.bvh"), global_scale=0.01, frame_start=1, update_scene_fps=True
    )
    scene, person = bpy.context.scene, bpy.context.object
    assert scene.render.fps / scene.render.fps_base == pytest.approx(25, rel=1e-3)
    for frame in (0, 13, 29):
        scene.frame_set(1 + frame)
        posed = person.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for bone in armature.BONES:
            if bone.head in H36M_17.joints:
                head = posed.matrix_world @ posed.pose.bones[bone.name].head
                wanted = take.joints3d[0, frame, H36M_17.index(bone.head)]
                np.testing.assert_allclose(head, wanted, atol=2e-4, err_msg=f"{bone.name} in frame {frame}")
