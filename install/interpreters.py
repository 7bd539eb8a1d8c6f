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

_ASK = "import ensurepip, sys, venv; print(sys.version_info[0], sys.version_info[1], sys.executable)"


def find_python(environment: Environment, chosen: Path | None = None) -> Path:
    """The interpreter that the user chose, or one of the first of the environment's versions that there is.

    Of one version, the running one is preferred (in Blender, Blender's own), then those on the PATH, in Windows'
    launcher and in pyenv; one that cannot make environments does not count. Raises InstallError.
    """
    wanted = " or ".join(f"{major}.{minor}" for major, minor in environment.pythons)
    if chosen:
        if found := next(filter(None, (_answer([str(chosen)], version) for version in environment.pythons)), None):
            return found
        raise InstallError(
            f"{chosen} is no Python {wanted} that can make environments.",
            "Choose another one, or none; on Debian and Ubuntu it may lack the package python3-venv.",
        )
    for version in environment.pythons:
        for command in _candidates(version):
            if found := _answer(command, version):
                return found
    raise InstallError(
        f"The environment '{environment.name}' needs Python {wanted}, and none was found that can make environments.",
        f"Install Python {wanted} so that it is on the PATH (on Debian and Ubuntu with python3-venv), "
        "or name one with --python.",
    )


def version_of(python: Path) -> str:
    """Version of an interpreter, as in "3.11"; raises InstallError where it does not run."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return _output([str(python)], program)
    except (OSError, subprocess.SubprocessError) as error:
        raise InstallError(f"{python} does not run.", "Choose another Python, or repair the environment.") from error


def _candidates(version: tuple[int, int]) -> Iterator[list[str]]:
    name = f"{version[0]}.{version[1]}"
    if sys.version_info[:2] == version:
        yield [sys.executable]
    if on_path := shutil.which(f"python{name}"):
        yield [on_path]
    if launcher := shutil.which("py"):
        yield [launcher, f"-{name}"]
    # pyenv puts a program on the PATH for every version, which fails for those that are not switched on.
    for folder in sorted(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob(f"versions/{name}.*")):
        yield [str(folder / "bin/python")]


def _answer(command: list[str], version: tuple[int, int]) -> Path | None:
    try:
        major, minor, executable = _output(command, _ASK).split(" ", 2)
        return Path(executable) if (int(major), int(minor)) == version else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _output(command: list[str], program: str) -> str:
    done = subprocess.run(
        [*command, "-I", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env=clean_environment(),
        check=True,
    )
    return done.stdout.strip()
