"""Takes' cameras as a Nuke script: paste it, or load it with File, Insert."""

import re
from pathlib import Path

import numpy as np

from vp3d.common.take import Take
from vp3d.export.nuke import ROTATION_ORDER, camera_of

_DIGITS = ".12g"
_UNSAFE = re.compile(r"[^\w .,()#%+-]")
"""Nuke reads labels as Tcl, which runs what stands in brackets, when it opens the file and again when it draws it."""


def write(take: Take, path: Path, first_frame: int) -> None:
    """Write a `Camera2` node with its sensor back (mm), animated where it moves or zooms, and a note about units.

    World: Y up, metres. Frame 0 of the video has the number `first_frame`. The principal point is in `win_translate`.
    """
    camera = camera_of(take)
    frames = first_frame + take.frames
    name = _UNSAFE.sub("_", take.video.get("name", ""))
    width, height = take.video["width"], take.video["height"]
    label = "\\n".join(
        [
            f"VP3D Mocap: {name}",
            f"{width} x {height} px, pixel aspect {camera.pixel_aspect:.6g}, {float(take.fps):.6g} fps",
            f"sensor back {camera.aperture[0]:.4f} x {camera.aperture[1]:.4f} mm",
            f"metres, Y up, floor at Y = 0, rotation order {ROTATION_ORDER}",
            f"the video's first frame is frame {first_frame}",
            *(["the lens is distorted: undistort the plate"] if np.any(take.distortion) else []),
        ]
    )
    knobs = {
        "rot_order": ROTATION_ORDER,
        "translate": _curves(frames, camera.translate),
        "rotate": _curves(frames, camera.rotate),
        "focal": _curves(frames, camera.focal[:, None]),
        "haperture": format(camera.aperture[0], _DIGITS),
        "vaperture": format(camera.aperture[1], _DIGITS),
        "win_translate": _curves(frames, camera.win_translate),
        "near": "0.05",
        "far": "1000",
        "name": "VP3D_Camera",
        "label": f'"{label}"',
    }
    lines = ["Camera2 {", " inputs 0", *(f" {knob} {value}" for knob, value in knobs.items()), "}", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _curves(frames: np.ndarray, values: np.ndarray) -> str:
    """A knob's value from (C, N): N numbers where it does not change, else a curve for each, with a key per frame."""
    if np.ptp(values, axis=0).max() == 0:
        cells = [format(value, _DIGITS) for value in values[0]]
        return cells[0] if len(cells) == 1 else f"{{{' '.join(cells)}}}"
    curves = [
        "{curve " + " ".join(f"x{frame} {value:{_DIGITS}}" for frame, value in zip(frames, column, strict=True)) + "}"
        for column in values.T
    ]
    return f"{{{' '.join(curves)}}}"
