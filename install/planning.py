"""What an installation would do, told before it does anything."""

from install.backends import offered
from install.environments import SERVER
from install.home import Home
from install.interpreters import find_python, version_of
from install.reporting import Reporter
from install.setup import Wish, check_path, choice, free_mb, needs, size

_NO_MEDIAPIPE = "3.13"


def plan(home: Home, wish: Wish, reporter: Reporter) -> None:
    """Tell which build and Python, how much to download, where to, and whether it fits; raises InstallError.

    The result has `home`, `backend`, `reason`, `backends` (name and title of each that this system could have),
    `download_mb`, `disk_mb`, `free_mb`, `python` and `python_version`.
    """
    check_path(home)
    chosen = choice(home, SERVER, wish)
    download_mb, disk_mb = needs(SERVER, chosen.backend)
    free = free_mb(home)
    python = find_python(SERVER, wish.python)
    version = version_of(python)
    lines = [
        chosen.reason,
        f"Downloads {size(download_mb + SERVER.weights_mb)}, takes {size(disk_mb)} of disk; {size(free)} are free.",
        f"Goes to {home.path}, made with Python {version} ({python})"
        + (", for which there is no MediaPipe." if version == _NO_MEDIAPIPE else "."),
    ]
    reporter.say("\n".join(lines))
    reporter.result(
        home=str(home.path),
        backend=chosen.backend.name,
        reason=chosen.reason,
        backends=[[backend.name, backend.title] for backend in offered().values()],
        download_mb=download_mb + SERVER.weights_mb,
        disk_mb=disk_mb,
        free_mb=free,
        python=str(python),
        python_version=version,
    )
