"""What the overlay draws, as round strokes: triangles for the GPU, or painted into a picture. No bpy in here."""

from dataclasses import dataclass

import numpy as np

_CAP = 6  # segments of a stroke's half round end
_FEATHER = 0.5  # px on both sides of an edge
_RIM = np.array([0.05, 0.05, 0.06])
_UNPAIRED = np.array([0.75, 0.78, 0.82])
_RAMP = np.array([[0.20, 0.85, 0.35], [1.00, 0.85, 0.15], [1.00, 0.20, 0.15]])  # sRGB: none, half, full error


@dataclass(frozen=True)
class Strokes:
    """Round strokes, drawn in order; a dot is a stroke without length.

    Attributes:
        ends: (N, 2, 2) px, y up or down as the user of it has it.
        radius: (N,) px.
        colour: (N, 4) sRGB and opacity, 0..1.
    """

    ends: np.ndarray
    radius: np.ndarray
    colour: np.ndarray


def of_person(
    seen: np.ndarray, solved: np.ndarray, error: np.ndarray, confidence: np.ndarray, limit: float, size: float = 1.0
) -> Strokes:
    """Detected joints as dots, the reprojected ones as crosses, and lines between them, coloured by error.

    Args:
        seen: (J, 2) px where to draw detected joints, NaN where there is none.
        solved: (J, 2) px where to draw reprojected joints, NaN where there is none.
        error: (J,) px of the plate between the two.
        confidence: (J,) 0..1; unsure joints are fainter.
        limit: px of the plate from which on an error is all red.
        size: scale of what is drawn.
    """
    found, posed = np.isfinite(seen).all(1), np.isfinite(solved).all(1)
    pairs = found & posed
    colour = np.where(pairs[:, None], _colour(np.where(pairs, error, 0) / limit), _UNPAIRED)
    opacity = np.where(found, 0.35 + 0.65 * np.clip(np.where(found, confidence, 0), 0, 1), 0.9)
    arm = 4.0 * size * np.array([[[-1, -1], [1, 1]], [[-1, 1], [1, -1]]])
    crosses = (solved[posed][:, None, None] + arm).reshape(-1, 2, 2)
    parts = [
        (np.stack([seen[pairs], solved[pairs]], 1), 1.2 * size, colour[pairs], opacity[pairs]),
        (crosses, 1.0 * size, np.repeat(colour[posed], 2, 0), np.repeat(opacity[posed], 2)),
        (np.repeat(seen[found][:, None], 2, 1), np.where(pairs, 3.4, 2.0)[found] * size, colour[found], opacity[found]),
    ]
    strokes = []
    for ends, radius, ink, alpha in parts:
        radii = np.broadcast_to(radius, len(ends))
        strokes.append((ends, radii + 1.0 * size, np.column_stack([np.tile(_RIM, (len(ends), 1)), 0.6 * alpha])))
        strokes.append((ends, radii, np.column_stack([ink, alpha])))
    return Strokes(*(np.concatenate(part) for part in zip(*strokes, strict=True)))


def _colour(share: np.ndarray) -> np.ndarray:
    """(N, 3) sRGB of errors as shares (N,) of the limit."""
    steps = np.linspace(0, 1, len(_RAMP))
    return np.stack([np.interp(share, steps, channel) for channel in _RAMP.T], -1)


def together(strokes: list[Strokes]) -> Strokes:
    """Several, one after the other."""
    return Strokes(*(np.concatenate([getattr(s, name) for s in strokes]) for name in ("ends", "radius", "colour")))


def triangles(strokes: Strokes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (V, 2) px, colours (V, 4) and triangles (F, 3) for blending with smooth colours."""
    along = strokes.ends[:, 1] - strokes.ends[:, 0]
    turn = np.arctan2(along[:, 1], along[:, 0])
    bow = np.linspace(-np.pi / 2, np.pi / 2, _CAP + 1)
    angle = turn[:, None] + np.concatenate([bow, bow + np.pi])
    round_ = np.stack([np.cos(angle), np.sin(angle)], -1)
    centre = np.repeat(strokes.ends[:, ::-1], _CAP + 1, 1)  # the far end's half comes first
    count = 2 * (_CAP + 1)
    radius = strokes.radius[:, None, None]
    inner, outer = (centre + (radius + edge) * round_ for edge in (-_FEATHER, _FEATHER))
    clear = strokes.colour * [1, 1, 1, 0]
    points = np.concatenate([inner, outer], 1)
    colours = np.concatenate([np.repeat(c[:, None], count, 1) for c in (strokes.colour, clear)], 1)
    ring, following = np.arange(count), np.roll(np.arange(count), -1)
    fan = np.stack([np.zeros(count - 2, int), ring[1:-1], ring[2:]], -1)
    band = [np.stack([ring, ring + count, following], -1), np.stack([following, ring + count, following + count], -1)]
    faces = np.concatenate([fan, *band])[None] + 2 * count * np.arange(len(points))[:, None, None]
    return points.reshape(-1, 2), colours.reshape(-1, 4), faces.reshape(-1, 3)


def paint(image: np.ndarray, strokes: Strokes) -> None:
    """Blend strokes into an image whose y goes down; (0, 0) is the centre of its top-left pixel.

    `image` is (H, W, 3) sRGB, or (H, W, 4) with an opacity that the colours are multiplied by, all 0..1.
    """
    height, width = image.shape[:2]
    for (start, end), radius, colour in zip(strokes.ends, strokes.radius, strokes.colour, strict=True):
        low = np.floor(np.minimum(start, end) - radius - 1).astype(int).clip(0, [width, height])
        high = np.ceil(np.maximum(start, end) + radius + 2).astype(int).clip(0, [width, height])
        part = image[low[1] : high[1], low[0] : high[0]]
        v, u = np.mgrid[low[1] : high[1], low[0] : high[0]]
        point, along = np.stack([u, v], -1) - start, end - start
        share = np.clip(point @ along / max(along @ along, 1e-9), 0, 1)
        distance = np.linalg.norm(point - share[..., None] * along, axis=-1)
        cover = colour[3] * np.clip(radius + _FEATHER - distance, 0, 1)[..., None]
        part += cover * (np.append(colour[:3], 1.0)[: image.shape[2]] - part)
