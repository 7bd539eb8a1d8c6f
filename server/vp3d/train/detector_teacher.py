"""Labels from a teacher: pictures, and what a detector sees in them, as a COCO key-point file."""

import glob
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vp3d import media
from vp3d.common.skeletons import BODY_21, COCO_17
from vp3d.detect.types import Detector, People
from vp3d.errors import UserError
from vp3d.files import written_whole
from vp3d.media.sequence import SUFFIXES
from vp3d.progress import Progress, silent
from vp3d.train.detector_labels import LABELS, VISIBLE, read

logger = logging.getLogger(__name__)


def label(
    sources: Sequence[Path],
    folder: Path,
    teacher: Detector | None,
    every: int = 1,
    size: int = 640,
    quality: int = 90,
    progress: Progress = silent,
) -> int:
    """Write pictures and what a teacher sees in them: `FOLDER/labels.json` and JPEG files beside it.

    What is labelled once is kept: the next call with the same folder goes on after the pictures that it holds.

    Args:
        sources: videos, images and folders of images.
        folder: where to write.
        teacher: any detector; None where there is nobody in the pictures. With a teacher, pictures in which it finds
            nobody are left out: there may be people whom it misses.
        every: of a video, use every n-th frame.
        size: longest side of the pictures written, px; smaller ones stay as they are.
        quality: of the JPEG files, 1…100.
        progress: called with ("label", sources done, sources).

    Returns:
        Number of pictures in the folder.

    Raises:
        UserError: nothing to label, or the folder cannot be written.
        Cancelled: from `progress`; what is labelled is kept.
    """
    clips = [clip for source in sources for clip in _clips(Path(source))]
    target = folder / LABELS
    images, annotations = _kept(target)
    done = {entry["source"] for entry in images} | {""}
    try:
        for number, clip in enumerate(clips):
            progress("label", number, len(clips))
            if str(clip) in done:
                continue
            found = list(_seen(clip, folder, teacher, every, size, quality))
            for name, image, people in found:
                entry = {"id": len(images) + 1, "file_name": name, "source": str(clip)}
                images.append({**entry, "width": image[0], "height": image[1]})
                annotations += [
                    _annotation(people, n, len(annotations) + n + 1, entry["id"]) for n in range(len(people))
                ]
    finally:
        _write(target, images, annotations, teacher)
    progress("label", len(clips), len(clips))
    if not images:
        raise UserError("No picture was labelled: the teacher found nobody.", "Give pictures of people.")
    return len(images)


def _clips(source: Path) -> Iterator[Path]:
    if not source.exists():
        raise UserError(f"There is no file or folder “{source}”.", "Give videos, images, or folders of images.")
    yield from sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES) if source.is_dir() else [source]


def _kept(target: Path) -> tuple[list[dict], list[dict]]:
    if not target.exists():
        return [], []
    read(target)  # refuses what is damaged in plain words
    content = json.loads(target.read_text(encoding="utf-8"))
    return content["images"], content["annotations"]


def _seen(
    clip: Path, folder: Path, teacher: Detector | None, every: int, size: int, quality: int
) -> Iterator[tuple[str, tuple[int, int], People]]:
    """Name, size and people of every picture of a clip, the picture written."""
    try:
        for frame, people in _detected(_frames(clip, every), teacher):
            if teacher is not None and not len(people):
                continue
            height, width = frame.shape[:2]
            scale = min(size / max(width, height), 1)
            wide, high = round(width * scale), round(height * scale)
            name = f"{clip.parent.name}-{clip.stem}-{_next(folder, clip):06d}.jpg"
            small = cv2.resize(frame, (wide, high), interpolation=cv2.INTER_AREA)
            with written_whole(folder / name) as partial:
                _, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
                partial.write_bytes(encoded.tobytes())
            joints = (people.joints + 0.5) * (wide / width, high / height) - 0.5
            yield name, (wide, high), People(joints.astype(np.float32), people.confidence)
    except UserError as error:
        logger.warning("%s is left out: %s", clip, error.message)


def _next(folder: Path, clip: Path) -> int:
    # brackets are part of many file names
    return sum(1 for _ in folder.glob(glob.escape(f"{clip.parent.name}-{clip.stem}-") + "*.jpg"))


def _frames(clip: Path, every: int) -> Iterator[np.ndarray]:
    if clip.suffix.lower() not in SUFFIXES:
        yield from (frame.image for frame in media.read_frames(clip, every=every))
        return
    data = np.fromfile(clip, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise UserError(f"“{clip}” is no image.")
    yield np.ascontiguousarray(image[..., ::-1])


def _detected(frames: Iterable[np.ndarray], teacher: Detector | None) -> Iterator[tuple[np.ndarray, People]]:
    batch: list[np.ndarray] = []
    for frame in frames:
        if teacher is None:
            yield frame, People.empty()
            continue
        batch.append(frame)
        if len(batch) == teacher.batch_size:
            yield from zip(batch, teacher.detect(batch), strict=True)
            batch = []
    if batch and teacher is not None:
        yield from zip(batch, teacher.detect(batch), strict=True)


def _annotation(people: People, person: int, identity: int, image: int) -> dict:
    joints, confidence = people.joints[person], people.confidence[person]
    known = np.isfinite(joints[:, 0])
    low, high = joints[known].min(0), joints[known].max(0)
    points = [
        value
        for (u, v), there in zip(np.nan_to_num(joints).tolist(), known.tolist(), strict=True)
        for value in ((round(u, 2), round(v, 2), VISIBLE) if there else (0, 0, 0))
    ]
    return {
        "id": identity,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": points,
        "num_keypoints": int(known.sum()),
        "confidence": [round(value, 3) for value in confidence.tolist()],
        "bbox": [round(value, 2) for value in (*low.tolist(), *(high - low).tolist())],
        "area": round(float(np.prod(high - low)), 1),
    }


def _write(target: Path, images: list[dict], annotations: list[dict], teacher: Detector | None) -> None:
    # A teacher without feet must not teach that there are none.
    feet = any(any(annotation["confidence"][len(COCO_17) :]) for annotation in annotations)
    if teacher is None:
        feet = True
    names = BODY_21.joints if feet else COCO_17.joints
    if not feet:
        for annotation in annotations:
            annotation["keypoints"] = annotation["keypoints"][: 3 * len(names)]
            annotation["confidence"] = annotation["confidence"][: len(names)]
    content = {
        "info": {"teacher": teacher.name if teacher else "nobody in the pictures"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(names)}],
    }
    with written_whole(target) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")
