"""What each part of the training recipe is worth: small lifters that are trained alike but for one thing."""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vp3d.devices import choose_device
from vp3d.evaluate.film import DETECTOR, film
from vp3d.evaluate.lifting import score
from vp3d.lift.checkpoint import load
from vp3d.lift.lifter import Lifter
from vp3d.progress import Progress, silent
from vp3d.train.augment import VARIATIONS, vary_proportions
from vp3d.train.bodies import FACE, POINTS
from vp3d.train.dice import Dice
from vp3d.train.lifter import LifterSettings, train_on
from vp3d.train.recipes import RECIPES
from vp3d.train.recordings import Recording, split
from vp3d.train.views import PERFECT, ViewModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Variant:
    """A run that differs from the whole recipe.

    Attributes:
        changes: to the `LifterSettings`.
        face: whether nose, eyes and ears lie apart, and not all in Human3.6M's neck, which is where a nose is.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    face: bool = True


NARROW = ViewModel(pitch=(8.0, 3.0), steep=0.0, roll=0.0, canted=(0.0, 0.0), field_of_view=(45.0, 55.0))
"""Upright cameras at eye height, all with about the same lens."""

WHOLE = "whole recipe"
VARIANTS = {
    WHOLE: Variant(),
    "narrow cameras": Variant({"views": NARROW}),
    "no detector errors": Variant({"noise": PERFECT}),
    "no changed poses": Variant({"constant": tuple(name for name in VARIATIONS if name != "proportions")}),
    "one body": Variant({"constant": ("proportions",)}),
    "no face": Variant(face=False),
    "no confidence": Variant({"convention": "unrated"}),
    "9 frames": Variant({"widths": (3, 3)}),
    "81 frames": Variant({"widths": (3, 3, 3, 3)}),
    "a quarter of the takes": Variant({"share": 0.25}),
}
"""What is compared, by name."""


def small(
    motion: Sequence[Path], output: Path, steps: int = 900, seed: int = 1, device: str = "auto"
) -> LifterSettings:
    """Settings of runs that a study can afford."""
    return LifterSettings(
        motion=tuple(motion),
        output=output,
        steps=steps,
        seed=seed,
        device=device,
        channels=128,
        batch=256,
        pairs=32,
        recipe=replace(RECIPES["vp3d"], averaging=0.99),
        evaluate_steps=steps + 1,
    )


def run_study(
    recordings: Sequence[Recording],
    settings: LifterSettings,
    variants: Sequence[str] = tuple(VARIANTS),
    seeds: int = 2,
    frames: int = 8000,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Train every variant and judge it on the same held-out clips.

    Args:
        recordings: motion to train and judge on.
        settings: of the whole recipe; `output` is a folder for the weights and states of the runs.
        variants: names in `VARIANTS`.
        seeds: runs of the whole recipe, which tell what chance does; the first has the seed of `settings`, as every
            variant has.
        frames: about how many held-out frames judge, as `film` shows them.
        progress: is told the runs done.

    Returns:
        A row per run, JSON-able: `variant`, `seed`, and errors as of `Scores.summary` with `perfect` and with `noisy`
        2D joints, and with perfect ones of people `bent` to sit and of people `built` in other ways.

    Raises:
        Cancelled: from `progress`; a repeated study goes on where it was.
    """
    settings.output.mkdir(parents=True, exist_ok=True)
    _, held_out = split(recordings, settings.held_out, settings.seed, settings.held_out_takes)
    takes = tuple(sorted({recording.take for recording in held_out}))
    clips = {
        "perfect": film(held_out, frames=frames),
        "noisy": film(held_out, frames=frames, noise=DETECTOR),
        "bent": film(held_out, frames=frames, change="bent to sit"),
        "built": film([_rebuilt(recording) for recording in held_out], frames=frames),
    }
    runs = [(name, settings.seed + i) for name in variants for i in range(seeds if name == WHOLE else 1)]
    rows: list[dict[str, Any]] = []
    for name, seed in runs:
        progress("study", len(rows), len(runs))
        variant = VARIANTS[name]
        file = settings.output / f"{name.replace(' ', '-')}-{seed}.safetensors"
        changed = replace(settings, output=file, seed=seed, held_out_takes=takes, **variant.changes)
        train_on(recordings if variant.face else [_faceless(each) for each in recordings], changed, progress)
        lifter = Lifter(load(file), name, choose_device(settings.device))
        row = {"variant": name, "seed": seed}
        rows.append(row | {kind: score(lifter, seen).summary(by=()) for kind, seen in clips.items()})
        logger.info("%s", rows[-1])
    return rows


def _rebuilt(recording: Recording) -> Recording:
    """With one other body, always the same."""
    points = torch.from_numpy(recording.points.copy())[None]
    vary_proportions(points, Dice(zlib.crc32(recording.name.encode())))
    return replace(recording, points=points[0].numpy())


def _faceless(recording: Recording) -> Recording:
    points = recording.points.copy()
    points[:, [POINTS.index(name) for name in FACE]] = points[:, [POINTS.index("neck")]]
    return replace(recording, points=points)
