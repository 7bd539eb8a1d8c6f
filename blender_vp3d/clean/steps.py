"""What cleaning does to an armature's action: smooth, hold the feet, reduce the keys; always from the raw one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import bpy
import numpy as np

from .. import animation, contact_keys
from ..retarget import body
from ..retarget import rotations as rot
from ..retarget.read import read_motion, sample
from ..retarget.rig import Chains, Motion
from ..retarget.tables import Bones
from . import tracks, versions
from .contacts import Thresholds, find, runs
from .feet import Leg, Settings, Turns, lock
from .fit import reduce
from .legs import BONES, SIDES, legs, shifted, turned
from .smooth import smooth, smooth_quaternions, without_pops
from .tracks import Span, Track

SMOOTH, FEET, KEYS = "SMOOTH", "FEET", "KEYS"
"""The steps, in the order in which they are done."""

PARTS = {
    "root": ("root", "hips"),
    "torso": ("spine", "neck", "head"),
    "arms": (*body.PARTS["arms"], *body.PARTS["hands"]),
    "legs": (*body.PARTS["legs"], *body.PARTS["feet"]),
}
"""Parts of the body that are smoothed apart → canonical bones. Bones that are none of these go with the torso."""

_CONFIDENCE = '["confidence"]'
_CONFIDENCE_BOUND = 0.02
_STANDING = 0.12  # of a bound is used by bones that carry a standing foot
_INSIDE = 0.98  # of a bound is used: Blender's curves are float32


class CleanError(Exception):
    """Something about an armature or its animation; the message is a sentence for the user."""


@dataclass(frozen=True)
class Plan:
    """How to clean.

    Attributes:
        between: first and last scene frame; None for all.
        pops: whether single outliers are taken out.
        seconds: part of `PARTS` → seconds over which it is smoothed.
        feet: how feet are held.
        thresholds: what counts as standing, where contacts have to be found first.
        bound_deg: largest error of a rotation after reducing keys.
        bound_mm: largest error of a location.
    """

    between: tuple[float, float] | None = None
    pops: bool = True
    seconds: Mapping[str, float] = field(default_factory=dict)
    feet: Settings = field(default_factory=Settings)
    thresholds: Thresholds = field(default_factory=Thresholds)
    bound_deg: float = 0.5
    bound_mm: float = 2.0


def check(armature: bpy.types.Object | None) -> None:
    """Raise CleanError, with a sentence, for what cannot be cleaned."""
    if armature is None or armature.type != "ARMATURE":
        raise CleanError("Select an armature with keyframes.")
    data = armature.animation_data
    if not data or not data.action:
        raise CleanError(f"{armature.name} has no keyframes: apply a take or retarget onto it first.")
    if armature.library and not armature.override_library:
        raise CleanError(f"{armature.name} is linked from another file: make a library override of it first "
                         "(Object, Library Override, Make).")  # fmt: skip
    if data.use_tweak_mode:
        raise CleanError(f"A strip of {armature.name} is being tweaked: leave tweak mode in the NLA editor first.")
    if not tracks.tracks(armature):
        raise CleanError(f"The action of {armature.name} moves nothing: choose another action.")


def clean(context: bpy.types.Context, armature: bpy.types.Object, bones: Bones, plan: Plan, step: str) -> list[str]:
    """Do a step, and again those done before, from the raw action into a new one. The sentences are for the user.

    Contacts are taken from the assigned action, so that moving their keys in either version counts.

    Raises:
        CleanError, RetargetError: with a sentence; nothing has changed then.
    """
    check(armature)
    done = versions.steps(armature) | {step}
    kept = versions.clean(armature).name if versions.edited(armature) else ""
    seen = tracks.span(armature, _fps(context), None).frames
    contacts = contact_keys.read(armature, seen)
    notes = []
    with versions.renewed(armature, done):
        over = _span(context, armature, plan)
        if contacts is not None:
            contact_keys.write(armature, seen, contacts)
        if SMOOTH in done:
            _smooth(armature, bones, over, plan)
        if FEET in done:
            notes += _hold_feet(context, armature, bones, over, plan)
        if KEYS in done:
            notes += _reduce(armature, bones, over, plan)
    if kept:
        notes.append(f"{kept} was edited by hand; it stays in the file, and the new action starts from the raw one.")
    return notes


def find_contacts(context: bpy.types.Context, armature: bpy.types.Object, bones: Bones, plan: Plan) -> list[str]:
    """Key when the feet stand, as the assigned action moves them. The sentences are for the user.

    Raises:
        CleanError, RetargetError: with a sentence; nothing has changed then.
    """
    check(armature)
    over = _span(context, armature, plan)
    _, _, posed = _read_legs(context, armature, bones, over)
    whole = tracks.span(armature, over.fps, None)
    known = contact_keys.read(armature, whole.frames)
    contacts = np.zeros((len(whole.frames), 2), bool) if known is None else known
    inside = (whole.frames >= over.frames[0]) & (whole.frames <= over.frames[-1])
    found = _found(posed, over, plan)
    contacts[inside] = found[np.clip(np.searchsorted(over.frames, whole.frames[inside]), 0, len(found) - 1)]
    contact_keys.write(armature, whole.frames, contacts)
    count = int((np.diff(found.astype(int), axis=0, prepend=0) > 0).sum())
    return [f"{armature.name}: feet come down {count} times."]


def _span(context: bpy.types.Context, armature: bpy.types.Object, plan: Plan) -> Span:
    over = tracks.span(armature, _fps(context), plan.between)
    if len(over.frames) < 2:
        raise CleanError(f"{armature.name} has no keyframes in this range: choose other frames.")
    return over


def _fps(context: bpy.types.Context) -> float:
    return context.scene.render.fps / context.scene.render.fps_base


def _smooth(armature: bpy.types.Object, bones: Bones, over: Span, plan: Plan) -> None:
    part = {name: part for part, canonical in PARTS.items() for bone, chain in bones.items()
            if body.kind(bone) in canonical for name in chain}  # fmt: skip
    changed: dict[Track, np.ndarray] = {}
    for one in tracks.tracks(armature):
        where = "root" if one.attribute == "location" or not one.bone else part.get(one.bone, "torso")
        seconds = plan.seconds.get(where, 0.0)
        before = tracks.read(armature, one, over.frames)
        signal = tracks.rotation(one, before) if one.mode else before
        for piece in over.pieces():
            cleaned = without_pops(signal[piece], over.dt) if plan.pops else signal[piece]
            signal[piece] = (smooth_quaternions if one.mode else smooth)(cleaned, over.dt, seconds)
        changed[one] = tracks.values_near(one, rot.unit(signal), before) if one.mode else signal
    tracks.write(armature, changed, over)


def _read_legs(
    context: bpy.types.Context, armature: bpy.types.Object, bones: Bones, over: Span
) -> tuple[Motion, Chains, list[Leg]]:
    lacking = [body.LABELS[bone] for bone in (*body.ESSENTIAL, "foot.L", "foot.R") if not bones.get(bone)]
    if lacking:
        raise CleanError(f"{armature.name} has no bone for {', '.join(lacking)}: tell them in the Retarget panel's "
                         "Mapping.")  # fmt: skip
    names = [name for bone in BONES for name in bones.get(bone, ())]
    motion, _ = read_motion(context, armature, names, over.frames)
    chains = motion.rig.chains(bones)
    return motion, chains, legs(motion, chains)


def _found(posed: list[Leg], over: Span, plan: Plan) -> np.ndarray:
    contacts = np.zeros((len(over.frames), 2), bool)
    for piece in over.pieces():
        for side, leg in enumerate(posed):
            contacts[piece, side] = find(leg.sole[piece], over.dt, plan.thresholds)
    return contacts


def _hold_feet(
    context: bpy.types.Context, armature: bpy.types.Object, bones: Bones, over: Span, plan: Plan
) -> list[str]:
    whole = tracks.span(armature, over.fps, None)
    motion, chains, before = _read_legs(context, armature, bones, whole)
    notes, contacts = [], contact_keys.read(armature, whole.frames)
    if contacts is None:
        contacts = _found(before, whole, plan)
        contact_keys.write(armature, whole.frames, contacts)
        notes.append(f"{armature.name} had no contacts: they were found from its motion.")
    hips = chains["hips"][0]
    moves = not motion.rig.connected[hips]
    feet = plan.feet if moves else replace(plan.feet, root_limit=0.0, sink_limit=0.0)
    root, turns = lock(before, contacts, whole.dt, feet, whole.pieces())
    share = _within(whole, over, plan.feet.blend)
    turns = [Turns(*(rot.slerp(rot.IDENTITY, turn, share) for turn in vars(both).values())) for both in turns]

    held: dict[int, tuple[Track, np.ndarray]] = {}
    for bone in {chains[name][0] for name in BONES if name in chains}:
        one = tracks.track(armature, motion.rig.names[bone], "rotation")
        held[bone] = one, tracks.read(armature, one, whole.frames)
    rotations = {bone: tracks.rotation(one, values) for bone, (one, values) in held.items()}
    after = {
        held[bone][0]: tracks.values_near(held[bone][0], new, held[bone][1])
        for bone, new in turned(motion, chains, turns, rotations).items()
    }
    if moves:
        place = tracks.track(armature, motion.rig.names[hips], "location")
        location = tracks.read(armature, place, whole.frames)
        after[place] = shifted(motion, hips, share[:, None] * root, rotations[hips], location)
    inside = np.isin(whole.frames, over.frames)
    tracks.write(armature, {one: values[inside] for one, values in after.items()}, over)
    _, _, moved = _read_legs(context, armature, bones, whole)
    slid = [1000 * _slides(posed, contacts) for posed in (before, moved)]
    return [*notes, f"Standing feet moved {slid[0]:.0f} mm at most, and now {slid[1]:.1f} mm."]


def _within(whole: Span, over: Span, blend: int) -> np.ndarray:
    """(T,) share of a change: 1 inside the range, going to 0 at its ends where the motion goes on beyond them."""
    share = np.ones(len(whole.frames))
    for end, outside, inward in ((over.frames[0], whole.frames[0], 1), (over.frames[-1], whole.frames[-1], -1)):
        if end != outside:
            t = np.clip(inward * (whole.frames - end) / (blend + 1), 0, 1)
            share = np.minimum(share, t * t * (3 - 2 * t))
    return share


def _slides(posed: list[Leg], contacts: np.ndarray) -> float:
    """Farthest that a standing ankle is from the middle of where it stands, m."""
    stands = (leg.ankle[start:end] for leg, down in zip(posed, contacts.T, strict=True) for start, end in runs(down))
    return max((float(np.linalg.norm(at - np.median(at, axis=0), axis=-1).max()) for at in stands), default=0.0)


def _reduce(armature: bpy.types.Object, bones: Bones, over: Span, plan: Plan) -> list[str]:
    scale = 1000 * float(np.cbrt(abs(armature.matrix_world.determinant())))
    before, worst = tracks.keys_of(armature), {"mm": 0.0, "°": 0.0}
    strict = _strict(armature, bones, over)
    for one in tracks.tracks(armature):
        values = tracks.read(armature, one, over.frames)
        unit, bound = ("°", plan.bound_deg) if one.mode else ("mm", plan.bound_mm)
        # an object's own location is in the world's metres already
        miss = partial(_error, one, scale if one.bone else 1000.0)
        allowed = _INSIDE * bound * strict.get(one.bone, np.ones(len(values)))
        fitted = [
            reduce(over.frames[p], values[p], lambda new, p=p: miss(values[p], new) / allowed[p], 1.0)
            for p in over.pieces()
        ]
        tracks.write_curves(armature, one.path, one.group, fitted)
        seen = miss(values, tracks.read(armature, one, over.frames))
        worst[unit] = max(worst[unit], float(seen.max()))
    _reduce_confidence(armature, over)
    return [f"{before} keys became {tracks.keys_of(armature)}; no bone is off by more than {worst['°']:.2f}° "
            f"or {worst['mm']:.1f} mm."]  # fmt: skip


def _strict(armature: bpy.types.Object, bones: Bones, over: Span) -> dict[str, np.ndarray]:
    """Bone ("" is the object) → (T,) share of the bound that it may use: little where it carries a standing foot, which
    would slide."""
    contacts = contact_keys.read(armature, over.frames)
    if contacts is None:
        return {}
    standing = {side: np.where(down, _STANDING, 1.0) for side, down in zip(SIDES, contacts.T, strict=True)}
    either = np.minimum(*standing.values())
    found = {"": either}
    for bone in ("root", *BONES):
        found |= dict.fromkeys(bones.get(bone, ()), standing.get(body.side(bone), either))
    return found


def _error(one: Track, size: float, values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(T,) ° or mm between values (T, C) of a track; `size` mm are one unit of a location."""
    if not one.mode:
        return size * np.linalg.norm(other - values, axis=-1)
    turn = rot.multiply(rot.conjugate(rot.from_mode(values, one.mode)), rot.from_mode(other, one.mode))
    return np.degrees(2 * np.arctan2(np.linalg.norm(turn[:, 1:], axis=-1), np.abs(turn[:, 0])))


def _reduce_confidence(armature: bpy.types.Object, over: Span) -> None:
    """Its keys, one a frame, would stand in the way of the others in the dope sheet."""
    for curve in animation.curves_of(armature):
        if curve.data_path == _CONFIDENCE and len(curve.keyframe_points) > 2:
            values = sample(curve, over.frames)[:, None]
            fitted = [
                reduce(over.frames[p], values[p], lambda new, p=p: np.abs(new - values[p])[:, 0], _CONFIDENCE_BOUND)
                for p in over.pieces()
            ]
            tracks.write_curves(armature, _CONFIDENCE, "Capture", fitted)
            return
