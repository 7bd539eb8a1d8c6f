"""Clothes, hair and skin of a figure: which face of the mesh is what, and a colour for every corner."""

import colorsys
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .figures import BONES, BOTTOM, EYE, HAIR, HEAD, SHOES, SKIN, TOP, Figure, unit

SKINS = (
    (0.80, 0.58, 0.45), (0.72, 0.48, 0.35), (0.55, 0.34, 0.23), (0.36, 0.21, 0.13),
    (0.87, 0.67, 0.56), (0.22, 0.12, 0.08), (0.13, 0.07, 0.045),
)  # fmt: skip
HAIRS = (
    (0.02, 0.015, 0.01), (0.06, 0.035, 0.02), (0.14, 0.08, 0.04), (0.30, 0.20, 0.10), (0.25, 0.25, 0.25),
    (0.01, 0.01, 0.012), (0.45, 0.32, 0.16), (0.60, 0.60, 0.58), (0.22, 0.07, 0.03),
)  # fmt: skip


ARM = ("upper_arm", "forearm", "hand")
LEG = ("thigh", "shin", "foot")


@dataclass(frozen=True)
class Outfit:
    """What somebody wears.

    Attributes:
        sleeve: where sleeves end along the arm: 0 shoulder, 1 elbow, 2 wrist.
        leg: where trousers end along the leg: 0 hip, 1 knee, 2 ankle.
        waist: height of the top's hem above the pelvis (m).
        neckline: how far below the neck the top is open in front (m).
        loose: how far the cloth stands off the body (m).
        skirt: None for trousers, else where the skirt ends along the leg.
        hair: "bald", "short" or "long".
        beard: whether the jaw is of the hair's colour.
        barefoot: whether feet are bare.
    """

    sleeve: float
    leg: float
    waist: float
    neckline: float
    loose: float
    skirt: float | None
    hair: str
    beard: bool
    barefoot: bool


def choose_outfit(rng: np.random.Generator, female: bool) -> Outfit:
    """What somebody might wear."""
    sleeve = rng.choice([0.0, rng.uniform(0.3, 0.7), rng.uniform(0.9, 1.3), 1.95], p=[0.1, 0.4, 0.1, 0.4])
    leg = rng.choice([rng.uniform(0.35, 0.9), rng.uniform(1.2, 1.6), 1.93], p=[0.25, 0.1, 0.65])
    hair = rng.choice(["bald", "short", "long"], p=[0.02, 0.25, 0.73] if female else [0.15, 0.8, 0.05])
    return Outfit(
        sleeve=float(sleeve),
        leg=float(leg),
        waist=float(rng.uniform(-0.12, 0.1)),
        neckline=float(rng.choice([0.0, rng.uniform(0.02, 0.1)])),
        loose=float(rng.uniform(0.004, 0.022)),
        skirt=float(rng.uniform(0.6, 1.7)) if female and rng.random() < 0.3 else None,
        hair=str(hair),
        beard=bool(not female and rng.random() < 0.3),
        barefoot=bool(rng.random() < 0.08),
    )


def _along(figure: Figure, side: str, bones: tuple[str, str, str]) -> np.ndarray:
    """Where each vertex lies along a limb: 0 at its root, 1 at the middle joint, 2 at its end."""
    starts = [figure.head(f"{side}_{bone}") for bone in bones]
    parts = []
    for start, end in itertools.pairwise(starts):
        axis = end - start
        parts.append((figure.vertices - start) @ axis / (axis @ axis))
    return np.where(parts[1] > 0, 1 + parts[1], np.minimum(parts[0], 1))


def _moved_by(figure: Figure, *parts: str) -> np.ndarray:
    """Vertices (V,) bool that one of the bones moves most; names of limbs stand for both sides."""
    named = {f"{side}{part}" for part in parts for side in ("", "left_", "right_")}
    return np.isin(figure.bones[:, 0], [b for b, bone in enumerate(BONES) if bone in named])


def _zones(figure: Figure, outfit: Outfit) -> np.ndarray:
    """Material that an outfit gives each vertex of a body, wherever it has one."""
    zones = np.full(len(figure.vertices), SKIN)
    x, y, z = figure.vertices.T
    torso = _moved_by(figure, "pelvis", "spine", "upper_spine", "chest")
    waist = figure.head("pelvis")[2] + outfit.waist + 0.05
    zones[torso | _moved_by(figure, "clavicle")] = TOP
    zones[torso & (z < waist)] = BOTTOM
    trousers = outfit.leg if outfit.skirt is None else 0.3
    for side in ("left", "right"):
        arm = _moved_by(figure, f"{side}_upper_arm", f"{side}_forearm")
        zones[arm & (_along(figure, side, ARM) < outfit.sleeve)] = TOP
        leg = _moved_by(figure, f"{side}_thigh", f"{side}_shin")
        zones[leg & (_along(figure, side, LEG) < trousers)] = BOTTOM
    zones[_moved_by(figure, "foot", "toe")] = SKIN if outfit.barefoot else SHOES
    neck = figure.head("neck")
    open_neck = (np.hypot(x, (neck[2] - z) * 0.6) < outfit.neckline) & (y < neck[1])
    zones[(zones == TOP) & open_neck] = SKIN
    return zones


def dress_body(figure: Figure, outfit: Outfit, helpers: dict[str, np.ndarray]) -> Figure:
    """Clothe a bare figure with the garments that lie about it, standing off by what the outfit says."""
    zones = _zones(figure, outfit)
    triangles, materials = figure.triangles, figure.materials.copy()
    vertices = figure.vertices.copy()
    normals = vertex_normals(vertices, triangles)
    in_tights = np.isin(triangles[:, 0], helpers["tights"])
    in_skirt = np.isin(triangles[:, 0], helpers["skirt"])
    body = ~in_tights & ~in_skirt & np.isin(materials, (SKIN, HEAD))
    face_zones = zones[triangles]
    clothed = np.isin(face_zones, (TOP, BOTTOM))

    bare = body & (materials != HEAD)
    materials[bare] = face_zones[bare, 0]  # the two halves of a square share their first corner
    materials[in_tights] = face_zones[in_tights, 0]
    keep = np.ones(len(triangles), bool)
    keep[in_tights] = clothed[in_tights].any(1)
    materials[in_tights & ~np.isin(materials, (TOP, BOTTOM))] = TOP
    if outfit.skirt is None:
        keep[in_skirt] = False
    else:
        length = np.maximum(*(_along(figure, side, LEG) for side in ("left", "right")))
        keep[in_skirt] = (length[triangles[in_skirt]] < outfit.skirt).all(1)
        materials[in_skirt] = BOTTOM
    hair = materials == HAIR
    keep[hair] = outfit.hair == "long"

    for name, share in (("tights", 1.0), ("skirt", 0.5)):
        vertices[helpers[name]] += normals[helpers[name]] * outfit.loose * share
    shoes = zones == SHOES
    vertices[shoes] += normals[shoes] * 0.006
    scalp = _scalp(figure)
    if outfit.hair != "bald":
        vertices += normals * (np.clip(scalp / 0.03, 0, 1) * (0.012 if outfit.hair == "short" else 0.004))[:, None]
    return replace(figure, vertices=vertices, triangles=triangles[keep], materials=materials[keep])


def shorten(figure: Figure, outfit: Outfit) -> Figure:
    """Bare the forearms and shanks of a figure that comes in its clothes, as far as the outfit says."""
    zones = _zones(figure, replace(outfit, waist=0.0, neckline=0.0, skirt=None))
    face_zones = zones[figure.triangles]
    bare = (face_zones == SKIN).all(1) & np.isin(figure.materials, (TOP, BOTTOM))
    bare &= _moved_by(figure, "upper_arm", "forearm", "thigh", "shin")[figure.triangles[:, 0]]
    return replace(figure, materials=np.where(bare, SKIN, figure.materials))


def _scalp(figure: Figure) -> np.ndarray:
    """How far (m) each vertex of the head lies inside the hair line, negative outside."""
    _, y, z = figure.vertices.T
    eyes = figure.labels["left_eye"][1][2]
    ears = figure.labels["left_ear"][1][1]
    back = np.clip((y - (ears - 0.09)) / 0.16, 0, 1)
    line = eyes + np.where(back < 0.5, 0.068 - 0.06 * back, 0.038 - 0.30 * (back - 0.5))
    return np.where(_moved_by(figure, "head"), z - line, -1.0)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), weighted by area."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, k], faces[:, axis], len(vertices))
    return unit(normals)


def paint(figure: Figure, outfit: Outfit, rng: np.random.Generator) -> np.ndarray:
    """Linear colours (F, 3, 3) of the corners of all faces."""
    corners = figure.vertices[figure.triangles]
    skin = np.array(SKINS[rng.integers(len(SKINS))]) * rng.uniform(0.85, 1.15)
    hair = np.array(HAIRS[rng.integers(len(HAIRS))])
    colours = np.empty(corners.shape)
    top, bottom = Cloth.choose(rng), Cloth.choose(rng)
    if rng.random() < 0.12:
        bottom = top
    shoes = np.array(fabric_colour(rng)) * 0.7
    for material in np.unique(figure.materials):
        which = figure.materials == material
        points = corners[which]
        if material == TOP:
            colours[which] = top.colours(points)
        elif material == BOTTOM:
            colours[which] = bottom.colours(points)
        elif material == SHOES:
            sole = points[..., 2:] < 0.02
            colours[which] = np.where(sole, shoes * rng.choice([0.4, 1.0, 2.0]), shoes)
        elif material == HAIR:
            colours[which] = hair
        elif material == EYE:
            colours[which] = _eye_colours(points, rng)
        elif material == HEAD:
            colours[which] = _head_colours(figure, outfit, figure.triangles[which], skin, hair)
        else:
            colours[which] = skin
    uneven = 1 + 0.10 * smooth_noise(rng, 7.0)(corners) + 0.06 * smooth_noise(rng, 30.0)(corners)
    return np.clip(colours * uneven[..., None], 0, 1)


def _eye_colours(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    iris = np.array([(0.03, 0.02, 0.015), (0.10, 0.06, 0.03), (0.08, 0.12, 0.16)][rng.integers(3)])
    in_front = points[..., 1] < points[..., 1].min() + 0.002
    return np.where(in_front[..., None], iris, np.array([0.72, 0.70, 0.68]))


def _head_colours(
    figure: Figure, outfit: Outfit, triangles: np.ndarray, skin: np.ndarray, hair: np.ndarray
) -> np.ndarray:
    """Skin, hair inside the hair line, brows, lids and lips for the corners (F, 3) of a head."""
    points = figure.vertices[triangles]
    colours = np.broadcast_to(skin, points.shape).copy()
    nose = figure.labels["nose"][1]
    eyes = [figure.labels[f"{side}_eye"][1] for side in ("left", "right")]

    def near(x: float, z: float, width: float, height: float) -> np.ndarray:
        flat = ((points[..., 0] - x) / width) ** 2 + ((points[..., 2] - z) / height) ** 2 < 1
        return flat & (points[..., 1] < eyes[0][1] + 0.02)

    mouth_height = nose[2] - 0.042
    if outfit.beard:
        jaw = (points[..., 2] < nose[2] - 0.018) & (points[..., 1] < figure.labels["left_ear"][1][1])
        colours[jaw] = 0.6 * hair + 0.4 * skin * 0.5
    for eye in eyes:
        colours[near(eye[0], eye[2], 0.019, 0.010)] = skin * 0.6
        colours[near(eye[0] * 1.15, eye[2] + 0.021, 0.020, 0.005)] = 0.7 * hair + 0.3 * skin * 0.5
    colours[near(0.0, mouth_height, 0.024, 0.009)] = skin * np.array([0.85, 0.5, 0.5])
    if outfit.hair != "bald":
        colours[_scalp(figure)[triangles] > 0] = hair
    return colours


def fabric_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour that cloth has, linear."""
    kind = rng.random()
    if kind < 0.22:
        grey = rng.uniform(0.01, 0.1)
        return grey, grey, grey * 1.1
    if kind < 0.36:
        grey = rng.uniform(0.4, 0.85)
        return grey, grey, grey * rng.uniform(0.9, 1.0)
    if kind < 0.55:
        return colorsys.hsv_to_rgb(rng.uniform(0.57, 0.66), rng.uniform(0.4, 0.8), rng.uniform(0.05, 0.4))
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.95), rng.uniform(0.08, 0.75))


def smooth_noise(rng: np.random.Generator, frequency: float) -> Callable[[np.ndarray], np.ndarray]:
    """A smooth random function of points (..., 3), mean 0, standard deviation about 1, `frequency` cycles a metre."""
    waves = (rng.normal(size=(3, 8)) * frequency * 2.2).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, 8).astype(np.float32)

    def noise(points: np.ndarray) -> np.ndarray:
        return np.sin(points.astype(np.float32) @ waves + phases).sum(-1) / 2

    return noise


@dataclass(frozen=True)
class Cloth:
    """A woven or printed pattern in space.

    Attributes:
        kind: one of `KINDS`.
        first, second: (3,) linear colours.
        period: m, of the repeating pattern.
        seed: of its randomness.
    """

    kind: str
    first: np.ndarray
    second: np.ndarray
    period: float
    seed: int

    KINDS = ("plain", "stripes", "columns", "checks", "plaid", "dots", "clouds", "camouflage", "fade", "print")

    @classmethod
    def choose(cls, rng: np.random.Generator) -> "Cloth":
        """A random one; every third is plain."""
        kind = "plain" if rng.random() < 0.3 else str(rng.choice(cls.KINDS))
        first, second = np.array(fabric_colour(rng)), np.array(fabric_colour(rng))
        return cls(kind, first, second, float(rng.uniform(0.03, 0.16)), int(rng.integers(2**31)))

    def colours(self, points: np.ndarray) -> np.ndarray:
        """Colours (..., 3) at points (..., 3) of the rest pose (m)."""
        rng = np.random.default_rng(self.seed)
        x, y, z = np.moveaxis(points, -1, 0)
        period = self.period
        around = np.arctan2(x, -y) * 0.15

        def band(value: np.ndarray) -> np.ndarray:
            return (value / period) % 1 < 0.5

        if self.kind == "stripes":
            share = band(z).astype(float)
        elif self.kind == "columns":
            share = band(around).astype(float)
        elif self.kind == "checks":
            share = (band(z) ^ band(around)).astype(float)
        elif self.kind == "plaid":
            share = 0.5 * band(z) + 0.5 * band(around)
        elif self.kind == "dots":
            share = ((np.sin(2 * np.pi * z / period) * np.sin(2 * np.pi * around / period)) > 0.4).astype(float)
        elif self.kind == "clouds":
            share = 0.5 + 0.5 * np.tanh(smooth_noise(rng, 0.25 / period)(points))
        elif self.kind == "camouflage":
            share = (smooth_noise(rng, 0.3 / period)(points) > 0.3) * 1.0
        elif self.kind == "fade":
            share = np.clip((z - 0.6) / 0.8, 0, 1)
        elif self.kind == "print":
            share = (np.hypot(x - 0.02, z - 1.25) < rng.uniform(0.06, 0.13)) & (y < 0)
            share = share * (smooth_noise(rng, 8.0)(points) > -0.3)
        else:
            share = np.zeros(points.shape[:-1])
        return self.first + (self.second - self.first) * share[..., None]
