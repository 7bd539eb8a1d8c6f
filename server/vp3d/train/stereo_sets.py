"""Data sets of several calibrated views, as crops of the person with the camera matrices that belong to them."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from vp3d.common.skeletons import COCO_17
from vp3d.data.records import ANNOTATIONS
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.train.stereo_views import CROP_MARGIN, Views

_SURROUNDINGS = 1.3
"""Side of the crop that a network sees over the extent of the joints."""
_LEAST_SIDE = 32.0


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
    wanted = max(float((high - low).max()) * _SURROUNDINGS, _LEAST_SIDE) * CROP_MARGIN
    scale = side / wanted
    affine = np.array([[scale, 0, 0], [0, scale, 0], [0, 0, 1.0]])
    affine[:2, 2] = (side - 1) / 2 - scale * (low + high) / 2
    crop = cv2.warpAffine(view.image, affine[:2], (side, side), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    P = affine @ view.K @ np.c_[view.R, view.t]
    return crop, P, view.pixels * scale + affine[:2, 2]


def read_rendered(folder: Path, size: int, progress: Progress = silent) -> dict[str, Views]:
    """A data set of `vp3d data render-people --views N` by its splits.

    The splits are `train`, `test` (people who are in no training picture) and `test-cameras` (such people before
    cameras that took no training picture).

    Raises:
        UserError: the folder holds no such set.
    """
    try:
        content = json.loads((folder / ANNOTATIONS).read_text("utf-8"))
        people = {a["image_id"]: a for a in content["annotations"]}
        names = next(iter(content["categories"]))["keypoints"]
        instants = defaultdict(list)
        for image in content["images"]:
            if image["id"] in people:
                instants[image["instant"]].append(image)
        views = max(len(images) for images in instants.values())
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise UserError(
            f"“{folder}” holds no rendered views.", "Make them with `vp3d data render-people --views 2`."
        ) from error
    if views < 2:
        raise UserError(f"“{folder}” holds single views only.", "Make more with `vp3d data render-people --views 2`.")
    order = [names.index(joint) for joint in COCO_17.joints]
    splits: dict[str, list[Instant]] = defaultdict(list)
    for done, images in enumerate(instants.values()):
        progress("read pictures", done, len(instants))
        about = [people[image["id"]] for image in images]
        if len(images) == views and all(annotation["num_keypoints"] for annotation in about):
            seen = tuple(_rendered_view(folder, image, a, order) for image, a in zip(images, about, strict=True))
            splits[images[0]["split"]].append(Instant(np.array(about[0]["keypoints_3d"])[order], seen))
    return {name: collect(found, size) for name, found in splits.items()}


def _rendered_view(folder: Path, image: dict, annotation: dict, order: list[int]) -> View:
    path = folder / "images" / image["file_name"]
    picture = cv2.imread(str(path))
    if picture is None:
        raise UserError(f"The picture “{path}” cannot be read.", "Delete it and render it again.")
    K, R, t = (np.array(image[name], float) for name in "KRt")
    camera = np.array(annotation["keypoints_3d"], float)[order] @ R.T + t
    pixels = (camera @ K.T)[:, :2] / camera[:, 2:]
    # Where one's own body hides a joint, its place can be told, and is trained: only what is outside counts as unseen.
    visible = np.array(annotation["keypoints"]).reshape(-1, 3)[order, 2] > 0
    return View(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), K, R, t, pixels, visible)
