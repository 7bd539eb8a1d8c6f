"""Gravity and focal length from the straight edges of the background.

Rooms and buildings are a Manhattan world: most of their straight edges point along one of three directions at right
angles, and one of these is the vertical (Coughlan and Yuille, "Manhattan World", 1999). All orientations are scored on
a grid, so that no start is needed, and the best one is refined by Gauss-Newton.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from vp3d.camera_motion import CameraMotion
from vp3d.cameras import undistort_points
from vp3d.refine.gravity import LEVEL, Gravity, tangent_basis
from vp3d.refine.lens import Lens

FRAMES = 6
"""Frames that are looked at: people hide different edges in each."""
_SEARCH_SIZE = 1000
"""px, longer side of the picture in which edges are looked for."""
_SHORTEST = 0.035
"""Length of the shortest edge as a share of the picture's longer side."""
_MARGIN = 0.1
"""Share of a person's size that is left out around the person."""

_GRID = 4.0
"""Degrees between orientations that are scored first."""
_FOCAL_GRID = 0.1
"""Step of the log focal length, likewise."""
_CONE = 45.0
"""Degrees from level beyond which no camera is held."""
_COARSE, _FINE = np.radians([2.0, 1.0])
"""rad, by how much edges of one direction miss it, on the grid and after refinement."""
_STEPS = 10
_CONVERGED = 1e-5
_DELTA = 1e-5
_SEARCHED = 200
"""Longest edges, which the search looks at."""
_CLEAR = 2.0
"""Logarithm of how much likelier the best orientation is than any far from it, where the background speaks clearly."""
_SAME, _FAR = np.radians([5.0, 15.0])
"""rad up to which two orientations are one, and from which on they contradict each other. Between, as where edges tell
roll but hardly pitch, the second makes the first less sure."""
_FEWEST = 12.0
"""Edges a frame that must follow the three directions."""
_PLUMB_SIGMA = np.radians(0.7)
"""What remains however many edges agree: how exactly things stand upright."""
_FOCAL_SIGMA = 0.03
"""The same for the log focal length: how exactly they stand at right angles."""
_WORTH = 0.8
"""Share of the uncertainty that must at most remain, for edges to have a say on the focal length."""


def _grid() -> np.ndarray:
    """(U, 1 + A, 3) orientations of all cameras that people hold, `_GRID` apart: the up vector and directions at right
    angles to it, over half a turn."""
    angles = np.radians(np.arange(-_CONE, _CONE + 1e-9, _GRID))
    roll, pitch = (part.ravel() for part in np.meshgrid(angles, angles))
    inside = np.hypot(roll, pitch) <= np.radians(_CONE)
    roll, pitch = roll[inside], pitch[inside]
    ups = np.stack([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)], -1)
    azimuths = np.linspace(0, np.pi, 2 * round(90 / _GRID), endpoint=False)
    circle = np.stack([np.cos(azimuths), np.sin(azimuths)], -1)
    across = circle @ np.stack([tangent_basis(up) for up in ups])
    return np.concatenate([ups[:, None], across], axis=1).astype(np.float32)


_GRID_AXES = _grid()
_BATCH = 50


@dataclass(frozen=True)
class Edges:
    """Straight edges of the background, as detected.

    Attributes:
        rows: (N,) int, row of the clip's arrays in which each was seen.
        ends: (N, 2, 2) px.
    """

    rows: np.ndarray
    ends: np.ndarray

    def between(self, start: int, end: int) -> "Edges":
        """Those of rows `start` to `end`, exclusive, counted from `start`."""
        inside = (self.rows >= start) & (self.rows < end)
        return Edges(self.rows[inside] - start, self.ends[inside])


def find_edges(image: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Straight edges (N, 2, 2) px of an RGB image outside the people.

    Args:
        image: (H, W, 3) uint8.
        people: (P, J, 2) px, NaN where unknown.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, _SEARCH_SIZE / max(grey.shape))
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(grey)[0]
    if found is None:
        return np.zeros((0, 2, 2))
    ends = (found.reshape(-1, 2, 2) + 0.5) / scale - 0.5
    middle, length = ends.mean(1), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
    outside = length > _SHORTEST * max(image.shape)
    for joints in people:
        seen = joints[np.isfinite(joints).all(-1)]
        if len(seen):
            low, high = seen.min(0), seen.max(0)
            margin = _MARGIN * (high - low).max()
            outside &= ((middle < low - margin) | (middle > high + margin)).any(-1)
    return ends[outside].astype(float)


def rows_to_look_at(count: int) -> np.ndarray:
    """Rows of a clip of so many frames that are looked at."""
    return np.unique(np.linspace(0, count - 1, FRAMES).round().astype(int))


def gather(frames: Iterable[tuple[int, np.ndarray, np.ndarray]]) -> Edges:
    """Edges of several frames, given as (row, image, people) for `find_edges`."""
    found = [(row, find_edges(image, people)) for row, image, people in frames]
    rows = np.concatenate([np.full(len(ends), row) for row, ends in found] or [np.zeros(0, int)])
    return Edges(rows, np.concatenate([ends for _, ends in found] or [np.zeros((0, 2, 2))]))


@dataclass(frozen=True)
class Frame:
    """Three directions at right angles and the focal length under which edges follow them.

    Attributes:
        axes: (3, 3) unit rows, up first, in the first frame's camera axes.
        log_focal: relative to the lens.
    """

    axes: np.ndarray
    log_focal: float

    @property
    def up(self) -> np.ndarray:
        """(3,) unit."""
        return self.axes[0]

    def moved(self, step: np.ndarray) -> "Frame":
        """Turned by a rotation vector (rad), and with another log focal length: (4,)."""
        return Frame(self.axes @ Rotation.from_rotvec(step[:3]).as_matrix().T, self.log_focal + float(step[3]))


class Background:
    """What edges say about the vertical and the focal length.

    Attributes:
        frame: the best orientation, or None where the background does not speak clearly. Its focal length is the lens's
            own where that is known.
        clarity: logarithm of how much likelier it is than any that is far from it.
        followers: edges a frame that follow its three directions.
        focal_sigma: relative 1 sigma of the focal length, from edges and from what was known before.
    """

    def __init__(self, edges: Edges, lens: Lens, motion: CameraMotion) -> None:
        """Find the orientation, and with it the focal length within what is known of it.

        Args:
            edges: of the shot.
            lens: intrinsics, at the first frame where the camera zooms.
            motion: of the camera, one shot.
        """
        ends = undistort_points(edges.ends, lens.K, lens.distortion) - lens.K[:2, 2]
        ends /= motion.zoom[edges.rows, None, None]
        along = ends[:, 1] - ends[:, 0]
        length = self._length = np.linalg.norm(along, axis=-1)
        across = np.stack([along[:, 1], -along[:, 0]], -1) / np.maximum(length, 1e-9)[:, None]
        self._lines = np.concatenate([across, -(across * ends[:, 0]).sum(-1, keepdims=True)], axis=-1)
        self._middle = ends.mean(1)
        self._share = 1 / max(len(np.unique(edges.rows)), 1)
        self._focal = np.diag(lens.K)[:2]
        self._turns = motion.rotation[edges.rows] if motion.moves else None
        self.frame, self.clarity, self.followers, self.focal_sigma = None, 0.0, 0.0, lens.focal_sigma
        self._rivals: list[tuple[np.ndarray, float]] = []
        if len(edges.ends) * self._share >= _FEWEST:
            self._find(lens.focal_sigma)

    def _find(self, focal_sigma: float) -> None:
        reach = np.ceil(2 * focal_sigma / _FOCAL_GRID)
        log_focals = np.arange(-reach, reach + 1) * _FOCAL_GRID
        frames = [self._settled(frame) for log_focal in log_focals for frame in self._search(log_focal)]
        followers = np.array([self._followers(frame) for frame in frames]).reshape(len(log_focals), -1)
        likelihood = followers * (_FINE / _COARSE) ** 2
        if focal_sigma:
            likelihood -= 0.5 * (log_focals[:, None] / focal_sigma) ** 2
        # The best orientation with its axes exchanged follows as many edges, but nobody holds a camera like that.
        held = np.array([frame.up @ LEVEL for frame in frames]) > np.cos(np.radians(_CONE + _GRID))
        likelihood[~held.reshape(likelihood.shape)] = -np.inf
        if not held.any():
            return
        row, first = np.unravel_index(likelihood.argmax(), likelihood.shape)
        candidates = [frames[row * likelihood.shape[1] + i] for i in range(likelihood.shape[1])]
        apart = np.array([other.up @ candidates[first].up for other in candidates])
        rival = likelihood[row] - likelihood[row, first]
        self.followers = float(followers[row, first])
        self.clarity = float(-max(rival[apart < np.cos(_FAR)], default=-np.inf))
        if self.clarity < _CLEAR or self.followers < _FEWEST:
            return
        self.frame = frame = self._refine(candidates[first], _FINE, focal_sigma)
        near = (apart >= np.cos(_FAR)) & (apart < np.cos(_SAME)) & np.isfinite(rival)
        self._rivals = [(candidates[i].up, float(1 / (1 + np.exp(-rival[i])))) for i in np.flatnonzero(near)]
        likelihood = likelihood.max(1)
        if focal_sigma:
            chance = np.exp(likelihood - likelihood.max())
            spread = np.average((log_focals - frame.log_focal) ** 2, weights=chance)
            information, _ = self._normal(frame, _FINE)
            information[3, 3] += focal_sigma**-2
            local = np.linalg.inv(information + 1e-6 * np.eye(4))[3, 3]
            self.focal_sigma = float(np.sqrt(max(spread, local) + _FOCAL_SIGMA**2))

    def gravity(self, log_focal: float, focal_sigma: float) -> Gravity | None:
        """What edges say about the vertical with a focal length (log, relative to the lens) of this 1 sigma."""
        if self.frame is None:
            return None
        best = self._refine(replace(self.frame, log_focal=log_focal), _FINE)
        basis = tangent_basis(best.up)
        turns = np.zeros((4, 4))
        turns[:3, :2], turns[:3, 2], turns[3, 3] = np.cross(best.up, basis).T, best.up, 1.0
        information = _without(turns.T @ self._normal(best, _FINE)[0] @ turns, 2)
        covariance = np.linalg.inv(information[:2, :2])
        bend = covariance @ information[:2, 2]
        covariance += _PLUMB_SIGMA**2 * np.eye(2) + focal_sigma**2 * np.outer(bend, bend)
        for up, chance in self._rivals:
            covariance += chance * np.outer(basis @ up, basis @ up)
        return Gravity(best.up, np.linalg.inv(covariance), 0.0)

    def _planes(self, log_focal: float) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) unit normal of the plane through the camera and each edge, and (N, 3) ray to the edge's middle."""
        focal = self._focal * np.exp(log_focal)
        normal = self._lines * [*focal, 1]
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        ray = np.concatenate([self._middle / focal, np.ones((len(normal), 1))], axis=-1)
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        if self._turns is not None:
            normal, ray = (np.einsum("nij,ni->nj", self._turns, vectors) for vectors in (normal, ray))
        return normal, ray

    def _search(self, log_focal: float) -> list[Frame]:
        """The best orientation on a grid, the best that is another, and the best far from it, as long edges say."""
        longest = np.argsort(-self._length)[:_SEARCHED]
        weight = self._length[longest].astype(np.float32)
        normal, ray = (part[longest].astype(np.float32) for part in self._planes(log_focal))
        quarter = _GRID_AXES.shape[1] // 2 + 1
        score, azimuth = np.zeros(len(_GRID_AXES)), np.zeros(len(_GRID_AXES), int)
        for start in range(0, len(score), _BATCH):
            part = slice(start, start + _BATCH)
            near = np.exp(-0.5 * (_misses(_GRID_AXES[part], normal, ray) / np.float32(_COARSE)) ** 2)
            total = np.maximum(np.maximum(near[:, 1:quarter], near[:, quarter:]), near[:, :1]) @ weight
            azimuth[part], score[part] = total.argmax(1), total.max(1)
        ups = _GRID_AXES[:, 0].astype(float)
        apart = ups @ ups[score.argmax()]
        chosen = [np.where(apart < limit, score, -1).argmax() for limit in (2.0, np.cos(_SAME), np.cos(_FAR))]
        return [
            Frame(_GRID_AXES[i][[0, 1 + azimuth[i], quarter + azimuth[i]]].astype(float), log_focal) for i in chosen
        ]

    def _settled(self, frame: Frame) -> Frame:
        for width in (_COARSE, _FINE):
            frame = self._refine(frame, width)
        return frame

    def _followers(self, frame: Frame) -> float:
        return float(self._members(frame, _FINE)[1].sum() * self._share)

    def _members(self, frame: Frame, width: float) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the nearest of the three directions of each edge, and how surely it follows it, 0 to 1."""
        angles = _misses(frame.axes, *self._planes(frame.log_focal))
        near = np.exp(-0.5 * (angles / width) ** 2)
        return near.argmax(0), near.max(0)

    def _normal(self, frame: Frame, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Information (4, 4) and gradient (4,) of all edges; those of several frames count once."""
        member, weight = self._members(frame, width)
        weight = weight * self._share / _COARSE**2
        edges, direction = np.arange(len(member)), frame.axes[member]
        normal, ray = self._planes(frame.log_focal)
        along, across = (direction * ray).sum(-1, keepdims=True), (direction * normal).sum(-1, keepdims=True)
        sine = np.sqrt(np.maximum(1 - along**2, 1e-4))
        jacobian = np.empty((len(member), 4))
        jacobian[:, :3] = (np.cross(direction, normal) + np.cross(direction, ray) * across * along / sine**2) / sine
        wide, narrow = (
            _misses(frame.axes, *self._planes(frame.log_focal + h))[member, edges] for h in (_DELTA, -_DELTA)
        )
        jacobian[:, 3] = (wide - narrow) / (2 * _DELTA)
        weighted = jacobian.T * weight
        return weighted @ jacobian, weighted @ (across / sine)[:, 0]

    def _refine(self, frame: Frame, width: float, focal_sigma: float = 0.0) -> Frame:
        """Gauss-Newton from a frame; the focal length is free where it has a sigma."""
        free = 4 if focal_sigma else 3
        for _ in range(_STEPS):
            information, gradient = self._normal(frame, width)
            information += 1e-6 * np.eye(4)
            if focal_sigma:
                information[3, 3] += focal_sigma**-2
                gradient[3] += frame.log_focal * focal_sigma**-2
            step = np.zeros(4)
            step[:free] = -np.linalg.solve(information[:free, :free], gradient[:free]).clip(-0.1, 0.1)
            frame = frame.moved(step)
            if np.abs(step).max() < _CONVERGED:
                break
        return frame


def _misses(directions: np.ndarray, normal: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """rad, by how much each of N edges misses each direction (..., 3), turned about the edge's middle: (..., N)."""
    return directions @ normal.T / np.sqrt(np.maximum(1 - (directions @ ray.T) ** 2, np.float32(1e-4)))


def _without(information: np.ndarray, unknown: int) -> np.ndarray:
    """Information on all unknowns but one, which is eliminated."""
    rest = np.delete(np.arange(len(information)), unknown)
    cross = information[rest, unknown]
    return information[np.ix_(rest, rest)] - np.outer(cross, cross) / max(information[unknown, unknown], 1e-12)


def sharpened(lens: Lens, edges: Edges, motion: CameraMotion) -> Lens:
    """The lens, its focal length nearer to what the background says, where that is not known and the background tells.

    Arguments are those of `Background`.
    """
    if not lens.focal_sigma:
        return lens
    background = Background(edges, lens, motion)
    sigma = background.focal_sigma
    if background.frame is None or sigma > _WORTH * lens.focal_sigma:
        return lens
    K = lens.K.copy()
    K[[0, 1], [0, 1]] *= np.exp(background.frame.log_focal)
    note = f"Focal length {K[0, 0]:.0f} px ± {sigma:.0%} from straight edges of the background at right angles."
    return replace(lens, K=K, source="background", note=note, focal_sigma=sigma)
