"""Skeletons, floors and cameras drawn on pictures with OpenCV."""

from dataclasses import dataclass

import cv2
import numpy as np

from vp3d.cameras import project_points
from vp3d.common.skeletons import Skeleton

Colour = tuple[int, int, int]

LEFT: Colour = (89, 178, 249)
RIGHT: Colour = (249, 160, 89)
"""sRGB of the two sides, the same as the add-on's bones."""
PEOPLE: tuple[Colour, ...] = ((240, 240, 235), (255, 214, 10), (102, 222, 125), (235, 120, 235), (120, 230, 230))
"""sRGB of the middle of the body, person after person."""
BACKGROUND: Colour = (30, 32, 36)
GRID: Colour = (72, 76, 84)

_FINE = 4  # bits of a pixel that OpenCV draws at
_NEAR = 0.1  # m, nothing closer to a camera is drawn


def text(image: np.ndarray, words: str, at: tuple[float, float], colour: Colour, scale: float = 0.5) -> None:
    """Write words, with a dark rim, from their lower left corner (px)."""
    x, y = round(at[0]), round(at[1])
    for ink, width in ((BACKGROUND, 3), (colour, 1)):
        cv2.putText(image, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, width, cv2.LINE_AA)


def line(image: np.ndarray, a: np.ndarray, b: np.ndarray, colour: Colour, width: int = 1) -> None:
    """Draw a line between two points (2,) px; nothing if either is NaN or far outside."""
    ends = np.stack([a, b])
    if not np.isfinite(ends).all() or np.abs(ends).max() > 1e5:
        return
    (ax, ay), (bx, by) = np.round(ends * 2**_FINE).astype(int).tolist()
    cv2.line(image, (ax, ay), (bx, by), colour, width, cv2.LINE_AA, _FINE)


def skeleton(
    image: np.ndarray, joints: np.ndarray, kind: Skeleton, person: int, confidence: np.ndarray | None = None
) -> None:
    """Draw one person.

    Args:
        image: (H, W, 3) uint8 RGB, drawn on.
        joints: (J, 2) px; lines to NaN joints are left out.
        kind: the joint set, whose `lines` are drawn.
        person: position in the take; chooses the colour of the middle.
        confidence: (J,) 0..1; sure lines are thicker. None draws all lines as sure.
    """
    sure = np.ones(len(joints)) if confidence is None else confidence
    scale = max(image.shape[:2]) / 640
    middle = PEOPLE[person % len(PEOPLE)]
    sides = {**dict.fromkeys(kind.left, LEFT), **dict.fromkeys(kind.right, RIGHT)}
    for a, b in kind.lines:
        colour = sides.get(a, middle) if sides.get(a, middle) == sides.get(b, middle) else middle
        # A line from the middle to a side, such as hip to left hip, belongs to the side.
        if (a in sides) != (b in sides):
            colour = sides.get(a) or sides[b]
        line(image, joints[a], joints[b], colour, max(1, round(scale * (0.6 + 2.6 * min(sure[a], sure[b])))))
    for joint, (x, y) in enumerate(joints):
        if np.isfinite([x, y]).all() and max(abs(x), abs(y)) < 1e5:
            at = (round(x * 2**_FINE), round(y * 2**_FINE))
            radius = round(scale * (1.0 + 1.2 * sure[joint]) * 2**_FINE)
            cv2.circle(image, at, radius, sides.get(joint, middle), -1, cv2.LINE_AA, _FINE)


@dataclass(frozen=True)
class View:
    """A pinhole camera for drawing: K (3, 3) px, R (3, 3), t (3,) m, distortion (5,)."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    distortion: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of world points (N, 3) m; NaN behind the camera."""
        depth = points @ self.R[2] + self.t[2]
        pixels = project_points(points[None], self.K[None], self.R[None], self.t[None], self.distortion)[0]
        return np.where(depth[:, None] > _NEAR, pixels, np.nan)

    @classmethod
    def orbit(cls, centre: np.ndarray, distance: float, turn: float, size: tuple[int, int]) -> "View":
        """A view of `centre` (3,) m from `distance` m, a little above, `turn` rad round the vertical."""
        away = np.array([np.sin(turn), -np.cos(turn), 0.35])
        eye = centre + distance * away / np.linalg.norm(away)
        forward = (centre - eye) / np.linalg.norm(centre - eye)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        focal = 1.5 * min(size)
        K = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
        return cls(K, R, -R @ eye, np.zeros(5))


def floor(image: np.ndarray, view: View, centre: np.ndarray, reach: int = 4) -> None:
    """Draw the lines of the floor z = 0, 1 m apart, around a point (3,) m."""
    middle = np.round(centre[:2])
    steps = np.arange(-reach, reach + 1)
    x, y = np.meshgrid(middle[0] + steps, middle[1] + steps, indexing="ij")
    points = view.project(np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)).reshape(*x.shape, 2)
    for i in range(len(steps)):
        for j in range(len(steps) - 1):
            line(image, points[i, j], points[i, j + 1], GRID)
            line(image, points[j, i], points[j + 1, i], GRID)
