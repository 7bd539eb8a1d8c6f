"""The bones that every human rig has in some form, under one set of names. No bpy in here.

A canonical bone stands for a chain of any number of a rig's bones: "spine" for two or five, "forearm" for one or, where
a rig twists it along its length, two. Bones named "…_twist" lie beside the chain and only share its twist.
"""

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
LIMB_OF = {"hand": ("upper_arm", "forearm"), "foot": ("thigh", "shin")}
LIMBS = ("upper_arm", "forearm", "thigh", "shin")

_MIDDLE = ("root", "hips", "spine", "neck", "head")
_SIDE = (
    "shoulder", "upper_arm", "upper_arm_twist", "forearm", "forearm_twist", "hand", *FINGERS,
    "thigh", "thigh_twist", "shin", "shin_twist", "foot", "toe",
)  # fmt: skip

BONES = (*_MIDDLE, *(f"{bone}.{side}" for side in "LR" for bone in _SIDE))
"""All canonical bones, parents before children."""

ESSENTIAL = ("hips", *(f"{bone}.{side}" for side in "LR" for bone in LIMBS))
"""Without these nothing can be retargeted."""

LABELS = {
    bone: bone.removesuffix(".L").removesuffix(".R").replace("_", " ").title()
    + {".L": " Left", ".R": " Right"}.get(bone[-2:], "")
    for bone in BONES
}
"""What the panel calls them."""

PARTS = {
    "torso": ("hips", "spine"),
    "head": ("neck", "head"),
    "arms": ("shoulder", "upper_arm", "upper_arm_twist", "forearm", "forearm_twist"),
    "hands": ("hand", *FINGERS),
    "legs": ("thigh", "thigh_twist", "shin", "shin_twist"),
    "feet": ("foot", "toe"),
}
"""Parts of the body that can be baked apart; where the person goes is a part of its own, "path"."""


def kind(bone: str) -> str:
    """A canonical bone without its side."""
    return bone.removesuffix(".L").removesuffix(".R")


def side(bone: str) -> str:
    """ ".L", ".R" or ""."""
    return bone[-2:] if bone.endswith((".L", ".R")) else ""
