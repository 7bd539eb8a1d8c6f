"""Data sets of several calibrated views, as crops of the person with the camera matrices that belong to them."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from vp3d.common.skeletons import COCO_17, SKELETONS, Skeleton
from vp3d.errors import UserError
from vp3d.files import written_whole
from vp3d.media.sequence import read_image
from vp3d.progress import Progress, silent
from vp3d.stereo.networks import LEAST_SIDE, SURROUNDINGS
from vp3d.train.stereo_views import CROP_MARGIN, Views

_FEWEST_JOINTS = 2
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class View:
    """One picture of one instant.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        K: (3, 3) px, of the picture without distortion; R (3, 3), t (3,) m from world to camera axes.
        pixels: (J, 2) px, NaN where unknown.
        visible: (J,) bool.
    """

    image: np.ndarray
    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    pixels: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Instant:
    """One person at one moment: `joints` (J, 3) m in the world, NaN where unknown, and the `views` of them."""

    joints: np.ndarray
    views: tuple[View, ...]


def collect(instants: Iterable[Instant], size: int) -> Views:
    """Crops around the person of every view, `size` px after `CROP_MARGIN` for turning.

    Raises:
        ValueError: there are no instants, or their numbers of views differ.
    """
    side = round(size * CROP_MARGIN)
    crops, projections, pixels, visible, joints = [], [], [], [], []
    for instant in instants:
        cut = [_crop(view, side) for view in instant.views]
        crops.append(np.stack([c for c, _, _ in cut]))
        projections.append(np.stack([P for _, P, _ in cut]))
        pixels.append(np.stack([p for _, _, p in cut]))
        visible.append(np.stack([view.visible for view in instant.views]))
        joints.append(instant.joints)
    if not crops:
        raise ValueError("there are no instants")
    return Views(
        torch.from_numpy(np.stack(crops)).permute(0, 1, 4, 2, 3).contiguous(),
        torch.from_numpy(np.stack(projections).astype(np.float32)),
        torch.from_numpy(np.stack(pixels).astype(np.float32)),
        torch.from_numpy(np.stack(visible)),
        torch.from_numpy(np.stack(joints).astype(np.float32)),
    )


def _crop(view: View, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    known = view.pixels[np.isfinite(view.pixels).all(-1)]
    low, high = known.min(0), known.max(0)
    wanted = max(float((high - low).max()) * SURROUNDINGS, LEAST_SIDE) * CROP_MARGIN
    scale = side / wanted
    affine = np.array([[scale, 0, 0], [0, scale, 0], [0, 0, 1.0]])
    affine[:2, 2] = (side - 1) / 2 - scale * (low + high) / 2
    crop = cv2.warpAffine(view.image, affine[:2], (side, side), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    P = affine @ view.K @ np.c_[view.R, view.t]
    return crop, P, view.pixels * scale + affine[:2, 2]


def read_set(folder: Path, size: int, progress: Progress = silent) -> tuple[Skeleton, dict[str, Views]]:
    """A data set of `vp3d data` by its splits, and its joints.

    The splits are `train`, `test` (people who are in no training picture) and, of rendered people, `test-cameras` (such
    people before cameras that took no training picture).

    Raises:
        UserError: the folder holds no such set.
    """
    try:
        content = json.loads((folder / "annotations.json").read_text("utf-8"))
        people = {a["image_id"]: a for a in content["annotations"]}
        names = next(iter(content["categories"]))["keypoints"]
        instants = defaultdict(list)
        for image in content["images"]:
            if image["id"] in people:
                instants[image["instant"]].append(image)
        views = max(len(images) for images in instants.values())
        skeleton = _skeleton(names)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise UserError(
            f"“{folder}” holds no people in views.",
            "Make them with `vp3d data render-people --views 2`, or take them from a public set with `vp3d data`.",
        ) from error
    order = [names.index(joint) for joint in skeleton.joints]
    splits: dict[str, list[Instant]] = defaultdict(list)
    for done, images in enumerate(instants.values()):
        progress("read pictures", done, len(instants))
        about = [people[image["id"]] for image in images]
        if len(images) == views and all(annotation["num_keypoints"] >= _FEWEST_JOINTS for annotation in about):
            seen = tuple(_read_view(folder, image, a, order) for image, a in zip(images, about, strict=True))
            splits[images[0]["split"]].append(Instant(np.array(about[0]["keypoints_3d"], float)[order], seen))
    return skeleton, {name: collect(found, size) for name, found in splits.items()}


def _skeleton(names: list[str]) -> Skeleton:
    """The joint set that a file labels; of COCO's with feet, the seventeen that all networks know."""
    if set(COCO_17.joints) <= set(names):
        return COCO_17
    for skeleton in SKELETONS.values():
        if list(skeleton.joints) == names:
            return skeleton
    raise KeyError("unknown joints")


def _read_view(folder: Path, image: dict, annotation: dict, order: list[int]) -> View:
    picture = read_image(folder / "images" / image["file_name"])
    K, R, t = (np.array(image[name], float) for name in "KRt")
    marked = np.array(annotation["keypoints"], float).reshape(-1, 3)[order]
    camera = np.array(annotation["keypoints_3d"], float)[order] @ R.T + t
    pixels = (camera @ K.T)[:, :2] / camera[:, 2:]
    # Where one's own body hides a joint, its place can be told, and is trained: only what is outside counts as unseen.
    visible = marked[:, 2] > 0
    pixels = np.where(np.isfinite(pixels) | ~visible[:, None], pixels, marked[:, :2])
    return View(picture, K, R, t, pixels, visible)


def write_set(
    folder: Path, skeleton: Skeleton, entries: Iterable[tuple[str, str, Instant]], progress: Progress = silent
) -> int:
    """Write a set as `read_set` and other readers of COCO's format take it; returns the number of instants.

    Args:
        folder: made where it is missing.
        skeleton: of the joints.
        entries: split, subject and instant.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations, instant = [], [], -1
    for instant, (split, subject, seen) in enumerate(entries):
        progress("write pictures", instant, 0)
        for v, view in enumerate(seen.views):
            number, name = len(images), f"{instant:06d}-{v}.jpg"
            height, width = view.image.shape[:2]
            picture = cv2.cvtColor(view.image, cv2.COLOR_RGB2BGR)
            # cv2.imwrite cannot write to non-ASCII paths on Windows
            _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            (folder / "images" / name).write_bytes(encoded.tobytes())
            camera = {"K": view.K.tolist(), "R": view.R.tolist(), "t": view.t.tolist()}
            about = {"id": number, "file_name": name, "width": width, "height": height, "camera": v}
            images.append({**about, "instant": instant, "split": split, **camera})
            marks = np.c_[np.where(view.visible[:, None], view.pixels, 0), 2 * view.visible]
            annotations.append(
                {
                    "id": number, "image_id": number, "category_id": 1, "person": 0, "subject": subject,
                    "keypoints": marks.round(3).ravel().tolist(), "num_keypoints": int(view.visible.sum()),
                    "keypoints_3d": [[_number(x) for x in joint] for joint in seen.joints], "iscrowd": 0,
                }
            )  # fmt: skip
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(skeleton.joints)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    with written_whole(folder / "annotations.json") as partial:
        partial.write_text(json.dumps(content), "utf-8")
    return instant + 1


def _number(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
