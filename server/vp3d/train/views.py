"""Virtual cameras around a person, and what a detector would report of that person through them."""

import math
from dataclasses import dataclass

import torch

from vp3d.common.skeletons import COCO_17
from vp3d.train.augment import rotations, turned
from vp3d.train.dice import Dice

NEAREST = 0.4
"""m; who comes nearer than this would fill the image."""


@dataclass(frozen=True)
class ViewModel:
    """Distribution of cameras. Angles in degrees, lengths in metres.

    Attributes:
        pitch: mean and standard deviation of looking down.
        steep: share of cameras that look down by `steep_pitch` instead.
        distance: nearest and farthest, log-uniform.
        roll: standard deviation.
        canted: share of cameras with another standard deviation of roll, and that deviation.
        field_of_view: narrowest and widest, across the image; a person stands anywhere in the middle three quarters.
        focal_error: standard deviation of the log of assumed over true focal length.
        centre_error: standard deviation of the principal point, in focal lengths.
        distortion: share of lenses whose distortion stayed in, and the range of its first radial coefficient.
        moving: share of hand-held, panning, orbiting and dollying cameras.
        swing, shake: standard deviations of what such a camera pans and trembles by.
        orbit: standard deviation of how fast it goes around the person, degrees per second.
        dolly: standard deviation of how far it wanders.
    """

    pitch: tuple[float, float] = (8.0, 11.0)
    steep: float = 0.15
    steep_pitch: tuple[float, float] = (20.0, 65.0)
    distance: tuple[float, float] = (1.5, 12.0)
    roll: float = 4.0
    canted: tuple[float, float] = (0.2, 35.0)
    field_of_view: tuple[float, float] = (30.0, 95.0)
    focal_error: float = 0.15
    centre_error: float = 0.02
    distortion: tuple[float, tuple[float, float]] = (0.3, (-0.2, 0.08))
    moving: float = 0.35
    swing: float = 8.0
    shake: float = 0.7
    orbit: float = 12.0
    dolly: float = 0.3


EXACT = {"focal_error": 0.0, "centre_error": 0.0, "distortion": (0.0, (0.0, 0.0)), "moving": 0.0}
"""Changes to a `ViewModel` after which the camera stands still and everything about its lens is known."""


@dataclass(frozen=True)
class NoiseModel:
    """Errors of a 2D detector. Lengths are at the person's distance, in metres; shares are of joints or windows, and
    what lasts less than a window comes once more for every `SPELL` frames of it.

    The errors of strength 1 were measured on a rendered film with exact joints, for both detectors of this project:
    0.3 to 0.6 cm from frame to frame, 1 to 2.5 cm that change slowly (correlation 0.85 to 0.97), as much that stays.

    Attributes:
        errors: standard deviation and correlation from frame to frame of what adds up to a knee's error.
        strength: lowest and highest factor on each of them, log-uniform per window.
        perfect: share of windows without any fault.
        outliers: share of wild joints, and their standard deviation.
        missing: share of joints that go missing within a window, times the joint's own factor.
        absent: share of joints that are missing for the whole window.
        no_face: share of windows without one side of the face; as many without eyes and ears, and without any face.
        gaps: share of windows with frames in which nothing is found.
        hidden: share of windows of which one side lies outside the image or behind something.
        no_legs: share of windows without knees and ankles.
        unrated: share of windows from a detector that gives no confidence.
        guessed: share of windows in which a missing joint is guessed, badly and with low confidence, instead of left
            out.
        swaps: share of windows in which left and right legs, arms or everything are exchanged for a while.
        run: mean length of such episodes, frames.
    """

    errors: tuple[tuple[float, float], ...] = ((0.004, 0.3), (0.015, 0.93), (0.015, 0.995))
    strength: tuple[float, float] = (0.15, 3.0)
    perfect: float = 0.2
    outliers: tuple[float, float] = (0.008, 0.2)
    missing: float = 0.15
    absent: float = 0.02
    no_face: float = 0.05
    gaps: float = 0.06
    hidden: float = 0.12
    no_legs: float = 0.05
    unrated: float = 0.2
    guessed: float = 0.5
    swaps: float = 0.02
    run: float = 6.0


SPELL = 28
"""Frames."""

PERFECT = NoiseModel(perfect=1.0)
"""A detector without faults."""

_FACTORS = {
    "nose": 0.5,
    "eye": 0.5,
    "ear": 1.2,
    "shoulder": 1.0,
    "elbow": 1.1,
    "wrist": 1.3,
    "hip": 1.3,
    "knee": 1.0,
    "ankle": 1.0,
}
"""How much harder than a knee a joint is to place: as measured, and WHAM's tables (Shin et al., 2024) for wrists."""
_FACTOR = [_FACTORS[name.split("_")[-1]] for name in COCO_17.joints]
_LEGS = [i for i, name in enumerate(COCO_17.joints) if name.endswith(("hip", "knee", "ankle"))]
_LOWER_LEGS = [i for i, name in enumerate(COCO_17.joints) if name.endswith(("knee", "ankle"))]
_FACES = [
    [i for i, name in enumerate(COCO_17.joints) if name.startswith(sides) and name.endswith(("nose", "eye", "ear"))]
    for sides in (("left",), ("right",), ("left", "right"), ("left", "right", "nose"))
]
_ARMS = [i for i, name in enumerate(COCO_17.joints) if name.endswith(("elbow", "wrist"))]


@dataclass(frozen=True)
class Views:
    """Cameras over time, one per window, as seen from each window's own frame.

    Attributes:
        rotation: (N, 3, 3) from the world to camera axes in the own frame.
        position: (N, 3) m, where the world's origin then is in camera axes.
        moving: (M,) indices of the cameras that do not stand still.
        turns: (M, W, 3, 3), of those, from the camera axes of the own frame to those of every frame.
        steps: (M, W, 3) m, of those, what is added to `position`.
    """

    rotation: torch.Tensor
    position: torch.Tensor
    moving: torch.Tensor
    turns: torch.Tensor
    steps: torch.Tensor

    def see(self, points: torch.Tensor) -> torch.Tensor:
        """World points (N, W, J, 3) m in camera axes."""
        seen = turned(points, self.rotation)
        seen[self.moving] = turned(seen[self.moving], self.turns) + self.steps[:, :, None]
        return seen + self.position[:, None, None]

    def turns_at(self, frame: int) -> torch.Tensor:
        """(N, 3, 3), `turns` of one frame for all cameras."""
        every = torch.eye(3, device=self.rotation.device).repeat(len(self.rotation), 1, 1)
        every[self.moving] = self.turns[:, frame]
        return every


def random_views(count: int, times: torch.Tensor, model: ViewModel, dice: Dice) -> Views:
    """Cameras that look about at the world's origin; `times` (W,) s are 0 in the own frame."""
    yaw = dice.uniform(0, 2 * math.pi, count)
    pitch = torch.where(
        dice.chance(model.steep, count),
        dice.uniform(*model.steep_pitch, count),
        model.pitch[0] + model.pitch[1] * dice.normal(count),
    )
    share, canted = model.canted
    roll = torch.where(dice.chance(share, count), canted, model.roll) * dice.normal(count)
    pitch, roll = torch.deg2rad(pitch), torch.deg2rad(roll)
    forward = torch.stack([yaw.cos() * pitch.cos(), yaw.sin() * pitch.cos(), -pitch.sin()], -1)
    right = torch.stack([yaw.sin(), -yaw.cos(), torch.zeros_like(yaw)], -1)
    down = torch.linalg.cross(forward, right)
    cos, sin = roll.cos()[:, None], roll.sin()[:, None]
    rotation = torch.stack([cos * right + sin * down, cos * down - sin * right, forward], 1)

    half_width = torch.tan(torch.deg2rad(dice.between(*model.field_of_view, count)) / 2)
    place = torch.stack([dice.uniform(-0.75, 0.75, count), dice.uniform(-0.4, 0.4, count)], -1) * half_width[:, None]
    direction = torch.cat([place, torch.ones_like(half_width)[:, None]], -1)
    position = direction / direction.norm(dim=-1, keepdim=True) * dice.between(*model.distance, count)[:, None]

    moving = dice.some(count, model.moving)
    some = len(moving)
    angle = math.radians(model.swing) * _wander(times, (0.03, 0.4), dice, some)
    angle = angle + math.radians(model.shake) * _wander(times, (0.5, 4.0), dice, some)
    around = math.radians(model.orbit) * dice.normal(some, 1, 1) * times[:, None] * rotation[moving][:, None, :, 2]
    pan = rotations(angle)
    # Where a camera that pans sees the origin: its position turns with the camera, not with the orbit.
    place = position[moving][:, None]
    panned = (pan @ (place + model.dolly * _wander(times, (0.03, 0.4), dice, some))[..., None])[..., 0]
    return Views(rotation, position, moving, pan @ rotations(around), panned - place)


def _wander(times: torch.Tensor, frequencies: tuple[float, float], dice: Dice, count: int) -> torch.Tensor:
    """Smooth curves (count, W, 3) through 0 at time 0, of about unit size: sines between two frequencies in Hz."""
    phase = dice.uniform(0, 2 * math.pi, count, 1, 3)
    pace = 2 * math.pi * dice.between(*frequencies, count, 1, 3)
    return dice.normal(count, 1, 3) * (torch.sin(pace * times[:, None] + phase) - torch.sin(phase))


def project(points: torch.Tensor, model: ViewModel, dice: Dice) -> torch.Tensor:
    """Normalised coordinates (N, W, J, 2) of camera-space points (N, W, J, 3) m, as someone computes them who knows the
    lens only about."""
    count = len(points)
    rays = points[..., :2] / points[..., 2:].clamp(min=NEAREST)
    share, coefficients = model.distortion
    if share > 0:
        bend = dice.uniform(*coefficients, count, 1, 1, 1) * dice.chance(share, count, 1, 1, 1)
        # Radial polynomials are only meant for what is in the image.
        rays = rays * (1 + bend * (rays**2).sum(-1, keepdim=True).clamp(max=1.5))
    zoom = (model.focal_error * dice.normal(count, 1, 1, 1).clamp(-2.5, 2.5)).exp()
    return rays * zoom + model.centre_error * dice.normal(count, 1, 1, 2)


def corrupt(
    rays: torch.Tensor, metre: torch.Tensor, model: NoiseModel, dice: Dice
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a detector would report of true joints.

    Args:
        rays: (N, W, 17, 2) true normalised coordinates, COCO order.
        metre: (N,) length of one metre at the person's distance in normalised coordinates.
        model: the errors.
        dice: source of randomness.

    Returns:
        Rays with errors, NaN where missing, and confidence (N, W, 17).
    """
    count, window, joints = rays.shape[:3]
    factor = rays.new_tensor(_FACTOR)
    frames = torch.arange(window, device=rays.device)

    def drift(correlation: float) -> torch.Tensor:
        """First-order autoregression (N, W, 17, 2) of unit size: a product with a triangular matrix of powers."""
        age = frames[:, None] - frames
        memory = torch.where(age >= 0, correlation ** age.clamp(min=0), 0.0)
        memory[:, 1:] *= math.sqrt(1 - correlation**2)
        return (memory @ dice.normal(count, window, joints * 2)).unflatten(-1, (joints, 2))

    error = torch.zeros(rays.shape, dtype=rays.dtype, device=rays.device)
    for deviation, correlation in model.errors:
        error.addcmul_(drift(correlation), deviation * dice.between(*model.strength, count, 1, 1, 1))
    shiver = error[:, :, dice.some(joints, 1.0)] - error.mean(1, keepdim=True)
    error *= factor[:, None]
    share, wild = model.outliers
    outliers = dice.some(rays[..., 0].numel(), share)
    error.view(-1, 2)[outliers] = dice.normal(len(outliers), 2) * wild

    def episodes(probability: torch.Tensor) -> torch.Tensor:
        """Masks (..., W): with a probability each and per `SPELL`, a run of frames at a random place."""
        shape = probability.shape
        inside = torch.zeros(*shape, window, dtype=torch.bool, device=rays.device)
        for _ in range(max(1, window // SPELL)):
            length = (dice.uniform(1e-6, 1, *shape).log() / math.log(1 - 1 / model.run)).ceil()
            start = (dice.uniform(0, 1, *shape) * (window + length)).floor() - length
            run = (frames >= start[..., None]) & (frames < (start + length)[..., None])
            inside |= run & dice.chance(probability, *shape)[..., None]
        return inside

    missing = episodes((model.missing * factor).expand(count, joints)).mT
    missing = missing | dice.chance(model.absent, count, 1, joints)
    for part, share in (*((face, model.no_face) for face in _FACES), (_LOWER_LEGS, model.no_legs)):
        missing[:, :, part] |= dice.chance(share, count, 1, 1)
    # A straight edge across the person: mostly the lower edge of the image or a table.
    angle = torch.where(
        dice.chance(0.65, count), math.pi / 2 + 0.1 * dice.normal(count), dice.uniform(0, 2 * math.pi, count)
    )[:, None, None]
    along = rays[..., 0] * angle.cos() + rays[..., 1] * angle.sin()
    edge = along.mean((1, 2), keepdim=True) + dice.uniform(-0.3, 0.8, count, 1, 1) * metre[:, None, None]
    while_hidden = episodes(rays.new_full((count,), 0.5)) | dice.chance(0.5, count, 1)
    missing |= (along > edge) & (while_hidden & dice.chance(model.hidden, count, 1))[:, :, None]

    guessed = missing & dice.chance(model.guessed, count, 1, 1)
    error += guessed[..., None] * (0.12 * dice.normal(count, 1, joints, 2) + 3 * shiver)
    missing &= ~guessed
    missing |= episodes(rays.new_full((count,), model.gaps))[:, :, None]

    # Confidence falls with the error (MotionBERT's formula), detectors differ in how they scale it, and some give none.
    confidence = 0.15 / (0.15 + error.norm(dim=-1)) + 0.1 * dice.normal(count, window, joints)
    confidence = confidence.clamp(0.05, 1.0) ** dice.between(0.4, 2.0, count, 1, 1)
    confidence = torch.where(dice.chance(model.unrated, count, 1, 1) & ~guessed, 1.0, confidence)
    confidence = torch.where(guessed, confidence * dice.uniform(0.1, 0.6, count, 1, 1), confidence)

    seen = rays + error * metre[:, None, None, None]
    mirrored = list(COCO_17.mirrored)
    for group, rate in ((_LEGS, 1.0), (_ARMS, 0.5), (list(range(joints)), 0.5)):
        some = dice.some(count, model.swaps * rate)
        swapped = torch.zeros_like(missing[some])
        swapped[:, :, group] = episodes(rays.new_ones(len(some)))[:, :, None]
        for values in (seen, confidence, missing):
            mask = swapped.view(swapped.shape + (1,) * (values.ndim - 3))
            values[some] = torch.where(mask, values[some][:, :, mirrored], values[some])
    seen = torch.where(missing[..., None], torch.nan, seen)
    confidence = torch.where(missing, 0.0, confidence)
    perfect = dice.chance(model.perfect, count, 1, 1)
    return torch.where(perfect[..., None], rays, seen), torch.where(perfect, 1.0, confidence)
