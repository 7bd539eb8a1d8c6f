"""From one rig's motion to another's, all frames at once. No bpy in here.

The axes of `frames.rest_axes`, carried along by the source's bones, are laid onto the target's; the path of the hips is
scaled by the length of the legs. `transfer` gives the target's bones in the world: what corrects feet or smooths goes
between it and the baking, takes a `Posed` and gives one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from . import body
from . import rotations as rot
from .frames import body_axes, rest_axes
from .rig import Chains, Controls, Motion, Rig

_SAME_UNITS = (0.4, 2.5)  # ratios of leg length outside this come from other units, not from another body
_ANKLE = (0.08, 0.4)  # of the shin: heights of ankles that can be
_ANKLE_USUAL = 0.16  # of the shin (Winter, Biomechanics: 0.039 of the stature, the shin being 0.246 of it)
_LOWEST = 2.0  # percentile of the soles' heights that is the floor


@dataclass(frozen=True)
class Options:
    """How to go from one rig to another.

    Attributes:
        scale_path: scale the way gone by the length of the legs; otherwise only the height.
        on_floor: raise or lower the motion so that its lowest steps are on the floor.
        in_place: stay where the first frame is.
        root_motion: what carries the person over the ground: "HIPS", "ROOT" (the root bone) or "OBJECT".
        clavicle: share of the source's shoulder motion relative to the chest.
        twist: share of the twist that goes to bones meant for it.
        at_target: move relative to where the target stands instead of to where the source is in the world.
        offsets: bone of the target → Euler XYZ rad about its own axes.
    """

    scale_path: bool = True
    on_floor: bool = False
    in_place: bool = False
    root_motion: str = "HIPS"
    clavicle: float = 1.0
    twist: float = 1.0
    at_target: bool = False
    offsets: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


DEFAULTS = Options()


@dataclass(frozen=True)
class Posed:
    """A target's driven bones in the world, before baking. T frames, N bones in the order of `controls.bones`.

    Attributes:
        controls: the driven bones.
        chains: canonical bone → bones of the rig, driven ones only.
        frames: (T,) scene frames.
        rotations: (T, N, 4) quaternions of the bones' own axes.
        heads: (T, N, 3) m.
        base: (T, 7) m and quaternion: where the armature object is.
        moved: positions in `controls.bones` of bones that get locations.
        joints: canonical bone → (T, 3) m: where the source's joints would be in a body of this size. Feet and hands
            have to reach them; feet with their soles, not their ankles, where the source's are.
    """

    controls: Controls
    chains: Chains
    frames: np.ndarray
    rotations: np.ndarray
    heads: np.ndarray
    base: np.ndarray
    moved: tuple[int, ...]
    joints: Mapping[str, np.ndarray]

    def index(self, bone: str) -> int:
        """Position in `controls.bones` of the first bone of a canonical bone."""
        return self.controls.bones.index(self.chains[bone][0])

    def turned(self, turns: Mapping[str, np.ndarray]) -> "Posed":
        """Canonical bones with all their chain turned in the world by (T, 4), and what hangs on them moved along.

        Only the bones named turn; those below keep their orientation and change place.
        """
        rotations, heads, turned = self.rotations.copy(), self.heads.copy(), []
        for bone, turn in turns.items():
            for index in self.chains.get(bone, ()):
                n = self.controls.bones.index(index)
                rotations[:, n] = rot.multiply(turn, rotations[:, n])
                turned.append(n)
        below = [n for n in self.controls.below(turned) if n not in self.moved]
        self.controls.carry(rotations, heads, self.base, below)
        return replace(self, rotations=rotations, heads=heads)


def transfer(
    source: Motion, source_chains: Chains, target: Rig, target_chains: Chains, options: Options = DEFAULTS,
    parents: Mapping[str, str] | None = None, bends: Mapping[str, str] | None = None,
) -> Posed:  # fmt: skip
    """Move the target as the source moves.

    Args:
        source: at least the bones in `source_chains`.
        source_chains: canonical bone → bones of the source.
        target: the rig to move; bones that are not driven keep their present pose.
        target_chains: canonical bone → bones of the target.
        options: see there.
        parents: bone → bone that it follows, where the target's constraints make that another one than its parent.
        bends: see `tables.Table`.
    """
    driven = _driven(source_chains, target_chains, options)
    controls = Controls(target, (bone for chain in driven.values() for bone in chain), parents, bends)
    axes = _carried(source, source_chains)
    own = _rest(target, target_chains)

    joints = {bone: source.head(chain[0]) for bone, chain in source_chains.items() if bone != "root"}
    if options.at_target:
        aligned = rot.multiply(target.orientation, rot.conjugate(source.rig.orientation))
        origin = target.position - rot.rotate(aligned, source.rig.position)
        axes = {bone: rot.multiply(aligned, turned) for bone, turned in axes.items()}
        joints = {bone: rot.rotate(aligned, at) + origin for bone, at in joints.items()}
    if options.on_floor and (soles := _soles(joints, axes, source.rig, source_chains)):
        lowest = np.percentile(np.min(soles, axis=0), _LOWEST) * _UP
        joints = {bone: at - lowest for bone, at in joints.items()}
    scale = leg_length(target, target_chains) / leg_length(source.rig, source_chains)
    middle = (joints["thigh.L"] + joints["thigh.R"]) / 2
    joints, middle = _scaled(joints, middle, scale, options)
    for foot in ("foot.L", "foot.R"):
        if foot in joints and foot in target_chains:
            missing = ankle_height(target, target_chains) - scale * ankle_height(source.rig, source_chains)
            joints[foot] = joints[foot] + missing * rot.rotate(axes[foot][:, -1], _UP_OF_FOOT)

    base = np.broadcast_to(np.concatenate([target.position, target.orientation]), (len(source.frames), 7))
    ground = middle * [1.0, 1, 0]
    wanted = _distribute(axes, own, driven, target, source_chains, options)
    if options.root_motion != "HIPS":
        standing = rot.multiply(target.orientation, own["hips"])[None]
        turn = rot.turn(_UP, _heading(axes["hips"]) - _heading(standing)[0])
        if options.root_motion == "OBJECT":
            base = np.concatenate([ground, rot.multiply(turn, target.orientation)], axis=1)
            base[:, :3] -= rot.rotate(base[:, 3:], _standing(target, target_chains))
        elif "root" in driven:
            root = driven["root"][0]
            wanted[root] = rot.multiply(turn, rot.multiply(target.orientation, target.rest[root]))
    rotations = np.empty((len(source.frames), len(controls.bones), 4))
    for n, bone in enumerate(controls.bones):
        turned = wanted[bone]
        if (offset := options.offsets.get(target.names[bone])) is not None:
            turned = rot.multiply(turned, rot.from_euler(np.array(offset), "XYZ"))
        rotations[:, n] = turned

    moved, heads = _place(controls, driven, target_chains, rotations, base, middle, ground)
    return Posed(controls, driven, source.frames, rotations, heads, base, moved, joints)


_UP = np.array([0, 0, 1.0])
_UP_OF_FOOT = np.array([0, 1.0, 0])  # in the axes of `frames`


def leg_length(rig: Rig, chains: Chains) -> float:
    """Metres from hip joint to floor with the legs straight, mean of both sides."""
    lengths = []
    for side in (".L", ".R"):
        at = [rig.heads[chains[bone + side][0]] for bone in ("thigh", "shin", "foot") if bone + side in chains]
        if f"foot{side}" not in chains:
            at.append(rig.tails[chains[f"shin{side}"][-1]])
        lengths.append(sum(float(np.linalg.norm(b - a)) for a, b in pairwise(at)))
    return rig.scale * float(np.mean(lengths)) + ankle_height(rig, chains)


def ankle_height(rig: Rig, chains: Chains) -> float:
    """Metres from the soles to the ankles at rest, mean of both sides.

    The floor is where the armature's origin is, if the feet stand there at rest, or else at the feet's lowest point.
    Rigs whose feet say nothing of it get what is usual for the length of their shins.
    """
    heights = []
    up = body_axes(rig, chains)[:, 1]
    for side in (".L", ".R"):
        if f"foot{side}" not in chains:
            return 0.0
        foot, toes, shin = (chains.get(f"{bone}{side}", ()) for bone in ("foot", "toe", "shin"))
        ankle = rig.heads[foot[0]] @ up
        shank = float(np.linalg.norm(rig.heads[foot[0]] - rig.heads[shin[0]]))
        low = min(at @ up for at in (rig.heads[list(toes)] if toes else rig.tails[[foot[-1]]]))
        floor = 0.0 if -0.05 * shank < low < 0.2 * shank else low
        height = ankle - floor
        heights.append(height if _ANKLE[0] * shank < height < _ANKLE[1] * shank else _ANKLE_USUAL * shank)
    return rig.scale * float(np.mean(heights))


def _driven(source: Chains, target: Chains, options: Options) -> dict[str, tuple[int, ...]]:
    """The target's bones that the source has something for."""
    has = {bone for bone in source if bone != "root"}
    has |= {f"{bone}_twist" if not body.side(bone) else f"{body.kind(bone)}_twist{body.side(bone)}"
            for bone in has if body.kind(bone) in body.LIMBS}  # fmt: skip
    if options.root_motion == "ROOT":
        has.add("root")
    return {bone: chain for bone, chain in target.items() if bone in has}


def _rest(rig: Rig, chains: Chains) -> dict[str, np.ndarray]:
    """Canonical bone → quaternion (4,) of its axes in armature space."""
    axes = rest_axes(rig, chains)
    return dict(zip(axes, rot.matrix_to_quaternion(np.stack(list(axes.values()))), strict=True))


def _carried(source: Motion, chains: Chains) -> dict[str, np.ndarray]:
    """Canonical bone → (T, n, 4) the axes in the world that its n bones carry."""
    axes, carried = _rest(source.rig, chains), {}
    for bone, chain in chains.items():
        if bone != "root":
            lies = rot.multiply(rot.conjugate(source.rig.rest[list(chain)]), axes[bone])
            at = [source.bones.index(i) for i in chain]
            carried[bone] = rot.multiply(source.rotations[:, at], lies)
    return carried


def _distribute(
    axes: dict[str, np.ndarray], own: dict[str, np.ndarray], driven: Chains, target: Rig, source: Chains,
    options: Options,
) -> dict[int, np.ndarray]:  # fmt: skip
    """World rotations (T, 4) of the target's bones, by their indices."""
    ends = {bone: turned[:, -1] for bone, turned in axes.items()}
    # a forearm or shin that the source twists along its length starts without the twist
    ends |= {bone: turned[:, 0] for bone, turned in axes.items() if body.kind(bone) in ("forearm", "shin")}
    wanted: dict[int, np.ndarray] = {}
    for bone, chain in driven.items():
        kind = body.kind(bone)
        if kind == "root":
            continue
        if kind in ("spine", "neck"):
            below = ends["hips"] if kind == "spine" else ends.get("spine", ends["hips"])
            frames = _spread(below, axes[bone], len(chain))
        elif kind.removesuffix("_twist") in body.LIMBS:
            frames = _twisted(ends, own, bone, chain, driven, target, options.twist)
        elif kind in body.FINGERS:
            frames = [axes[bone][:, min(n, axes[bone].shape[1] - 1)] for n in range(len(chain))]
        elif kind == "shoulder" and options.clavicle != 1:
            chest = ends.get("spine", ends["hips"])
            frames = [rot.slerp(chest, ends[bone], options.clavicle)] * len(chain)
        else:
            frames = [ends[bone]] * len(chain)
        for i, frame in zip(chain, frames, strict=True):
            wanted[i] = rot.multiply(frame, rot.multiply(rot.conjugate(own[bone]), target.rest[i]))
    return wanted


def _spread(below: np.ndarray, knots: np.ndarray, count: int) -> list[np.ndarray]:
    """A chain of (T, n, 4) axes over `count` bones; what comes before the chain is at 0, its last bone at 1."""
    known = [below, *np.moveaxis(knots, 1, 0)]
    found = []
    for n in range(1, count + 1):
        place = n / count * (len(known) - 1)
        low = min(int(place + 1e-9), len(known) - 2)
        found.append(rot.slerp(known[low], known[low + 1], place - low))
    return found


def _twisted(
    ends: dict[str, np.ndarray], own: dict[str, np.ndarray], bone: str, chain: tuple[int, ...], driven: Chains,
    target: Rig, share: float,
) -> list[np.ndarray]:  # fmt: skip
    """Axes of a limb's bones that lie in a row, or beside each other, and share its twist.

    An upper arm twists less toward the shoulder, a forearm more toward the hand. Twist is the turn about the limb's
    own Y, from rest, against the chest or pelvis (upper) or of the hand or foot (lower).
    """
    kind, side = body.kind(bone), body.side(bone)
    limb = kind.removesuffix("_twist")
    whole = ends[f"{limb}{side}"]
    upper = limb in ("upper_arm", "thigh")
    shares = [share * (place - upper) for place in _places(bone, limb, chain, driven, target)]
    if upper:
        other = "spine" if limb == "upper_arm" and "spine" in ends and "spine" in own else "hips"
    else:
        other = ("hand" if limb == "forearm" else "foot") + side
    if not any(shares) or other not in ends or other not in own:
        return [whole] * len(chain)
    # how the two are turned against each other, apart from how they are at rest, in the limb's axes
    rest = rot.multiply(rot.conjugate(own[other]), own[f"{limb}{side}"])
    turned = rot.multiply(rot.conjugate(whole), ends[other], rest)
    angle = rot.twist(rot.conjugate(turned) if upper else turned, axis=1)
    return [rot.multiply(whole, rot.turn(np.array([0, 1.0, 0]), part * angle)) for part in shares]


def _places(bone: str, limb: str, chain: tuple[int, ...], driven: Chains, target: Rig) -> list[float]:
    """Where along the limb the bones of a chain lie: how much of the twist at its far end they have."""
    if not body.kind(bone).endswith("_twist"):
        upper = limb in ("upper_arm", "thigh")
        return [(n + upper) / len(chain) for n in range(len(chain))]
    side = body.side(bone)
    start = target.heads[driven[f"{limb}{side}"][0]]
    after = {"upper_arm": "forearm", "forearm": "hand", "thigh": "shin", "shin": "foot"}[limb] + side
    end = target.heads[driven[after][0]] if after in driven else target.tails[driven[f"{limb}{side}"][-1]]
    span = end - start
    along = [(target.heads[i] - start) @ span / max(span @ span, 1e-12) for i in chain]
    # one bone at the very start or end is there for the half of the limb that it begins or ends
    return [float(np.clip(place, 0.25, 0.75)) if len(chain) == 1 else float(np.clip(place, 0, 1)) for place in along]


def _soles(joints: dict[str, np.ndarray], axes: dict[str, np.ndarray], source: Rig, chains: Chains) -> list[np.ndarray]:
    """Heights (T,) m of the soles under the ankles."""
    down = -ankle_height(source, chains)
    feet = [foot for foot in ("foot.L", "foot.R") if foot in joints]
    return [(joints[foot] + down * rot.rotate(axes[foot][:, 0], _UP_OF_FOOT))[:, 2] for foot in feet]


def _scaled(
    joints: dict[str, np.ndarray], middle: np.ndarray, scale: float, options: Options
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joints, and the middle (T, 3) between the hip joints, in a body of another size.

    Heights scale with the legs. The way over the ground scales about where it begins, so that several people keep
    their places in one world; where it does not scale, feet stay where they are and legs have to reach them.
    """
    same_units = _SAME_UNITS[0] < scale < _SAME_UNITS[1]
    way = np.zeros_like(middle) if options.in_place else middle - middle[0]
    start = middle[0] if same_units else scale * middle[0]
    whole = options.scale_path or not same_units
    path = start + (scale if whole else 1.0) * way
    path[:, 2] = scale * middle[:, 2]
    feet = np.array([scale, scale, scale] if whole else [1.0, 1.0, scale])
    return {
        bone: path + (feet if body.kind(bone) in body.PARTS["feet"] else scale) * (at - middle)
        for bone, at in joints.items()
    }, path


def _heading(axes: np.ndarray) -> np.ndarray:
    """Angle (T,) rad about Z that axes (T, 1, 4) or (T, 4) face; continuous. Left and forward tell it together, since
    one of the two is seldom vertical."""
    axes = axes[:, -1] if axes.ndim == 3 else axes
    left, forward = rot.rotate(axes, np.array([1.0, 0, 0])), rot.rotate(axes, np.array([0, 0, 1.0]))
    return np.unwrap(np.arctan2(left[:, 1] + forward[:, 0], left[:, 0] - forward[:, 1]))


def _standing(rig: Rig, chains: Chains) -> np.ndarray:
    """(3,) m in the object's axes: from the object's origin to the floor under the body at rest."""
    up = body_axes(rig, chains)[:, 1]
    middle = np.mean([rig.heads[chains[f"thigh{side}"][0]] for side in (".L", ".R")], axis=0)
    length = leg_length(rig, chains) / rig.scale
    floor = 0.0 if abs(middle @ up - length) < 0.1 * length else middle @ up - length
    return rig.scale * (middle - (middle @ up - floor) * up)


def _place(
    controls: Controls, driven: Chains, all_chains: Chains, rotations: np.ndarray, base: np.ndarray,
    middle: np.ndarray, ground: np.ndarray,
) -> tuple[tuple[int, ...], np.ndarray]:  # fmt: skip
    """Which bones are moved, and the heads of all with the hip joints' middle at `middle`."""
    rig = controls.rig
    hips = controls.bones.index(driven["hips"][0])
    placed = {hips: np.zeros_like(middle)}
    if "root" in driven:
        root = controls.bones.index(driven["root"][0])
        rest = rig.scale * (rig.heads[driven["root"][0]] - _standing(rig, all_chains) / rig.scale)
        turned = rot.multiply(rotations[:, root], rot.conjugate(rig.rest[driven["root"][0]]))
        placed[root] = ground + rot.rotate(turned, rest)
    loose = _misplaced(controls, driven)
    heads = controls.heads(rotations, placed, base, loose)
    thighs = [controls.bones.index(driven[f"thigh{side}"][0]) for side in (".L", ".R")]
    heads[:, [hips, *controls.below([hips])]] += (middle - heads[:, thighs].mean(1))[:, None]
    return (*placed, *loose), heads


def _misplaced(controls: Controls, driven: Chains) -> dict[int, tuple[int, np.ndarray]]:
    """Bones that hang on the wrong one: which they belong to, and their heads from its, in its axes, m.

    Biped rigs hang thighs on the spine and shoulders on the neck; without help hips would swing with every bend.
    """
    rig, found = controls.rig, {}
    canonical = {bone: name for name, chain in driven.items() for bone in chain}
    for side in (".L", ".R"):
        for name, belongs, wrong in (
            (f"thigh{side}", "hips", ("spine",)),
            (f"shoulder{side}", "spine", ("neck", "head")),
            (f"upper_arm{side}", "spine", ("neck", "head")),
        ):
            if name not in driven or belongs not in driven:
                continue
            bone, owner = driven[name][0], driven[belongs][-1]
            n = controls.bones.index(bone)
            above = controls.parents[n]
            hangs_wrong = above >= 0 and canonical.get(controls.bones[above]) in wrong
            if hangs_wrong and not rig.connected[bone]:
                along = rot.rotate(rot.conjugate(rig.rest[owner]), rig.heads[bone] - rig.heads[owner])
                found[n] = controls.bones.index(owner), rig.scale * along
    return found
