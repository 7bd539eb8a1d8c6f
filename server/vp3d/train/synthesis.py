"""Training examples on the fly: a window of motion, a camera, a detector's view of it, and the pose to find."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vp3d.common.skeletons import H36M_17
from vp3d.lift.conventions import CONVENTIONS
from vp3d.train.augment import augment
from vp3d.train.bodies import COCO_POINTS
from vp3d.train.recordings import STORED_FPS, Recording
from vp3d.train.views import NoiseModel, ViewModel, corrupt, random_views

_GLITCH = 0.2
"""m per stored frame; a joint that moves faster was mistracked, and no window may contain it."""


@dataclass(frozen=True)
class Examples:
    """A batch.

    Attributes:
        features: (N, W, F) float32, as the convention encodes the window seen from its own frame.
        poses: (N, 2, 17, 3) float32 m, the true root-relative poses of the window's own frame and the one after it, in
            the axes that the features are given in.
        next_features: (M, W, F), the windows one frame later of the first M examples.
        next_rotation: (M, 3, 3) from the axes of `next_features` to those of `features`.
    """

    features: np.ndarray
    poses: np.ndarray
    next_features: np.ndarray
    next_rotation: np.ndarray


class Synthesis:
    """Draws examples from recordings.

    Args:
        recordings: harmonised motion.
        window: frames per window (the lifter's receptive field).
        now: the window's own frame.
        fps: frame rate that the lifter works at, Hz.
        speed: factor by which motion may run slower or faster.
        views_per_motion: cameras around each augmented window.
        augmented: whether poses and proportions are varied.
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
        views_per_motion: int = 4,
        augmented: bool = True,
    ) -> None:
        self.window, self.now, self.fps = window, now, fps
        self.views, self.noise = views or ViewModel(), noise or NoiseModel()
        self.encode = CONVENTIONS[convention].encode
        self.speed, self.views_per_motion, self.augmented = speed, views_per_motion, augmented
        self.points = np.concatenate([recording.points for recording in recordings])
        self._longest = int(np.ceil(window * STORED_FPS / fps * speed)) + 1
        self.starts = np.concatenate(self._usable_starts(recordings))
        if not len(self.starts):
            raise ValueError("every recording is shorter than one window")

    def _usable_starts(self, recordings: Sequence[Recording]) -> list[np.ndarray]:
        usable, offset = [np.zeros(0, int)], 0
        for recording in recordings:
            points = recording.points
            room = len(points) - self._longest
            if room > 0:
                steps = np.linalg.norm(np.diff(points, axis=0), axis=-1).max(1) > _GLITCH
                glitches = np.concatenate([[0], np.cumsum(steps)])
                clean = glitches[self._longest - 1 :][:room] == glitches[:room]
                usable.append(offset + np.flatnonzero(clean))
            offset += len(points)
        return usable

    def motions(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Windows (count, W + 1, 22, 3) of motion at a random speed, augmented."""
        speed = np.exp(rng.uniform(-np.log(self.speed), np.log(self.speed), count))
        times = np.arange(self.window + 1) * (STORED_FPS / self.fps) * speed[:, None]
        before = times.astype(int)
        share = (times - before).astype(np.float32)[..., None, None]
        frames = rng.choice(self.starts, count)[:, None] + before
        points = self.points[frames] * (1 - share) + self.points[frames + 1] * share
        return augment(points, rng) if self.augmented else points

    def draw(self, count: int, pairs: int, rng: np.random.Generator) -> Examples:
        """`count` examples (a multiple of `views_per_motion`), the first `pairs` of them with the next frame's
        window."""
        motions = self.motions(count // self.views_per_motion, rng)
        points = np.repeat(motions, self.views_per_motion, axis=0)[rng.permutation(count)]
        points -= points[:, self.now : self.now + 1, :1]
        rotation, distance = random_views(count, self.views, rng)
        rotation, distance = rotation.astype(np.float32), distance.astype(np.float32)
        seen = (points.reshape(count, -1, 3) @ rotation.swapaxes(1, 2)).reshape(points.shape)
        metre = 1 / distance
        # Who comes nearer than this would fill the image.
        depth = np.maximum(seen[..., 2:] + distance[:, None, None, None], 0.4)
        rays = seen[:, :, COCO_POINTS, :2] / depth[:, :, COCO_POINTS]

        share, drift = self.views.drift
        moving = (rng.random(count) < share)[:, None] * rng.standard_normal((count, 2)) * drift * metre[:, None]
        times = (np.arange(self.window + 1) - self.now) / self.window
        rays = rays + (moving[:, None] * times[:, None])[:, :, None].astype(np.float32)
        rays, confidence = corrupt(rays, metre, self.noise, rng)
        rays *= np.exp(rng.standard_normal(count) * self.views.focal_error).astype(np.float32)[:, None, None, None]

        joints = len(H36M_17)
        poses = seen[:, self.now : self.now + 2, :joints] - seen[:, self.now : self.now + 2, :1]
        features, turned = self.encode(rays[:, :-1], confidence[:, :-1], self.now)
        later, turned_later = self.encode(rays[:pairs, 1:], confidence[:pairs, 1:], self.now)
        poses = poses @ turned[:, None].swapaxes(-1, -2)
        back = turned[:pairs] @ turned_later.swapaxes(-1, -2)
        return Examples(features, poses.astype(np.float32), later, back.astype(np.float32))
