"""Stereo networks side by side on the held-out parts of a data set."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.lift.model import count_parameters
from vp3d.progress import Progress, silent
from vp3d.stereo import checkpoint as checkpoints
from vp3d.train.stereo import evaluate, predict
from vp3d.train.stereo_sets import read_set

_TIMED = 16
"""Instants on which the time per pair of views is measured."""


def compare(data: Path, weights: Sequence[Path], device: str = "auto", progress: Progress = silent) -> list[dict]:
    """Errors of networks on every split but the one for training; see `train.stereo.evaluate`.

    Returns:
        One row per network and split: `network`, `set`, the errors, `parameters`, and `milliseconds` for one pair of
        views on the device.

    Raises:
        UserError: the data or some weights cannot be read.
    """
    place = torch.device(choose_device(device))
    loaded = {path: checkpoints.load(path) for path in weights}
    rows = []
    for size in sorted({checkpoint.size for checkpoint in loaded.values()}):
        _, read = read_set(data, size, progress)
        splits = {name: views.to(place) for name, views in read.items()}
        if any(views.crops.shape[1] < 2 for views in splits.values()):
            raise UserError(f"“{data}” holds single views only.", "Use a set of several views.")
        for path, checkpoint in loaded.items():
            if checkpoint.size != size:
                continue
            network = checkpoint.network().to(place)
            for name in sorted(splits.keys() - {"train"}):
                views = splits[name]
                row = {"network": path.stem, "set": name, "instants": len(views), **evaluate(network, views, size)}
                row["parameters"] = count_parameters(network)
                some = views.take(torch.arange(min(_TIMED, len(views)), device=place))
                predict(network, some, (0, 1), size, batch=1)
                start = time.perf_counter()
                predict(network, some, (0, 1), size, batch=1)
                row["milliseconds"] = 1000 * (time.perf_counter() - start) / len(some)
                rows.append(row)
    return rows
