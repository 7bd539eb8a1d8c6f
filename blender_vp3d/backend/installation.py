"""The installer as a child process: `python install VERB --json`, which prints its progress as JSON lines."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .environment import payload
from .task import Task

BACKENDS = {
    "linux": ("cpu", "cuda", "cuda-older", "rocm"),
    "win32": ("cpu", "cuda", "cuda-older"),
    "darwin": ("mps",),
}
"""Builds of torch by `sys.platform`, as the installer names them."""
INDEX_VARIABLE = "PIP_EXTRA_INDEX_URL"


@dataclass(frozen=True)
class Wishes:
    """What the user may decide of the server's environment; empty lets the installer decide.

    Attributes:
        backend: build of torch, one of `BACKENDS`, or "auto".
        python: interpreter to make it from.
        wheels: folder of packages to install from without a network.
        index: address of a package index, besides those of pip's settings.
    """

    backend: str = "auto"
    python: str = ""
    wheels: str = ""
    index: str = ""

    def words(self, verb: str) -> list[str]:
        """The installer's options for a verb."""
        words = ["--wheels", self.wheels] if self.wheels and verb in ("setup", "plan", "repair") else []
        if verb in ("setup", "plan"):
            words += ["--backend", self.backend, *(["--python", self.python] if self.python else [])]
        return words

    def variables(self) -> dict[str, str]:
        """Environment variables for the installer."""
        if not self.index:
            return {}
        return {INDEX_VARIABLE: " ".join(filter(None, (os.environ.get(INDEX_VARIABLE), self.index)))}


class Installation(Task):
    """One run of the installer, started as it is made.

    Attributes:
        verb: `plan`, `setup`, `verify`, `repair`, `remove` or `detectron2`.
    """

    name = "installer"
    stopped = ("It was stopped.", "The same button goes on from what was downloaded.")

    def __init__(
        self,
        home: Path,
        verb: str,
        wishes: Wishes = Wishes(),
        words: Sequence[str] = (),
        python: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.verb = verb
        if verb == "plan":  # whose logs are not those of a report
            self.name = "plan"
        python, folder = python or Path(sys.executable), folder or payload("install")
        if folder is None:
            self.fail("This copy of the add-on has no installer.", "Install the add-on from its zip.")
            return
        if not python.is_file():
            self.fail("Blender's own Python was not found.", "Run `python3 -m install setup` in a terminal.")
            return
        command = [str(python), "-I", "-B", "-u", "-X", "utf8", str(folder), verb, "--json", "--attached"]
        try:
            self.start([*command, *wishes.words(verb), *words], home, **wishes.variables())
        except OSError as error:
            self.fail(f"The installer cannot be started: {error.strerror or error}.", "Choose another Data Folder.")
