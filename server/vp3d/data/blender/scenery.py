"""Rooms, furniture, backgrounds and cameras as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .clothes import fabric_colour, smooth_noise
from .figures import turned, unit

SENSOR_MM = 36.0


@dataclass(frozen=True)
class Surface:
    """A painted mesh: furniture, or somebody.

    Attributes:
        name: what it is.
        vertices: (V, 3) m.
        faces: (F, 3 or 4) vertex indices.
        colours: (V, 3) or (F, corners, 3), linear.
        smooth: whether it is shaded smoothly.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    smooth: bool = False


@dataclass(frozen=True)
class View:
    """A camera: K (3, 3) px with (0, 0) at the centre of the first pixel, R (3, 3), t (3,) m; OpenCV axes."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    size: int
    focal_mm: float

    @property
    def eye(self) -> np.ndarray:
        """Where it stands (3,) m."""
        return -self.R.T @ self.t

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (..., 2) and depths (...) m of points (..., 3) m."""
        seen = points @ self.R.T + self.t
        flat = seen @ self.K.T
        return flat[..., :2] / flat[..., 2:], seen[..., 2]

    def rays(self) -> np.ndarray:
        """World directions (H, W, 3) of the pixels, length 1."""
        v, u = np.mgrid[: self.size, : self.size]
        pixels = np.stack([u, v, np.ones_like(u)], -1).astype(float)
        return unit(pixels @ np.linalg.inv(self.K).T @ self.R)


def look(eye: np.ndarray, target: np.ndarray, roll: float, focal_mm: float, size: int) -> View:
    """A square view from one place (m) towards another, turned about its axis by `roll` (rad)."""
    forward = unit(target - eye)
    right = np.cross(forward, [0, 0, 1.0])
    right = unit(right) if np.linalg.norm(right) > 1e-6 else np.array([1.0, 0, 0])
    R = turned("z", roll) @ np.stack([right, np.cross(forward, right), forward])
    focal = focal_mm / SENSOR_MM * size
    centre = (size - 1) / 2
    K = np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]])
    return View(K, R, -R @ eye, size, focal_mm)


def choose_view(rng: np.random.Generator, people: list[np.ndarray], size: int) -> View:
    """A camera for people given by their vertices: any height and distance, sometimes from above or close up."""
    if people:
        subject = people[rng.integers(len(people))]
        everyone = np.concatenate([p[::40] for p in people])
        focus = subject if rng.random() < 0.5 else everyone
        low, high = focus.min(0), focus.max(0)
        extent = max(high[2] - low[2], 0.7 * float(np.hypot(*(high - low)[:2])), 0.6)
        target = (low + high) / 2
    else:
        target, extent = np.array([0, 0, 1.0]), 2.0
    share = rng.choice([rng.uniform(0.25, 0.5), rng.uniform(0.5, 0.95), rng.uniform(0.95, 1.6)], p=[0.22, 0.58, 0.2])
    focal_mm = float(np.exp(rng.uniform(np.log(20), np.log(85))))
    distance = np.clip(focal_mm / SENSOR_MM * extent / share, 1.3, 14)
    kind = rng.choice(["eye", "high", "above", "low"], p=[0.72, 0.16, 0.06, 0.06])
    height = {"eye": rng.uniform(0.9, 1.9), "high": None, "above": None, "low": rng.uniform(0.15, 0.6)}[str(kind)]
    if height is None:
        pitch = np.radians(rng.uniform(18, 48) if kind == "high" else rng.uniform(55, 88))
    else:
        pitch = np.arcsin(np.clip((height - target[2]) / distance, -0.6, 0.6))
    azimuth = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(azimuth) * np.cos(pitch), np.sin(azimuth) * np.cos(pitch), np.sin(pitch)])
    eye = target + distance * direction
    eye[2] = max(eye[2], 0.12)
    off = rng.normal(0, 0.09, 3) * extent / share
    roll = rng.normal(0, 0.06) if rng.random() < 0.9 else rng.uniform(-np.pi / 2, np.pi / 2)
    return look(eye, target + off, float(roll), focal_mm, size)


def choose_rig(rng: np.random.Generator, views: int, size: int) -> list[View]:
    """Cameras on stands around the middle of a room, that all see whoever is there."""
    first = rng.uniform(0, 2 * np.pi)
    angles = first + np.cumsum(np.radians(rng.uniform(35, 100, views)))
    rig = []
    for angle in angles:
        focal_mm = float(rng.uniform(22, 40))
        distance = focal_mm / SENSOR_MM * 1.8 / rng.uniform(0.6, 0.8)
        eye = np.array([np.cos(angle) * distance, np.sin(angle) * distance, rng.uniform(0.7, 2.3)])
        target = np.array([*rng.normal(0, 0.1, 2), rng.uniform(0.8, 1.0)])
        rig.append(look(eye, target, float(rng.normal(0, 0.03)), focal_mm, size))
    return rig


@dataclass(frozen=True)
class Wall:
    """A painted rectangle of a room: `corner` (3,), `across` and `up` (3,) m; its inner side is across × up."""

    name: str
    corner: np.ndarray
    across: np.ndarray
    up: np.ndarray
    paint: "Paint"

    @property
    def inward(self) -> np.ndarray:
        """Unit normal (3,) of the side that is seen."""
        return unit(np.cross(self.across, self.up))


@dataclass(frozen=True)
class Room:
    """Floor, ceiling, walls and pictures; what hangs in front comes later. (0, 0, 0) is in the middle of the floor."""

    walls: list[Wall]
    lamps: np.ndarray

    @classmethod
    def choose(cls, rng: np.random.Generator, photographs: Sequence[np.ndarray] = ()) -> "Room":
        """A random one, with some of the photographs (h, w, 3) on its walls."""
        half = rng.uniform(2.6, 7.0) * np.array([1.0, rng.uniform(0.8, 1.2)])
        height = rng.uniform(2.4, 3.6)
        up, x, y = np.array([0, 0, height]), np.array([2 * half[0], 0, 0]), np.array([0, 2 * half[1], 0])
        corner = -(x + y) / 2
        walls = [Wall("floor", corner, x, y, Paint.choose(rng))]
        walls.append(Wall("ceiling", corner + up, y, x, Paint.choose(rng, pale=True)))
        paints = [Paint.choose(rng, pale=rng.random() < 0.6) for _ in range(2)]
        for k, (start, across) in enumerate(((corner, y), (corner + y, x), (corner + x + y, -y), (corner + x, -x))):
            wall = Wall("wall", start, across, up, paints[int(k == 0)])
            walls.append(wall)
            for _ in range(rng.integers(0, 4)):
                wide, tall = rng.uniform(0.4, 1.8), rng.uniform(0.3, 1.5)
                place = start + rng.uniform(0.05, 0.8) * across + rng.uniform(0.05, 0.6) * up + wall.inward * 0.02
                photograph = photographs[rng.integers(len(photographs))] if len(photographs) else None
                paint = Paint.choose(rng)
                if photograph is not None and rng.random() < 0.7:
                    paint = replace(paint, photograph=photograph, period=tall)
                walls.append(Wall("picture", place, unit(across) * wide, np.array([0, 0, tall]), paint))
        lamps = rng.uniform(-1, 1, (rng.integers(1, 4), 3)) * (*half * 0.8, 0) + (0, 0, height - 0.2)
        return cls(walls, lamps)

    def image(self, view: View, bodies: Sequence[np.ndarray]) -> np.ndarray:
        """What a view sees of it (H, W, 3), linear; the floor is darker where something (V, 3) stands on it."""
        eye, rays = view.eye, view.rays()
        nearest = np.full(rays.shape[:2], np.inf)
        image = np.full(rays.shape, 0.3)
        shadow = _Shadow(bodies)
        for wall in self.walls:
            normal = wall.inward
            gap = (eye - wall.corner) @ normal
            if gap <= 0:
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = -gap / (rays @ normal)
            wide, tall = np.linalg.norm(wall.across), np.linalg.norm(wall.up)
            hit = (distance > 0) & (distance < nearest)
            points = eye + rays[hit] * distance[hit][:, None] - wall.corner
            flat = np.stack([points @ wall.across / wide, points @ wall.up / tall], -1)
            on = ((flat >= 0) & (flat <= (wide, tall))).all(1)
            if wall.name != "picture":
                on[:] = True  # rooms have no gaps, and views from outside see on
            rows, columns = (index[on] for index in np.nonzero(hit))
            points = points[on] + wall.corner
            colours = wall.paint.colours(flat[on])
            if wall.name == "floor":
                colours = colours * shadow.light(points[:, :2])[:, None]
            offsets = self.lamps[:, None] - points
            squares = (offsets**2).sum(-1)
            facing = np.clip(np.einsum("lpi,i->lp", offsets, normal) / np.sqrt(squares), 0.05, 1)
            light = 0.45 + (facing * 4 / (squares + 3)).sum(0)
            image[rows, columns] = colours * light[:, None]
            nearest[rows, columns] = distance[rows, columns]
        return image


class _Shadow:
    """How dark a floor is under what stands on it."""

    STEP, REACH = 0.06, 3.0

    def __init__(self, bodies: Sequence[np.ndarray]) -> None:
        count = round(2 * self.REACH / self.STEP)
        centres = (np.arange(count) + 0.5) * self.STEP - self.REACH
        self._light = np.ones((count, count))
        for body in bodies:
            low = body[body[:, 2] < 0.4]
            low = low[:: max(1, len(low) // 50)]
            if len(low):
                squares = (centres[:, None, None] - low[:, 0]) ** 2 + (centres[None, :, None] - low[:, 1]) ** 2
                reach = 0.07 + 0.25 * low[:, 2]
                self._light *= 1 - 0.55 * np.exp(-squares / reach**2 / 2).max(-1)

    def light(self, places: np.ndarray) -> np.ndarray:
        """Share (N,) of the light that reaches places (N, 2) m."""
        index = np.clip((places + self.REACH) / self.STEP, 0, len(self._light) - 1).astype(int)
        return self._light[index[:, 0], index[:, 1]]


_CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)])
_CUBE_FACES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [1, 5, 7, 3], [0, 2, 6, 4]])


def box(rng: np.random.Generator, size: np.ndarray, place: np.ndarray, angle: float) -> Surface:
    """A piece of furniture that stands on `place`."""
    vertices, faces = _CUBE, _CUBE_FACES
    for _ in range(3):
        vertices, faces = _split_quads(vertices, faces)
    vertices = vertices * size
    colours = Paint.choose(rng).colours(vertices[:, :2] + vertices[:, 2:])
    return Surface("box", vertices @ turned("z", angle).T + place, faces, colours)


def pillar(rng: np.random.Generator, radius: float, height: float, place: np.ndarray) -> Surface:
    """A round post, lamp, tree trunk or vase."""
    around, rings = 20, 12
    angles, levels = np.meshgrid(np.linspace(0, 2 * np.pi, around, endpoint=False), np.linspace(0, 1, rings + 1))
    shape = radius * (1 + 0.5 * rng.uniform(-1, 1) * np.sin(levels * rng.uniform(1, 7) + rng.uniform(0, 6)))
    vertices = np.stack([shape * np.cos(angles), shape * np.sin(angles), levels * height], -1).reshape(-1, 3)
    index = np.arange(len(vertices)).reshape(rings + 1, around)
    after = np.roll(index, -1, axis=1)
    faces = np.stack([index[:-1], after[:-1], after[1:], index[1:]], -1).reshape(-1, 4)
    colours = Paint.choose(rng).colours(np.stack([angles.ravel() * radius, levels.ravel() * height], -1))
    return Surface("pillar", vertices + place, faces, colours, smooth=True)


def _split_quads(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    corners = vertices[faces]
    middles = (corners + np.roll(corners, -1, axis=1)) / 2
    centre = corners.mean(1)
    quads = [np.stack([corners[:, k], middles[:, k], centre, middles[:, k - 1]], axis=1) for k in range(4)]
    points = np.concatenate(quads).reshape(-1, 3)
    unique, index = np.unique(np.round(points, 9), axis=0, return_inverse=True)
    return unique, index.reshape(-1, 4)


@dataclass(frozen=True)
class Paint:
    """What a surface looks like: a pattern over (..., 2) m, or a photograph `period` m high."""

    kind: str
    first: np.ndarray
    second: np.ndarray
    period: float
    seed: int
    photograph: np.ndarray | None = None

    KINDS = ("plain", "planks", "tiles", "bricks", "stripes", "clouds", "speckle", "patches")

    @classmethod
    def choose(cls, rng: np.random.Generator, pale: bool = False) -> "Paint":
        """A random one; a pale one suits walls."""
        kind = str(rng.choice(cls.KINDS))
        first, second = (np.array(fabric_colour(rng)) for _ in range(2))
        if pale:
            first = 0.4 + 0.4 * first
            second = first * rng.uniform(0.6, 0.95)
        elif rng.random() < 0.5:
            second = np.clip(first * rng.uniform(0.5, 1.8), 0, 1)
        return cls(kind, first, second, float(rng.uniform(0.1, 0.7)), int(rng.integers(2**31)))

    def colours(self, places: np.ndarray) -> np.ndarray:
        """Linear colours (..., 3) at places (..., 2) m."""
        if self.photograph is not None:
            h, w = self.photograph.shape[:2]
            rows = ((1 - places[..., 1] / self.period) * h).astype(int) % h
            columns = (places[..., 0] / self.period * h).astype(int) % w
            return self.photograph[rows, columns] ** 2.2
        rng = np.random.default_rng(self.seed)
        u, v = places[..., 0] / self.period, places[..., 1] / self.period
        points = np.concatenate([places, np.zeros_like(places[..., :1])], -1)
        light = 1 + 0.08 * smooth_noise(rng, 0.3)(points) + 0.05 * smooth_noise(rng, 4.0)(points)
        table = rng.random(4096)

        def cell(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            return table[(i.astype(int) * 73 + j.astype(int) * 179) % 4096]

        if self.kind == "planks":
            share = cell(np.floor(v * 3), np.floor(u / 4 + table[np.floor(v * 3).astype(int) % 4096]))
        elif self.kind == "tiles":
            share = ((np.floor(u) + np.floor(v)) % 2) * 0.8 + 0.2 * cell(np.floor(u), np.floor(v))
        elif self.kind == "bricks":
            rows = np.floor(v * 2)
            share = cell(np.floor(u + 0.5 * (rows % 2)), rows)
            gap = (((v * 2) % 1) < 0.12) | (((u + 0.5 * (rows % 2)) % 1) < 0.06)
            share = np.where(gap, 1.3, share * 0.6)
        elif self.kind == "stripes":
            share = (u % 1 < 0.5).astype(float)
        elif self.kind == "clouds":
            share = 0.5 + 0.5 * np.tanh(smooth_noise(rng, 0.4 / self.period)(points))
        elif self.kind == "speckle":
            share = rng.random(u.shape)
        elif self.kind == "patches":
            share = cell(np.floor(u + np.sin(v)), np.floor(v + np.sin(u)))
        else:
            share = np.zeros(u.shape)
        colours = self.first + (self.second - self.first) * share[..., None]
        return np.clip(colours * light[..., None], 0, 1)


def backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    """A picture (H, W, 3) 0..1 of nothing in particular: colours in shapes of several sizes."""
    v, u = np.mgrid[:size, :size] / size
    points = np.stack([u, v, np.zeros_like(u)], -1)
    image = np.zeros((size, size, 3))
    for frequency in (0.3, 1.0, 3.0, 9.0):
        for channel in range(3):
            image[..., channel] += smooth_noise(rng, frequency)(points) / (1 + frequency)
    image = 0.5 + 0.3 * image / image.std()
    for _ in range(rng.integers(0, 12)):
        angle, (x, y), (w, h) = rng.uniform(0, np.pi), rng.random(2), rng.uniform(0.02, 0.4, 2)
        a = (u - x) * np.cos(angle) + (v - y) * np.sin(angle)
        b = (v - y) * np.cos(angle) - (u - x) * np.sin(angle)
        image[(abs(a) < w) & (abs(b) < h)] = np.array(fabric_colour(rng)) ** 0.45
    return np.clip(image, 0, 1)


def sample_panorama(panorama: np.ndarray, view: View, turn: float) -> np.ndarray:
    """What a view sees (H, W, 3) of a picture (h, w, 3) of all directions, turned about the vertical (rad)."""
    rays = view.rays()
    h, w = panorama.shape[:2]
    u = ((np.arctan2(rays[..., 1], rays[..., 0]) + turn) / (2 * np.pi) % 1) * w - 0.5
    v = np.arccos(np.clip(rays[..., 2], -1, 1)) / np.pi * h - 0.5
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    a, b = (v - i)[..., None], (u - j)[..., None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return panorama[np.clip(row, 0, h - 1), column % w]

    return (at(i, j) * (1 - b) + at(i, j + 1) * b) * (1 - a) + (at(i + 1, j) * (1 - b) + at(i + 1, j + 1) * b) * a
