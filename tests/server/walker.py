"""Film of a person who walks by formula, for tests of lifting and of training that need no recordings."""

import numpy as np
from takes import walk
from vp3d.common.skeletons import COCO_17
from vp3d.train.bodies import COCO_POINTS, FACE

_FACE = {
    "nose": (0.04, 0, 0), "left_eye": (0.03, 0.032, 0.03), "right_eye": (0.03, -0.032, 0.03),
    "left_ear": (-0.06, 0.075, 0.01), "right_ear": (-0.06, -0.075, 0.01),
}  # fmt: skip
"""m from the neck of somebody who faces +X."""


def walking_points(frames: int, fps: float) -> np.ndarray:
    """Points (T, 22, 3) m of `bodies.POINTS`, Z up."""
    joints = walk(np.arange(frames) / fps)
    return np.concatenate([joints, joints[:, [9]] + np.array([_FACE[name] for name in FACE])], axis=1)


def film(
    frames: int, fps: float, azimuth: float = 0.8, size: tuple[int, int] = (1280, 720)
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A static camera 6 m away: joints (T, 21, 2) px, confidence (T, 21), K (3, 3), true root-relative poses (T, 17,
    3) m.

    `azimuth` (rad) is where the camera looks: 0 along the walk, so at the person's back.
    """
    points, pitch, distance, focal = walking_points(frames, fps), 0.12, 6.0, 900.0
    forward = np.array([np.cos(azimuth) * np.cos(pitch), np.sin(azimuth) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    R = np.stack([right, np.cross(forward, right), forward])
    seen = (points - points[:, 0].mean(0) + distance * forward) @ R.T
    K = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    joints = np.full((frames, 21, 2), np.nan)
    joints[:, : len(COCO_17)] = (seen[..., :2] / seen[..., 2:] * focal + K[:2, 2])[:, COCO_POINTS]
    return joints, np.isfinite(joints).all(-1).astype(float), K, seen[:, :17] - seen[:, :1]
