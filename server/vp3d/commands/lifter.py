"""`vp3d train lifter`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vp3d.commands.screen import Bar, console, resumable
from vp3d.errors import UserError


def train_lifter(
    motion: Annotated[
        list[Path],
        typer.Argument(metavar="MOTION...", help="Zips, folders or files of motion: BVH, AMC, data_3d NPZ, takes."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")],
    steps: Annotated[int, typer.Option(help="Steps of the optimiser.")] = 24_000,
    seed: Annotated[int, typer.Option(help="Seed of the split, the first weights and the examples.")] = 1,
    recipe: Annotated[str, typer.Option(help="vp3d, or videopose3d for the published one.")] = "vp3d",
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak of the learning rate; a quarter of the recipe's suits --initial.")
    ] = None,
    widths: Annotated[
        str, typer.Option(help="Filter widths: 3,3,3 sees 27 frames, 3,3,3,3 sees 81; 1 makes it deeper.")
    ] = "3,3,3",
    channels: Annotated[int, typer.Option(help="Channels of the hidden layers.")] = 512,
    causal: Annotated[bool, typer.Option(help="Look back only, for live use.")] = False,
    batch: Annotated[int, typer.Option(help="Windows a step; a GPU likes 4096.")] = 512,
    initial: Annotated[Path | None, typer.Option(help="Weights to start from, of this shape or a smaller one.")] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(help="Takes or VideoPose3D key-points without 3D to learn from as well. Repeatable."),
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="Calibration of the cameras of key-points.")] = None,
    trajectory: Annotated[
        bool, typer.Option(help="Train a second network that says where people are; unlabelled films need it.")
    ] = False,
    held_out: Annotated[
        list[str] | None,
        typer.Option(help="Take or performer that only evaluation sees. Repeatable. [default: 12 % of the takes]"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    licence: Annotated[str, typer.Option(help="Licence to write into the file.")] = "GPL-3.0-or-later",
    commercial: Annotated[bool, typer.Option(help="Whether that licence allows commercial work.")] = True,
) -> None:
    """Train a lifter on motion capture. A stopped run goes on where it was: the same command again."""
    from vp3d.train.lifter import LifterSettings, train
    from vp3d.train.recipes import RECIPES

    try:
        layers = tuple(int(width) for width in widths.split(","))
    except ValueError:
        raise UserError(f"“{widths}” is no list of filter widths.", "Give odd numbers such as 3,3,3.") from None
    if recipe not in RECIPES:
        raise UserError(f"There is no recipe “{recipe}”.", f"Choose one of: {', '.join(RECIPES)}.")
    settings = LifterSettings(
        motion=tuple(motion),
        output=output,
        initial=initial,
        steps=steps,
        seed=seed,
        device=device,
        widths=layers,
        channels=channels,
        causal=causal,
        batch=batch,
        pairs=batch // 8,
        recipe=replace(RECIPES[recipe], learning_rate=learning_rate or RECIPES[recipe].learning_rate),
        trajectory=trajectory or bool(unlabelled),
        unlabelled=tuple(unlabelled or ()),
        calibration=calibration,
        held_out_takes=tuple(held_out or ()),
        licence=licence,
        commercial=commercial,
    )
    with resumable(), Bar() as bar:
        record = train(settings, bar)
    console.print_json(data=record)
