"""Candidate joints to people: an affinity matrix from part-affinity maps, and constrained clustering of it.

Affinities are line integrals of the part-affinity maps (Cao et al. 2017, eq. 10). People are the clusters of an
agglomerative clustering with average linkage under the constraint that a cluster holds at most one joint of a type.
"""

import heapq
import itertools

import numpy as np

from vp3d.detect.layout import ALL_KEYPOINTS, FEET_LIMBS, LIGHTWEIGHT_OPENPOSE, LIMBS, STRIDE
from vp3d.detect.peaks import Peaks

MIN_AFFINITY = 0.2
"""Clusters merge while their mean affinity is at least this."""
MIN_JOINTS = 4
"""Three, and the neck, which is no joint of the result."""
MIN_TRUNK_JOINTS = 2
"""Of neck, shoulders and hips: an arm or a leg alone is a fragment, to be given to the person it belongs to."""
MIN_MEAN_SCORE = 0.5
"""Mean per joint of joint and limb scores: people reach 0.55 (lying) to 1.8, most trees and chairs 0.3…0.5."""

_TRUNK = [i for i, name in enumerate(ALL_KEYPOINTS) if name == "neck" or name.endswith(("shoulder", "hip"))]
_SAMPLES = 10
_PROBES = (2, 5, 7)  # samples looked at first: most pairs have nothing between them
_MIN_SAMPLE = 0.05
_MIN_SUPPORT = 0.8
_SHORT = 0.75 * STRIDE  # px; below this the direction of a pair is mostly noise
_SWAP_GAIN = 0.1
_EXCHANGE_GAIN = 0.02
_STEP = STRIDE / 2  # px between samples while following a limb
_LONGEST_STEPS = 80
_MIN_FIELD = 0.3
_MEET = 2.5 * STRIDE  # px; ends of two followed limbs nearer than this may be one missed joint

_LIMBS = LIMBS + FEET_LIMBS
_CHANNELS = np.array([limb.channel for limb in _LIMBS])
_TREE_NEIGHBOURS = [0] * len(ALL_KEYPOINTS)  # bit mask of the joint types a type is joined to
for _limb in _LIMBS:
    if _limb.tree:
        _a, _b = _limb.joints
        _TREE_NEIGHBOURS[_a] |= 1 << _b
        _TREE_NEIGHBOURS[_b] |= 1 << _a


def _branch(start: int, parent: int) -> list[int]:
    """Joint types on the far side of a limb of the tree."""
    near = [k for k in range(len(ALL_KEYPOINTS)) if _TREE_NEIGHBOURS[start] >> k & 1 and k != parent]
    return [start, *(k for child in near for k in _branch(child, start))]


_BRANCHES = [
    (branch, [k for k in range(len(ALL_KEYPOINTS)) if k not in branch])
    for branch in (_branch(limb.joints[1], limb.joints[0]) for limb in _LIMBS if limb.tree)
]


def affinity_matrix(
    peaks: Peaks, affinity_maps: np.ndarray, centre: float = LIGHTWEIGHT_OPENPOSE.affinity_centre
) -> np.ndarray:
    """Affinity between all candidate joints.

    Args:
        peaks: N candidates.
        affinity_maps: (M, h, w) float, x and y components per limb.
        centre: where in its cell a value of the maps belongs, px.

    Returns:
        (N, N) float64, symmetric, 0…1. Between two joints that a limb connects: mean projection of the maps on the
        line between them, 0 where less than 80 % of the line is supported. Between two joints of two limbs that meet
        in a joint nobody found: how near the ends of the two limbs come, followed along the maps. 0 for all others.
    """
    result = np.zeros((len(peaks), len(peaks)))
    first, second, limb = _pairs(peaks, len(affinity_maps))
    if len(first) == 0:
        return result
    start, end = peaks.position[first], peaks.position[second]
    delta = end - start
    length = np.linalg.norm(delta, axis=1)
    direction = delta / np.maximum(length, 1e-6)[:, None]
    channel = _CHANNELS[limb]

    def project(rows: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        at = start[rows, None] + delta[rows, None] * fractions[:, None]
        x, y = _sample(affinity_maps, channel[rows], at, centre)
        return x * direction[rows, 0, None] + y * direction[rows, 1, None]

    fractions = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    every = np.arange(len(first))
    short = length < _SHORT
    likely = every[short | ((project(every, fractions[list(_PROBES)]) > _MIN_SAMPLE).sum(axis=1) >= 2)]
    samples = project(likely, fractions)
    supported = (samples > _MIN_SAMPLE).mean(axis=1) >= _MIN_SUPPORT
    affinity = np.where(supported, samples.mean(axis=1), 0.0).clip(0.0, 1.0)
    # OpenPose gives such pairs the least score that passes.
    affinity = np.where(short[likely], np.maximum(affinity, MIN_AFFINITY), affinity)
    result[first[likely], second[likely]] = affinity
    result = np.maximum(result, result.T)
    _bridge(result, peaks, affinity_maps, centre)
    return result


def _bridge(affinity: np.ndarray, peaks: Peaks, maps: np.ndarray, centre: float) -> None:
    """Connect, in place, joints on both sides of a missed one.

    A joint without a partner still lies on a limb of the maps, and that limb ends where the missing partner must be.
    """
    owners, targets, limbs, signs = [], [], [], []
    for number, limb in enumerate(_LIMBS):
        if not limb.tree or limb.channel >= len(maps):
            continue
        for (near, far), sign in ((limb.joints, 1), (limb.joints[::-1], -1)):
            candidates = np.nonzero(peaks.kind == near)[0]
            partners = affinity[np.ix_(candidates, peaks.kind == far)]
            alone = candidates[~(partners >= MIN_AFFINITY).any(axis=1)]
            owners.append(alone)
            targets.append(np.full(len(alone), far))
            limbs.append(np.full(len(alone), number))
            signs.append(np.full(len(alone), sign))
    owner, target, limb, sign = (np.concatenate(part) for part in (owners, targets, limbs, signs))
    end, found = _follow(peaks.position[owner], limb, sign, maps, centre)
    owner, target, end = owner[found], target[found], end[found]
    distance = np.linalg.norm(end[:, None] - end[None], axis=-1)
    meets = (target[:, None] == target) & (peaks.kind[owner][:, None] != peaks.kind[owner]) & (distance < _MEET)
    i, j = np.nonzero(meets)
    affinity[owner[i], owner[j]] = 1 - distance[i, j] / _MEET


def _follow(
    start: np.ndarray, limb: np.ndarray, sign: np.ndarray, maps: np.ndarray, centre: float
) -> tuple[np.ndarray, np.ndarray]:
    """Walk from joints along their limbs' maps, in the mean direction so far, to where the limb ends.

    Args:
        start: (M, 2) px.
        limb: (M,) index into the limbs.
        sign: (M,) 1 to walk with the field, -1 against it.
        maps: (M, h, w).

    Returns:
        Ends (M, 2) px, and (M,) bool, whether there was a limb to follow.
    """
    channel = _CHANNELS[limb]
    heading, steps, walking = np.zeros_like(start), np.zeros(len(start)), np.arange(len(start))
    for step in range(_LONGEST_STEPS):
        direction = heading[walking] / np.maximum(np.linalg.norm(heading[walking], axis=1, keepdims=True), 1e-6)
        at = start[walking] + step * _STEP * direction
        field = np.stack(_sample(maps, channel[walking], at[:, None], centre), axis=-1)[:, 0]
        field *= sign[walking, None]
        along = (field * direction).sum(axis=1) if step else np.linalg.norm(field, axis=1)
        inside = ((at >= 0) & (at <= np.array(maps.shape[:0:-1]) * STRIDE)).all(axis=1)
        go = (along > _MIN_FIELD) & inside
        walking = walking[go]
        if len(walking) == 0:
            break
        heading[walking] += field[go]
        steps[walking] = step
    heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-6)
    # Limbs are drawn about one cell longer than they are at each end.
    return start + heading * np.maximum(steps * _STEP - STRIDE, 0)[:, None], steps * _STEP > STRIDE


def _pairs(peaks: Peaks, maps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of all candidate pairs that a limb connects, and of the limb, as far as there are maps."""
    bounds = np.searchsorted(peaks.kind, np.arange(len(ALL_KEYPOINTS) + 1))
    first, second, limbs = [], [], []
    for number, limb in enumerate(_LIMBS):
        if limb.channel >= maps:
            continue
        a, b = (np.arange(bounds[kind], bounds[kind + 1]) for kind in limb.joints)
        first.append(np.repeat(a, len(b)))
        second.append(np.tile(b, len(a)))
        limbs.append(np.full(len(a) * len(b), number))
    return np.concatenate(first), np.concatenate(second), np.concatenate(limbs)


def _sample(maps: np.ndarray, channel: np.ndarray, at: np.ndarray, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear samples of two neighbouring channels: (M,) first channels, (M, S, 2) px to two (M, S)."""
    height, width = maps.shape[1:]
    cell = (at - centre) / STRIDE
    u = cell[..., 0].clip(0, width - 1)
    v = cell[..., 1].clip(0, height - 1)
    left = np.minimum(u.astype(np.intp), max(width - 2, 0))
    top = np.minimum(v.astype(np.intp), max(height - 2, 0))
    fu, fv = u - left, v - top
    flat = maps.reshape(-1)
    right, below = min(1, width - 1), width * min(1, height - 1)
    base = (channel[:, None] * height + top) * width + left
    weights = ((1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv)
    offsets = (0, right, below, below + right)

    def blend(start: np.ndarray) -> np.ndarray:
        return sum(weight * flat[start + offset] for weight, offset in zip(weights, offsets, strict=True))

    return blend(base), blend(base + height * width)


def group(peaks: Peaks, affinity: np.ndarray) -> list[np.ndarray]:
    """Cluster candidate joints into people.

    Args:
        peaks: N candidates.
        affinity: (N, N) from `affinity_matrix`.

    Returns:
        One (22,) int array per person: the candidate of each joint in the order of `ALL_KEYPOINTS`, -1 where absent.
    """
    clusters = [np.array(members) for members in _agglomerate(peaks.kind, affinity)]
    people = [_plausible(members, peaks, affinity) for members in clusters]
    slots = np.full((sum(people), len(ALL_KEYPOINTS)), -1)
    for slot, members in zip(slots, itertools.compress(clusters, people), strict=True):
        slot[peaks.kind[members]] = members
    fragments = [members for members, person in zip(clusters, people, strict=True) if not person]
    if len(slots):
        _place(slots, fragments, peaks.kind, affinity)
        _exchange(slots, affinity)
    return [slot for slot in slots if _plausible(slot[slot >= 0], peaks, affinity)]


def _plausible(members: np.ndarray, peaks: Peaks, affinity: np.ndarray) -> bool:
    if len(members) < MIN_JOINTS or np.isin(peaks.kind[members], _TRUNK).sum() < MIN_TRUNK_JOINTS:
        return False
    # Each limb counts once: half the sum of a symmetric matrix.
    total = peaks.score[members].sum() + 0.5 * affinity[np.ix_(members, members)].sum()
    return total / len(members) >= MIN_MEAN_SCORE


def _agglomerate(kind: np.ndarray, affinity: np.ndarray) -> list[list[int]]:
    """Merge the two most alike clusters that share no joint type, until none are alike enough."""
    members = {i: [i] for i in range(len(kind))}
    mask = {i: 1 << int(k) for i, k in enumerate(kind)}
    rows, columns = np.nonzero(np.triu(affinity))
    sums: dict[int, dict[int, float]] = {i: {} for i in members}
    heap = []
    for i, j, value in zip(rows.tolist(), columns.tolist(), affinity[rows, columns].tolist(), strict=True):
        sums[i][j] = sums[j][i] = value
        if value >= MIN_AFFINITY:
            heap.append((-value, i, j))
    heapq.heapify(heap)
    new = len(members)
    while heap:
        _, a, b = heapq.heappop(heap)
        # A merged cluster gets a new number, so entries of its parts are recognised as out of date.
        if a not in members or b not in members or mask[a] & mask[b]:
            continue
        members[new] = members.pop(a) + members.pop(b)
        mask[new] = mask.pop(a) | mask.pop(b)
        linked = sums.pop(a)
        for other, value in sums.pop(b).items():
            linked[other] = linked.get(other, 0.0) + value
        linked.pop(a, None), linked.pop(b, None)
        sums[new] = linked
        for other, value in linked.items():
            neighbours = sums[other]
            neighbours.pop(a, None), neighbours.pop(b, None)
            neighbours[new] = value
            if not mask[new] & mask[other]:
                mean = value / max(_tree_limbs(mask[new], mask[other]), 1)
                if mean >= MIN_AFFINITY:
                    heapq.heappush(heap, (-mean, new, other))
        new += 1
    return list(members.values())


def _tree_limbs(a: int, b: int) -> int:
    """How many limbs of the body's tree run between two sets of joint types."""
    return sum((near & b).bit_count() for kind, near in enumerate(_TREE_NEIGHBOURS) if a >> kind & 1)


def _place(slots: np.ndarray, fragments: list[np.ndarray], kind: np.ndarray, affinity: np.ndarray) -> None:
    """Give clusters that are no people to people, best gain first, where they are worth more than what sits there.

    Clustering decides on early, partial clusters; here a fragment is judged against finished people: by its affinity to
    the person and inside itself, less that of the joints it displaces.

    Args:
        slots: (P, 22) candidates of each person's joints, -1 where absent; changed.
        fragments: candidates of each fragment; changed.
        kind: (N,) joint type of each candidate.
        affinity: (N, N).
    """
    for _ in range(len(kind)):
        person, joint = np.nonzero(slots >= 0)
        member = np.zeros((len(kind), len(slots)))
        member[slots[person, joint], person] = 1
        fit = affinity @ member
        best, gain = None, _SWAP_GAIN
        for number, piece in enumerate(fragments):
            inside = 0.5 * affinity[np.ix_(piece, piece)].sum()
            for other in np.nonzero(fit[piece].sum(axis=0) >= MIN_AFFINITY)[0]:
                displaced = slots[other, kind[piece]]
                displaced = displaced[displaced >= 0]
                lost = fit[displaced, other].sum() - 0.5 * affinity[np.ix_(displaced, displaced)].sum()
                gained = fit[piece, other].sum() - affinity[np.ix_(piece, displaced)].sum()
                if gained >= MIN_AFFINITY and gained + inside - lost > gain:
                    best, gain = (number, other, displaced), gained + inside - lost
        if best is None:
            return
        number, other, displaced = best
        piece = fragments.pop(number)
        slots[other, kind[piece]] = piece
        if len(displaced):
            fragments.append(displaced)


def _exchange(slots: np.ndarray, affinity: np.ndarray) -> None:
    """Swap branches (an arm, a foot, a head …) between two people, in place, while that raises their affinity."""
    # Index -1, an absent joint, is the last row and column: affinity to nothing.
    padded = np.pad(affinity, (0, 1))
    everyone = np.arange(len(slots))
    for _ in range(2 * len(slots)):
        changed = False
        for branch, rest in _BRANCHES:
            # [p, q]: person p's rest with person q's branch.
            fit = padded[slots[:, rest][:, None, :, None], slots[:, branch][None, :, None, :]].sum(axis=(2, 3))
            own = fit[everyone, everyone]
            gain = fit + fit.T - own[:, None] - own
            a, b = np.unravel_index(np.argmax(gain), gain.shape)
            if gain[a, b] > _EXCHANGE_GAIN:
                slots[np.ix_([a, b], branch)] = slots[np.ix_([b, a], branch)]
                changed = True
        if not changed:
            return
