"""Finding a Python of the right version for an environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from install.child import clean_environment
from install.environments import Environment
from install.errors import InstallError

_ASK = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)"


def find_python(environment: Environment) -> Path:
    """An interpreter of the first of the environment's versions that there is.

    The running one is preferred, then those on the PATH, in Windows' launcher and in pyenv. Raises InstallError.
    """
    if sys.version_info[:2] in environment.pythons:
        return Path(sys.executable)
    for version in environment.pythons:
        for command in _candidates(version):
            if found := _answer(command, version):
                return found
    wanted = " or ".join(f"{major}.{minor}" for major, minor in environment.pythons)
    raise InstallError(
        f"The environment '{environment.name}' needs Python {wanted}, and none was found.",
        f"Install Python {wanted} so that it is on the PATH, and run the same command again.",
    )


def _candidates(version: tuple[int, int]) -> Iterator[list[str]]:
    name = f"{version[0]}.{version[1]}"
    if on_path := shutil.which(f"python{name}"):
        yield [on_path]
    if launcher := shutil.which("py"):
        yield [launcher, f"-{name}"]
    # pyenv puts a program on the PATH for every version, which fails for those that are not switched on.
    for folder in sorted(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob(f"versions/{name}.*")):
        yield [str(folder / "bin/python")]


def _answer(command: list[str], version: tuple[int, int]) -> Path | None:
    try:
        done = subprocess.run(
            [*command, "-I", "-c", _ASK], capture_output=True, text=True, timeout=30, env=clean_environment()
        )
        major, minor, executable = done.stdout.strip().split(" ", 2)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Path(executable) if (int(major), int(minor)) == version else None
