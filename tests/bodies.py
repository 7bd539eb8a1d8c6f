"""Armatures with the bone names of any rig, in any rest pose and proportions, and a motion to put onto them."""

import json
import zipfile
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from blender_vp3d import animation, belongings
from blender_vp3d.common import armature as ours
from blender_vp3d.retarget import body, tables
from blender_vp3d.retarget.read import read_rig
from blender_vp3d.retarget.transfer import leg_length
from blender_vp3d.skeleton import person

NEXT = {
    "shoulder": "upper_arm",
    "upper_arm": "forearm",
    "forearm": "hand",
    "thigh": "shin",
    "shin": "foot",
    "foot": "toe",
}


@dataclass(frozen=True)
class Shape:
    """How a body rests, and how its maker drew the bones.

    Attributes:
        arms_deg: how far the arms hang from a T-pose.
        legs_deg: how far the legs are spread.
        elbow_deg: how far the elbows are bent.
        legs: factor of the legs' length.
        shin: factor of the shins' length.
        tails: "along" the bones, or "sideways" as in files from other programs.
        seed: of the bones' rolls.
        tilt: turns the rest pose within the armature, as where Y is up; the object turns it back.
        scale: of the object; the bones are that much larger.
    """

    arms_deg: float = 0.0
    legs_deg: float = 0.0
    elbow_deg: float = 0.0
    legs: float = 1.0
    shin: float = 1.0
    tails: str = "along"
    seed: int = 0
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


def points(shape: Shape) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Canonical bone → start and end, m, Z up, facing -Y, on the floor."""
    thigh, shin = 0.42 * shape.legs, 0.40 * shape.legs * shape.shin
    spread = np.radians(shape.legs_deg)
    hip = 0.08 + (thigh + shin) * np.cos(spread)
    at = {
        "root": ([0, 0, 0], [0, -0.3, 0]),
        "hips": ([0, 0, hip + 0.04], [0, 0, hip + 0.12]),
        "spine": ([0, 0.01, hip + 0.12], [0, 0.02, hip + 0.5]),
        "neck": ([0, 0.02, hip + 0.53], [0, 0, hip + 0.62]),
        "head": ([0, 0, hip + 0.62], [0, 0, hip + 0.82]),
    }
    for side, s in ((".L", 1.0), (".R", -1.0)):
        arm, bend = np.radians(shape.arms_deg), np.radians(shape.elbow_deg)
        out = np.array([s * np.cos(arm), 0, -np.sin(arm)])
        bent = np.cos(bend) * out + np.sin(bend) * np.array([0, -1.0, 0])
        shoulder = np.array([s * 0.18, 0.02, hip + 0.47])
        elbow = shoulder + 0.28 * out
        wrist = elbow + 0.25 * bent
        knuckle = wrist + 0.09 * bent
        top = np.array([s * 0.09, 0, hip])
        down = np.array([s * np.sin(spread), 0, -np.cos(spread)])
        knee = top + thigh * down
        ankle = knee + shin * down
        ball = np.array([ankle[0] + s * 0.02, -0.13, 0.02])
        at |= {
            f"shoulder{side}": (np.array([s * 0.03, 0.01, hip + 0.46]), shoulder),
            f"upper_arm{side}": (shoulder, elbow),
            f"forearm{side}": (elbow, wrist),
            f"hand{side}": (wrist, knuckle),
            f"thigh{side}": (top, knee),
            f"shin{side}": (knee, ankle),
            f"foot{side}": (ankle, ball),
            f"toe{side}": (ball, ball - np.array([0, 0.06, 0])),
        }
        for n, finger in enumerate(body.FINGERS):
            across = np.array([0, (n - 2) * 0.02, 0])
            at[f"{finger}{side}"] = (knuckle + across, knuckle + across + 0.08 * bent)
        for limb in body.LIMBS:
            at[f"{limb}_twist{side}"] = at[f"{limb}{side}"]
    return {bone: (np.array(a, float), np.array(b, float)) for bone, (a, b) in at.items()}


def parent_of(bone: str, chains: dict[str, tuple[str, ...]]) -> str:
    """Name of the bone that a canonical bone's first one hangs on."""
    kind, side = body.kind(bone), body.side(bone)
    candidates = {
        "root": (), "hips": ("root",), "spine": ("hips",), "neck": ("spine",), "head": ("neck", "spine"),
        "shoulder": ("spine",), "upper_arm": (f"shoulder{side}", "spine"), "forearm": (f"upper_arm{side}",),
        "hand": (f"forearm{side}",), "thigh": ("hips",), "shin": (f"thigh{side}",), "foot": (f"shin{side}",),
        "toe": (f"foot{side}",),
    }  # fmt: skip
    if kind.endswith("_twist"):
        return chains[kind.removesuffix("_twist") + side][-1]
    if kind in body.FINGERS:
        return chains[f"hand{side}"][-1]
    return next((chains[c][-1] for c in candidates[kind] if c in chains), "")


def make(name: str, chains: dict[str, tuple[str, ...]], shape: Shape = Shape()) -> bpy.types.Object:
    """An armature object that has `chains` for its bones."""
    rng = np.random.default_rng(shape.seed)
    at = points(shape)
    turn = Euler(shape.tilt).to_matrix()
    data = bpy.data.armatures.new(name)
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    made.matrix_world = turn.inverted().to_4x4() @ Matrix.Scale(shape.scale, 4)
    bpy.context.view_layer.objects.active = made
    bpy.ops.object.mode_set(mode="EDIT")
    edit = data.edit_bones
    for bone in body.BONES:
        chain = chains.get(bone, ())
        beside = body.kind(bone).endswith("_twist") or bone.startswith("toe")
        for n, bone_name in enumerate(chain):
            start, end = at[bone]
            shares = (n + 0.5) / len(chain) if body.kind(bone).endswith("_twist") else (0 if beside else n / len(chain))
            head = start + shares * (end - start)
            tail = end if beside else start + (n + 1) / len(chain) * (end - start)
            if shape.tails == "sideways":
                tail = head + 0.1 * np.array([0.3, 0.9, -0.2])
            new = edit.new(bone_name)
            new.head = turn @ Vector(head) / shape.scale
            new.tail = turn @ Vector(tail) / shape.scale
            new.roll = rng.uniform(-np.pi, np.pi)
            parent = chain[n - 1] if n and not beside else parent_of(bone, chains)
            if parent:
                new.parent = edit[parent]
    bpy.ops.object.mode_set(mode="OBJECT")
    return made


def known(key: str, shape: Shape = Shape(), prefix: str = "") -> bpy.types.Object:
    """An armature with all bones of one of the tables."""
    table = tables.tables()[key]
    chains = {bone: tuple(prefix + name for name in chain) for bone, chain in table.bones.items()}
    return make(table.name, chains, shape)


def dance(frames: int = 60, seed: int = 0) -> ours.Motion:
    """Somebody of our own skeleton who walks in a curve, bends everything, and swings straight arms."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 2 * np.pi, frames)
    at = points(Shape())
    joints = {
        "hip": (at["thigh.L"][0] + at["thigh.R"][0]) / 2, "spine": [0, 0, 1.13], "thorax": [0, 0, 1.38],
        "neck": [0, -0.08, 1.52], "head": [0, -0.02, 1.66],
    }  # fmt: skip
    for side, long in ((".L", "left"), (".R", "right")):
        for joint, bone, end in (
            ("shoulder", "upper_arm", 0), ("elbow", "forearm", 0), ("wrist", "forearm", 1),
            ("hip", "thigh", 0), ("knee", "shin", 0), ("ankle", "shin", 1),
        ):  # fmt: skip
            joints[f"{long}_{joint}"] = at[f"{bone}{side}"][end]
    rest = ours.fit_rest(np.array([joints[name] for name in ours.H36M_17.joints], float)[None])
    angles = np.zeros((frames, len(rest.names), 3))
    for i, name in enumerate(rest.names):
        kind = name.split(".")[0]
        size = {"hips": 0.25, "spine": 0.2, "chest": 0.2, "neck": 0.3, "head": 0.3, "shoulder": 0.15, "hand": 0.5,
                "upper_arm": 0.7, "thigh": 0.5, "foot": 0.25, "toe": 0.2}.get(kind, 0.0)  # fmt: skip
        phase = rng.uniform(0, 2 * np.pi, 3)
        angles[:, i] = size * np.sin(time[:, None] * rng.integers(1, 3, 3) + phase)
        if kind in ("forearm", "shin"):  # hinges, which also stretch out
            angles[:, i] = 0
            angles[:, i, 0] = 0.9 * (1 + np.sin(time + phase[0])) * (1.0 if kind == "shin" else 0.9)
        if kind == "forearm":
            angles[:, i, 1] = 0.4 * np.sin(time + phase[1])
    half = np.linalg.norm(angles, axis=-1, keepdims=True) / 2
    rotations = np.concatenate([np.cos(half), np.sinc(half / np.pi) * angles / 2], axis=-1)
    turn = np.stack([np.cos(time / 4), 0 * time, np.sin(time / 4), 0 * time], axis=-1)  # hips point up with Y
    rotations[:, 0] = _multiply(turn, rotations[:, 0])
    location = rest.heads[0] + np.stack([0.8 * np.sin(time / 2), -0.15 * time, 0.03 * np.sin(2 * time)], -1)
    return ours.Motion(rest, location, ours.continuous(rotations), np.ones(frames, bool))


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    a, u = p[..., :1], p[..., 1:]
    b, v = q[..., :1], q[..., 1:]
    return np.concatenate([a * b - (u * v).sum(-1, keepdims=True), a * v + b * u + np.cross(u, v)], axis=-1)


def dancer(frames: int = 60, seed: int = 0, first: int = 1) -> bpy.types.Object:
    """An armature of ours that dances, keyed at every frame from `first`."""
    return _keyed("Dancer", dance(frames, seed), first + np.arange(frames), 1 + seed)


def _keyed(name: str, motion: ours.Motion, frames: np.ndarray, number: int = 1) -> bpy.types.Object:
    made = belongings.add(bpy.context.scene.collection, name, bpy.data.armatures.new(name), "a take", number)
    person._shape(bpy.context, made.data, motion.rest)
    everything = np.arange(len(frames))
    channels = person._channels(motion, everything)
    animation.write(made, name, frames, np.zeros(len(frames), bool), channels)
    bpy.context.view_layer.update()
    return made


def heads(armature: bpy.types.Object, frames, names) -> np.ndarray:
    """(T, N, 3) m in the world, where Blender has the heads of bones."""
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame))
        seen = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        found.append([seen.matrix_world @ seen.pose.bones[name].head for name in names])
    return np.array(found)


def matrices(armature: bpy.types.Object, frames, names) -> np.ndarray:
    """(T, N, 3, 3) in the world, how Blender has bones turned."""
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame))
        seen = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        found.append([(seen.matrix_world @ seen.pose.bones[name].matrix).to_3x3().normalized() for name in names])
    return np.array(found)


def limb_directions(armature: bpy.types.Object, bones: dict[str, tuple[str, ...]], frames) -> np.ndarray:
    """(T, 8, 3) unit, where upper arms, forearms, thighs and shins point."""
    limbs = [f"{limb}{side}" for side in (".L", ".R") for limb in body.LIMBS]
    names = [bones[bone][0] for limb in limbs for bone in (limb, NEXT[body.kind(limb)] + body.side(limb))]
    at = heads(armature, frames, names)
    along = at[:, 1::2] - at[:, ::2]
    return along / np.linalg.norm(along, axis=-1, keepdims=True)


def capture(joints: np.ndarray, frames: np.ndarray) -> bpy.types.Object:
    """Our armature with joints (T, 17, 3) m put onto it as a take's are, keyed at `frames`."""
    motion = ours.solve(joints, np.zeros((len(joints), 2)), np.arange(len(joints)) / 120)
    return _keyed("Captured", motion, frames)


def captured(shared, name, first, count, every=1):
    """An armature with captured motion, metres, of every so many frames, and the frames to look at."""
    with zipfile.ZipFile(shared / "mocap" / "cmu-bvh.zip") as archive:
        text = archive.read(f"cmu-bvh/{name}.bvh").decode()
    path = f"{bpy.app.tempdir}{name.replace('/', '-')}.bvh"
    head, motion = text.split("MOTION", 1)
    lines = motion.strip().splitlines()
    rows = lines[2 + first : 2 + first + every * count : every]
    with open(path, "w") as file:  # noqa: PTH123 - a part of the motion: importing the whole takes seconds
        file.write("\n".join([head + "MOTION", f"Frames: {len(rows)}", lines[1], *rows]) + "\n")
    bpy.ops.import_anim.bvh(filepath=path, global_scale=0.025)
    armature = bpy.context.object
    bones = tables.recognise(bone.name for bone in armature.data.bones)[1]
    rig = read_rig(armature)
    armature.scale *= 0.9 / leg_length(rig, rig.chains(bones))
    bpy.context.view_layer.update()
    return armature, range(1, 1 + len(rows))


def rocketbox(shared, name):
    """The armature of one of Rocketbox's characters, with its mesh."""
    before = set(bpy.data.objects)
    bpy.ops.import_scene.fbx(filepath=str(shared / "meshes" / "rocketbox" / f"{name}.fbx"), use_anim=False)
    return next(thing for thing in bpy.data.objects if thing not in before and thing.type == "ARMATURE")


def makehuman(shared, kind):
    """The armature of one of MakeHuman's rigs."""
    with zipfile.ZipFile(shared / "meshes" / "makehuman.zip") as archive:
        bones = json.loads(archive.read(f"makehuman/rigs/standard/rig.{kind}.json"))
    bones = bones.get("bones", bones)
    data = bpy.data.armatures.new("MakeHuman")
    rig = bpy.data.objects.new("MakeHuman", data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    lift = -min(bone["tail"]["default_position"][2] for bone in bones.values())
    for name, bone in bones.items():
        made = data.edit_bones.new(name)
        for end in ("head", "tail"):
            setattr(made, end, np.array(bone[end]["default_position"]) + np.array([0, 0, lift]))
        made.roll = bone["roll"]
    for name, bone in bones.items():
        if bone["parent"]:
            data.edit_bones[name].parent = data.edit_bones[bone["parent"]]
            data.edit_bones[name].use_connect = bone["use_connect"]
        data.edit_bones[name].use_inherit_rotation = bone["use_inherit_rotation"]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def stretch_legs(armature: bpy.types.Object, thigh: str, foot: str, legs: float) -> None:
    """Give an armature that stands upright legs that are `legs` times as long; the names are of a leg's bones."""
    place = armature.matrix_world
    hip, ankle = ((place @ armature.data.bones[name].head_local).z for name in (thigh, foot))
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    edit = armature.data.edit_bones
    connected = [bone for bone in edit if bone.use_connect]
    for bone in connected:
        bone.use_connect = False
    for bone in edit:
        for end in ("head", "tail"):
            at = place @ getattr(bone, end)
            at.z += (legs - 1) * (np.clip(at.z, ankle, hip) - ankle)
            setattr(bone, end, place.inverted() @ at)
    for bone in connected:
        bone.use_connect = True
    bpy.ops.object.mode_set(mode="OBJECT")


def twin(own: bpy.types.Object, bones: dict[str, tuple[str, ...]], arms: float) -> bpy.types.Object:
    """A copy of our armature with the names of another rig, other rolls, arms that hang by `arms` rad, and no keys."""
    made = bpy.data.objects.new("Twin", own.data.copy())
    bpy.context.scene.collection.objects.link(made)
    bpy.context.view_layer.objects.active = made
    bpy.ops.object.mode_set(mode="EDIT")
    edit = made.data.edit_bones
    for side, sign in ((".L", 1), (".R", -1)):
        pivot = edit[f"upper_arm{side}"].head.copy()
        down = Matrix.Rotation(sign * arms, 4, "Y")
        place = Matrix.Translation(pivot) @ down @ Matrix.Translation(-pivot)
        for bone in ("upper_arm", "forearm", "hand"):
            edit[f"{bone}{side}"].transform(place)
    rng = np.random.default_rng(0)
    for canonical, chain in tables.tables()["vp3d"].bones.items():
        for name, other in zip(chain, bones[canonical], strict=False):
            edit[name].roll = rng.uniform(-3, 3)
            edit[name].name = other
    bpy.ops.object.mode_set(mode="OBJECT")
    return made
