"""`vp3d models …`: the weights on this computer, for people and, as JSON lines, for the add-on's Models panel."""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vp3d.commands.screen import Bar, console
from vp3d.errors import UserError
from vp3d.progress import Progress

app = typer.Typer(
    help="The weights that captures use: list, download, import, verify and remove them.", no_args_is_help=True
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name from `vp3d models list`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON lines, for programs.")]
_INTERVAL = 0.1  # s between two progress lines


@app.callback()
def _common(
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End when standard input ends.")] = False,
) -> None:
    if child:
        threading.Thread(target=_leave_with_stdin, daemon=True).start()


@app.command(name="list")
def list_models(as_json: JsonOption = False) -> None:
    """List the weights: what they are for, where they are, and what their licence allows."""
    with _telling(as_json):
        _show(as_json)


@app.command()
def download(name: NameArgument, as_json: JsonOption = False) -> None:
    """Download weights from their official address, check them and keep them for all captures.

    Interrupted, the same command goes on. VP3D_MODELS_MIRROR may hold the address of a copy of a models folder.
    """
    from vp3d import models

    with _telling(as_json) as progress:
        path = models.download(name, progress)
        _show(as_json, str(path))


@app.command(name="import")
def import_models(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder that holds files.")],
    name: Annotated[str, typer.Option(help="Which weights they are. [default: what their names say]")] = "",
    as_json: JsonOption = False,
) -> None:
    """Copy weights from elsewhere into the models folder, once they are proven to be what they should be."""
    from vp3d import models

    with _telling(as_json):
        brought = models.bring(source, name)
        _show(as_json, f"Imported: {', '.join(brought)}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="[default: all that is here]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare weights with the official ones, or read them where there is no official release."""
    from vp3d import models

    with _telling(as_json) as progress:
        wanted, found = names or list(models.MODELS), []
        for done, name in enumerate(wanted):
            progress("verify", done, len(wanted))
            found.append(models.status(name, thorough=True))
        damaged = [status for status in found if status.state == "damaged"]
        if as_json:
            _show(as_json, known={status.name: status for status in found})
            return
        for status in found:
            console.print(f"{status.name}: {status.state}{': ' + status.note if status.note else ''}", soft_wrap=True)
        if damaged:
            raise UserError(f"{len(damaged)} of {len(found)} weights are damaged.", "Download or import them again.")


@app.command()
def remove(name: NameArgument, as_json: JsonOption = False) -> None:
    """Delete weights from your models folder. What came with the program stays."""
    from vp3d import models

    with _telling(as_json):
        gone = models.remove(name)
        _show(as_json, "\n".join(str(path) for path in gone))


def _show(as_json: bool, text: str = "", known: dict | None = None) -> None:
    """What a command ends with: the list for a program; `text`, or else the list, for a person."""
    from vp3d import models

    if text and not as_json:
        console.print(text, soft_wrap=True)
        return
    rows = [(row, (known or {}).get(row.name) or models.status(row.name)) for row in models.MODELS.values()]
    if as_json:
        _print_line(
            "result",
            models=[
                {
                    "name": row.name,
                    "title": row.title,
                    "purpose": row.purpose,
                    "size": row.size or status.size,
                    "downloadable": bool(row.size),
                    "licence": row.licence,
                    "commercial": row.commercial,
                    "credit": row.credit,
                    "page": row.page,
                    "state": status.state,
                    "origin": status.origin,
                    "path": str(status.path or ""),
                    "note": status.note,
                }
                for row, status in rows
            ],
        )
        return
    for row, status in rows:
        size = f"{(row.size or status.size) / 1e6:.1f} MB, " if row.size or status.size else ""
        place = {"absent": "not here", "damaged": f"damaged: {status.note}"}.get(status.state, f"here: {status.path}")
        lines = (
            f"{row.name}: {row.title}",
            f"  {row.purpose}",
            f"  {size}{row.licence}, commercial work: {'yes' if row.commercial else 'no'}",
            f"  {place}",
        )
        console.print("\n".join(lines), soft_wrap=True)


@contextlib.contextmanager
def _telling(as_json: bool) -> Iterator[Progress]:
    """A `Progress` for the screen or as JSON lines, and errors as a JSON line where those are asked for."""
    if not as_json:
        with Bar() as bar:
            yield bar
        return
    last = 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last > _INTERVAL:
            last = time.monotonic()
            _print_line("progress", stage=stage, done=done, total=total)

    try:
        yield report
    except UserError as error:
        _print_line("error", message=error.message, hint=error.hint)
        raise typer.Exit(1) from error


def _print_line(type_: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"type": type_, **fields}) + "\n")
    sys.stdout.flush()


def _leave_with_stdin() -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock the interpreter wants for a clean end
        pass
    os._exit(1)  # a download may wait for the network: nothing but an immediate exit ends it now
