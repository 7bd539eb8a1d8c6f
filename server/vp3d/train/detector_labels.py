"""Labelled pictures for training a detector, from COCO key-point files.

A file names its pictures relative to its own folder or to the folder `images` in it, and its category names its
joints, so COCO's seventeen, our twenty-one and COCO-WholeBody's feet load alike. Beyond COCO, an annotation may hold
`confidence`, one number per joint.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vp3d.common.skeletons import BODY_21
from vp3d.data.records import ANNOTATIONS
from vp3d.errors import UserError

logger = logging.getLogger(__name__)

LABELS = "labels.json"
"""What `detector_teacher.label` calls the file that it writes into its folder."""

IGNORED = 255
"""Value of a mask where people are whom nobody labelled."""

_ALIASES = {"left_big_toe": "left_toe", "right_big_toe": "right_toe"}
VISIBLE = 2
"""COCO's flag of a joint that can be seen; 1 is one that is hidden, 0 one that is not labelled."""


@dataclass(frozen=True)
class Picture:
    """A picture and the people in it.

    Attributes:
        path: image file.
        size: width and height, px.
        joints: (P, 21, 2) float32 px in `BODY_21` order, (0, 0) at the centre of the first pixel; NaN where not known.
        confidence: (P, 21) float32, how far to trust each joint, 0…1.
        visible: (P, 21) bool, false for a joint that something hides.
        outlines: what COCO calls `segmentation` for each person, None where there is none.
        ignored: the same, or boxes (x, y, width, height), for people whose joints are not labelled.
        labelled: (21,) bool, the joints that this source labels at all.
    """

    path: Path
    size: tuple[int, int]
    joints: np.ndarray
    confidence: np.ndarray
    visible: np.ndarray
    outlines: tuple[Any, ...]
    ignored: tuple[Any, ...]
    labelled: np.ndarray

    def mask(self) -> np.ndarray:
        """(H, W) uint8: 0 nobody, n person n (from 1), `IGNORED` where people are not labelled.

        Raises:
            ValueError: an outline is none.
        """
        result = np.zeros(self.size[::-1], np.uint8)
        for outline in self.ignored:
            result[_filled(outline, self.size)] = IGNORED
        for number, outline in enumerate(self.outlines, start=1):
            if outline:
                result[_filled(outline, self.size)] = number
        return result


def read(path: Path) -> list[Picture]:
    """Pictures of a COCO key-point file; entries that cannot be used are named in the log and left out.

    Args:
        path: the JSON file, or a folder that `vp3d data label` or `vp3d data render-people` wrote.

    Raises:
        UserError: the file is missing, is no COCO key-point file, or holds nothing usable.
    """
    if path.is_dir():
        path /= ANNOTATIONS if (path / ANNOTATIONS).exists() else LABELS
    hint = "Give a COCO key-point file, or a folder written by `vp3d data`."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The labels “{path}” cannot be read ({error.strerror}).", hint) from error
    except ValueError as error:
        raise UserError(f"The labels “{path}” are damaged ({error}).", hint) from error
    try:
        orders = {entry["id"]: _order(entry["keypoints"]) for entry in content["categories"] if "keypoints" in entry}
        by_image = defaultdict(list)
        for annotation in content["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        images = list(content["images"])
        if not orders:
            raise KeyError("keypoints")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The labels “{path}” are no COCO key-points (no {error}).", hint) from error
    result = []
    folder = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    for entry in images:
        try:
            result.append(_picture(folder, entry, by_image[entry["id"]], orders))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            name = entry.get("file_name") if isinstance(entry, dict) else entry
            logger.warning("%s: the labels of %s cannot be used (%s) and are left out.", path.name, name, error)
    if not result:
        raise UserError(f"The labels “{path}” hold nothing that can be used.", hint)
    return result


def _order(names: Sequence[str]) -> list[int]:
    """Index into `BODY_21` of every joint of a category, -1 for one we do not use."""
    known = [_ALIASES.get(name, name) for name in names]
    return [BODY_21.index(name) if name in BODY_21.joints else -1 for name in known]


def _picture(folder: Path, entry: dict, annotations: list[dict], orders: dict[int, list[int]]) -> Picture:
    size = int(entry["width"]), int(entry["height"])
    labelled = np.zeros(len(BODY_21), bool)
    for order in orders.values():
        labelled[[joint for joint in order if joint >= 0]] = True
    people, ignored = [], []
    for annotation in annotations:
        if annotation["category_id"] not in orders:
            continue
        if annotation.get("iscrowd") or not annotation.get("num_keypoints", 1):
            ignored.append(annotation.get("segmentation") or annotation["bbox"])
            continue
        people.append((*_joints(annotation, orders[annotation["category_id"]]), annotation.get("segmentation")))
    joints, confidence, visible, outlines = zip(*people, strict=True) if people else ((), (), (), ())
    shape = (len(people), len(BODY_21))
    return Picture(
        folder / entry["file_name"],
        size,
        np.array(joints, np.float32).reshape(*shape, 2),
        np.array(confidence, np.float32).reshape(shape),
        np.array(visible, bool).reshape(shape),
        outlines,
        tuple(ignored),
        labelled,
    )


def _joints(annotation: dict, order: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = np.array(annotation["keypoints"], float).reshape(len(order), 3)
    trust = np.array(annotation.get("confidence", np.ones(len(order))), float).reshape(len(order))
    if not np.isfinite(points).all() or not np.isfinite(trust).all():
        raise ValueError("a joint is no number")
    joints = np.full((len(BODY_21), 2), np.nan)
    confidence, visible = np.zeros(len(BODY_21)), np.zeros(len(BODY_21), bool)
    for place, joint in enumerate(order):
        if joint >= 0 and points[place, 2] > 0:
            joints[joint], confidence[joint] = points[place, :2], trust[place].clip(0, 1)
            visible[joint] = points[place, 2] >= VISIBLE
    return joints, confidence, visible


def _filled(outline: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of a COCO outline: polygons, run lengths (as numbers or as COCO's text), or a box."""
    width, height = size
    if isinstance(outline, dict):
        high, wide = outline["size"]
        counts = outline["counts"]
        runs = _runs(counts) if isinstance(counts, str) else counts
        values = np.arange(len(runs)) % 2 == 1
        filled = np.repeat(values, runs)
        if (wide, high) != (width, height) or len(filled) != wide * high:
            raise ValueError("an outline has another size than its picture")
        return filled.reshape(wide, high).T
    canvas = np.zeros((height, width), np.uint8)
    if isinstance(outline[0], (int, float)):
        x, y, wide, high = (round(value) for value in outline)
        canvas[max(y, 0) : y + high, max(x, 0) : x + wide] = 1
    else:
        polygons = [np.round(np.array(polygon, float).reshape(-1, 2)).astype(np.int32) for polygon in outline]
        cv2.fillPoly(canvas, polygons, 1)
    return canvas.astype(bool)


def _runs(text: str) -> list[int]:
    """Run lengths in COCO's text form: five bits a character, from the third run on as differences to two before."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
