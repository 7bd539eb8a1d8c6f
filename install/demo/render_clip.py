r"""Renders the demo clip and writes what is true of it: camera and joints, exact.

Run with the Python of a `blender-5.0` environment; needed only to make the clip anew:

    python render_clip.py MESHES/Male_Adult_06.fbx cmu-bvh.zip cmu-bvh/salsa/04.bvh \
        --first 330 --count 144 --turn -60 -o salsa.mp4

The mesh is one of Microsoft Rocketbox's adults (80 bones with 3ds Max Biped names), the motion a file of the CMU
Graphics Lab's database as BVH with Poser's joint names. Neither is part of this project.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

WIDTH, HEIGHT, FPS = 640, 360, 30
FOCAL_PX = 600.0
EYE, TARGET = Vector((-0.5, -4.3, 1.55)), Vector((0.05, 0.0, 0.92))

# BVH has Y up and people facing +Z; Blender has Z up, and the meshes face -Y.
TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])

# bone: (motion's joint, motion's child joint, bone's child); the children give the rest direction of a limb
BONES = {
    "Pelvis": ("hip", None, None),
    "Spine": ("abdomen", None, None),
    "Spine1": ("chest", None, None),
    "Spine2": ("chest", None, None),
    "Neck": ("neck", None, None),
    "Head": ("head", None, None),
}
for _side in "LR":
    _l = _side.lower()
    BONES |= {
        f"{_side} Clavicle": (f"{_l}Collar", None, None),
        f"{_side} UpperArm": (f"{_l}Shldr", f"{_l}ForeArm", f"{_side} Forearm"),
        f"{_side} Forearm": (f"{_l}ForeArm", f"{_l}Hand", f"{_side} Hand"),
        f"{_side} Hand": (f"{_l}Hand", None, None),
        f"{_side} Thigh": (f"{_l}Thigh", f"{_l}Shin", f"{_side} Calf"),
        f"{_side} Calf": (f"{_l}Shin", f"{_l}Foot", f"{_side} Foot"),
        f"{_side} Foot": (f"{_l}Foot", None, None),
    }

# Biped hangs the thighs on the spine and the collar bones on the neck: hips and shoulders would swing with those.
PARENTS = {"L Thigh": "Pelvis", "R Thigh": "Pelvis", "L Clavicle": "Spine2", "R Clavicle": "Spine2", "Neck": "Spine2"}

# COCO joint: the bone whose head it is; eyes, ears and nose are points that the head carries
JOINTS = {
    f"{name}_{part}": f"{side} {bone}"
    for part, bone in (
        ("shoulder", "UpperArm"),
        ("elbow", "Forearm"),
        ("wrist", "Hand"),
        ("hip", "Thigh"),
        ("knee", "Calf"),
        ("ankle", "Foot"),
    )
    for name, side in (("left", "L"), ("right", "R"))
}
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")

# materials of the mesh; the last has lashes, too
_BODY, _HEAD, _HAIR = range(3)

COLOURS = {
    "skin": (0.62, 0.40, 0.29),
    "lips": (0.48, 0.19, 0.16),
    "hair": (0.035, 0.020, 0.012),
    "eye": (0.70, 0.68, 0.66),
    "pupil": (0.02, 0.015, 0.01),
    "shirt": (0.52, 0.07, 0.05),
    "trousers": (0.035, 0.050, 0.110),
    "shoes": (0.60, 0.58, 0.54),
}


class Motion:
    """A BVH file.

    Attributes:
        joints: names.
        rest: (J, 3) joint positions of the rest pose, Blender's axes, the file's unit.
        rotations: (T, J, 3, 3) global rotations, Blender's axes.
        root: (T, 3) position of the first joint.
    """

    def __init__(self, text: str) -> None:
        hierarchy, motion = text.split("MOTION")
        self.joints: list[str] = []
        parents, offsets, channels, open_joints = [], [], [], []
        for words in filter(None, map(str.split, hierarchy.splitlines())):
            if words[0] in ("ROOT", "JOINT"):
                parents.append(open_joints[-1] if open_joints else -1)
                open_joints.append(len(self.joints))
                self.joints.append(words[1])
            elif words[0] == "End":
                open_joints.append(None)
            elif words[0] == "}":
                open_joints.pop()
            elif words[0] == "OFFSET" and open_joints[-1] is not None:
                offsets.append([float(word) for word in words[1:]])
            elif words[0] == "CHANNELS":
                channels.append(words[2:])
        values = np.loadtxt(io.StringIO("\n".join(motion.strip().splitlines()[2:])), ndmin=2)

        self.rest = np.array(offsets) @ TO_BLENDER.T
        self.rotations = np.empty((len(values), len(parents), 3, 3))
        column = 0
        for joint, parent in enumerate(parents):
            rotation = np.broadcast_to(np.eye(3), (len(values), 3, 3))
            for channel in channels[joint]:
                if channel.endswith("rotation"):
                    rotation = rotation @ _axis_rotation("XYZ".index(channel[0]), np.radians(values[:, column]))
                column += 1
            rotation = TO_BLENDER @ rotation @ TO_BLENDER.T
            if parent >= 0:
                self.rest[joint] += self.rest[parent]
                rotation = self.rotations[:, parent] @ rotation
            self.rotations[:, joint] = rotation
        self.root = values[:, :3] @ TO_BLENDER.T

    def turn(self, angle: float) -> None:
        """Turn all of it about the vertical (rad)."""
        rotation = _axis_rotation(2, np.array([angle]))[0]
        self.rotations = rotation @ self.rotations
        self.root = self.root @ rotation.T

    def leg_length(self) -> float:
        """Length of thigh and shin, in the file's unit."""
        hip, knee, ankle = (self.rest[self.joints.index(name)] for name in ("lThigh", "lShin", "lFoot"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _axis_rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) by `angle` (T,) rad about one coordinate axis."""
    j, k = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.tile(np.eye(3), (len(angle), 1, 1))
    rotation[:, j, j] = rotation[:, k, k] = np.cos(angle)
    rotation[:, k, j] = np.sin(angle)
    rotation[:, j, k] = -rotation[:, k, j]
    return rotation


class Person:
    """An imported adult in its clothes, posed by a motion."""

    def __init__(self, path: Path) -> None:
        bpy.ops.import_scene.fbx(filepath=str(path), use_anim=False)
        objects = {o.type: o for o in bpy.context.scene.objects}
        self.armature, self.mesh = objects["ARMATURE"], objects["MESH"]
        bpy.data.objects.remove(objects["EMPTY"])
        self.armature.hide_render = True
        self.bones = {bone.name.removeprefix("Bip01 "): bone for bone in self.armature.data.bones}
        self.heads = {n: self.armature.matrix_world @ b.head_local for n, b in self.bones.items()}
        self.corners = np.array([self.mesh.matrix_world @ v.co for v in self.mesh.data.vertices])
        self.motions: dict[str, Matrix] = {}
        self._face = self._face_points()
        _dress(self)

    def pose(self, motion: Motion, frame: int, pelvis: Vector) -> None:
        """Stand as in a frame of the motion, the pelvis where it is told to be (m, world)."""
        turns = {n: self._turn(n, motion, frame) for n in BONES}
        world = self.armature.matrix_world
        posed: dict[str, Matrix] = {}
        for name, bone in self.bones.items():
            parent = PARENTS.get(name, bone.parent and bone.parent.name.removeprefix("Bip01 "))
            place = self.motions[parent] @ self.heads[name] if parent else pelvis
            turn = turns[name].to_4x4() if name in turns else self.motions[parent].to_3x3().to_4x4()
            self.motions[name] = Matrix.Translation(place) @ turn @ Matrix.Translation(-self.heads[name])
            posed[name] = world.inverted() @ self.motions[name] @ world @ bone.matrix_local
            above = {}
            if bone.parent:
                above["parent_matrix"] = posed[bone.parent.name.removeprefix("Bip01 ")]
                above["parent_matrix_local"] = bone.parent.matrix_local
            self.armature.pose.bones[bone.name].matrix_basis = bone.convert_local_to_pose(
                posed[name], bone.matrix_local, invert=True, **above
            )

    def key(self, frame: int) -> None:
        """Keep the pose at a frame of the scene."""
        for bone in self.armature.pose.bones:
            bone.keyframe_insert("location", frame=frame)
            bone.keyframe_insert("rotation_quaternion", frame=frame)

    def joints(self) -> dict[str, Vector]:
        """COCO joints of the pose (m, world)."""
        head = self.motions["Head"]
        face = {name: head @ point for name, point in self._face.items()}
        return face | {joint: self.motions[bone] @ self.heads[bone] for joint, bone in JOINTS.items()}

    def lowest(self) -> float:
        """Height of the lower sole (m)."""
        points = []
        for side in "LR":
            ankle = self.heads[f"{side} Foot"]
            for along in (0.05, -0.13):
                points.append(self.motions[f"{side} Foot"] @ Vector((ankle.x, ankle.y + along, 0.0)))
        return min(point.z for point in points)

    def leg_length(self) -> float:
        """Length of thigh and shin (m)."""
        hip, knee, ankle = (self.heads[f"L {bone}"] for bone in ("Thigh", "Calf", "Foot"))
        return (knee - hip).length + (ankle - knee).length

    def _turn(self, name: str, motion: Motion, frame: int) -> Matrix:
        joint, child, bone_child = BONES[name]
        turn = Matrix(motion.rotations[frame, motion.joints.index(joint)].tolist())
        if child is None:
            return turn
        limb = motion.rest[motion.joints.index(child)] - motion.rest[motion.joints.index(joint)]
        return turn @ (self.heads[bone_child] - self.heads[name]).rotation_difference(Vector(limb)).to_matrix()

    def _face_points(self) -> dict[str, Vector]:
        eyes = {side: self.heads[f"{side}Eye"] for side in "LR"}
        # The rig has no ears: they are the widest points of the head, hair apart, between the heights of nose and eyes.
        mesh = self.mesh.data
        skin = sorted({i for p in mesh.polygons if p.material_index == _HEAD for i in p.vertices})
        _, y, z = self.corners[skin].T
        beside = (z > self.heads["MNose"].z - 0.02) & (z < eyes["L"].z + 0.02) & (y > -0.07) & (y < 0.03)
        ears = self.corners[skin][beside]
        points = (
            self.heads["MNose"],
            eyes["L"] + Vector((0, -0.02, 0)),
            eyes["R"] + Vector((0, -0.02, 0)),
            Vector(ears[ears[:, 0].argmax()]),
            Vector(ears[ears[:, 0].argmin()]),
        )
        return dict(zip(FACE, points, strict=True))


def _dress(person: Person) -> None:
    """Colour the mesh, whose pictures are not at hand: its UV islands follow the garments."""
    mesh = person.mesh.data
    colour = np.ones((len(mesh.loops), 4), np.float32)
    striped = np.zeros(len(mesh.loops), np.float32)
    vertices = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertices)
    for loops, material in _uv_islands(mesh):
        garment = _garment(person, loops, material)
        colour[loops, :3] = COLOURS["skin" if garment == "head" else garment]
        striped[loops] = garment == "shirt"
        if garment == "head":
            colour[loops, :3] = _face_colours(person, person.corners[vertices[loops]])
        elif garment == "eye":
            points = person.corners[vertices[loops]]
            forward = points.mean(0)[1] - points[:, 1]
            colour[loops[forward > 0.86 * forward.max()], :3] = COLOURS["pupil"]

    mesh.color_attributes.new("colour", "FLOAT_COLOR", "CORNER").data.foreach_set("color", colour.ravel())
    mesh.attributes.new("striped", "FLOAT", "CORNER").data.foreach_set("value", striped)
    rest = mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT")
    rest.data.foreach_set("vector", person.corners.astype(np.float32).ravel())
    mesh.materials.clear()
    mesh.materials.append(_clothes_material())
    mesh.polygons.foreach_set("material_index", np.zeros(len(mesh.polygons), np.int32))


def _uv_islands(mesh: bpy.types.Mesh) -> list[tuple[np.ndarray, int]]:
    """Face corners of each connected piece of the UV map, with its material."""
    uv = np.empty(2 * len(mesh.loops), np.float32)
    mesh.uv_layers[0].data.foreach_get("uv", uv)
    places = np.round(uv.reshape(-1, 2) * 4096).astype(int)
    group: dict[tuple, tuple] = {}

    def leader(key: tuple) -> tuple:
        while group.setdefault(key, key) != key:
            group[key] = key = group[group[key]]
        return key

    keys = [()] * len(mesh.loops)
    for polygon in mesh.polygons:
        for index in polygon.loop_indices:
            keys[index] = (polygon.material_index, mesh.loops[index].vertex_index, *places[index])
            group[leader(keys[index])] = leader(keys[polygon.loop_start])
    islands: dict[tuple, list[int]] = {}
    for index, key in enumerate(keys):
        islands.setdefault(leader(key), []).append(index)
    return [(np.array(loops), key[0]) for key, loops in islands.items()]


def _garment(person: Person, loops: np.ndarray, material: int) -> str:
    """What an island is, from the bones that move it."""
    mesh = person.mesh.data
    names = [group.name.removeprefix("Bip01 ") for group in person.mesh.vertex_groups]
    vertices = sorted({mesh.loops[int(i)].vertex_index for i in loops})
    bones = [names[max(mesh.vertices[i].groups, key=lambda g: g.weight).group] for i in vertices]

    def share(*parts: str) -> float:
        return sum(any(part in bone for part in parts) for bone in bones) / len(bones)

    top = person.corners[vertices, 2].max()
    if material == _BODY:
        if share("Finger") > 0.25:
            return "skin"
        if share("Foot", "Toe") > 0.6:
            return "shoes"
        return "trousers" if top < 1.12 and share("Thigh", "Calf", "Pelvis", "Foot", "Toe") > 0.5 else "shirt"
    if material == _HAIR:
        return "hair"
    if share("LEye", "REye") > 0.9 and len(vertices) < 200:
        return "eye"
    if len(vertices) > 250:
        return "head"
    return "hair" if share("Head") > 0.5 and top > person.heads["LEye"].z else "lips"


def _face_colours(person: Person, points: np.ndarray) -> np.ndarray:
    """Skin, hair above a line that falls from the forehead to the nape, brows and lips, for points (N, 3) of a head."""
    colours = np.tile(np.array(COLOURS["skin"]), (len(points), 1))
    back = np.clip((points[:, 1] + 0.10) / 0.16, 0, 1)
    line = np.where(back < 0.5, 0.068 - 0.06 * back, 0.038 - 0.30 * (back - 0.5))
    colours[points[:, 2] > person.heads["LEye"].z + line] = COLOURS["hair"]

    def paint(centre: Vector, width: float, height: float, colour: str) -> None:
        near = ((points[:, 0] - centre.x) / width) ** 2 + ((points[:, 2] - centre.z) / height) ** 2 < 1
        colours[near & (points[:, 1] < centre.y + 0.04)] = COLOURS[colour]

    for brow in ("RInnerEyebrow", "LInnerEyebrow", "ROuterEyebrow", "LOuterEyebrow"):
        paint(person.heads[brow], 0.018, 0.008, "hair")
    paint((person.heads["MUpperLip"] + person.heads["MBottomLip"]) / 2, 0.026, 0.011, "lips")
    return colours


def _clothes_material() -> bpy.types.Material:
    """The mesh's colours, darker in stripes where it is striped, with the unevenness of cloth."""
    material, nodes, link, shader = _material("clothes", roughness=0.8)
    colour, striped, rest = (
        nodes.new("ShaderNodeAttribute"),
        nodes.new("ShaderNodeAttribute"),
        nodes.new("ShaderNodeAttribute"),
    )
    colour.attribute_name, striped.attribute_name, rest.attribute_name = "colour", "striped", "rest"

    wave = nodes.new("ShaderNodeTexWave")
    wave.bands_direction = "Z"
    wave.inputs["Scale"].default_value = 5.0
    stripes = nodes.new("ShaderNodeMath")
    stripes.operation = "GREATER_THAN"
    stripes.inputs[1].default_value = 0.7
    only_shirt = nodes.new("ShaderNodeMath")
    only_shirt.operation = "MULTIPLY"
    mixed = nodes.new("ShaderNodeMix")
    mixed.data_type = "RGBA"
    mixed.inputs[7].default_value = (0.75, 0.70, 0.62, 1.0)
    noise = nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 40.0
    bump = nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.3
    bump.inputs["Distance"].default_value = 0.02

    link(rest.outputs["Vector"], wave.inputs["Vector"])
    link(rest.outputs["Vector"], noise.inputs["Vector"])
    link(wave.outputs[1], stripes.inputs[0])
    link(stripes.outputs[0], only_shirt.inputs[0])
    link(striped.outputs[2], only_shirt.inputs[1])
    link(only_shirt.outputs[0], mixed.inputs[0])
    link(colour.outputs["Color"], mixed.inputs[6])
    link(mixed.outputs[2], shader.inputs["Base Color"])
    link(noise.outputs[0], bump.inputs["Height"])
    link(bump.outputs[0], shader.inputs["Normal"])
    return material


def _material(name: str, roughness: float) -> tuple:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = roughness
    return material, nodes, links.new, shader


def _pattern(name: str, node: str, scale: float, dark: tuple, light: tuple, roughness: float = 0.7, **inputs: float):
    """A material with two colours in one of Blender's procedural patterns, in the object's own metres."""
    material, nodes, link, shader = _material(name, roughness)
    place, texture, ramp = nodes.new("ShaderNodeTexCoord"), nodes.new(node), nodes.new("ShaderNodeValToRGB")
    for key, value in {"Scale": scale, **inputs}.items():
        texture.inputs[key].default_value = value
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*dark, 1), (*light, 1)
    link(place.outputs["Object"], texture.inputs["Vector"])
    link(texture.outputs[0], ramp.inputs[0])
    link(ramp.outputs["Color"], shader.inputs["Base Color"])
    return material


def build_room() -> None:
    """Ten metres square: boards, plaster, brick, and things along the walls, so that there is something to see."""
    boards = _pattern(
        "boards", "ShaderNodeTexBrick", 2.0, (0.13, 0.07, 0.035), (0.46, 0.29, 0.16), 0.45,
        **{"Brick Width": 2.6, "Row Height": 0.26, "Mortar Size": 0.008},
    )  # fmt: skip
    plaster = _pattern("plaster", "ShaderNodeTexNoise", 2.5, (0.42, 0.45, 0.44), (0.62, 0.64, 0.60))
    brick = _pattern("brick", "ShaderNodeTexBrick", 2.2, (0.33, 0.14, 0.09), (0.55, 0.50, 0.45))
    check = _pattern("check", "ShaderNodeTexChecker", 5.0, (0.03, 0.10, 0.22), (0.65, 0.62, 0.50))
    spots = _pattern("spots", "ShaderNodeTexVoronoi", 4.0, (0.55, 0.30, 0.04), (0.10, 0.22, 0.14))
    wood = _pattern(
        "wood", "ShaderNodeTexWave", 2.5, (0.10, 0.05, 0.02), (0.30, 0.17, 0.08), Distortion=5.0, Detail=3.0
    )
    for material, size, place in (
        (boards, (10, 10, 0.1), (0, 0, -0.05)),
        (plaster, (10, 10, 0.1), (0, 0, 3.05)),
        (plaster, (10, 0.1, 3), (0, 5, 1.5)),
        (plaster, (10, 0.1, 3), (0, -5, 1.5)),
        (brick, (0.1, 10, 3), (5, 0, 1.5)),
        (brick, (0.1, 10, 3), (-5, 0, 1.5)),
        (wood, (1.6, 0.45, 0.9), (-2.9, 4.6, 0.45)),
        (wood, (0.5, 0.5, 1.9), (3.4, 4.5, 0.95)),
        (check, (1.1, 0.04, 0.8), (-1.5, 4.92, 1.75)),
        (spots, (0.7, 0.04, 1.0), (1.5, 4.92, 1.65)),
        (check, (0.6, 0.6, 0.6), (-4.2, 3.2, 0.3)),
        (spots, (0.5, 0.5, 0.45), (3.0, 3.5, 0.225)),
    ):
        bpy.ops.mesh.primitive_cube_add(size=1, location=place)
        box = bpy.context.object
        box.data.transform(Matrix.Diagonal((*size, 1)))
        box.data.materials.append(material)


def light_room() -> None:
    """A wide light above, a key light at the camera's left, and a weaker one opposite."""
    for place, size, watts in (((0, 0, 2.95), 6.0, 330), ((-2.4, -3.6, 2.6), 1.0, 170), ((2.8, -3.0, 2.0), 1.5, 60)):
        lamp = bpy.data.lights.new("light", "AREA")
        lamp.energy, lamp.size = watts, size
        thing = bpy.data.objects.new("light", lamp)
        bpy.context.scene.collection.objects.link(thing)
        thing.location = place
        if place[2] < 2.9:
            thing.rotation_euler = (Vector(place) - Vector((0, 0, 1))).to_track_quat("Z", "Y").to_euler()
    bpy.context.scene.world = bpy.data.worlds.new("world")


def place_camera() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A camera that stands still; returns K, R, t with OpenCV's axes, the first pixel's centre at (0, 0)."""
    data = bpy.data.cameras.new("camera")
    camera = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    data.sensor_fit, data.sensor_width, data.lens = "HORIZONTAL", 36.0, 36.0 * FOCAL_PX / WIDTH
    camera.location, camera.rotation_euler = EYE, (EYE - TARGET).to_track_quat("Z", "Y").to_euler()
    bpy.context.view_layer.update()
    world = np.array(camera.matrix_world)
    R = np.diag([1.0, -1.0, -1.0]) @ world[:3, :3].T
    K = np.array([[FOCAL_PX, 0, (WIDTH - 1) / 2], [0, FOCAL_PX, (HEIGHT - 1) / 2], [0, 0, 1]])
    return K, R, -R @ world[:3, 3]


def animate(person: Person, motion: Motion, frames: range) -> np.ndarray:
    """Key the frames of a motion from frame 0 of the scene on; returns COCO joints (T, 17, 3) in m, world."""
    scale = person.leg_length() / motion.leg_length()
    path = motion.root[frames] * scale
    path[:, :2] -= (path[:, :2].min(0) + path[:, :2].max(0)) / 2
    lowest = []
    for frame, pelvis in zip(frames, path, strict=True):
        person.pose(motion, frame, Vector(pelvis))
        lowest.append(person.lowest())
    # The soles stand on the floor most of the time: a low percentile bears with toes that dip in.
    path[:, 2] -= np.percentile(lowest, 15)
    joints = []
    for index, (frame, pelvis) in enumerate(zip(frames, path, strict=True)):
        person.pose(motion, frame, Vector(pelvis))
        person.key(index)
        joints.append([person.joints()[name] for name in (*FACE, *JOINTS)])
    return np.array(joints)


def set_up_render(out: Path, frame_count: int) -> None:
    """Cycles with few samples and its denoiser, straight into H.264."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 0, frame_count - 1, FPS
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = WIDTH, HEIGHT, 100
    render.use_persistent_data = True
    render.filepath = str(out)
    render.use_file_extension = False
    scene.view_settings.view_transform, scene.view_settings.exposure = "AgX", -0.3
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", 4, False
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 1
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "BALANCED"
    render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec, render.ffmpeg.audio_codec = "MPEG4", "H264", "NONE"
    render.ffmpeg.constant_rate_factor, render.ffmpeg.gopsize = "HIGH", FPS


def truth(out: Path, K: np.ndarray, R: np.ndarray, t: np.ndarray, joints: np.ndarray) -> dict:
    """What is known of the clip, in the names and shapes of a take; lengths to 0.1 mm, pixels to 0.01."""
    seen = joints @ R.T + t
    pixels = (seen @ K.T)[..., :2] / seen[..., 2:]
    return {
        "video": out.name,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "frames": list(range(len(joints))),
        "joint_names": [*FACE, *JOINTS],
        "joints3d": np.round(joints, 4)[None].tolist(),
        "joints2d": np.round(pixels, 2)[None].tolist(),
        "camera_K": K[None].tolist(),
        "camera_R": np.round(R, 8)[None].tolist(),
        "camera_t": np.round(t, 6)[None].tolist(),
        "distortion": [0.0] * 5,
    }


def main() -> None:
    """Render the clip, or one frame of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", type=Path, help="FBX file of an adult")
    parser.add_argument("archive", type=Path, help="zip of BVH files")
    parser.add_argument("motion", help="name of the BVH file in the zip")
    parser.add_argument("--first", type=int, default=0, help="first frame of the motion")
    parser.add_argument("--step", type=int, default=2, help="motion frames per video frame (2 for 60 frames a second)")
    parser.add_argument("--count", type=int, default=150, help="video frames")
    parser.add_argument("--turn", type=float, default=0.0, help="turn the motion about the vertical (degrees)")
    parser.add_argument("--truth", action="store_true", help="write the truth only")
    parser.add_argument("--still", type=int, help="render this frame only, as a PNG")
    parser.add_argument("-o", "--out", type=Path, required=True, help="video to write; the truth goes beside it")
    options = parser.parse_args()

    bpy.ops.wm.read_factory_settings(use_empty=True)
    out = options.out.absolute()
    with zipfile.ZipFile(options.archive) as archive:
        motion = Motion(archive.read(options.motion).decode("latin-1"))
    motion.turn(np.radians(options.turn))
    person = Person(options.mesh)
    build_room()
    light_room()
    K, R, t = place_camera()
    frames = range(options.first, options.first + options.step * options.count, options.step)
    joints = animate(person, motion, frames)
    set_up_render(out, options.count)
    if options.still is None:
        known = json.dumps(truth(out, K, R, t, joints), separators=(",", ":"))
        out.with_suffix(".truth.json").write_text(known, "utf-8")
        if not options.truth:
            bpy.ops.render.render(animation=True)
    else:
        settings = bpy.context.scene.render.image_settings
        settings.media_type, settings.file_format = "IMAGE", "PNG"
        bpy.context.scene.frame_set(options.still)
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()
