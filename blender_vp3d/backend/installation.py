"""The installer as a child process: `python install setup --json`, which prints its progress as JSON lines."""

import sys
from pathlib import Path

from .environment import payload
from .task import Task


class Installation(Task):
    """One run of the installer, started as it is made."""

    name = "installer"
    stopped = ("The installation was stopped.", "Press Install to go on.")

    def __init__(self, home: Path, python: Path | None = None, folder: Path | None = None) -> None:
        super().__init__()
        python, folder = python or Path(sys.executable), folder or payload("install")
        if folder is None:
            self.fail("This copy of the add-on has no installer.", "Install the add-on from its zip.")
            return
        if not python.is_file():
            self.fail("Blender's own Python was not found.", "Run `python3 -m install setup` in a terminal.")
            return
        try:
            self.start([str(python), "-I", "-u", "-X", "utf8", str(folder), "setup", "--json"], home)
        except OSError as error:
            self.fail(f"The installer cannot be started: {error.strerror or error}.", "Choose another Data Folder.")
