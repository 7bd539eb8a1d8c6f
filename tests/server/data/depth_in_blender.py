"""Runs in Blender's Python: composes one instant and writes the depth (m, along the optical axis) that Cycles sees."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

server, plan, instant, out = sys.argv[1:]
sys.path.insert(0, server)

from vp3d.data.blender import render  # noqa: E402

job = json.loads(Path(plan).read_text()) | {"number": 9}
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.preferences.addon_enable(module="io_scene_fbx")
render.set_up(job)
studio = render.Studio(job)
render.compose(studio, int(instant))

material = bpy.data.materials.new("depth")
material.use_nodes = True
nodes, links = material.node_tree.nodes, material.node_tree.links
nodes.clear()
data, shader, output = (nodes.new(f"ShaderNode{name}") for name in ("CameraData", "Emission", "OutputMaterial"))
links.new(data.outputs["View Z Depth"], shader.inputs["Color"])
links.new(shader.outputs["Emission"], output.inputs["Surface"])
scene = bpy.context.scene
scene.view_layers[0].material_override = material
scene.render.engine = "CYCLES"
scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 1, False
scene.cycles.filter_width = 0.01  # one ray a pixel, through its centre
scene.render.film_transparent = False
scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
scene.render.filepath = str(Path(out).with_suffix(".exr"))
bpy.ops.render.render(write_still=True)
image = bpy.data.images.load(scene.render.filepath)
pixels = np.empty(len(image.pixels), np.float32)
image.pixels.foreach_get(pixels)
np.save(out, pixels.reshape(job["size"], job["size"], -1)[::-1, :, 0])
