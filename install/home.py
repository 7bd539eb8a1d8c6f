"""The folder that everything is installed in, and `install.json`, which says what is ready there."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from install.environments import Environment
from install.errors import InstallError, explain_os

HOME_VARIABLE = "VP3D_HOME"
INCOMPLETE = "incomplete"
READY = "ready"
BROKEN = "broken"

_PATIENCE_SECONDS = 10.0
"""How long a lock is waited for: the child of an installer that was killed holds it a little longer."""
_RETRIES_SECONDS = (0.2, 0.5, 1.0, 2.0)
"""Waits before touching a file again that another program, such as a virus scanner on Windows, has open."""


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

    def packages(self, environment: Environment) -> Path:
        """The environment's folder of packages."""
        folder = self.folder(environment)
        if sys.platform == "win32":
            return folder / "Lib/site-packages"
        return next((folder / "lib").glob("python3*"), folder / "lib/python3") / "site-packages"

    def old(self, environment: Environment) -> Path:
        """Where the environment waits while a new one is made in its place."""
        return self.path / f"{environment.name}-old"

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
        """What is known of an environment: `state`, `version`, `key` of its requirements and more; empty if nothing."""
        return self.entries().get(environment.name, {})

    def record(self, environment: Environment, entry: dict[str, Any] | None) -> None:
        """Write an environment's entry, or take it out with None; the file changes whole or not at all."""
        entries = {**self.entries(), environment.name: entry}
        text = json.dumps({name: e for name, e in entries.items() if e is not None}, indent=2)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            draft = self.path / "install.json.new"
            draft.write_text(text + "\n", "utf-8")
            persistently(draft.replace, self.path / "install.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one installer; raises InstallError where another one works in it."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "install.lock").open("a+b")
        with file:
            os.set_inheritable(file.fileno(), True)
            end = time.monotonic() + _PATIENCE_SECONDS
            while not _locks(file.fileno()):
                if time.monotonic() > end:
                    raise InstallError(
                        f"Another installation is at work in {self.path}.", "Wait until it is done, and try again."
                    )
                time.sleep(0.1)
            yield


def _locks(file: int) -> bool:
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


def delete(folder: Path) -> None:
    """Take a folder away, or a link to one without what it leads to; raises InstallError."""
    with writing(folder):
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            persistently(shutil.rmtree, folder)


def persistently(action: Callable[..., object], *arguments: object) -> None:
    """Do something to files, and again after a while where another program has one of them open."""
    for seconds in _RETRIES_SECONDS:
        with contextlib.suppress(PermissionError):
            action(*arguments)
            return
        time.sleep(seconds)
    action(*arguments)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError inside into an InstallError that names the folder."""
    try:
        yield
    except OSError as error:
        raise explain_os(error, folder) from error
