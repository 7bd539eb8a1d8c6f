"""Whether an installed environment still is what was installed: every file against its hash.

pip writes the hash of every file of a package into the package's RECORD when it unpacks it, after the archive has
passed the lock's hash. The hashes of those RECORDs are kept from then on, so that they cannot change unseen either.
"""

import base64
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from install.environments import Environment
from install.home import Home, writing
from install.reporting import Reporter
from install.requirement_files import normal

_FILE = "installed.json"
_CHUNK = 1 << 20
_USERS_OWN = {"pip"}
"""Packages that a user may well upgrade by hand."""


@dataclass(frozen=True)
class Damage:
    """What is wrong with a package.

    Attributes:
        package: its name, spelt as `requirement_files.normal` does.
        what: one phrase.
    """

    package: str
    what: str

    def __str__(self) -> str:
        return f"{self.package} ({self.what})"


def write_records(home: Home, environment: Environment) -> None:
    """Keep what is installed as what should be."""
    digests = {record.parent.name: _digest(record) for record in _records(home, environment)}
    with writing(home.folder(environment)):
        (home.folder(environment) / _FILE).write_text(json.dumps(digests, indent=1), "utf-8")


def find_damage(home: Home, environment: Environment, reporter: Reporter) -> list[Damage]:
    """Every package with a file that is gone or changed; what was added by hand is no damage."""
    found = [Damage(_name(folder), "it is gone or was replaced") for folder in _lost(home, environment)]
    contents = {record.parent.name: _files(record) for record in _records(home, environment)}
    total = sum(size for files in contents.values() for _, _, size in files)
    done = 0
    for folder, files in contents.items():
        reporter.progress(f"{environment.name}: verify", done // 1_000_000, total // 1_000_000, _name(folder))
        damaged = [path for path, digest, size in files if not _is_whole(path, digest, size)]
        done += sum(size for _, _, size in files)
        if damaged:
            found.append(Damage(_name(folder), f"{len(damaged)} of {len(files)} files, first {damaged[0].name}"))
    return found


def _lost(home: Home, environment: Environment) -> Iterator[str]:
    try:
        kept = json.loads((home.folder(environment) / _FILE).read_text("utf-8"))
    except FileNotFoundError:  # made before such a list was kept
        return
    except (OSError, ValueError):
        kept = {_FILE: ""}
    for folder, digest in kept.items():
        record = home.packages(environment) / folder / "RECORD"
        if _name(folder) not in _USERS_OWN and not (record.is_file() and _digest(record) == digest):
            yield folder


def _records(home: Home, environment: Environment) -> list[Path]:
    return sorted(home.packages(environment).glob("*.dist-info/RECORD"))


def _files(record: Path) -> list[tuple[Path, str, int]]:
    """Path, hash and size of a package's files, without the bytecode that Python makes anew when it likes to."""
    with record.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines) if len(row) == 3 and row[1].startswith("sha256=")]
    rows = [row for row in rows if not row[0].endswith(".pyc")]
    return [
        (record.parent.parent / path, digest.removeprefix("sha256="), int(size or 0)) for path, digest, size in rows
    ]


def _is_whole(path: Path, digest: str, size: int) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        return base64.urlsafe_b64encode(bytes.fromhex(_digest(path))).decode().rstrip("=") == digest
    except OSError:
        return False


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _name(folder: str) -> str:
    return normal(folder.removesuffix(".dist-info").rsplit("-", 1)[0])
