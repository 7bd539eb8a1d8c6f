"""The folder that everything is installed in, and `install.json`, which says what is ready there."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from install.environments import Environment
from install.errors import InstallError

HOME_VARIABLE = "VP3D_HOME"
INCOMPLETE = "incomplete"
READY = "ready"


def default_home() -> Path:
    """The user's folder: `VP3D_HOME`, or the place that the operating system has for programs' data."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "vp3d"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/vp3d"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "vp3d"


class Home:
    """One home folder.

    Attributes:
        path: absolute; made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def folder(self, environment: Environment) -> Path:
        """Where an environment lies, made or not."""
        return self.path / environment.name

    def python(self, environment: Environment) -> Path:
        """The environment's interpreter."""
        return self.scripts(environment) / ("python.exe" if sys.platform == "win32" else "python")

    def scripts(self, environment: Environment) -> Path:
        """The environment's folder of programs."""
        return self.folder(environment) / ("Scripts" if sys.platform == "win32" else "bin")

    def log(self, environment: Environment) -> Path:
        """The log of the environment's last installation."""
        return self.path / "logs" / f"install-{environment.name}.log"

    def entries(self) -> dict[str, dict[str, Any]]:
        """`install.json`; a damaged one counts as empty, so that everything is looked at anew."""
        try:
            entries = json.loads((self.path / "install.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return {name: e for name, e in entries.items() if isinstance(e, dict)} if isinstance(entries, dict) else {}

    def entry(self, environment: Environment) -> dict[str, Any]:
        """What is known of an environment: `state`, `version`, `key` of its requirements; empty if nothing."""
        return self.entries().get(environment.name, {})

    def record(self, environment: Environment, entry: dict[str, Any] | None) -> None:
        """Write an environment's entry, or take it out with None; the file changes whole or not at all."""
        entries = {**self.entries(), environment.name: entry}
        text = json.dumps({name: e for name, e in entries.items() if e is not None}, indent=2)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            draft = self.path / "install.json.new"
            draft.write_text(text + "\n", "utf-8")
            draft.replace(self.path / "install.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one installer; raises InstallError where another one works in it."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "install.lock").open("a+b")
        with file:
            try:
                _lock(file.fileno())
            except OSError:
                raise InstallError(
                    f"Another installation is at work in {self.path}.", "Wait until it is done, and try again."
                ) from None
            yield


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError inside into an InstallError that names the folder."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InstallError(
            f"The folder {folder} cannot be written to ({reason}).", "Choose another folder with --prefix."
        ) from error
