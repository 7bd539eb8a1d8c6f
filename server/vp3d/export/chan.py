"""Takes' cameras as `.chan`, the table that Nuke, Houdini and Blender's own add-on read."""

import logging
from pathlib import Path

import numpy as np

from vp3d.common.take import Take
from vp3d.export.nuke import ROTATION_ORDER, camera_of

log = logging.getLogger(__name__)

_VISIBLE = 0.5  # px


def write(take: Take, path: Path, first_frame: int) -> None:
    """Write one line per frame: number, position x y z (m, Y up), rotation x y z (degrees, about Z, then X, then Y),
    and vertical field of view (degrees). Frame 0 of the video has the number `first_frame`.

    The format has no place for a principal point off the picture's centre or for lens distortion: what is lost that
    way is logged as a warning.
    """
    camera = camera_of(take)
    view = np.degrees(2 * np.arctan(camera.aperture[1] / 2 / camera.focal))
    rows = np.column_stack([camera.translate, camera.rotate, view])
    rows = np.broadcast_to(rows, (len(take.frames), rows.shape[1]))
    lines = [
        "\t".join([str(first_frame + int(frame)), *(f"{value:.9g}" for value in row)])
        for frame, row in zip(take.frames, rows, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    off = np.abs(camera.win_translate).max() * take.video["width"] / 2
    if off > _VISIBLE:
        log.warning("A .chan file has no lens shift: it is off by %.1f px. Write .nk to keep it.", off)
    if np.any(take.distortion):
        log.warning("The lens is distorted: use this camera with an undistorted plate.")
    log.info("Rotation order %s, Y up, metres.", ROTATION_ORDER)
