"""A body told from how bones hang together, where their names say nothing. No bpy in here.

Pairs of mirrored chains leave a middle line: the pair that reaches lowest are the legs, the longest one above them are
the arms. Where the legs part are the hips, where the arms part is the chest, what goes on above it is neck and
head. In a chain, short bones are helpers, and knee and elbow are the joints nearest its middle.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .tables import Bones

_MIRRORED = 0.03  # of the body's size: how far off a mirrored joint may be
_HELPER = 0.03  # of the body's size: shorter pieces of a limb are helpers
_FOOT = 0.2  # of a leg's drop: what is lower than this over its end belongs to the foot


class _Pair(NamedTuple):
    """Two mirrored chains and the bone that they hang on."""

    at: int
    one: list[int]
    other: list[int]


def recognise(names: Sequence[str], parents: Sequence[int], heads: np.ndarray) -> Bones | None:
    """Canonical bone → bone names of a body in its rest pose; None where the bones are no body.

    Args:
        names: (B,) bones, parents before children.
        parents: (B,) index of the parent, -1 for none.
        heads: (B, 3) where they start at rest, any unit and axes.
    """
    if len(names) < 12:
        return None
    children: list[list[int]] = [[] for _ in names]
    for i, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(i)
    size = float(np.linalg.norm(np.ptp(heads, axis=0)))
    for axis in range(3):
        found = _body(names, parents, children, heads, axis, size)
        if found:
            return found
    return None


def _body(
    names: Sequence[str], parents: Sequence[int], children: list[list[int]], heads: np.ndarray, axis: int, size: float
) -> Bones | None:
    """The body, if `axis` is the one from right to left."""
    near = _MIRRORED * size
    pairs = []  # bone where both part, one child to the positive side and its mirror image
    for i, below in enumerate(children):
        if abs(heads[i, axis] - np.median(heads[:, axis])) > near:
            continue
        for a in (bone for bone in below if heads[_longest(bone, children, heads)[-1], axis] > heads[i, axis] + near):
            chain = _longest(a, children, heads)
            image = heads[chain].copy()
            image[:, axis] = 2 * heads[i, axis] - image[:, axis]
            for b in below:
                mirrored = _along(image, b, children, heads)
                if a != b and len(mirrored) == len(chain) and np.abs(heads[mirrored] - image).max() < near:
                    pairs.append(_Pair(i, chain, mirrored))
    pairs = [pair for pair in pairs if _length(heads[pair.one]) > 0.2 * size]
    if len(pairs) < 2:
        return None
    # "up" is the other axis along which ends of limbs and the place where they part differ most
    others = [k for k in range(3) if k != axis]
    up_axis = max(others, key=lambda k: max(abs(heads[p.one[-1], k] - heads[p.at, k]) for p in pairs))
    best = None
    for up in (1, -1):
        legs = max(pairs, key=lambda p: up * (heads[p.at, up_axis] - heads[p.one[-1], up_axis]))
        over = [p for p in pairs if up * (heads[p.at, up_axis] - heads[legs.at, up_axis]) > 0.05 * size]
        drop = up * (heads[legs.at, up_axis] - heads[legs.one[-1], up_axis])
        if over and drop > 0.2 * size and (best is None or drop > best[0]):
            best = drop, up, legs, max(over, key=lambda p: _length(heads[p.one]))
    if best is None:
        return None
    _, up, legs, arms = best
    path = _path(parents, arms.at, legs.at)
    if path is None:
        return None
    height = up * heads[:, up_axis]
    left_sign = _left(heads, legs, axis, up_axis, up)
    found: dict[str, tuple[int, ...]] = {"hips": (legs.at,), "spine": tuple(path)}
    above = _above(arms.at, children, heads, height, axis, near)
    if above:
        found["head"] = above[-1:]
        if above[:-1]:
            found["neck"] = above[:-1]
    for pair, name_chain in ((legs, _leg), (arms, _arm)):
        for chain in (pair.one, pair.other):
            side = ".L" if left_sign * (heads[chain[-1], axis] - heads[pair.at, axis]) > 0 else ".R"
            named = name_chain(chain, heads, height, size, children)
            if named is None:
                return None
            found |= {f"{bone}{side}": bones for bone, bones in named.items()}
    return {bone: tuple(names[i] for i in chain) for bone, chain in found.items() if chain}


def _longest(start: int, children: list[list[int]], heads: np.ndarray) -> list[int]:
    """The chain below a bone that goes on for the greatest length."""
    chain = [start]
    while below := children[chain[-1]]:
        chain.append(max(below, key=lambda b: _reach(b, children, heads) + np.linalg.norm(heads[b] - heads[chain[-1]])))
    return chain


def _reach(bone: int, children: list[list[int]], heads: np.ndarray) -> float:
    ways = (float(np.linalg.norm(heads[b] - heads[bone])) + _reach(b, children, heads) for b in children[bone])
    return max(ways, default=0.0)


def _length(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def _along(path: np.ndarray, start: int, children: list[list[int]], heads: np.ndarray) -> list[int]:
    """The chain below a bone that stays nearest to the points of a path."""
    chain = [start]
    for point in path[1:]:
        below = children[chain[-1]]
        if not below:
            break
        chain.append(min(below, key=lambda b: float(np.linalg.norm(heads[b] - point))))
    return chain


def _path(parents: Sequence[int], bone: int, top: int) -> list[int] | None:
    """Bones from below `top` down to `bone`, in that order; None where `bone` does not hang on `top`."""
    chain: list[int] = []
    while bone != top:
        chain.append(bone)
        bone = parents[bone]
        if bone < 0:
            return None
    return chain[::-1]


def _above(
    chest: int, children: list[list[int]], heads: np.ndarray, height: np.ndarray, axis: int, near: float
) -> tuple[int, ...]:
    """Bones of the middle line over the chest, upward, up to the last that others of the line hang on."""
    chain: list[int] = []
    bone = chest
    while True:
        below = [
            b
            for b in children[bone]
            if abs(heads[b, axis] - heads[chest, axis]) < near and height[b] > height[bone] - near
        ]
        if not below or len(chain) == 4:
            return tuple(chain)
        bone = max(below, key=lambda b: height[b])
        chain.append(bone)
        if len(children[bone]) > 2:
            return tuple(chain)


def _left(heads: np.ndarray, legs: _Pair, axis: int, up_axis: int, up: int) -> float:
    """+1 where left is toward the positive end of `axis`, else -1; toes tell what is forward."""
    toward = np.mean([heads[chain[-1]] - heads[chain[-2]] for chain in (legs.one, legs.other)], axis=0)
    forward, upward = np.zeros(3), np.zeros(3)
    ahead = 3 - axis - up_axis
    forward[ahead], upward[up_axis] = np.sign(toward[ahead]) or -1.0, up
    return float(np.cross(upward, forward)[axis])


def _leg(chain: list[int], heads: np.ndarray, height: np.ndarray, size: float, children: list) -> dict | None:
    chain = _without_helpers(chain, heads, size)
    top, bottom = height[chain[0]], height[chain[-1]]
    ankle = next((n for n in range(1, len(chain)) if height[chain[n]] - bottom < _FOOT * (top - bottom)), None)
    if ankle is None or ankle < 2:
        return None
    knee = _middle(heads[chain[: ankle + 1]])
    named = {"thigh": chain[:knee], "shin": chain[knee:ankle], "foot": chain[ankle : ankle + 1]}
    if len(chain) > ankle + 1:
        named["toe"] = chain[ankle + 1 : ankle + 2]
    return {bone: tuple(bones) for bone, bones in named.items()}


def _arm(chain: list[int], heads: np.ndarray, height: np.ndarray, size: float, children: list) -> dict | None:
    hand = next((n for n, bone in enumerate(chain) if len(children[bone]) >= 3), None)
    chain = _without_helpers(chain if hand is None else chain[: hand + 1], heads, size)
    if len(chain) < 3:
        return None
    first = np.linalg.norm(heads[chain[1]] - heads[chain[0]])
    shoulder = int(len(chain) > 3 and first < 0.4 * _length(heads[chain]))
    arm = chain[shoulder:]
    elbow = _middle(heads[arm])
    named = {"shoulder": chain[:shoulder], "upper_arm": arm[:elbow], "forearm": arm[elbow:-1], "hand": arm[-1:]}
    return {bone: tuple(bones) for bone, bones in named.items() if bones}


def _without_helpers(chain: list[int], heads: np.ndarray, size: float) -> list[int]:
    """The chain without bones that start where the next one does."""
    return [
        bone
        for n, bone in enumerate(chain)
        if n == len(chain) - 1 or np.linalg.norm(heads[chain[n + 1]] - heads[bone]) > _HELPER * size
    ]


def _middle(points: np.ndarray) -> int:
    """The inner joint of a chain nearest to the middle of its length."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return 1 + int(np.argmin(np.abs(along[1:-1] - along[-1] / 2)))
