"""An armature as numbers: how its bones hang together, where they rest, and what they do over time. No bpy in here.

All is said in armature space unless it says world. The world is metres with Z up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import rotations as rot

Chains = Mapping[str, tuple[int, ...]]
"""Canonical bone → indices of a rig's bones, from the body outward."""


@dataclass(frozen=True)
class Rig:
    """An armature object. B bones, parents before children.

    Attributes:
        names: bone names.
        parents: (B,) index of the parent, -1 for none.
        heads: (B, 3) rest.
        tails: (B, 3) rest.
        rest: (B, 4) quaternions of the bones' axes at rest.
        connected: (B,) bool, bones that cannot be moved.
        inherits: (B,) bool, bones that turn with their parent.
        local_location: (B,) bool, whose location is along their own axes instead of their parent's.
        pose_location: (B, 3) present pose.
        pose_rotation: (B, 4) present pose.
        modes: Blender's rotation mode of each bone.
        position: (3,) m, of the object in the world.
        orientation: (4,) of the object in the world.
        scale: of the object in the world.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    heads: np.ndarray
    tails: np.ndarray
    rest: np.ndarray
    connected: np.ndarray
    inherits: np.ndarray
    local_location: np.ndarray
    pose_location: np.ndarray
    pose_rotation: np.ndarray
    modes: tuple[str, ...]
    position: np.ndarray
    orientation: np.ndarray
    scale: float

    def chains(self, bones: Mapping[str, Iterable[str]]) -> dict[str, tuple[int, ...]]:
        """Bone names as indices; names that the rig lacks are left out."""
        index = {name: i for i, name in enumerate(self.names)}
        found = {bone: tuple(index[name] for name in chain if name in index) for bone, chain in bones.items()}
        return {bone: chain for bone, chain in found.items() if chain}

    def ancestors(self, bone: int) -> list[int]:
        """Parent, its parent, and so on."""
        found = []
        while (bone := self.parents[bone]) >= 0:
            found.append(bone)
        return found


@dataclass(frozen=True)
class Motion:
    """What some bones of a rig do, in the world. T frames, N bones.

    Attributes:
        rig: whose bones they are.
        bones: (N,) indices into the rig's bones, parents before children.
        frames: (T,) scene frames.
        rotations: (T, N, 4) quaternions of the bones' axes.
        heads: (T, N, 3) m.
    """

    rig: Rig
    bones: tuple[int, ...]
    frames: np.ndarray
    rotations: np.ndarray
    heads: np.ndarray

    def rotation(self, bone: int) -> np.ndarray:
        """(T, 4) of a bone given by its index in the rig."""
        return self.rotations[:, self.bones.index(bone)]

    def as_rest(self) -> Rig:
        """The rig with these bones resting as they are in the first frame."""
        rig, bones = self.rig, list(self.bones)
        back = rot.conjugate(rig.orientation)
        heads, rest, tails = rig.heads.copy(), rig.rest.copy(), rig.tails.copy()
        heads[bones] = rot.rotate(back, self.heads[0] - rig.position) / rig.scale
        rest[bones] = rot.multiply(back, self.rotations[0])
        turned = rot.multiply(rest[bones], rot.conjugate(rig.rest[bones]))
        tails[bones] = heads[bones] + rot.rotate(turned, rig.tails[bones] - rig.heads[bones])
        return replace(rig, heads=heads, rest=rest, tails=tails)

    def head(self, bone: int) -> np.ndarray:
        """(T, 3) m of a bone given by its index in the rig."""
        return self.heads[:, self.bones.index(bone)]


Posing = Sequence[np.ndarray] | np.ndarray
"""One array (..., 3) or (..., 4) a bone."""


def forward(
    rig: Rig, wanted: Iterable[int], location: Posing, rotation: Posing
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Where bones are when posed: armature-space rotations and heads by bone, of `wanted` and all their ancestors.

    Args:
        rig: its bones' scale is taken to be 1.
        wanted: indices of bones.
        location: B × (..., 3) of the pose.
        rotation: B × (..., 4) of the pose.
    """
    turned: dict[int, np.ndarray] = {}
    moved: dict[int, np.ndarray] = {}
    above = np.array(rig.parents)
    back = rot.conjugate(rig.rest[above])  # of bones without a parent it is not used
    along, lies = rot.rotate(back, rig.heads - rig.heads[above]), rot.multiply(back, rig.rest)
    for i in _with_ancestors(rig, wanted):
        parent, rest = rig.parents[i], rig.rest[i]
        if parent < 0:
            axes, at = rest, rig.heads[i]
        else:
            axes = rot.multiply(turned[parent], lies[i])
            at = moved[parent] + rot.rotate(turned[parent], along[i])
        if not rig.connected[i] and np.any(location[i]):
            # otherwise Blender moves along the parent's axes
            way = axes if rig.local_location[i] else turned.get(parent, rot.IDENTITY)
            at = at + rot.rotate(way, location[i])
        moved[i] = at
        turned[i] = rot.multiply(axes if rig.inherits[i] else rest, rotation[i])
    return turned, moved


def _with_ancestors(rig: Rig, wanted: Iterable[int]) -> list[int]:
    return sorted({j for i in wanted for j in (i, *rig.ancestors(i))})


class Controls:
    """The bones of a rig that are driven, and how they hang on each other when all others keep their present pose.

    Attributes:
        rig: the rig.
        bones: (N,) indices into the rig's bones, parents before children.
        parents: (N,) position in `bones` of the nearest driven bone above, -1 for none.
    """

    def __init__(
        self,
        rig: Rig,
        bones: Iterable[int],
        parents: Mapping[str, str] | None = None,
        bends: Mapping[str, str] | None = None,
    ) -> None:
        """See the class.

        Args:
            rig: the rig.
            bones: indices of the driven bones.
            parents: bone → bone it follows, where constraints make that another one than its parent.
            bends: bone → bone at whose head half of its turn becomes the whole.
        """
        self.rig = rig
        self._said = {rig.names.index(a): rig.names.index(b) if b in rig.names else -1
                      for a, b in (parents or {}).items() if a in rig.names}  # fmt: skip
        self.bones = tuple(self._sorted(sorted(set(bones))))
        place = {bone: n for n, bone in enumerate(self.bones)}
        location, rotation = rig.pose_location.copy(), rig.pose_rotation.copy()
        location[list(self.bones)], rotation[list(self.bones)] = 0, rot.IDENTITY
        turned, moved = forward(rig, self.bones, location, rotation)
        self.parents = tuple(next((place[a] for a in self._above(bone) if a in place), -1) for bone in self.bones)
        self._inherits = np.ones(len(self.bones), bool)
        self._axes = np.empty((len(self.bones), 4))  # without a rotation of its own, relative to the driven parent
        self._along = np.zeros((len(self.bones), 3))  # head from the driven parent's, in its axes
        self._way = np.empty((len(self.bones), 4))  # axes of the location, relative to the driven parent
        self._fixed = np.zeros((len(self.bones), 3))  # and in the armature's, past a bone that does not turn
        for n, (bone, parent) in enumerate(zip(self.bones, self.parents, strict=True)):
            if bone in self._said:  # constraints: what lies between rests
                turned[bone], moved[bone] = rig.rest[bone], rig.heads[bone]
            way = turned.get(rig.parents[bone], rot.IDENTITY)
            if rig.local_location[bone]:
                rests = rig.rest[rig.parents[bone]] if rig.parents[bone] >= 0 else rot.IDENTITY
                way = rot.multiply(way, rot.conjugate(rests), rig.rest[bone])
            if parent < 0:
                self._axes[n], self._fixed[n], self._way[n] = turned[bone], moved[bone], way
                continue
            above = self.bones[parent]
            base = rig.rest[above] if bone in self._said else turned[above]
            at = rig.heads[above] if bone in self._said else moved[above]
            between = [] if bone in self._said else rig.ancestors(bone)[: rig.ancestors(bone).index(above)]
            stiff = [b for b in between if not rig.inherits[b]]
            self._inherits[n] = rig.inherits[bone] and not stiff
            bend = moved[stiff[-1]] if stiff else moved[bone]
            self._along[n] = rot.rotate(rot.conjugate(base), bend - at)
            self._fixed[n] = moved[bone] - bend
            turns = rot.multiply(rot.conjugate(base), turned[bone])
            self._axes[n] = turns if self._inherits[n] else turned[bone]
            self._way[n] = rot.multiply(rot.conjugate(base), way)
        self._bends: dict[int, np.ndarray] = {}
        for name, joint in (bends or {}).items():
            if {name, joint} <= set(rig.names) and (index := rig.names.index(name)) in place:
                to_bend = rig.heads[rig.names.index(joint)] - rig.heads[index]
                self._bends[place[index]] = rot.rotate(rot.conjugate(rig.rest[index]), to_bend)

    def _above(self, bone: int) -> list[int]:
        """Bones above in the order met, by what the rig's constraints make of its hierarchy."""
        if bone not in self._said:
            return self.rig.ancestors(bone)
        found: list[int] = []
        while (bone := self._said.get(bone, -1)) >= 0 and bone not in found:
            found.append(bone)
        return found

    def _sorted(self, bones: list[int]) -> list[int]:
        depth = {bone: len(self._above(bone)) for bone in bones}
        return sorted(bones, key=lambda bone: (depth[bone], bone))

    def heads(
        self,
        rotations: np.ndarray,
        placed: Mapping[int, np.ndarray],
        base: np.ndarray,
        hung: Mapping[int, tuple[int, np.ndarray]] | None = None,
    ) -> np.ndarray:
        """World heads (T, N, 3) m of the driven bones.

        Args:
            rotations: (T, N, 4) in the world.
            placed: position in `bones` → (T, 3) m, of bones that are moved to where they have to be.
            base: (T, 7) position and orientation of the armature object.
            hung: position in `bones` → the position of the one it is moved along with, and its head from that one's,
                in that one's axes, m.
        """
        heads = np.empty((*rotations.shape[:2], 3))
        for n in range(len(self.bones)):
            if n in placed:
                heads[:, n] = placed[n]
            elif hung and n in hung:
                owner, along = hung[n]
                heads[:, n] = heads[:, owner] + rot.rotate(rotations[:, owner], along)
            else:
                heads[:, n] = self._hang(n, rotations, heads, base)
        return heads

    def below(self, bones: Iterable[int]) -> list[int]:
        """Positions of the bones that hang on any of `bones`, given by their positions, in order."""
        above = set(bones)
        found = []
        for n, parent in enumerate(self.parents):
            if parent in above:
                above.add(n)
                found.append(n)
        return found

    def carry(self, rotations: np.ndarray, heads: np.ndarray, base: np.ndarray, bones: Iterable[int]) -> None:
        """Put bones, parents before children, in `heads` to where they hang; see there for the arguments."""
        for n in bones:
            heads[:, n] = self._hang(n, rotations, heads, base)

    def _hang(self, n: int, rotations: np.ndarray, heads: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Where bone n is unless it is moved."""
        parent, fixed = self.parents[n], self.rig.scale * self._fixed[n]
        if parent < 0:
            return base[:, :3] + rot.rotate(base[:, 3:], fixed)
        along = self.rig.scale * self._along[n]
        at = heads[:, parent]
        if parent in self._bends:
            above, to_bend = self.parents[parent], self.rig.scale * self._bends[parent]
            carried = rotations[:, above] if above >= 0 else base[:, 3:]
            half = rot.slerp(rot.multiply(carried, self._axes[parent]), rotations[:, parent], 0.5)
            at, along = at + rot.rotate(half, to_bend), along - to_bend
        at = at + rot.rotate(rotations[:, parent], along)
        return at + rot.rotate(base[:, 3:], fixed) if fixed.any() else at

    def pose(
        self, rotations: np.ndarray, heads: np.ndarray, base: np.ndarray, moved: Iterable[int]
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Rotations (T, N, 4) that pose bones hold, and locations (T, 3) of those at the positions `moved`.

        See `heads` for the other arguments.
        """
        held = np.empty_like(rotations)
        for n, parent in enumerate(self.parents):
            carried = rotations[:, parent] if parent >= 0 and self._inherits[n] else base[:, 3:]
            held[:, n] = rot.multiply(
                rot.conjugate(self._axes[n]), rot.multiply(rot.conjugate(carried), rotations[:, n])
            )
        locations = {}
        for n in moved:
            step = (heads[:, n] - self._hang(n, rotations, heads, base)) / self.rig.scale
            parent = self.parents[n]
            along = rot.multiply(rotations[:, parent] if parent >= 0 else base[:, 3:], self._way[n])
            locations[n] = rot.rotate(rot.conjugate(along), step)
        return held, locations
