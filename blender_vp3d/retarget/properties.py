"""Which motion goes onto which rig, the mapping of both, and how; kept with the scene."""

from collections.abc import Callable, Mapping
from math import degrees, radians

import bpy
import numpy as np
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..frame_range import frame_range
from . import body, structure, tables
from .apply import Job
from .bake import PARTS, Destination
from .tables import Bones, Table
from .transfer import Options

BY_SHAPE = "shape"
"""The `kind` of an armature whose bones were told by how they hang together."""

_CANONICAL = tuple((bone, body.LABELS[bone], "") for bone in body.BONES)


def _shape(armature: bpy.types.Object) -> tuple[list[str], list[int], np.ndarray]:
    bones = armature.data.bones
    names = [bone.name for bone in bones]
    parents = [names.index(bone.parent.name) if bone.parent else -1 for bone in bones]
    return names, parents, np.array([bone.head_local for bone in bones]).reshape(-1, 3)


def recognised(armature: bpy.types.Object | None) -> tuple[str, str, Bones]:
    """What an armature is, in `VP3D_PG_mapping`'s words, and its bones; by their names or how they hang together."""
    if armature is None or armature.type != "ARMATURE":
        return "", "", {}
    if found := tables.recognise(bone.name for bone in armature.data.bones):
        return found[0], tables.tables()[found[0]].name, found[1]
    if found := structure.recognise(*_shape(armature)):
        return BY_SHAPE, "Unknown names; told by its shape", found
    return "", "Not recognised: fill in the list", {}


def bones_of(scene: bpy.types.Scene, armature: bpy.types.Object) -> Bones:
    """Canonical bone → bones of an armature: as the list of mappings has them, or else as they are recognised."""
    settings = getattr(scene, "vp3d_retarget", None)
    for pair in settings.pairs if settings else ():
        for thing, mapping in ((pair.source, pair.source_mapping), (pair.target, pair.target_mapping)):
            if thing == armature and mapping.bones:
                return mapping.bones
    return recognised(armature)[2]


class VP3D_PG_mapped_bone(bpy.types.PropertyGroup):
    """A bone of an armature, and which bone of a body it is."""

    bone: EnumProperty(name="Body", description="Which bone of a body it is", items=_CANONICAL)
    name: StringProperty(name="Bone", description="Bone of the armature")
    offset: FloatVectorProperty(
        name="Offset",
        description="Turns the bone about its own axes, where its rest pose does not tell how it is meant",
        subtype="EULER",
    )


class VP3D_PG_mapping(bpy.types.PropertyGroup):
    """What an armature's bones are. Several rows of one body part are a chain, from the body outward."""

    kind: StringProperty(description="File name of the table that knows the rig, or how else it was told")
    label: StringProperty()
    rows: CollectionProperty(type=VP3D_PG_mapped_bone)
    active: IntProperty()

    def fill(self, kind: str, label: str, bones: Bones, offsets: Mapping[str, tuple[float, ...]] | None = None) -> None:
        """Take in a mapping; offsets are Euler XYZ degrees by bone."""
        self.kind, self.label, self.active = kind, label, 0
        self.rows.clear()
        for bone in body.BONES:
            for name in bones.get(bone, ()):
                row = self.rows.add()
                row.bone, row.name = bone, name
                row.offset = [radians(angle) for angle in (offsets or {}).get(name, (0, 0, 0))]

    def recognise(self, armature: bpy.types.Object | None) -> None:
        """Tell an armature's bones by their names or, failing that, by how they hang together."""
        self.fill(*recognised(armature))

    @property
    def bones(self) -> Bones:
        """Canonical bone → bones of the armature."""
        found: dict[str, tuple[str, ...]] = {}
        for row in self.rows:
            if row.name:
                found[row.bone] = (*found.get(row.bone, ()), row.name)
        return found

    @property
    def offsets(self) -> dict[str, tuple[float, float, float]]:
        """Bone → Euler XYZ rad, of bones that have an offset."""
        return {row.name: tuple(row.offset) for row in self.rows if any(row.offset)}

    @property
    def offsets_deg(self) -> dict[str, tuple[float, ...]]:
        """The offsets in degrees, as presets hold them."""
        return {name: tuple(round(degrees(angle), 4) for angle in angles) for name, angles in self.offsets.items()}

    @property
    def table(self) -> Table | None:
        """What is known of the rig besides its names."""
        return tables.tables().get(self.kind)


def _armature(_self: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


def _recognise(of: str) -> Callable[[bpy.types.PropertyGroup, bpy.types.Context], None]:
    def update(pair: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
        getattr(pair, f"{of}_mapping").recognise(getattr(pair, of))

    return update


class VP3D_PG_retarget_pair(bpy.types.PropertyGroup):
    """One motion and the rig it goes onto."""

    use: BoolProperty(name="Retarget", description="Retarget this rig", default=True)
    source: PointerProperty(
        name="Source",
        description="Armature that has the motion: a person of a take, an imported BVH, any animated armature",
        type=bpy.types.Object,
        poll=_armature,
        update=_recognise("source"),
    )
    target: PointerProperty(
        name="Rig",
        description="Your character's armature, which gets the motion",
        type=bpy.types.Object,
        poll=_armature,
        update=_recognise("target"),
    )
    source_mapping: PointerProperty(type=VP3D_PG_mapping)
    target_mapping: PointerProperty(type=VP3D_PG_mapping)


class VP3D_PG_retarget(frame_range("the scene"), bpy.types.PropertyGroup):
    """All pairs, and how they are retargeted."""

    pairs: CollectionProperty(type=VP3D_PG_retarget_pair)
    active: IntProperty()
    side: EnumProperty(
        name="Mapping of",
        items=(("target", "Rig", "What the rig's bones are"), ("source", "Source", "What the source's bones are")),
    )
    step: IntProperty(name="Step", description="Frames from key to key", default=1, min=1, soft_max=10)
    into: EnumProperty(
        name="Into",
        description="Where the keys go",
        items=(
            ("ACTION", "Own Action", "An action of their own; the rig's present action stays in the file"),
            ("NLA", "NLA Strip", "An action of their own in a strip of the NLA, under the rig's present action"),
            ("CURRENT", "Current Action", "Over the rig's present action: the chosen parts, in the chosen range"),
        ),
    )
    parts: EnumProperty(
        name="Parts",
        description="What gets keys",
        options={"ENUM_FLAG"},
        items=tuple((part, part.title(), f"Keys for the {part}") for part in PARTS),
        default=set(PARTS),
    )
    root_motion: EnumProperty(
        name="Root Motion",
        description="What carries the character over the ground",
        items=(
            ("HIPS", "Hips", "The hips alone"),
            ("ROOT", "Root Bone", "The root bone goes and turns along the ground, as games want it"),
            ("OBJECT", "Object", "The armature object goes and turns along the ground"),
        ),
    )
    on_floor: BoolProperty(
        name="On the Floor",
        description="Raise or lower the motion so that its lowest steps are on the floor",
    )
    use_rest_frame: BoolProperty(
        name="Stands at Frame",
        description="Take the source's pose at a frame for its rest pose, where that is no standing person",
    )
    rest_frame: IntProperty(
        name="Frame", description="Frame at which the source stands upright, as in a T-pose", default=1
    )
    in_place: BoolProperty(name="In Place", description="Stay over the spot where the motion begins")
    scale_path: BoolProperty(
        name="Scale Path",
        description="Scale the way gone by the length of the legs, so that steps fit the character. Off: the character "
        "goes as far as the person did, and the legs stretch for it as far as they can",
        default=True,
    )
    at_target: BoolProperty(
        name="From the Rig's Place",
        description="Move relative to where the rig stands, instead of to where the person was in the world",
    )
    reach_feet: BoolProperty(
        name="Feet Reach",
        description="Bend the legs so that the feet step where the person's did, in the character's size",
        default=True,
    )
    reach_hands: BoolProperty(
        name="Hands Reach",
        description="Bend the arms so that the hands go where the person's did, in the character's size",
    )
    use_inverse: BoolProperty(
        name="IK Controls",
        description="Arms and legs follow their controls for inverse kinematics, which get keys too (Rigify)",
    )
    clavicle: FloatProperty(
        name="Shoulders", description="Share of the motion of the shoulders", default=1.0, min=0.0, max=1.0
    )
    twist: FloatProperty(
        name="Twist",
        description="Share of the twist of arms and legs that goes to bones made for it",
        default=1.0,
        min=0.0,
        max=1.0,
    )

    @property
    def pair(self) -> VP3D_PG_retarget_pair | None:
        """The active pair."""
        return self.pairs[self.active] if 0 <= self.active < len(self.pairs) else None

    @property
    def mapping(self) -> VP3D_PG_mapping | None:
        """The mapping that is shown."""
        return getattr(self.pair, f"{self.side}_mapping") if self.pair else None

    @property
    def mapped_armature(self) -> bpy.types.Object | None:
        """Whose mapping is shown."""
        return getattr(self.pair, self.side) if self.pair else None

    def job(self, pair: VP3D_PG_retarget_pair) -> Job:
        """What to do for a pair; raises ValueError, with a sentence, for wrong settings."""
        if not self.parts:
            raise ValueError("No part of the body is chosen: choose at least one that gets keys.")
        table = pair.target_mapping.table
        return Job(
            source=pair.source,
            target=pair.target,
            source_bones=pair.source_mapping.bones,
            target_bones=pair.target_mapping.bones,
            parents=table.parents if table else {},
            bends=table.bends if table else {},
            switches=table.switches if table else (),
            inverse=table.inverse if table and self.use_inverse else (),
            options=Options(
                scale_path=self.scale_path,
                on_floor=self.on_floor,
                in_place=self.in_place,
                root_motion=self.root_motion,
                clavicle=self.clavicle,
                twist=self.twist,
                at_target=self.at_target,
                offsets=pair.target_mapping.offsets,
            ),
            rest_frame=self.rest_frame if self.use_rest_frame else None,
            reach_feet=self.reach_feet,
            reach_hands=self.reach_hands,
            frames=self.chosen_frames,
            step=self.step,
            destination=Destination(self.into, tuple(self.parts), f"{pair.source.name} on {pair.target.name}"),
        )


classes = (
    VP3D_PG_mapped_bone,
    VP3D_PG_mapping,
    VP3D_PG_retarget_pair,
    VP3D_PG_retarget,
)
_register_classes, _unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    """Register the groups."""
    _register_classes()
    bpy.types.Scene.vp3d_retarget = PointerProperty(type=VP3D_PG_retarget)


def unregister() -> None:
    """Take the groups back."""
    del bpy.types.Scene.vp3d_retarget
    _unregister_classes()
