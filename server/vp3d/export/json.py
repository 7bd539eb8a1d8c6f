"""Takes as one JSON object with names and units spelled out."""

import json
from pathlib import Path

import numpy as np

from vp3d.common.skeletons import BODY_21, COCO_17, H36M_17
from vp3d.common.take import Source, Take


def write(take: Take, path: Path) -> None:
    """Write a take; absent values are null. Pixels are rounded to 0.01, metres to 0.0001, the rest to 0.001."""
    text = json.dumps(_content(take), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    path.write_text(text, encoding="utf-8")


def _content(take: Take) -> dict:
    return {
        "format": "vp3d-json",
        "version": 1,
        "units": {"joints2d": "px", "joints3d": "m, Z up, floor at z = 0", "residual_px": "px", "camera_t": "m"},
        "joints2d_names": BODY_21.joints,
        "joints3d_names": H36M_17.joints,
        "residual_names": COCO_17.joints,
        "sources": {str(source.value): source.name.lower() for source in Source},
        "video": take.video,
        "fps": float(take.fps),
        "frames": take.frames.tolist(),
        "camera": {
            "K": take.camera_K.tolist(),
            "R": take.camera_R.tolist(),
            "t": take.camera_t.tolist(),
            "distortion": take.distortion.tolist(),
            "axes": "x right, y down, z forward; X_camera = R X_world + t; (0, 0) is the centre of the top-left pixel",
        },
        "people": [
            {
                "id": int(take.person_ids[p]),
                "joints2d": _nulls(take.joints2d[p], 2),
                "confidence": _nulls(take.confidence[p], 3),
                "source": take.source[p].tolist(),
                "joints3d": _nulls(take.joints3d[p], 4),
                "contacts": _nulls(take.contacts[p], 3),
                "residual_px": _nulls(take.residual_px[p], 2),
            }
            for p in range(len(take.person_ids))
        ],
        "settings": take.settings,
        "report": take.report,
    }


def _nulls(values: np.ndarray, digits: int) -> list:
    """Nested lists with None for NaN."""
    rounded = np.round(values.astype(float), digits)
    return np.where(np.isfinite(rounded), rounded.astype(object), None).tolist()
