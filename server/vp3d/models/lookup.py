"""Where weights are looked for: folders the user names, the own models folder, what ships with the program."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from vp3d.errors import UserError
from vp3d.models.table import MODELS, Model
from vp3d.paths import models_folder

FOLDERS_VARIABLE = "VP3D_MODELS_DIR"
"""Environment variable with folders searched first, separated by `os.pathsep`."""

BUNDLED = Path(__file__).parent / "weights"


def model(name: str) -> Model:
    """Row of the table; raises UserError for a name it does not have."""
    if name not in MODELS:
        raise UserError(f"There are no weights called {name!r}.", f"Choose one of: {', '.join(MODELS)}.")
    return MODELS[name]


def _folders(row: Model) -> Iterator[Path]:
    for named in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep):
        if named:
            yield Path(named).expanduser()
    yield models_folder()
    yield BUNDLED
    # find_spec of a top-level name locates the package without importing it.
    spec = importlib.util.find_spec(row.package) if row.package else None
    yield from map(Path, (spec.submodule_search_locations or ()) if spec else ())


def find(name: str) -> Path | None:
    """First file of a model in the first folder that holds all of its files, or None.

    Files in a folder that the user names are taken as they are; only downloads are compared with the table's hashes.

    Raises:
        UserError: no such model in the table.
    """
    row = model(name)
    for folder in _folders(row):
        for layout in row.layouts:
            paths = [folder / layout / file.name for file in row.files]
            if all(path.is_file() for path in paths):
                return paths[0]
    return None


def require(name: str) -> Path:
    """Like `find`, but raises UserError that says how to get missing weights."""
    path = find(name)
    if path is not None:
        return path
    row = model(name)
    title = f"The weights of {row.title} are not on this computer."
    if row.size:
        raise UserError(
            title,
            f"Get them with `vp3d models download {name}` ({row.size / 1e6:.0f} MB), or name a folder that holds "
            f"{' and '.join(file.name for file in row.files)} in {FOLDERS_VARIABLE}.",
        )
    if row.package:
        raise UserError(title, f"They come with the Python package {row.package}; repair the installation.")
    raise UserError(title, f"Put {row.files[0].name} into a folder and name that folder in {FOLDERS_VARIABLE}.")
