"""Takes as a table, for spreadsheets."""

import csv
from pathlib import Path

import numpy as np

from vp3d.common.skeletons import BODY_21, H36M_17
from vp3d.common.take import Take

HEADER = (
    "frame", "time_s", "person", "left_contact", "right_contact",
    *(f"{joint}_{axis}_m" for joint in H36M_17.joints for axis in "xyz"),
    *(f"{joint}_{what}" for joint in BODY_21.joints for what in ("u_px", "v_px", "confidence")),
)  # fmt: skip
"""x, y, z: the world in metres, Z up; u, v: the image in pixels, from the centre of the top-left one."""


def write(take: Take, path: Path) -> None:
    """Write one row per person and frame, the columns being `HEADER`; a cell is empty where a value is absent."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for p, person in enumerate(take.person_ids):
            seen = np.concatenate([take.joints2d[p], take.confidence[p][..., None]], -1)
            values = [
                *_cells(take.contacts[p], "{:.3f}"),
                *_cells(take.joints3d[p].reshape(len(take.frames), -1), "{:.4f}"),
                *_cells(seen.reshape(len(take.frames), -1), "{:.3f}"),
            ]
            for frame, *row in zip(take.frames, *values, strict=True):
                rows.writerow([frame, f"{float(frame / take.fps):.6f}", person, *row])


def _cells(values: np.ndarray, form: str) -> list[list[str]]:
    """Columns (T, N) of numbers as N lists of texts, empty for NaN."""
    return [[form.format(value) if np.isfinite(value) else "" for value in column] for column in values.T]
