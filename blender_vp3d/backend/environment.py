"""Where the server's Python environment is, whether it can be used, and what its processes may inherit."""

import ast
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

HOME_VARIABLE = "VP3D_HOME"
"""Environment variable that moves the folder of environments, models, caches and logs; the server reads it too."""

_PACKAGE = Path(__file__).resolve().parent.parent
# Variables by which a surrounding Python, virtual environment or Conda would leak into the child.
_FOREIGN = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "__PYVENV_LAUNCHER__")


class State(Enum):
    """Whether the server can be started."""

    NOT_INSTALLED = "not installed"
    INSTALLING = "installing"
    READY = "ready"
    BROKEN = "broken"
    UPDATE_NEEDED = "update needed"


SENTENCES = {
    State.NOT_INSTALLED: "The pose server is not installed yet.",
    State.INSTALLING: "The pose server is being installed.",
    State.READY: "The pose server is installed.",
    State.BROKEN: "The pose server is not whole: its installation was not finished, or files of it are damaged.",
    State.UPDATE_NEEDED: "The pose server is that of another version of this add-on, and needs an update.",
}


class Remedy(Enum):
    """What of the installer helps against a failure."""

    REPAIR = "repair"
    UPDATE = "update"


@dataclass(frozen=True)
class Environment:
    """The server's environment under one home folder.

    Attributes:
        backend: the build of torch in it, as the installer calls it.
        extras: what was added to it on request.
    """

    home: Path
    state: State
    version: str = ""
    backend: str = ""
    extras: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """The server's own Python."""
        return python_of(self.home / "server")

    @property
    def log_folder(self) -> Path:
        """Where the server's and the installer's logs are kept."""
        return self.home / "logs"

    @property
    def takes_folder(self) -> Path:
        """Where captured takes are kept."""
        return self.home / "takes"


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def default_home() -> Path:
    """The folder of this user's environments, models, caches and logs, unless the preferences name another."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "vp3d"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "vp3d"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "vp3d"


def read(home: Path) -> Environment:
    """What `install.json` and the files say of the environment in `home`; never raises."""
    try:
        entry = json.loads((home / "install.json").read_text("utf-8")).get("server")
    except FileNotFoundError:
        return Environment(home, State.NOT_INSTALLED)
    except (OSError, ValueError, AttributeError):
        return Environment(home, State.BROKEN)
    if entry is None:
        return Environment(home, State.NOT_INSTALLED)
    if not isinstance(entry, dict):
        return Environment(home, State.BROKEN)
    state = State.BROKEN
    if entry.get("state") == "incomplete" and _is_held(home / "install.lock"):
        state = State.INSTALLING
    elif entry.get("state") == "ready" and python_of(home / "server").is_file():
        state = State.READY if _suits(home, entry) else State.UPDATE_NEEDED
    extras = entry.get("extras")
    names = tuple(map(str, extras)) if isinstance(extras, dict) else ()
    return Environment(home, state, str(entry.get("version", "")), str(entry.get("backend", "")), names)


def _is_held(lock: Path) -> bool:
    """Whether an installer is at work, of this Blender or of anybody else."""
    try:
        with lock.open("r+b") as file:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            else:
                import fcntl

                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _suits(home: Path, entry: dict) -> bool:
    """Whether an environment has the packages of this add-on, and runs a server that is there and of its version."""
    install, server = payload("install"), payload("server")
    if install is None or server is None:
        return True
    packages = "Lib/site-packages" if os.name == "nt" else "lib/python3*/site-packages"
    try:
        if "key" in entry and entry["key"] != requirements_key(install / "requirements", str(entry.get("lock") or "")):
            return False
        link = next((home / "server").glob(f"{packages}/vp3d.pth"), None)
        line = link.read_text("ascii").strip() if link else ""
        code = re.search(r"append\((.+)\)", line)  # otherwise the line is the folder
        return not line or _version(Path(ast.literal_eval(code[1]) if code else line)) == _version(server)
    except (OSError, ValueError, TypeError, SyntaxError):
        return False


@lru_cache(maxsize=8)
def requirements_key(folder: Path, lock: str) -> str:
    """What the installer records of the lists in `folder` that it made the server's environment from."""
    files = [folder / "server.txt", *([folder / lock] if lock else [])]
    return hashlib.sha256(b"\0".join(file.read_bytes() if file.exists() else b"" for file in files)).hexdigest()


def _version(server: Path) -> str:
    found = re.search(r'^version = "(.+)"', (server / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else ""


def payload(name: str, package: Path = _PACKAGE) -> Path | None:
    """The folder `server` or `install`: inside the package in the extension zip, beside it in a checkout."""
    return next((folder for folder in (package / name, package.parent / name) if folder.is_dir()), None)


def child_variables(home: Path, **more: str) -> dict[str, str]:
    """Environment variables for a child process, without what would make its Python load foreign packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {HOME_VARIABLE: str(home)} | more
