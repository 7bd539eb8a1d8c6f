"""Files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vp3d.errors import UserError


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
        raise UserError(
            f"“{path}” cannot be written ({error.strerror or error}).",
            "Choose a folder you may write to, on a disk with room.",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
