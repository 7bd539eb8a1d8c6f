"""Records of rendered instants: lines of JSON per process, merged into one COCO file. NumPy and the standard library.

Blender's Python uses this module as well as the server.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from vp3d.common.skeletons import COCO_23

JOINTS = COCO_23.joints
ANNOTATIONS = "annotations.json"
"""The COCO file in a data set's folder; its pictures lie in `images` beside it."""


def read_records(folder: Path) -> Iterator[dict]:
    """Records that lie in a data set's folder; a last line cut short by a kill is passed over."""
    for path in sorted((folder / "records").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)


def open_records(folder: Path, number: int) -> TextIO:
    """A process's file to add records to; a line cut short by a kill is cut off."""
    path = folder / "records" / f"{number}.jsonl"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def count_records(folder: Path) -> int:
    """How many instants are rendered, without reading what is known of them."""
    return sum(path.read_bytes().count(b"\n") for path in (folder / "records").glob("*.jsonl"))


def done_instants(folder: Path) -> set[int]:
    """Numbers of the instants that are rendered."""
    return {record["instant"] for record in read_records(folder)}


def merge(folder: Path) -> dict:
    """All records as one object in COCO's format, in the order of the instants; also while rendering goes on."""
    records = {record["instant"]: record for record in read_records(folder)}
    ordered = [records[instant] for instant in sorted(records)]
    return {
        "info": {"description": "People rendered by vp3d data render-people", "version": "1"},
        "images": [image for record in ordered for image in record["images"]],
        "annotations": [annotation for record in ordered for annotation in record["annotations"]],
        "categories": [
            {
                "id": 1,
                "name": "person",
                "supercategory": "person",
                "keypoints": list(JOINTS),
                "skeleton": [[a + 1, b + 1] for a, b in COCO_23.lines],
            }
        ],
    }


def rle(mask: np.ndarray) -> dict:
    """COCO's run lengths of a mask (H, W), column by column, background first."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}
