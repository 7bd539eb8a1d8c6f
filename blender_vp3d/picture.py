"""Pictures of the armatures through the scene's camera, on any machine: Cycles on the CPU, without noise to remove.

Bones get simple solid shapes for it. One hard sun and a shade by the slope of the surface need no random rays, and
surfaces do not light each other, so a few samples, which smooth the edges, are enough.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import bpy
import numpy as np
from mathutils import Color, Matrix

from .camera import compare, marks, observed
from .common.armature import BONES
from .skeleton.person import COLOURS

Colour = Callable[[bpy.types.NodeTree], bpy.types.NodeSocket]
"""Adds the nodes of a colour to a material and returns their output."""

_SAMPLES = 3
_RADII = {
    "hips": 0.105, "spine": 0.1, "chest": 0.11, "neck": 0.045, "head": 0.115, "shoulder": 0.05, "upper_arm": 0.045,
    "forearm": 0.038, "hand": 0.03, "thigh": 0.075, "shin": 0.052, "foot": 0.05, "toe": 0.04,
}  # fmt: skip
"""m, at the thick end of a bone 0.4 m long or more; shorter ones are slimmer."""
_SEGMENTS, _RINGS = 16, 5
_FLOOR = 30.0  # m
_GHOST = 0.6  # opacity of bodies over a plate
_MARKS_AT = 700.0  # px, longer side of a picture in which the overlay is as large as in the viewport
_FLOOR_COLOURS = ((0.30, 0.31, 0.33), (0.34, 0.35, 0.37))
_SKY = (0.52, 0.56, 0.62)


def set_stage(
    scene: bpy.types.Scene, people: Iterable[bpy.types.Object], width: int, *, transparent: bool = False
) -> list[bpy.types.Collection]:
    """Give every bone a shape and the scene a floor, a sun and fast settings; pictures will be `width` px wide.

    A transparent stage has neither floor nor sky. Returns a collection of shapes for each person, to hide who is out
    of sight.
    """
    materials = {side: _material(f"bone {side}", _plain(colour)) for side, colour in COLOURS.items()}
    shapes = []
    for person in people:
        shapes.append(bpy.data.collections.new(person.name))
        scene.collection.children.link(shapes[-1])
        for bone in BONES:
            _add_shape(shapes[-1], person, bone.name, materials[bone.side])
    if not transparent:
        _add_floor(scene)

    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = 1.6, 0.0
    lamp = _link(scene.collection, "sun", sun)
    lamp.rotation_euler = (np.radians(35), np.radians(20), 0)
    world = scene.world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*_SKY, 1)

    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = width, round(width * render.resolution_y / render.resolution_x)
    render.resolution_percentage = 100
    render.use_persistent_data, render.dither_intensity = True, 0.0
    render.film_transparent = transparent
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA" if transparent else "RGB"
    scene.view_settings.view_transform = "Standard"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.max_bounces = "CPU", _SAMPLES, 0
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    world.cycles_visibility.diffuse = False
    return shapes


def render(scene: bpy.types.Scene, frame: int, path: Path) -> None:
    """Render one frame into a PNG."""
    scene.frame_set(frame)
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def paint_comparison(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    people: Iterable[bpy.types.Object],
    path: Path,
    limit: float,
) -> None:
    """Paint the overlay of the scene's frame, as the viewport shows it, over a transparent picture of that frame.

    `limit` is the error (px of the plate) from which on it is all red.
    """
    plate, depsgraph = observed.plate_of(camera), bpy.context.evaluated_depsgraph_get()
    picture = bpy.data.images.load(str(path))
    picture.colorspace_settings.name = "Non-Color"
    width, height = picture.size
    pixels = np.empty(width * height * 4, np.float32)
    picture.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, 4)
    image = pixels[::-1].astype(float)
    image[..., :3] *= image[..., 3:]
    image *= _GHOST
    share = width / plate.width
    for person in people:
        if found := compare.compare(scene, depsgraph, camera, person):
            seen, solved = ((points + 0.5) * share - 0.5 for points in (found.seen, found.solved))
            size = max(width, height) / _MARKS_AT
            marks.paint(image, marks.of_person(seen, solved, found.error, found.confidence, limit, size))
    image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    picture.pixels.foreach_set(image[::-1].astype(np.float32).ravel())
    picture.save()
    bpy.data.images.remove(picture)


def _add_floor(scene: bpy.types.Scene) -> None:
    floor = bpy.data.meshes.new("floor")
    corners = [(x * _FLOOR, y * _FLOOR, 0) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    floor.from_pydata(corners, [], [(0, 1, 2, 3)])
    floor.materials.append(_material("floor", _checker))
    _link(scene.collection, "floor", floor)


def _add_shape(
    collection: bpy.types.Collection, person: bpy.types.Object, bone: str, material: bpy.types.Material
) -> None:
    length = person.data.bones[bone].length
    radius = _RADII[bone.removesuffix(".L").removesuffix(".R")] * min(1.0, 0.6 + length)
    mesh = bpy.data.meshes.new(bone)
    mesh.from_pydata(*_capsule(length, radius))
    mesh.shade_smooth()
    mesh.materials.append(material)
    shape = _link(collection, bone, mesh)
    shape.parent, shape.parent_type, shape.parent_bone = person, "BONE", bone
    shape.matrix_parent_inverse = Matrix.Translation((0, -length, 0))  # children of a bone start at its tail


def _capsule(length: float, radius: float) -> tuple[list, list, list]:
    """Vertices, edges and faces of a rounded, tapered rod around the origin that ends at +Y `length`."""
    turn = np.linspace(0, 2 * np.pi, _SEGMENTS, endpoint=False)
    bow = np.linspace(0, np.pi / 2, _RINGS)
    thin = 0.72 * radius
    along = np.concatenate([-radius * np.cos(bow), length - thin * (1 - np.sin(bow))])
    around = np.concatenate([radius * np.sin(bow), thin * np.cos(bow)])
    vertices = np.stack(
        [np.outer(around, np.cos(turn)), np.repeat(along[:, None], _SEGMENTS, 1), np.outer(around, np.sin(turn))], -1
    ).reshape(-1, 3)
    faces = [
        (ring + i, ring + _SEGMENTS + i, ring + _SEGMENTS + (i + 1) % _SEGMENTS, ring + (i + 1) % _SEGMENTS)
        for ring in range(0, _SEGMENTS * (len(along) - 1), _SEGMENTS)
        for i in range(_SEGMENTS)
    ]
    return vertices.tolist(), [], faces


def _material(name: str, colour: Colour) -> bpy.types.Material:
    """Diffuse in the sun, plus a glow that is stronger where the surface looks up."""
    material = bpy.data.materials.new(name)
    material.cycles.emission_sampling = "NONE"
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    new, link = tree.nodes.new, tree.links.new
    source = colour(tree)
    diffuse, glow, both = new("ShaderNodeBsdfDiffuse"), new("ShaderNodeEmission"), new("ShaderNodeAddShader")
    geometry, split, slope = new("ShaderNodeNewGeometry"), new("ShaderNodeSeparateXYZ"), new("ShaderNodeMapRange")
    slope.inputs["From Min"].default_value, slope.inputs["From Max"].default_value = -1, 1
    slope.inputs["To Min"].default_value, slope.inputs["To Max"].default_value = 0.35, 0.8
    link(geometry.outputs["Normal"], split.inputs[0])
    link(split.outputs["Z"], slope.inputs["Value"])
    link(slope.outputs["Result"], glow.inputs["Strength"])
    for shader in (diffuse, glow):
        link(source, shader.inputs["Color"])
    link(diffuse.outputs[0], both.inputs[0])
    link(glow.outputs[0], both.inputs[1])
    link(both.outputs[0], new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def _plain(colour: tuple[float, float, float]) -> Colour:
    def node(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
        made = tree.nodes.new("ShaderNodeRGB")
        made.outputs[0].default_value = (*Color(colour).from_srgb_to_scene_linear(), 1)
        return made.outputs[0]

    return node


def _checker(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    checker, place = tree.nodes.new("ShaderNodeTexChecker"), tree.nodes.new("ShaderNodeNewGeometry")
    checker.inputs["Scale"].default_value = 2.0
    for i, colour in enumerate(_FLOOR_COLOURS, 1):
        checker.inputs[f"Color{i}"].default_value = (*colour, 1)
    # half a square above the floor: on a boundary of the pattern its colours would flicker
    shift = tree.nodes.new("ShaderNodeVectorMath")
    shift.inputs[1].default_value = (0, 0, 0.25)
    tree.links.new(place.outputs["Position"], shift.inputs[0])
    tree.links.new(shift.outputs[0], checker.inputs["Vector"])
    return checker.outputs["Color"]


def _link(collection: bpy.types.Collection, name: str, data: bpy.types.ID) -> bpy.types.Object:
    made = bpy.data.objects.new(name, data)
    made.visible_diffuse = data.id_type == "LIGHT"
    collection.objects.link(made)
    return made
