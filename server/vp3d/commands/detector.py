"""`vp3d data label`, `vp3d train detector` and `vp3d bench detect`."""

from pathlib import Path
from typing import Annotated

import typer

from vp3d.commands.screen import Bar, console, resumable
from vp3d.errors import UserError
from vp3d.files import check_output


def label(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Videos, images, and folders of images.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write pictures and labels.json to.")],
    teacher: Annotated[
        str, typer.Option(help="The detector whose joints are the labels, or nobody: there are no people in it.")
    ] = "auto",
    detail: Annotated[str, typer.Option(help="fast, normal or fine.")] = "normal",
    every: Annotated[int, typer.Option(min=1, help="Use every n-th frame of a video.")] = 10,
    size: Annotated[int, typer.Option(min=32, help="Longest side of the pictures written, px.")] = 640,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the JPEG files written.")] = 90,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Label your own footage for `vp3d train detector` with what a detector sees in it."""
    from vp3d.detect import open_detector
    from vp3d.train.detector_teacher import label as run

    opened = None if teacher == "nobody" else open_detector(teacher, detail, device)
    with resumable(), Bar() as bar:
        count = run(sources, output, opened, every, size, quality, bar)
    console.print(f"Pictures in {output}: {count}", soft_wrap=True)


def train_detector(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE[=WEIGHT]...", help="COCO key-point files, or folders of `vp3d data label`."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")],
    start: Annotated[
        Path | None, typer.Option(help="Weights to go on from: fine-tune on your footage. [default: random]")
    ] = None,
    validation: Annotated[
        list[Path] | None, typer.Option(help="Labels to measure with. [default: some of the sources']")
    ] = None,
    steps: Annotated[
        int, typer.Option(min=0, help="Steps of the optimiser; with 0, weights stay as they are.")
    ] = 20_000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 64,
    rate: Annotated[float, typer.Option(help="Highest learning rate; to fine-tune, a tenth of it.")] = 2e-3,
    crop: Annotated[int, typer.Option(min=64, help="Side of the crops, px, a multiple of 32.")] = 320,
    size: Annotated[int, typer.Option(min=64, help="Longest side of the pictures, px.")] = 384,
    seed: Annotated[int, typer.Option(help="Seed of the split, the first weights and the crops.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    licence: Annotated[str, typer.Option(help="Licence to write into the file.")] = "GPL-3.0-or-later",
    commercial: Annotated[bool, typer.Option(help="Whether that licence allows commercial work.")] = True,
    int8: Annotated[bool, typer.Option(help="Write weights that the CPU computes with in 8-bit integers.")] = False,
) -> None:
    """Train a bottom-up detector. A stopped run goes on where it was: the same command again."""
    from vp3d.train.detector import DetectorSettings, parse_sources, train

    settings = DetectorSettings(
        sources=parse_sources(sources),
        output=output,
        validation=tuple(validation or ()),
        start=start,
        steps=steps,
        batch=batch,
        learning_rate=rate,
        crop=crop,
        size=size,
        seed=seed,
        device=device,
        licence=licence,
        commercial=commercial,
        integers=int8,
    )
    check_output(output, *(path for path in (start,) if path))
    with resumable(), Bar() as bar:
        record = train(settings, bar)
    console.print_json(data=record["validation"])


def bench_detect(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The clip to measure with.")],
    detectors: Annotated[
        str,
        typer.Option(
            help="Whom to measure: NAME:DETAIL:EVERY:RUNTIME, with commas between; all but the name may be left out."
        ),
    ] = "bottom-up,bottom-up-int8,mediapipe",
    reference: Annotated[str, typer.Option(help="Whose joints count as true.")] = "bottom-up",
    truth: Annotated[
        Path | None, typer.Option(help="Known joints of a rendered clip, in place of --reference.")
    ] = None,
    end: Annotated[int | None, typer.Option(min=1, help="Frame after the last. [default: the whole clip]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Measure detectors side by side: frames per second, joints right, people missed and made up."""
    from vp3d.evaluate.detectors import Contender, compare

    contenders = [Contender.parse(name.strip()) for name in detectors.split(",") if name.strip()]
    if not contenders:
        raise UserError("There is no detector to measure.", "Name some with --detectors.")
    with resumable(), Bar() as bar:
        result = compare(video, contenders, truth or Contender.parse(reference), end, device, bar)
    console.print(result)
