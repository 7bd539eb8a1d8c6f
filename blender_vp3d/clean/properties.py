"""How to clean; kept with the scene."""

from math import degrees

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty

from ..frame_range import frame_range
from .contacts import Thresholds
from .feet import Settings
from .steps import PARTS, Plan


def _seconds(part: str, name: str, default: float) -> FloatProperty:
    return FloatProperty(
        name=name,
        description=f"Seconds over which {part} smoothed; what stands out of the noise, such as a hit, keeps its "
        "shape. 0 leaves it as it is",
        default=default,
        min=0.0,
        soft_max=0.5,
        step=1,
        precision=2,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
    )


class VP3D_PG_clean(frame_range("the scene"), bpy.types.PropertyGroup):
    """Settings of smoothing, feet and keys."""

    pops: BoolProperty(
        name="Remove Pops",
        description="Replace single frames that jump out of the motion by what the frames around them let expect",
        default=True,
    )
    root: _seconds("the path and the turns of the hips are", "Root", 0.1)
    torso: _seconds("spine and head are", "Spine and Head", 0.08)
    arms: _seconds("arms and hands are", "Arms", 0.05)
    legs: _seconds("legs and feet are", "Legs", 0.05)
    strength: FloatProperty(
        name="Strength",
        description="How far a standing foot goes to the place where it is held",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    blend: IntProperty(
        name="Blend",
        description="Frames before and after a contact over which the foot comes and goes; more where it was moved far",
        default=5,
        min=0,
        soft_max=30,
    )
    reach: FloatProperty(
        name="Farthest",
        description="Farthest that a foot is moved: a wrong contact pulls no more than this",
        default=0.15,
        min=0.0,
        soft_max=0.5,
        subtype="DISTANCE",
    )
    use_floor: BoolProperty(
        name="Floor",
        description="Feet that stand near the floor stand on it, and nothing of a foot goes through it",
        default=True,
    )
    floor: FloatProperty(name="Height", description="Height of the floor in the scene", subtype="DISTANCE")
    height: FloatProperty(
        name="Lower than",
        description="Find Contacts: a foot whose sole is lower than this over the floor may stand",
        default=0.05,
        min=0.001,
        soft_max=0.3,
        subtype="DISTANCE",
    )
    speed: FloatProperty(
        name="Slower than",
        description="Find Contacts: a foot that is slower than this may stand",
        default=0.3,
        min=0.01,
        soft_max=2.0,
        unit="VELOCITY",
    )
    bound_angle: FloatProperty(
        name="Rotations",
        description="Largest error of a bone's rotation with few keys; an eighth of it where the bone carries a "
        "standing foot",
        default=0.00872664626,  # half a degree
        min=0.0001,
        soft_max=0.1,
        subtype="ANGLE",
        precision=2,
    )
    bound_mm: FloatProperty(
        name="Locations (mm)",
        description="Largest error of a location with few keys, in millimetres",
        default=2.0,
        min=0.01,
        soft_max=50.0,
        precision=1,
    )

    def plan(self) -> Plan:
        """These settings; raises ValueError, with a sentence, for wrong ones."""
        floor = self.floor if self.use_floor else None
        return Plan(
            between=self.chosen_frames,
            pops=self.pops,
            seconds={part: getattr(self, part) for part in PARTS},
            feet=Settings(strength=self.strength, blend=self.blend, reach_limit=self.reach, floor=floor),
            thresholds=Thresholds(height=self.height, speed=self.speed, floor=self.floor),
            bound_deg=degrees(self.bound_angle),
            bound_mm=self.bound_mm,
        )


_register_classes, _unregister_classes = bpy.utils.register_classes_factory((VP3D_PG_clean,))


def register() -> None:
    """Register the group."""
    _register_classes()
    bpy.types.Scene.vp3d_clean = PointerProperty(type=VP3D_PG_clean)


def unregister() -> None:
    """Take the group back."""
    del bpy.types.Scene.vp3d_clean
    _unregister_classes()
