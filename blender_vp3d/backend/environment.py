"""Where the server's Python environment is, whether it can be used, and what its processes may inherit."""

import json
import os
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

HOME_VARIABLE = "VP3D_HOME"
"""Environment variable that moves the folder of environments, models, caches and logs; the server reads it too."""

_PACKAGE = Path(__file__).resolve().parent.parent
# Variables by which a surrounding Python, virtual environment or Conda would leak into the child.
_FOREIGN = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "__PYVENV_LAUNCHER__")


class State(Enum):
    """Whether the server can be started."""

    NOT_INSTALLED = "not installed"
    INCOMPLETE = "incomplete"
    READY = "ready"
    BROKEN = "broken"


SENTENCES = {
    State.NOT_INSTALLED: "The pose server is not installed yet.",
    State.INCOMPLETE: "The installation of the pose server was not finished.",
    State.READY: "The pose server is installed.",
    State.BROKEN: "The pose server is installed, but its files are damaged or gone.",
}


class Remedy(Enum):
    """What of the installer helps against a failure."""

    REPAIR = "repair"
    UPDATE = "update"


@dataclass(frozen=True)
class Environment:
    """The server's environment under one home folder."""

    home: Path
    state: State
    version: str = ""

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
    if not isinstance(entry, dict) or entry.get("state") not in ("incomplete", "ready"):
        return Environment(home, State.BROKEN)
    if entry["state"] == "incomplete":
        return Environment(home, State.INCOMPLETE)
    found = Environment(home, State.READY, str(entry.get("version", "")))
    return found if found.python.is_file() else Environment(home, State.BROKEN)


def payload(name: str, package: Path = _PACKAGE) -> Path | None:
    """The folder `server` or `install`: inside the package in the extension zip, beside it in a checkout."""
    return next((folder for folder in (package / name, package.parent / name) if folder.is_dir()), None)


def child_variables(home: Path, **more: str) -> dict[str, str]:
    """Environment variables for a child process, without what would make its Python load foreign packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {HOME_VARIABLE: str(home)} | more
