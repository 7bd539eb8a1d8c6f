"""Pictures of stick figures with known joints, and labels in COCO's format."""

import json
from pathlib import Path

import cv2
import numpy as np
from server.detect.scenes import random_person
from vp3d.common.skeletons import COCO_17
from vp3d.detect.layout import KEYPOINTS


def stick_figure(rng: np.random.Generator, width: int = 128, height: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB, and (17, 2) px of the person in it."""
    person = random_person(rng, rng.uniform(60, 80))
    person += (np.array((width, height)) - person.min(0) - person.max(0)) / 2
    joints = np.array([person[KEYPOINTS.index(name)] for name in COCO_17.joints])
    image = np.full((height, width, 3), rng.integers(90, 160, 3), np.uint8)
    for a, b in COCO_17.lines:
        start, end = (tuple(np.round(joints[k]).astype(int).tolist()) for k in (a, b))
        cv2.line(image, start, end, (255, 40, 40) if "left" in COCO_17.joints[b] else (40, 40, 255), 4)
    return image, joints


def write_coco(
    folder: Path, count: int, seed: int = 0, names: tuple[str, ...] = COCO_17.joints, outlines: bool = False
) -> Path:
    """A folder of stick figures, labelled."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        image, joints = stick_figure(rng)
        name = f"{number:03d}.png"
        cv2.imwrite(str(folder / name), image[..., ::-1])
        images.append({"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]})
        points = [(*joints[COCO_17.index(n)], 2) if n in COCO_17.joints else (0, 0, 0) for n in names]
        box = [*joints.min(0).tolist(), *np.ptp(joints, axis=0).tolist()]
        annotation = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": box}
        if outlines:
            x, y, w, h = box
            annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        annotation["keypoints"] = [float(v) for point in points for v in point]
        annotations.append(annotation)
    path = folder / "labels.json"
    category = {"id": 1, "name": "person", "keypoints": list(names)}
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return path


def change(path: Path, **changes: object) -> None:
    """Replace parts of a label file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


NAMES_WITH_FEET = (*COCO_17.joints, "left_big_toe", "left_small_toe", "left_heel")
