"""Where weights are looked for: folders the user names, the own models folder, what ships with the program."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vp3d.errors import UserError
from vp3d.models.table import MODELS, Model
from vp3d.paths import models_folder

FOLDERS_VARIABLE = "VP3D_MODELS_DIR"
"""Environment variable with folders searched first, separated by `os.pathsep`."""

BUNDLED = Path(__file__).parent / "weights"


class Place(NamedTuple):
    """Where a model lies.

    Attributes:
        origin: whose folder it is: "named" by the user, their "own" models folder, "bundled", or of a "package".
        paths: its files, in the table's order.
    """

    origin: str
    paths: tuple[Path, ...]


def model(name: str) -> Model:
    """Row of the table; raises UserError for a name it does not have."""
    if name not in MODELS:
        raise UserError(f"There are no weights called {name!r}.", f"Choose one of: {', '.join(MODELS)}.")
    return MODELS[name]


def _folders(row: Model) -> Iterator[tuple[str, Path]]:
    for named in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep):
        if named:
            yield "named", Path(named).expanduser()
    yield "own", models_folder()
    yield "bundled", BUNDLED
    # find_spec of a top-level name locates the package without importing it.
    spec = importlib.util.find_spec(row.package) if row.package else None
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield "package", Path(location)


def files_in(row: Model, folder: Path) -> tuple[Path, ...] | None:
    """The model's files in one of its layouts under `folder`, or None where one is missing."""
    for layout in row.layouts:
        paths = tuple(folder / layout / file.name for file in row.files)
        if all(path.is_file() for path in paths):
            return paths
    return None


def locate(name: str) -> Place | None:
    """The first folder that holds all of a model's files, or None.

    Raises:
        UserError: no such model in the table.
    """
    row = model(name)
    for origin, folder in _folders(row):
        if paths := files_in(row, folder):
            return Place(origin, paths)
    return None


def find(name: str) -> Path | None:
    """First file of a model in the first folder that holds all of its files, or None.

    Files in a folder that the user names are taken as they are; only downloads are compared with the table's hashes.

    Raises:
        UserError: no such model in the table.
    """
    place = locate(name)
    return place.paths[0] if place else None


def require(name: str) -> Path:
    """Like `find`, but raises UserError that says how to get missing weights."""
    path = find(name)
    if path is not None:
        return path
    row = model(name)
    title = f"The weights of {row.title} are not on this computer."
    files = " and ".join(file.name for file in row.files)
    if row.size:
        raise UserError(
            title,
            f"Get them with `vp3d models download {name}` ({row.size / 1e6:.0f} MB), or name a folder that holds "
            f"{files} in {FOLDERS_VARIABLE}.",
        )
    if row.package:
        raise UserError(title, f"They come with the Python package {row.package}; repair the installation.")
    source = f" from {row.page}" if row.page else ""
    raise UserError(title, f"Import {files}{source} with `vp3d models import`, or in Blender's Models panel.")
