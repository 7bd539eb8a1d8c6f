"""Finished stages on disk, so that a cancelled, crashed or re-tuned job goes on from where it was.

An entry is found by everything its content depends on: the input, the settings and the source code of the stage. A
cache that cannot be written (full or read-only disk) costs speed, never the job.
"""

import contextlib
import functools
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vp3d import paths

log = logging.getLogger(__name__)

SIZE_LIMIT = 4 << 30  # bytes; the least recently used entries go first

Arrays = dict[str, np.ndarray]


@functools.cache
def _code(*folders: str) -> str:
    """Fingerprint of the source files below some folders or files of this package."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in folders:
        path = package / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()


def file_stamp(*files: Path) -> list[str | int]:
    """What changes when any of some files changes: the first path, the sizes in bytes, the time of the last change."""
    stats = [file.stat() for file in files]
    return [str(files[0].resolve()), sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)]


@dataclass(frozen=True)
class Entry:
    """One stage's place in the cache."""

    path: Path

    def read(self) -> Arrays | None:
        """The stored arrays, or None where there are none or they are damaged."""
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            os.utime(self.path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, zipfile.BadZipFile, EOFError):
            log.warning("a damaged cache entry is made anew: %s", self.path.name)
            return None
        return arrays

    def write(self, arrays: Arrays) -> None:
        """Store arrays; appears whole or not at all."""
        partial = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()  # straight to a full disk, np.savez would leave a zip half open
            np.savez(content, **arrays)
            partial.write_bytes(content.getbuffer())
            partial.replace(self.path)
            _prune(self.path.parent)
        except OSError as error:
            log.warning("the result of a stage could not be cached: %s", error)
            with contextlib.suppress(OSError):
                partial.unlink()

    def get(self, compute: Callable[[], Arrays]) -> tuple[Arrays, bool]:
        """The stored arrays and True, or else what `compute` returns, now stored, and False."""
        arrays = self.read()
        if arrays is not None:
            return arrays, True
        arrays = compute()
        self.write(arrays)
        return arrays, False


def entry(stage: str, code: tuple[str, ...], **inputs: object) -> Entry:
    """The place of a stage's result.

    Args:
        stage: name of the stage, the beginning of the file's name.
        code: folders or files of this package whose change makes the stored result stale.
        inputs: JSON-able values that the result depends on.
    """
    text = json.dumps([stage, _code(*code), inputs], sort_keys=True, default=str)
    return Entry(paths.cache_folder() / "stages" / f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz")


def _prune(folder: Path) -> None:
    stats = sorted(((file.stat(), file) for file in folder.iterdir()), key=lambda pair: pair[0].st_mtime)
    excess = sum(stat.st_size for stat, _ in stats) - SIZE_LIMIT
    for stat, file in stats:
        if excess <= 0:
            return
        file.unlink(missing_ok=True)
        excess -= stat.st_size
