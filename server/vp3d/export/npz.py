"""Takes as NumPy arrays, for people who script."""

import io
from pathlib import Path

import numpy as np

from vp3d.common.skeletons import COCO_17
from vp3d.common.take import Take


def write(take: Take, path: Path) -> None:
    """Write `frames (T,)` video frame numbers from 0, `fps`, `person_ids (P,)`, `joints2d (P,T,17,2)` px and
    `confidence (P,T,17)` in COCO order, `joints3d (P,T,17,3)` world metres in H36M order, `contacts (P,T,2)` left and
    right, `camera_K`, `camera_R`, `camera_t` (one, or T of them), `distortion (5,)`, `residual_px (P,T,17)` in COCO
    order; NaN where absent.
    """
    content = io.BytesIO()  # np.savez adds a suffix to a path, and leaves a zip half open when a disk is full
    np.savez_compressed(
        content,
        frames=take.frames,
        fps=float(take.fps),
        person_ids=take.person_ids,
        joints2d=take.joints2d[:, :, : len(COCO_17)],
        confidence=take.confidence[:, :, : len(COCO_17)],
        joints3d=take.joints3d,
        contacts=take.contacts,
        camera_K=take.camera_K,
        camera_R=take.camera_R,
        camera_t=take.camera_t,
        distortion=take.distortion,
        residual_px=take.residual_px,
    )
    path.write_bytes(content.getbuffer())
