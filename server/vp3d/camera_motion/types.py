"""What the camera did, as the background of the picture tells."""

from dataclasses import dataclass, replace

import numpy as np

KINDS = ("static", "tripod", "free")


@dataclass(frozen=True)
class CameraMotion:
    """How the camera moved over T frames, relative to the first frame of each shot.

    Attributes:
        kind: "static", "tripod" (turns about its centre) or "free" (its centre moves, too); a zoom goes with any.
        frames: (T,) int32 frame numbers of the video.
        rotation: (T, 3, 3) float64, from camera axes at the first frame of the shot to those at each frame.
        position: (T, 3) float64, the camera's centre in the axes of the shot's first frame, in one unknown unit of
            length per shot; zeros unless free.
        zoom: (T,) float64, focal length relative to the shot's first frame; ones unless it zooms.
        shots: (start, end) rows of each shot, end exclusive; together all T rows.
        focal_px: px, focal length at the first frame as the rotation of the background tells it, or None.
        focal_sigma: relative 1 sigma of `focal_px`, or None.
        sigma_px: px of the video, how far the background's features lie from where this motion puts them (median).
        counts: figures for the report, such as frames looked at, key-frames and features.
        note: one sentence for the report and the panel.
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
