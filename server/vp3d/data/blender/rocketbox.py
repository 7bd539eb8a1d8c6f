"""Microsoft Rocketbox's adults (3ds Max Biped names, FBX) as figures.

Their pictures are not always at hand, so they are coloured anew: islands of the UV map follow the garments.
"""

from pathlib import Path

import bpy
import numpy as np

from . import figures
from .figures import BONES, BOTTOM, EYE, HAIR, HEAD, SHOES, SKIN, TOP, Figure

_PARTS = {
    "Pelvis": "pelvis", "Spine": "spine", "Spine1": "upper_spine", "Spine2": "chest", "Neck": "neck", "Head": "head",
}  # fmt: skip
for _side in ("left", "right"):
    for _name, _bone in (
        ("Clavicle", "clavicle"), ("UpperArm", "upper_arm"), ("Forearm", "forearm"), ("Hand", "hand"),
        ("Thigh", "thigh"), ("Calf", "shin"), ("Foot", "foot"), ("Toe0", "toe"),
    ):  # fmt: skip
        _PARTS[f"{_side[0].upper()} {_name}"] = f"{_side}_{_bone}"

# Medians of a detector's joints against the rig's, over renders.
_SEEN = figures.Seen(
    {"shoulder": (-0.036, 0.003, 0.022), "hip": (-0.002, 0.004, 0.018)},
    {"elbow": -0.025, "wrist": -0.004, "knee": -0.027, "ankle": -0.007},
)

# materials of the meshes; the last has lashes, too
_BODY, _HEAD, _OPACITY = range(3)


def load(path: Path) -> Figure:
    """Read one adult; nothing of it stays in Blender.

    Raises:
        ValueError: the file holds no mesh on a Biped skeleton.
    """
    before = set(bpy.data.objects)
    bpy.ops.import_scene.fbx(filepath=str(path), use_anim=False)
    added = [thing for thing in bpy.data.objects if thing not in before]
    try:
        armature = next((thing for thing in added if thing.type == "ARMATURE"), None)
        body = next((thing for thing in added if thing.type == "MESH"), None)
        if armature is None or body is None:
            raise ValueError("it holds no mesh on a skeleton")
        return _figure(path.stem, armature, body)
    finally:
        for thing in added:
            bpy.data.objects.remove(thing)
        bpy.data.orphans_purge(do_recursive=True)


def _figure(name: str, armature: bpy.types.Object, body: bpy.types.Object) -> Figure:
    bones = {bone.name.removeprefix("Bip01 "): bone for bone in armature.data.bones}
    if missing := sorted(set(_PARTS).difference(bones)):
        raise ValueError(f"its skeleton has no {missing[0]}")
    rig = {n: np.array(armature.matrix_world @ bone.head_local) for n, bone in bones.items()}

    def carrier(bone: bpy.types.Bone) -> int:
        while bone.name.removeprefix("Bip01 ") not in _PARTS:
            bone = bone.parent
        return BONES.index(_PARTS[bone.name.removeprefix("Bip01 ")])

    mesh = body.data
    mesh.calc_loop_triangles()
    corners = np.array([np.array(body.matrix_world @ v.co) for v in mesh.vertices])
    groups = {group.index: group.name.removeprefix("Bip01 ") for group in body.vertex_groups}
    listed: dict[int, tuple[list[int], list[float]]] = {}
    strongest = []
    for vertex in mesh.vertices:
        strongest.append(groups[max(vertex.groups, key=lambda g: g.weight).group] if vertex.groups else "Pelvis")
        for element in vertex.groups:
            vertices, weights = listed.setdefault(element.group, ([], []))
            vertices.append(vertex.index)
            weights.append(element.weight)
    skinning = [(carrier(bones[groups[g]]), np.array(v), np.array(w)) for g, (v, w) in listed.items()]
    of_polygon = _materials(mesh, corners, strongest, rig)
    triangles = np.array([t.vertices[:] for t in mesh.loop_triangles])
    materials = of_polygon[[t.polygon_index for t in mesh.loop_triangles]]

    heads = np.zeros((len(BONES), 3))
    for biped, bone in _PARTS.items():
        heads[BONES.index(bone)] = rig[biped]
    vertex_bones, weights = figures.collapse_weights(skinning, len(corners))
    face = _face(rig, corners[np.unique(triangles[materials == HEAD])])
    labels = figures.joint_labels(heads, face, corners, vertex_bones[:, 0], _SEEN)
    corners, triangles, materials, vertex_bones, weights = _subdivided(
        corners, triangles, materials, vertex_bones, weights
    )
    female = name.lower().startswith("female")
    return Figure(name, corners, triangles, materials, heads, vertex_bones, weights, labels, female)


def _face(rig: dict[str, np.ndarray], head: np.ndarray) -> dict[str, np.ndarray]:
    """Nose, eyes, and ears, for which the rig has no bones: the widest points between the heights of nose and eyes."""
    _, y, z = head.T
    beside = head[(z > rig["MNose"][2] - 0.02) & (z < rig["LEye"][2] + 0.02) & (y > -0.07) & (y < 0.03)]
    return {
        "nose": rig["MNose"] + (0, 0, 0.006),
        "left_eye": rig["LEye"] + (0, -0.02, 0.008),
        "right_eye": rig["REye"] + (0, -0.02, 0.008),
        "left_ear": beside[beside[:, 0].argmax()],
        "right_ear": beside[beside[:, 0].argmin()],
    }


def _materials(
    mesh: bpy.types.Mesh, corners: np.ndarray, strongest: list[str], rig: dict[str, np.ndarray]
) -> np.ndarray:
    """What each polygon is made of (P,), from the bones that move its UV island."""
    materials = np.full(len(mesh.polygons), SKIN)
    for polygons in _uv_islands(mesh):
        vertices = sorted({v for p in polygons for v in mesh.polygons[p].vertices})
        bones = [strongest[v] for v in vertices]

        def share(*parts: str, bones: list[str] = bones) -> float:
            return sum(any(part in bone for part in parts) for bone in bones) / len(bones)

        bottom, top = corners[vertices, 2].min(), corners[vertices, 2].max()
        slot = mesh.polygons[polygons[0]].material_index
        if slot == _BODY:
            if share("Finger") > 0.25 or (share("Calf") > 0.6 and top < 0.62):
                material = SKIN
            elif share("Foot", "Toe") > 0.6:
                material = SHOES
            elif top < 1.12 and share("Thigh", "Calf", "Pelvis", "Foot", "Toe") > 0.5:
                material = BOTTOM
            else:
                material = TOP
        elif slot == _OPACITY:
            material = HAIR if share("Head", "Eye") > 0.3 and top > 1.3 else TOP
        elif share("LEye", "REye") > 0.9 and len(vertices) < 200:
            material = EYE
        elif len(vertices) > 250:
            material = HEAD
        else:
            material = HAIR if share("Head") > 0.5 and top > rig["LEye"][2] and top - bottom > 0.04 else SKIN
        materials[polygons] = material
    return materials


def _uv_islands(mesh: bpy.types.Mesh) -> list[list[int]]:
    """Polygons of each connected piece of the UV map."""
    uv = np.empty(2 * len(mesh.loops), np.float32)
    mesh.uv_layers[0].data.foreach_get("uv", uv)
    places = np.round(uv.reshape(-1, 2) * 4096).astype(int)
    group: dict[tuple, tuple] = {}

    def leader(key: tuple) -> tuple:
        while group.setdefault(key, key) != key:
            group[key] = key = group[group[key]]
        return key

    firsts = []
    for polygon in mesh.polygons:
        keys = [(polygon.material_index, mesh.loops[i].vertex_index, *places[i]) for i in polygon.loop_indices]
        for key in keys:
            group[leader(key)] = leader(keys[0])
        firsts.append(keys[0])
    islands: dict[tuple, list[int]] = {}
    for index, key in enumerate(firsts):
        islands.setdefault(leader(key), []).append(index)
    return list(islands.values())


def _subdivided(
    corners: np.ndarray, triangles: np.ndarray, materials: np.ndarray, bones: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The same surface with every triangle in four, because colours change at vertices only."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2)
    pairs, place = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
    middle = place.reshape(-1, 3) + len(corners)
    a, b, c = triangles.T
    ab, bc, ca = middle.T
    parts = np.stack([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]])
    table = np.zeros((len(corners), len(BONES)))
    np.put_along_axis(table, bones, weights, axis=1)
    table = np.concatenate([table, table[pairs].mean(1)])
    bones = np.argsort(-table, axis=1)[:, :4]
    weights = np.take_along_axis(table, bones, axis=1)
    return (
        np.concatenate([corners, corners[pairs].mean(1)]),
        parts.transpose(2, 0, 1).reshape(-1, 3),
        np.repeat(materials, 4),
        bones,
        weights / weights.sum(1, keepdims=True),
    )
