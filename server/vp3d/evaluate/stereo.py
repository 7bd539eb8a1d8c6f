"""Stereo networks side by side on the held-out parts of a data set."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vp3d.common.skeletons import COCO_17
from vp3d.detect import Detector
from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.lift.model import count_parameters
from vp3d.progress import Progress, silent
from vp3d.stereo import checkpoint as checkpoints
from vp3d.train.stereo import Finder, evaluate, finder, predict
from vp3d.train.stereo_sets import read_set
from vp3d.train.stereo_views import Views

_TIMED = 16
"""Instants on which the time per pair of views is measured."""
_JOINTS = len(COCO_17)


def compare(
    data: Path,
    weights: Sequence[Path],
    device: str = "auto",
    detector: Detector | None = None,
    progress: Progress = silent,
) -> list[dict]:
    """Errors of networks on every split but the one for training; see `train.stereo.evaluate`.

    Args:
        data: a set of COCO's joints in several views.
        weights: of the networks.
        device: where they compute.
        detector: whose joints are triangulated too, for comparison; it sees the same crops.

    Returns:
        One row per network and split: `network`, `set`, the errors, `parameters` (None for the detector), and
        `milliseconds` for one pair of views.

    Raises:
        UserError: the data or some weights cannot be read.
    """
    place = torch.device(choose_device(device))
    loaded = {path: checkpoints.load(path) for path in weights}
    rows = []
    for size in sorted({checkpoint.size for checkpoint in loaded.values()}):
        _, read = read_set(data, size, progress)
        splits = {name: views.to(place) for name, views in read.items() if name != "train"}
        if any(views.crops.shape[1] < 2 for views in read.values()):
            raise UserError(f"“{data}” holds single views only.", "Use a set of several views.")
        finders: dict[str, tuple[Finder, int | None]] = {}
        if detector:
            finders[f"triangulate ({detector.name})"] = _detected(detector), None
        for path, checkpoint in loaded.items():
            if checkpoint.size == size:
                network = checkpoint.network().to(place)
                finders[path.stem] = finder(network, size), count_parameters(network)
        for title, (find, parameters) in finders.items():
            for name in sorted(splits):
                views = splits[name]
                row = {"network": title, "set": name, "instants": len(views), "size": size}
                row |= {**evaluate(find, views, size), "parameters": parameters}
                rows.append({**row, "milliseconds": _milliseconds(find, views, size)})
    return rows


def _milliseconds(find: Finder, views: Views, size: int) -> float:
    some = views.take(torch.arange(min(_TIMED, len(views)), device=views.crops.device))
    predict(find, some, (0, 1), size, batch=1)
    start = time.perf_counter()
    predict(find, some, (0, 1), size, batch=1)
    return 1000 * (time.perf_counter() - start) / len(some)


def _detected(detector: Detector) -> Finder:
    """The surest person whom a detector finds in each crop."""

    def find(shown: Views) -> tuple[torch.Tensor, torch.Tensor]:
        views = shown.crops.shape[:2]
        pictures = (255 * shown.crops).round().byte().flatten(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        joints = np.full((len(pictures), _JOINTS, 2), np.nan, np.float32)
        confidence = np.zeros((len(pictures), _JOINTS), np.float32)
        for picture, people in enumerate(detector.detect(list(pictures))):
            if len(people):
                joints[picture], confidence[picture] = people.joints[0, :_JOINTS], people.confidence[0, :_JOINTS]
        points, trust = (torch.from_numpy(array).to(shown.crops.device) for array in (joints, confidence))
        return points.unflatten(0, views), trust.unflatten(0, views)

    return find
