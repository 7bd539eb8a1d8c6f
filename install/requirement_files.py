"""Reading the lists of packages in `requirements`."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from install.environments import REQUIREMENTS, Environment

LOCKED = ("--no-deps", "--require-hashes")
"""pip's options for a file that is locked."""


def entries(file: Path) -> list[str]:
    """The requirements of a file, each with its lines of hashes."""
    lines = "\n".join(line for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
    return [entry.strip() for entry in re.split(r"\n(?=\S)", lines) if entry.strip()]


def names(requirements: Iterable[str]) -> set[str]:
    """Names of the packages that requirements ask for, as folders of packages spell them."""
    return {normal(re.split(r"[\s=<>!~;@\[]", text, maxsplit=1)[0]) for text in requirements}


def normal(name: str) -> str:
    """A package's name in the one spelling of its many."""
    return re.sub(r"[-_.]+", "_", name).lower()


def package_files(environment: Environment, lock: str | None) -> list[Path]:
    """The files that name an environment's packages, with the lock of the torch that it has."""
    return [*environment.requirement_files, *([REQUIREMENTS / lock] if lock else [])]


def key(environment: Environment, lock: str | None, *more: Path) -> str:
    """What the packages of an environment are made from."""
    files = [*package_files(environment, lock), *more]
    return hashlib.sha256(b"\0".join(file.read_bytes() if file.exists() else b"" for file in files)).hexdigest()
