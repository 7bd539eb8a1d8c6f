"""`vp3d evaluate solve`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vp3d.commands.screen import Bar, console
from vp3d.common import take as takes
from vp3d.errors import UserError
from vp3d.files import check_output


def evaluate_solve(
    motion: Annotated[
        list[Path] | None, typer.Option(help="Zip or folder of motion capture to film with virtual cameras.")
    ] = None,
    trials: Annotated[int, typer.Option(help="People before virtual cameras.")] = 30,
    take: Annotated[
        list[Path] | None, typer.Option(help="A take to solve again part by part; needs the next two.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Known joints of the take: a .trc of markers, or another take.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="Lens and place of the take's camera.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Measure camera and world: against exact truth with --motion, and what each part of the solve adds with --take."""
    from vp3d.calibration import pick, read_calibration
    from vp3d.evaluate import tables
    from vp3d.evaluate.ablation import ablation
    from vp3d.evaluate.reference import read_reference
    from vp3d.evaluate.solving import evaluate
    from vp3d.lift import load_weights
    from vp3d.train.recordings import read_recordings

    if not motion and not take:
        raise UserError(
            "There is nothing to evaluate on.", "Give --motion, or --take with --reference and --calibration."
        )
    if take and (reference is None or calibration is None):
        raise UserError("A take alone does not tell what is true.", "Give --reference and --calibration.")
    if output is not None:
        check_output(output)
    report: dict = {}
    if motion:
        with Bar() as bar:
            report["synthetic"] = evaluate(read_recordings(motion, bar), trials, progress=bar)
        console.print(tables.solve_table(report["synthetic"]))
    for path in take or ():
        loaded = takes.load(path)
        name = Path(str(loaded.video.get("name", path.name))).stem
        camera = pick(read_calibration(calibration), None, name)
        with Bar() as bar:
            report[name] = ablation(loaded, read_reference(reference), camera, load_weights(), progress=bar)
        console.print(tables.ablation_table(name, report[name]))
    if output is not None:
        output.write_text(json.dumps(report, indent=1), encoding="utf-8")
        console.print(str(output), soft_wrap=True)
