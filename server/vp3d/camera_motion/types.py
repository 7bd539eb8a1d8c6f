"""What the camera did, as the background of the picture tells."""

import hashlib
import json
from dataclasses import dataclass, fields, replace

import numpy as np

_PER_FRAME = ("frames", "rotation", "position", "zoom")


@dataclass(frozen=True)
class CameraMotion:
    """How the camera moved over T frames, relative to the first frame of each shot.

    Attributes:
        kind: "static", "tripod" (turns about its centre) or "free" (its centre moves, too); a zoom goes with any.
        frames: (T,) int32 frame numbers of the video.
        rotation: (T, 3, 3) float64, from camera axes at the first frame of the shot to those at each frame.
        position: (T, 3) float64, the camera's centre in the axes of the shot's first frame, in one unknown unit of
            length per shot; zeros unless free.
        zoom: (T,) float64, focal length relative to the clip's first frame; ones unless it changes.
        shots: (start, end) rows of each shot, end exclusive; together all T rows.
        focal_px: px, focal length at the first frame as the rotation of the background tells it, or None.
        focal_sigma: relative 1 sigma of `focal_px`, or None.
        sigma_px: px of the video, how far the background's features lie from where this motion puts them (median).
        counts: figures for the report, such as frames looked at, key-frames and features.
        note: one sentence for the report and the panel.
        sure: False where the background moves in a way that no camera explains.
    """

    kind: str
    frames: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    zoom: np.ndarray
    shots: tuple[tuple[int, int], ...]
    focal_px: float | None
    focal_sigma: float | None
    sigma_px: float
    counts: dict[str, int]
    note: str
    sure: bool = True

    @property
    def moves(self) -> bool:
        """Whether any frame's camera differs from the first one's."""
        return self.kind != "static" or len(self.shots) > 1 or bool(np.any(self.zoom != 1))

    def shot(self, number: int) -> "CameraMotion":
        """The motion in one of the shots, by itself."""
        rows = slice(*self.shots[number])
        parts = {name: getattr(self, name)[rows] for name in ("frames", "rotation", "position", "zoom")}
        moved = bool(np.any(parts["position"])), bool(np.any(parts["rotation"] != np.eye(3)))
        kind = "free" if moved[0] else "tripod" if moved[1] else "static"
        return replace(self, kind=kind, shots=((0, rows.stop - rows.start),), **parts)

    def about(self) -> dict:
        """JSON-able figures for a report."""
        return {
            "kind": self.kind,
            "zoom": [float(self.zoom.min()), float(self.zoom.max())],
            "shots": [[int(self.frames[start]), int(self.frames[end - 1])] for start, end in self.shots],
            "focal_px": self.focal_px,
            "focal_sigma": self.focal_sigma,
            "sigma_px": self.sigma_px,
            "counts": self.counts,
            "note": self.note,
            "sure": self.sure,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for a cache."""
        parts = {name: getattr(self, name) for name in _PER_FRAME}
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _PER_FRAME}
        return {**parts, "rest": np.array(json.dumps(rest))}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "CameraMotion":
        """What `arrays` gave."""
        rest = json.loads(str(arrays["rest"]))
        shots = tuple((start, end) for start, end in rest.pop("shots"))
        return cls(**{name: arrays[name] for name in _PER_FRAME}, shots=shots, **rest)

    def digest(self) -> str:
        """Hexadecimal fingerprint of the motion, for cache keys; the same for all cameras that stand still."""
        if not self.moves:
            return "static"
        parts = (self.rotation, self.position, self.zoom, np.array(self.shots, float))
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def unzoom(self, pixels: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """Where pixels (..., T, J, 2) would lie at the first frame's focal length; `centre` (2,) px of the lens."""
        if not np.any(self.zoom != 1):
            return pixels
        return (pixels - centre) / self.zoom[:, None, None] + centre


def still(frames: np.ndarray, sigma_px: float, counts: dict[str, int], note: str) -> CameraMotion:
    """The motion of a camera that stands still over frames (T,)."""
    n = len(frames)
    return CameraMotion(
        kind="static",
        frames=np.asarray(frames, np.int32),
        rotation=np.tile(np.eye(3), (n, 1, 1)),
        position=np.zeros((n, 3)),
        zoom=np.ones(n),
        shots=((0, n),),
        focal_px=None,
        focal_sigma=None,
        sigma_px=sigma_px,
        counts=counts,
        note=note,
    )
