"""Feet that stay where they stand. No bpy in here.

A foot in contact gets one place and one direction, and lies level. What that moves it by fades out around the contact.
The root takes its share first, so that the legs bend less; then each leg reaches for what is left. All of it is
limited: a contact that is wrong pulls a little instead of tearing the pose. Before all that, the motion as a whole
comes down or up to the floor on which the feet stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..retarget import rotations as rot
from ..retarget.reach import bend_to
from .contacts import runs
from .smooth import convolve, gaussian_kernel

_UP = np.array([0, 0, 1.0])
_SOLE_AHEAD = np.array([0, 0, 1.0])  # in a foot's axes
_ON_FLOOR = (-0.5, 0.1)  # m over the floor: soles that stand there stand on it; higher ones do on something else
_HASTE = 1.0  # m/s, that coming and going may add to a foot's speed
_HASTE_TURNING = 6.0  # rad/s, the same of its turning
_STEEPEST = 1.5  # slope of the smooth step by which a foot comes and goes
_ROOT_TIME = 0.15  # s, over which the root follows the feet
_ROOT_TRUST = 0.05  # weight of staying, against that of a standing foot
_BELIEVED = (0.02, 0.05)  # m farther than usual that a foot is from its place: the root follows all, and none, of it
_SOFT = 0.004  # of a leg's length, short of straight: there the root comes down, and the leg reaches no farther


@dataclass(frozen=True)
class Settings:
    """How to hold feet.

    Attributes:
        strength: 0..1 of the way to the held place.
        blend: frames before and after a contact over which the foot comes and goes, or more where it was moved far.
        root_limit: m, farthest that the root is moved, apart from the height that all of the motion gains or loses;
            0 for a root that stays.
        sink_limit: m, farthest that it comes down besides, to where straight legs reach.
        reach_limit: m, farthest that a foot is moved.
        turn_limit: rad, farthest that a foot is turned.
        floor: m, height of the floor in the world; None for no floor.
    """

    strength: float = 1.0
    blend: int = 5
    root_limit: float = 0.02
    sink_limit: float = 0.05
    reach_limit: float = 0.15
    turn_limit: float = np.radians(45)
    floor: float | None = 0.0


@dataclass(frozen=True)
class Leg:
    """A leg in the world. Axes of foot and toe are left, up and forward of the sole (`retarget.frames`).

    Attributes:
        hip: (T, 3) m.
        knee: (T, 3) m.
        ankle: (T, 3) m.
        hinge: (T, 3) unit, the thigh's axis of flexion.
        foot: (T, 4) quaternions of the sole's axes, carried by the foot.
        toe: (T, 4) the same carried by the toes; equal to `foot` where there are none.
        height: m from sole to ankle.
        ball: m that the toes start in front of the ankle.
        tip: m that they end in front of it.
        heel: m that the heel ends behind it.
        width: m, of the heel.
    """

    hip: np.ndarray
    knee: np.ndarray
    ankle: np.ndarray
    hinge: np.ndarray
    foot: np.ndarray
    toe: np.ndarray
    height: float
    ball: float
    tip: float
    heel: float = 0.0
    width: float = 0.0

    @property
    def sole(self) -> np.ndarray:
        """(T, 3, 3) m: under the end of the heel, under the ball of the foot, at the tip of the toes."""
        heel = self.ankle + rot.rotate(self.foot, [0, -self.height, -self.heel])
        ball = self.ankle + rot.rotate(self.foot, [0, -self.height, self.ball])
        return np.stack([heel, ball, ball + rot.rotate(self.toe, [0, 0, self.tip - self.ball])], axis=1)


@dataclass(frozen=True)
class Turns:
    """What a leg's bones turn by in the world, (T, 4) each."""

    thigh: np.ndarray
    shin: np.ndarray
    foot: np.ndarray
    toe: np.ndarray


def lock(
    legs: Sequence[Leg],
    contacts: np.ndarray,
    dt: float,
    settings: Settings = Settings(),
    pieces: Sequence[slice] = (slice(None),),
) -> tuple[np.ndarray, list[Turns]]:
    """Hold the feet in contact: (T, 3) m to move the root by, and what the bones of each leg turn by.

    Args:
        legs: the legs, L of them.
        contacts: (T, L) bool.
        dt: s between frames.
        settings: see there.
        pieces: stretches of frames, one after the other, with gaps in the motion between them.
    """
    lift = _lift(legs, contacts, settings)
    legs = [replace(leg, hip=leg.hip + lift, knee=leg.knee + lift, ankle=leg.ankle + lift) for leg in legs]
    parts = [_lock([_cut(leg, piece) for leg in legs], contacts[piece], dt, settings) for piece in pieces]
    roots, turns = zip(*parts, strict=True)
    return np.concatenate(roots) + lift, [_join(parts) for parts in zip(*turns, strict=True)]


def _lock(legs: list[Leg], contacts: np.ndarray, dt: float, settings: Settings) -> tuple[np.ndarray, list[Turns]]:
    places = [_places(leg, down, settings) for leg, down in zip(legs, contacts.T, strict=True)]
    beliefs = _believed(legs, places, contacts)
    held = [_planted(*one, dt, settings) for one in zip(legs, places, beliefs, contacts.T, strict=True)]
    root = _root(legs, [way * belief for way, *_, belief in held], [w * belief for *_, w, belief in held], dt, settings)
    turns = []
    for leg, (way, foot, toe, weight, _) in zip(legs, held, strict=True):
        goal, foot, toe = _over_floor(leg, leg.ankle + way + (1 - weight) * root, foot, toe, dt, settings)
        bent = bend_to(leg.hip + root, leg.knee + root, leg.ankle + root, goal, leg.hinge, _SOFT)
        turns.append(Turns(*bent, foot, toe))
    return root, turns


def _cut(leg: Leg, piece: slice) -> Leg:
    return replace(leg, **{name: value[piece] for name, value in vars(leg).items() if isinstance(value, np.ndarray)})


def _join(parts: Sequence[Turns]) -> Turns:
    return Turns(*(np.concatenate([getattr(part, bone.name) for part in parts]) for bone in fields(Turns)))


def moved(leg: Leg, root: np.ndarray, turns: Turns) -> Leg:
    """The leg as `lock` leaves it."""
    knee = leg.hip + root + rot.rotate(turns.thigh, leg.knee - leg.hip)
    return replace(
        leg,
        hip=leg.hip + root,
        knee=knee,
        ankle=knee + rot.rotate(turns.shin, leg.ankle - leg.knee),
        hinge=rot.rotate(turns.thigh, leg.hinge),
        foot=rot.multiply(turns.foot, leg.foot),
        toe=rot.multiply(turns.toe, leg.toe),
    )


def _lift(legs: Sequence[Leg], contacts: np.ndarray, settings: Settings) -> np.ndarray:
    """(3,) m from where the feet stand, on the whole, to the floor; nothing where they stand on something else."""
    ground = np.concatenate([leg.ankle[down, 2] - leg.height for leg, down in zip(legs, contacts.T, strict=True)])
    if not len(ground) or not settings.root_limit:
        return np.zeros(3)
    height = float(np.median(ground))
    return settings.strength * (_surface(height, settings) - height) * _UP


def _surface(height: float, settings: Settings) -> float:
    """What soles at a height stand on, m: the floor if it is near, or else something of that height."""
    on_floor = settings.floor is not None and _ON_FLOOR[0] < height - settings.floor < _ON_FLOOR[1]
    return settings.floor if on_floor else height


def _places(leg: Leg, down: np.ndarray, settings: Settings) -> np.ndarray:
    """Where the ankle is held (T, 3) m while `down`, and where it is else."""
    place = leg.ankle.copy()
    for start, end in runs(down):
        place[start:end] = np.median(leg.ankle[start:end], axis=0)
        place[start:end, 2] = _surface(place[start, 2] - leg.height, settings) + leg.height
    return place


def _believed(legs: Sequence[Leg], places: Sequence[np.ndarray], contacts: np.ndarray) -> list[np.ndarray]:
    """How much each foot is believed to stand, (T, 1) a leg: contacts through which a foot goes farther from its place
    than through others may be wrong, and the root shall not follow these."""
    far = [np.linalg.norm(place - leg.ankle, axis=-1) for leg, place in zip(legs, places, strict=True)]
    known = [(side, slice(*run)) for side, down in enumerate(contacts.T) for run in runs(down)]
    farthest = [float(far[side][run].max()) for side, run in known]
    usual = sorted(farthest)[(len(farthest) - 1) // 2] if farthest else 0.0
    beliefs = [np.ones((len(down), 1)) for down in contacts.T]
    for (side, run), way in zip(known, farthest, strict=True):
        beliefs[side][run] = np.interp(way - 2 * usual, _BELIEVED, (1, 0))
    return beliefs


def _planted(
    leg: Leg, place: np.ndarray, belief: np.ndarray, down: np.ndarray, dt: float, settings: Settings
) -> tuple[np.ndarray, ...]:
    """To be at `place` (T, 3) while `down`: what a foot is moved by (T, 3), what it and its toes turn by (T, 4), how
    held it is (T, 1), and how much it is believed that it stands (T, 1), blends included."""
    level = leg.foot.copy()
    # a foot that points straight down is taken to face where its leg bends to
    ahead = rot.rotate(leg.foot, _SOLE_AHEAD) + 1e-3 * np.cross(leg.hinge, _UP)
    for start, end in runs(down):
        level[start:end] = _level(ahead[start:end].mean(0))
    way = settings.strength * _limited(place - leg.ankle, settings.reach_limit)
    turned = [settings.strength * _limited(_vector(rot.multiply(level, rot.conjugate(now))), settings.turn_limit)
              for now in (leg.foot, leg.toe)]  # fmt: skip
    # a foot that was moved far needs longer to come back without haste
    length = np.full(len(down), float(settings.blend))
    for offset, haste in zip((way, *turned), (_HASTE, _HASTE_TURNING, _HASTE_TURNING), strict=True):
        length = np.maximum(length, _STEEPEST * np.linalg.norm(offset, axis=-1) / (haste * dt))
    way, foot, toe, weight, believed = (_fade(v, down, length) for v in (way, *turned, np.ones_like(belief), belief))
    return way, _quaternion(foot), _quaternion(toe), weight, believed / np.maximum(weight, 1e-9)


def _fade(offset: np.ndarray, down: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Offsets (T, C) while `down`; beside it those of its first or last frame, going to 0 over `length` (T,) frames
    of that one, or sooner to those of the next time it is down."""
    place, last = np.arange(len(down)), len(down) - 1
    before = np.maximum.accumulate(np.where(down, place, -1))
    after = np.minimum.accumulate(np.where(down, place, last + 1)[::-1])[::-1]
    gap = np.where((before >= 0) & (after <= last), after - before, np.inf)
    total, weight = np.zeros_like(offset), np.zeros((len(down), 1))
    for nearest, exists in ((before, before >= 0), (after, after <= last)):
        edge = np.clip(nearest, 0, last)
        t = np.clip(1 - np.abs(place - nearest) / np.minimum(length[edge] + 1, np.maximum(gap, 1)), 0, 1) * exists
        share = (t * t * (3 - 2 * t))[:, None]
        total += share * offset[edge]
        weight += share
    return np.where(down[:, None], offset, total / np.maximum(weight, 1))


def _root(
    legs: Sequence[Leg], moved: Sequence[np.ndarray], weights: Sequence[np.ndarray], dt: float, settings: Settings
) -> np.ndarray:
    """(T, 3) m: the mean way of the feet that stand, evened out over time, and down to where straight legs reach."""
    kernel = gaussian_kernel(_ROOT_TIME / dt)
    total, weight = convolve(sum(moved), kernel, mirrored=True), convolve(sum(weights), kernel, mirrored=True)
    root = _limited(total / (weight + _ROOT_TRUST), settings.root_limit)
    lower = np.zeros(len(root))
    for leg, way, share in zip(legs, moved, weights, strict=True):
        span = leg.hip + root - leg.ankle - way
        length = np.linalg.norm(leg.knee - leg.hip, axis=-1) + np.linalg.norm(leg.ankle - leg.knee, axis=-1)
        reach = np.maximum((1 - _SOFT) * length, np.linalg.norm(leg.ankle - leg.hip, axis=-1))
        highest = np.sqrt(np.maximum(reach**2 - (span[:, :2] ** 2).sum(-1), 0))
        lower = np.maximum(lower, share[:, 0] * np.maximum(span[:, 2] - highest, 0))
    lower = np.minimum(lower, settings.sink_limit)
    spread = min(len(kernel) // 2, len(lower) - 1)
    peaks = np.lib.stride_tricks.sliding_window_view(np.pad(lower, spread), 2 * spread + 1).max(-1)
    root[:, 2] -= convolve(peaks[:, None], kernel, mirrored=True)[:, 0]
    return root


def _over_floor(
    leg: Leg, ankle: np.ndarray, foot: np.ndarray, toe: np.ndarray, dt: float, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ankle, and turns of foot and toes, with no part of the sole under the floor: toes bend, then the foot rises."""
    if settings.floor is None:
        return ankle, foot, toe
    carried, haste = rot.multiply(foot, leg.foot), _HASTE_TURNING * dt
    ball = rot.rotate(carried, [0, -leg.height, leg.ball])
    foot = rot.multiply(_raised(ball, ankle[:, 2] - settings.floor, haste), foot)
    posed = replace(leg, ankle=ankle, foot=rot.multiply(foot, leg.foot), toe=rot.multiply(toe, leg.toe))
    tip = posed.sole[:, 2] - posed.sole[:, 1]
    toe = rot.multiply(_raised(tip, posed.sole[:, 1, 2] - settings.floor, haste), toe)
    posed = replace(posed, toe=rot.multiply(toe, leg.toe))
    edge = leg.width / 2 * np.abs(rot.rotate(posed.foot, [1.0, 0, 0])[:, 2])  # of a foot that is tilted sideways
    under = np.clip(settings.floor - posed.sole[..., 2].min(1) + edge, 0, settings.reach_limit)
    return ankle + under[:, None] * _UP, foot, toe


def _raised(vector: np.ndarray, height: np.ndarray, haste: float) -> np.ndarray:
    """(T, 4) that turn vectors (T, 3) up to where they reach down by no more than `height` (T,), and turn by no more
    than `haste` rad a frame to get there and back."""
    length = np.maximum(np.linalg.norm(vector, axis=-1), 1e-9)
    down = np.arcsin(np.clip(-vector[:, 2] / length, -1, 1))
    angle = np.maximum(down - np.arcsin(np.clip(height / length, 0, 1)), 0)
    slope = haste * np.arange(len(angle))
    after = np.maximum.accumulate(angle + slope) - slope
    angle = np.maximum(after, np.maximum.accumulate((angle - slope)[::-1])[::-1] + slope)
    axis = np.cross(vector, _UP)
    axis[np.linalg.norm(axis, axis=-1) < 1e-6] = (1, 0, 0)
    return rot.turn(rot.unit(axis), angle)


def _level(ahead: np.ndarray) -> np.ndarray:
    """(4,) axes of a sole that lies level and points `ahead` (3,)."""
    ahead = rot.unit(ahead * (1, 1, 0))
    return rot.matrix_to_quaternion(np.stack([np.cross(_UP, ahead), _UP, ahead], axis=-1))


def _limited(vectors: np.ndarray, limit: float) -> np.ndarray:
    return vectors * np.minimum(1, limit / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _vector(q: np.ndarray) -> np.ndarray:
    """Rotation vectors (T, 3) rad, of at most half a turn."""
    q = np.where(q[:, :1] < 0, -q, q)
    sine = np.linalg.norm(q[:, 1:], axis=-1, keepdims=True)
    return q[:, 1:] * np.where(sine > 1e-9, 2 * np.arctan2(sine, q[:, :1]) / np.maximum(sine, 1e-12), 2)


def _quaternion(vectors: np.ndarray) -> np.ndarray:
    return rot.turn(rot.unit(vectors), np.linalg.norm(vectors, axis=-1))
