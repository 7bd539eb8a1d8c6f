"""Training our own bottom-up network on labelled pictures.

Recipe: crops around people, augmented in whole batches on the device; cross-entropy on the heatmaps and squared error
on the part-affinity maps (Cao et al. 2017), each cell weighted by how far its label is to be trusted; AdamW with a
cosine schedule; an exponential moving average of the weights.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from vp3d.detect.basic_network import WIDTHS, BasicNetwork, Weights, load, save
from vp3d.detect.bottom_up import decode, input_size
from vp3d.detect.integers import measured
from vp3d.detect.layout import BASIC
from vp3d.devices import choose_device, computes_in_half
from vp3d.errors import UserError
from vp3d.evaluate.keypoints import agreement, average_precision
from vp3d.progress import Progress, silent
from vp3d.train.detector_augment import draw
from vp3d.train.detector_labels import Picture, read
from vp3d.train.detector_pictures import Pictures
from vp3d.train.detector_targets import Targets, targets
from vp3d.train.occlusion import Occlusion
from vp3d.train.run import Losses, Run

logger = logging.getLogger(__name__)

_HIDE = (
    Occlusion("cutout", probability=0.2, holes=2, length=0.22),
    Occlusion("hide-and-seek", probability=0.05, cells=8, hidden=0.25),
)
_JOINT_CELLS = 4.0  # how much more a cell at a joint counts than one far from all
_LIMB_CELLS = 2.0
_SURE = 0.3  # joints surer than this are what validation compares with
_RANGES = 48  # pictures from which the ranges for 8-bit integers are measured


@dataclass(frozen=True)
class DetectorSettings:
    """What a training run is made of.

    Attributes:
        sources: COCO key-point files, or folders written by `vp3d data label`, and how much of a batch comes from each.
        output: safetensors file to write; the state to resume from lies beside it as `OUTPUT.training`.
        validation: sources that training does not see; without any, a share of `held_out` of the others' pictures.
        start: weights to go on from, None for random ones.
        steps, batch, learning_rate, weight_decay, averaging, seed: of the optimisation.
        crop: side of the training crops, px, a multiple of 32.
        size: longest side of the pictures in memory, px.
        widths: channels of the network's levels.
        device: auto, cpu, cuda or mps.
        evaluate_steps: steps between validations; `evaluate_pictures` of them at most.
        save_seconds: time between saved states.
        licence, commercial: to write into the file.
        integers: add what the CPU needs to compute in 8-bit integers.
    """

    sources: tuple[tuple[Path, float], ...]
    output: Path
    validation: tuple[Path, ...] = ()
    start: Path | None = None
    steps: int = 20_000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    averaging: float = 0.999
    seed: int = 1
    crop: int = 320
    size: int = 384
    widths: tuple[int, ...] = WIDTHS
    held_out: float = 0.05
    device: str = "auto"
    evaluate_steps: int = 1000
    evaluate_pictures: int = 200
    save_seconds: float = 60.0
    licence: str = "GPL-3.0-or-later"
    commercial: bool = True
    integers: bool = False


def train(settings: DetectorSettings, progress: Progress = silent) -> dict[str, Any]:
    """Train, or go on training, until `settings.steps`; writes the weights and returns the measurements.

    Returns:
        The JSON-able record that also stands in the file: settings, data, validation and history.

    Raises:
        UserError: no labelled pictures, a state of other settings, or a batch larger than the memory.
        Cancelled: from `progress`; the state is saved before.
    """
    if settings.crop % BASIC.multiple:
        raise UserError(f"Crops of {settings.crop} px do not suit the network.", f"Use a multiple of {BASIC.multiple}.")
    sources = [read(path) for path, _ in settings.sources]
    validation = [picture for path in settings.validation for picture in read(path)]
    if not validation:
        sources, validation = _split(sources, settings)
    device = torch.device(choose_device(settings.device))
    torch.manual_seed(settings.seed)
    network = load(settings.start).build() if settings.start else BasicNetwork(settings.widths)
    network.requires_grad_(True).to(device, memory_format=torch.channels_last)
    pictures = Pictures(sources, [weight for _, weight in settings.sources], settings.size, device, progress)
    described = _described(settings)
    run = Run(
        network,
        settings.output.with_name(settings.output.name + ".training"),
        {name: described[name] for name in described if name not in _MAY_CHANGE},
        settings.steps,
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        averaging=settings.averaging,
        seed=settings.seed,
    )
    run.resume()
    chosen = validation[:: max(len(validation) // settings.evaluate_pictures, 1)]

    def losses() -> Losses:
        network.train()
        return _losses(network, pictures, settings, run.generator)

    def judged() -> dict[str, float]:
        return evaluate(run.averaged(), chosen, settings.size, device)

    try:
        run.loop(losses, judged, settings.evaluate_steps, progress, settings.save_seconds)
    except RuntimeError as error:
        # torch has a class of its own for this on a GPU only.
        if not isinstance(error, torch.OutOfMemoryError) and "memory" not in str(error):
            raise
        raise UserError(
            f"A batch of {settings.batch} crops of {settings.crop} px does not fit into the {device.type}'s memory.",
            f"Use --batch {max(settings.batch // 2, 1)}; what is learned so far is kept.",
        ) from error
    average = run.averaged().float()
    if settings.integers:
        everything = [picture for source in sources for picture in source]
        some = everything[:: max(len(everything) // _RANGES, 1)]
        images = (_seen(picture, settings.size, average.layout.multiple) for picture in some)
        average.ranges = measured(average, (image for image in images if image is not None))
    record = {
        "settings": described,
        "sources": [
            {"name": path.name, "weight": weight, "pictures": len(source)}
            for (path, weight), source in zip(settings.sources, sources, strict=True)
        ],
        "validation": {"pictures": len(validation), **evaluate(average, validation, settings.size, device)},
        "history": run.history,
    }
    weights = Weights(average.state_dict(), settings.licence, settings.commercial, record, average.ranges)
    save(weights, settings.output)
    return record


_MAY_CHANGE = {
    "sources",
    "output",
    "validation",
    "device",
    "evaluate_steps",
    "evaluate_pictures",
    "licence",
    "commercial",
    "integers",
    "save_seconds",
}


def parse_sources(texts: Sequence[str]) -> tuple[tuple[Path, float], ...]:
    """`PATH` or `PATH=WEIGHT` as the sources of `DetectorSettings`; raises UserError for a weight that is none."""
    result = []
    for text in texts:
        path, equals, weight = text.rpartition("=")
        if not equals or Path(text).exists():
            result.append((Path(text), 1.0))
            continue
        try:
            share = float(weight)
        except ValueError:
            share = -1.0
        if not 0 < share < float("inf"):
            raise UserError(f"“{weight}” in “{text}” is no weight.", "Give a number above 0, such as labels.json=2.")
        result.append((Path(path), share))
    return tuple(result)


def evaluate(network: BasicNetwork, pictures: Sequence[Picture], size: int, device: torch.device) -> dict[str, float]:
    """OKS-AP and PCK@0.2 torso by person, on whole pictures whose longest side is shrunk to `size`, px."""
    true, found, scores = [], [], []
    network.eval()
    for picture in pictures:
        small = _seen(picture, size, network.layout.multiple)
        if small is None:
            logger.warning("%s cannot be read and is left out of the validation.", picture.path)
            continue
        (width, height), (high, wide) = picture.size, small.shape[:2]
        with torch.no_grad():
            heat, affinity = network(torch.from_numpy(small)[None].to(device))
        people = decode(
            heat[0].float().cpu().numpy(),
            affinity[0].float().cpu().numpy(),
            (width / wide, height / high),
            network.layout,
        )
        known = np.where((picture.confidence >= _SURE)[..., None], picture.joints, np.nan)
        true.append(known[np.isfinite(known[..., 0]).any(1)])
        found.append(people.joints)
        scores.append(people.confidence.sum(1))
    counted = agreement(true, found)
    return {
        "oks_ap": round(average_precision(true, found, scores), 4),
        "pck": round(counted.pck, 4),
        "missed": counted.missed / max(counted.people, 1),
        "extra": counted.extra / max(counted.people, 1),
    }


def _seen(picture: Picture, size: int, multiple: int) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, the whole picture with its longest side shrunk to about `size`; None if it is no image."""
    image = cv2.imdecode(np.fromfile(picture.path, np.uint8), cv2.IMREAD_COLOR) if picture.path.is_file() else None
    if image is None:
        return None
    height, width = image.shape[:2]
    short = round(min(size / max(width, height), 1) * min(width, height))
    wanted = input_size(width, height, short, multiple)
    return cv2.resize(image, wanted, interpolation=cv2.INTER_AREA)[..., ::-1].copy()


def _losses(
    network: BasicNetwork, pictures: Pictures, settings: DetectorSettings, generator: torch.Generator
) -> Losses:
    with torch.no_grad():
        examples = draw(pictures, settings.batch, settings.crop, generator, _HIDE)
        wanted = targets(examples.joints, examples.weight, examples.labelled, examples.ignored)
    device = generator.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=computes_in_half(device)):
        heat, affinity = network.maps(examples.images.to(memory_format=torch.channels_last))
    return _distance(heat.float(), affinity.float(), wanted)


def _distance(heat: torch.Tensor, affinity: torch.Tensor, wanted: Targets) -> Losses:
    """Weighted means over all cells of the two kinds of maps."""
    entropy = functional.binary_cross_entropy_with_logits(heat, wanted.heat, reduction="none")
    # What a perfect answer would cost is taken off, so that the figure tells how far it is.
    entropy = entropy - functional.binary_cross_entropy(wanted.heat, wanted.heat, reduction="none")
    joints = (entropy * wanted.heat_weight * (1 + _JOINT_CELLS * wanted.heat)).mean()
    error = (affinity - wanted.affinity).unflatten(1, (-1, 2)).square().sum(2)
    on_limb = (wanted.affinity.unflatten(1, (-1, 2)).square().sum(2) > 0).float()
    limbs = (error * wanted.affinity_weight * (1 + _LIMB_CELLS * on_limb)).mean()
    return {"total": 10 * (joints + limbs), "joints": joints, "limbs": limbs}


def _split(sources: list[list[Picture]], settings: DetectorSettings) -> tuple[list[list[Picture]], list[Picture]]:
    """Neighbouring pictures stay together, because those of a video are alike."""
    kept, held_out = [], []
    for source in sources:
        count = round(settings.held_out * len(source))
        first = (len(source) - count) // 2
        held_out += source[first : first + count]
        kept.append(source[:first] + source[first + count :])
    return kept, held_out


def _described(settings: DetectorSettings) -> dict[str, Any]:
    described = asdict(settings)
    described["sources"] = [[path.name, weight] for path, weight in settings.sources]
    described["validation"] = [path.name for path in settings.validation]
    described["output"] = settings.output.name
    described["start"] = settings.start.name if settings.start else None
    described["widths"] = list(settings.widths)
    return described
