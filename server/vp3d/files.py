"""Files that appear whole or not at all, and never in the place of what they are made from."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vp3d.errors import UserError


def check_name(path: Path) -> None:
    """Raise UserError for what no file on this system can be called, be it there or not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "it holds characters that names cannot have").lower()
        name = str(path).encode(errors="replace").decode()
        raise UserError(f"No file can be called “{name[:100]}” ({reason}).", "Choose another name.") from error


def check_output(path: Path, *inputs: Path) -> None:
    """Find out before any work is done whether its result can be written.

    Raises:
        UserError: `path` is one of the `inputs`, or a folder, or in a folder that cannot be written to.
    """
    for each in (path, *inputs):
        check_name(each)
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise UserError(f"“{path}” would be overwritten by what is made from it.", "Give the result another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when all went well; what was there before stays if not.

    Raises:
        UserError: the folder or the file cannot be written, or the disk is full.
    """
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"“{path}” cannot be written ({error.strerror or error}).",
        "Choose a folder you may write to, on a disk with room.",
    )
