"""`vp3d evaluate lifter` and `take`, and `vp3d train label-study` and `recipe-study`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vp3d.commands.screen import Bar, console, resumable
from vp3d.common import take as takes
from vp3d.errors import UserError
from vp3d.files import check_output

ReferenceOption = Annotated[
    Path, typer.Option(help="Known joints: a .trc of markers, another take, or the truth of a rendered clip (.json).")
]
CalibrationOption = Annotated[
    Path | None, typer.Option(help="Where the camera was: errors are then measured in its axes too.")
]
CameraOption = Annotated[
    str | None, typer.Option(help="The camera in the calibration. [default: that of the clip's name]")
]


def evaluate_lifter(
    weights: Annotated[
        str | None, typer.Argument(metavar="[WEIGHTS]", help="Lifter weights, by name or file. [default: bundled]")
    ] = None,
    motion: Annotated[
        list[Path] | None, typer.Option(help="Zip or folder of motion capture to film with virtual cameras.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Use all takes, not only those that training held out.")
    ] = False,
    take: Annotated[Path | None, typer.Option(help="A take whose real 2D joints to lift; needs --reference.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Known joints of the take, as for `evaluate take`.")] = None,
    calibration: CalibrationOption = None,
    camera: CameraOption = None,
    fps: Annotated[float, typer.Option(help="Frames per second of the virtual cameras.")] = 50.0,
    cameras: Annotated[int, typer.Option(help="Virtual cameras around every clip.")] = 2,
    frames: Annotated[int, typer.Option(help="About how many frames a measurement sees; 0 for all.")] = 20_000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Measure a lifter: errors by the field's protocols, cost and speed."""
    from vp3d.evaluate import lifting, tables
    from vp3d.lift.checkpoint import load
    from vp3d.lift.lifter import find_weights
    from vp3d.train.recordings import read_recordings

    if not motion and not take:
        raise UserError("There is nothing to evaluate on.", "Give --motion, or --take with --reference.")
    if take and not reference:
        raise UserError("A take alone does not tell what is true.", "Give its known joints with --reference.")
    if output is not None:
        check_output(output)
    path = find_weights(weights)
    checkpoint = load(path)
    report: dict = {"lifter": lifting.describe(checkpoint, path.stem)}
    with Bar() as bar:
        if motion:
            recordings = read_recordings(motion, bar)
            chosen = recordings if everything else lifting.unseen(checkpoint, recordings)
            report["takes"] = sorted({recording.take for recording in chosen})
            report |= lifting.evaluate_on_motion(
                checkpoint, chosen, device, fps=fps, cameras=cameras, frames=frames or None, progress=bar
            )
        if take and reference:
            known = _reference(reference, calibration, camera, take)
            report["detected"] = lifting.evaluate_on_take(checkpoint, takes.load(take), *known, device)
    for table in tables.lifter_tables(report):
        console.print(table)
    _write_json(report, output)


def evaluate_take(
    path: Annotated[Path, typer.Argument(metavar="TAKE", help="A take, NAME.vp3d.")],
    reference: ReferenceOption,
    calibration: CalibrationOption = None,
    camera: CameraOption = None,
    lifter: Annotated[
        str | None, typer.Option(help="Lifter weights to compare with, by name or file. [default: bundled]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Measure a take against known joints: errors, jitter, and how steady the bones are."""
    from vp3d.evaluate import takes as measure
    from vp3d.evaluate.tables import take_table
    from vp3d.lift import load_lifter

    if output is not None:
        check_output(output, path, reference)
    known = _reference(reference, calibration, camera, path)
    report = measure.evaluate_take(takes.load(path), *known, load_lifter(lifter))
    console.print(take_table(report))
    _write_json(report, output)


def label_study(
    motion: Annotated[
        list[Path], typer.Argument(metavar="MOTION...", help="Zips or folders of motion, all of it with 3D.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Figures to write as JSON; states lie beside it.")],
    steps: Annotated[int, typer.Option(help="Steps of every run.")] = 3000,
    seeds: Annotated[int, typer.Option(help="Runs of each kind.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Find out what films without 3D are worth: small lifters with 1, 5 and 10 % of the labels, alone and with films of
    the rest."""
    from vp3d.evaluate.tables import study_table
    from vp3d.train.label_study import LabelStudy, run_study, summarise
    from vp3d.train.recordings import read_recordings

    check_output(output)
    study = LabelStudy(output.with_suffix(".runs"), steps=steps, seeds=tuple(range(1, seeds + 1)), device=device)
    with resumable(), Bar() as bar:
        rows = run_study(read_recordings(motion, bar), study, bar)
    summary = summarise(rows)
    console.print(study_table(summary))
    _write_json({"summary": summary, "runs": rows}, output)


def recipe_study(
    motion: Annotated[list[Path], typer.Argument(metavar="MOTION...", help="Zips or folders of motion.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Figures to write as JSON; weights lie beside it.")],
    steps: Annotated[int, typer.Option(help="Steps of every run.")] = 900,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the whole recipe, which tell what chance does.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Find out what each part of the training recipe is worth: small lifters trained alike but for one thing."""
    from vp3d.evaluate.tables import recipe_table
    from vp3d.train.recipe_study import run_study, small
    from vp3d.train.recordings import read_recordings

    check_output(output)
    with resumable(), Bar() as bar:
        settings = small(motion, output.with_suffix(".runs"), steps, device=device)
        rows = run_study(read_recordings(motion, bar), settings, seeds=seeds, progress=bar)
    console.print(recipe_table(rows))
    _write_json({"runs": rows}, output)


def _reference(reference: Path, calibration: Path | None, camera: str | None, take: Path) -> tuple:
    """Known joints, and R (3, 3) of the camera that took the clip, or None."""
    from vp3d.calibration import pick, read_calibration
    from vp3d.evaluate.reference import read_reference

    known = read_reference(reference)
    if calibration is None:
        return known, None
    name = Path(takes.load(take).video.get("name", take.name)).stem
    return known, pick(read_calibration(calibration), camera, name).R


def _write_json(report: dict, output: Path | None) -> None:
    if output is not None:
        output.write_text(json.dumps(report, indent=1), encoding="utf-8")
        console.print(str(output), soft_wrap=True)
