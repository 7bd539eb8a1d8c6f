"""Training examples on the fly: a window of motion, a camera, a detector's view of it, and the pose to find.

Everything happens on the training device, many windows at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vp3d.common.skeletons import H36M_17
from vp3d.errors import UserError
from vp3d.lift.conventions import CONVENTIONS
from vp3d.train.augment import augment, turned
from vp3d.train.bodies import COCO_POINTS
from vp3d.train.dice import Dice
from vp3d.train.recording import STORED_FPS, Recording
from vp3d.train.views import NoiseModel, ViewModel, corrupt, project, random_views

_GLITCH = 0.2
"""m per stored frame; a joint that moves faster was mistracked, and no window may contain it."""


@dataclass(frozen=True)
class Examples:
    """A batch, on the training device.

    Attributes:
        features: (N, W, F) float32, as the convention encodes the window seen from its own frame.
        poses: (N, 2, 17, 3) float32 m, the true root-relative poses of the window's own frame and the one after it, in
            the axes that the features are given in.
        root: (N, 3) float32 m, where the hip is in the own frame, in the same axes.
        next_features: (M, W, F), the windows one frame later of the first M examples.
        next_rotation: (M, 3, 3) from the axes of `next_features` to those of `features`.
        frames: (N,) which frame of all recordings, end to end, the own frame is.
    """

    features: torch.Tensor
    poses: torch.Tensor
    root: torch.Tensor
    next_features: torch.Tensor
    next_rotation: torch.Tensor
    frames: torch.Tensor


class Synthesis:
    """Draws examples from recordings.

    Args:
        recordings: harmonised motion.
        window: frames per window (the lifter's receptive field).
        now: the window's own frame.
        fps: frame rate that the lifter works at, Hz.
        speed: factor by which motion may run slower or faster.
        cut: share of windows in whose reach the clip begins or ends, as it does where recordings do.
        views_per_motion: cameras around each augmented window.
        augmented: whether poses and proportions are varied.
        constant: names in `augment.VARIATIONS` of what is not.
        device: where examples are made.

    Raises:
        UserError: no recording has a clean stretch.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        window: int,
        now: int,
        fps: float,
        convention: str = "canonical",
        views: ViewModel | None = None,
        noise: NoiseModel | None = None,
        speed: float = 1.5,
        cut: float = 0.15,
        views_per_motion: int = 4,
        augmented: bool = True,
        constant: Collection[str] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.window, self.now, self.fps = window, now, fps
        self.views, self.noise = views or ViewModel(), noise or NoiseModel()
        self.encode = CONVENTIONS[convention].encode
        self.speed, self.cut, self.views_per_motion, self.augmented = speed, cut, views_per_motion, augmented
        self.constant = constant
        self.device = torch.device(device)
        reach = np.ceil(np.array([now, window - now]) * STORED_FPS / fps * speed).astype(int) + 1
        usable, bounds, offset = [], [], 0
        for recording in recordings:
            last = len(recording.points) - 1
            if last > 0:
                own = offset + np.flatnonzero(_clean(recording.points, *reach))
                usable.append(own)
                bounds.append(np.tile([offset, offset + last], (len(own), 1)))
            offset += last + 1
        if not sum(map(len, usable)):
            raise UserError("No recording has a stretch without glitches.", "Give motion in which joints do not jump.")
        # Beyond a clip's ends its first and last frame stand still, in training as in lifting.
        self._own = torch.from_numpy(np.concatenate(usable)).to(self.device)
        self._bounds = torch.from_numpy(np.concatenate(bounds)).to(self.device)
        self._points = torch.from_numpy(np.concatenate([recording.points for recording in recordings])).to(self.device)
        self._times = (torch.arange(window + 1, device=self.device) - now) / fps

    def motions(self, count: int, dice: Dice) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows (count, W + 1, 22, 3) of motion at a random speed, augmented, and their own frames (count,)."""
        chosen = dice.choice(torch.arange(len(self._own), device=self.device), count)
        own, bounds = self._own[chosen], self._bounds[chosen].float()
        speed = dice.between(1 / self.speed, self.speed, count) * STORED_FPS
        reach = dice.uniform(0, 1, count, 2) * (speed / self.fps * self.window)[:, None]
        cut = dice.chance(self.cut, count, 2)
        first = torch.where(cut[:, 0], torch.maximum(bounds[:, 0], own - reach[:, 0]), bounds[:, 0])
        last = torch.where(cut[:, 1], torch.minimum(bounds[:, 1], own + reach[:, 1]), bounds[:, 1])
        steps = (self._times * speed[:, None]).clamp((first - own)[:, None], (last - own)[:, None])
        before = steps.floor()
        share = (steps - before)[..., None, None]
        frames = own[:, None] + before.long()
        after = torch.minimum(frames + 1, self._bounds[chosen][:, 1:])
        points = torch.lerp(self._points[frames], self._points[after], share)
        points = points - points[:, self.now : self.now + 1, :1]
        return (augment(points, dice, self.constant) if self.augmented else points), own

    def draw(self, count: int, pairs: int, dice: Dice) -> Examples:
        """`count` examples (a multiple of `views_per_motion`), the first `pairs` of them with the next frame's
        window."""
        motions, own = self.motions(count // self.views_per_motion, dice)
        order = dice.some(count, 1.0) // self.views_per_motion
        points = motions[order]
        points = points - points[:, self.now : self.now + 1, :1]
        views = random_views(count, self._times, self.views, dice)
        seen = views.see(points[:, :, list(COCO_POINTS)])
        rays = project(seen, self.views, dice)
        rays, confidence = corrupt(rays, 1 / views.position.norm(dim=-1), self.noise, dice)

        two = points[:, self.now : self.now + 2, : len(H36M_17)]
        poses = turned(two - two[:, :, :1], views.rotation)
        features, axes = self.encode(rays[:, :-1], confidence[:, :-1], self.now)
        later, later_axes = self.encode(rays[:pairs, 1:], confidence[:pairs, 1:], self.now)
        step = views.turns_at(self.now + 1)[:pairs]
        root = (axes @ views.position[..., None])[..., 0]
        back = axes[:pairs] @ step.mT @ later_axes.mT
        return Examples(features, turned(poses, axes), root, later, back, own[order])


def _clean(points: np.ndarray, before: int, after: int) -> np.ndarray:
    """(T,) which frames have no glitch within that many frames."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1).max(1) > _GLITCH
    glitches = np.concatenate([[0], np.cumsum(steps)])
    frames, last = np.arange(len(points)), len(points) - 1
    return glitches[np.minimum(frames + after, last)] == glitches[np.maximum(frames - before, 0)]
