"""The user's models folder: what is in it, what comes into it from elsewhere, and what is removed from it."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vp3d.errors import UserError
from vp3d.models.check import check, check_sizes
from vp3d.models.lookup import FOLDERS_VARIABLE, files_in, locate, model
from vp3d.models.table import MODELS, Model
from vp3d.paths import models_folder


@dataclass(frozen=True)
class Status:
    """What is known of a model on this computer.

    Attributes:
        name: in the table.
        state: "here", "absent" or "damaged".
        origin: see `lookup.Place`, empty where absent.
        path: its first file, None where absent.
        size: bytes of its files here.
        note: one sentence where there is something to tell.
    """

    name: str
    state: str
    origin: str = ""
    path: Path | None = None
    size: int = 0
    note: str = ""


def status(name: str, thorough: bool = False) -> Status:
    """State of a model, by the sizes of its files; `thorough` by what is in them. Raises UserError for no such model.

    Files in a folder that the user names may differ from the official ones: then the note says so.
    """
    row, place = model(name), locate(name)
    if place is None:
        return Status(name, "absent")

    def known(state: str, note: str = "") -> Status:
        size = sum(path.stat().st_size for path in place.paths if path.is_file())
        return Status(name, state, place.origin, place.paths[0], size, note)

    try:
        (check if thorough else check_sizes)(row, place.paths)
    except OSError as error:
        return known("damaged", f"It cannot be read ({error.strerror or error}).")
    except UserError as error:
        if place.origin == "named" and row.size:
            used = f"It is used as it is, because it lies in a folder that {FOLDERS_VARIABLE} names."
            return known("here", f"{error.message} {used}")
        return known("damaged", error.message)
    return known("here")


def bring(source: Path, name: str = "") -> list[str]:
    """Copy weights into the user's models folder, once it is proven that they are what they should be.

    Args:
        source: a file, or a folder that holds files under their own names (for instance another models folder).
        name: the model they are; without it, whatever is recognised.

    Returns:
        Names of the models that are here now.

    Raises:
        UserError: nothing fits, a file is damaged, cut short or of another network, or the folder cannot be written.
    """
    if not source.exists():
        raise UserError(f"There is nothing at “{source}”.", "Choose a file or a folder of weights.")
    rows = [model(name)] if name else [row for row in MODELS.values() if not row.package]
    brought, problems = [], []
    for row in rows:
        paths = _candidates(row, source, renamed=bool(name))
        if paths is None:
            continue
        try:
            _copy(row, paths)
            brought.append(row.name)
        except UserError as error:
            problems.append(error)
        except OSError as error:
            reason = error.strerror or error
            problems.append(UserError(f"“{source}” cannot be read ({reason}).", "Check the disk that it lies on."))
    if problems and not brought:
        raise problems[-1]
    if not brought:
        wanted = " and ".join(file.name for file in rows[0].files) if name else "weights that the list knows"
        raise UserError(f"“{source}” is not, and does not hold, {wanted}.", "Files must have the names they came with.")
    return brought


def _candidates(row: Model, source: Path, renamed: bool) -> tuple[Path, ...] | None:
    if source.is_dir():
        return files_in(row, source) or _beside(row, source)
    if len(row.files) == 1 and (renamed or source.name == row.files[0].name):
        return (source,)
    return _beside(row, source.parent) if source.name in (file.name for file in row.files) else None


def _beside(row: Model, folder: Path) -> tuple[Path, ...] | None:
    paths = tuple(folder / file.name for file in row.files)
    return paths if all(path.is_file() for path in paths) else None


def _copy(row: Model, paths: tuple[Path, ...]) -> None:
    check(row, paths)
    with writing() as own:
        targets = [own / row.layouts[0] / file.name for file in row.files]
        parts = [target.with_name(target.name + ".import") for target in targets]
        try:
            targets[0].parent.mkdir(parents=True, exist_ok=True)
            for path, part in zip(paths, parts, strict=True):
                shutil.copyfile(path, part)
            check(row, parts)  # also a failing stick is a reason to look again
            for part, target in zip(parts, targets, strict=True):
                part.replace(target)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)


def remove(name: str) -> list[Path]:
    """Delete a model from the user's models folder, half-finished downloads too; returns what is gone.

    What is bundled, or lies in a folder that the user names, stays.

    Raises:
        UserError: the models folder does not hold it, or it cannot be deleted.
    """
    row, gone = model(name), []
    with writing() as own:
        for layout in row.layouts:
            folder = own / layout
            for file in row.files:
                for path in (folder / file.name, folder / f"{file.name}.part"):
                    if path.is_file():
                        path.unlink()
                        gone.append(path)
            while folder != own and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent
    if not gone:
        place = locate(name)
        raise UserError(
            f"Your models folder does not hold the weights of {row.title}.",
            f"They lie in {place.paths[0].parent}, which is not ours to change." if place else "",
        )
    return gone


@contextlib.contextmanager
def writing() -> Iterator[Path]:
    """The models folder, for one writer at a time; raises UserError where there is another, or it cannot be written."""
    folder = models_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "models.lock").open("a+b") as file:
            if not _lock(file.fileno()):
                raise UserError("Another program is changing the models folder.", "Wait until it is done.")
            yield folder
    except OSError as error:
        raise UserError(
            f"{folder} could not be written ({error.strerror or error}).",
            f"Make room, close other captures, or name another folder in {FOLDERS_VARIABLE}.",
        ) from error


def _lock(file: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
