"""The installer as a child process: `python install setup --json`, which prints its progress as JSON lines."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from .client import STOP_SECONDS, new_log
from .environment import child_variables, payload

_LINES_KEPT = 5


class Installation:
    """One run of the installer. Create it, call `poll` often; `stop` ends it.

    Attributes:
        running: whether it still runs.
        stage: what it does at the moment, `done` of `total` steps.
        said: the latest lines that it had to say: what it downloads, how large it is.
        message: one sentence saying why it failed, empty otherwise; `hint` says what to do.
    """

    def __init__(self, home: Path, python: Path | None = None, folder: Path | None = None) -> None:
        self.running = False
        self.stage = "Starting"
        self.done = self.total = 0
        self.said: list[str] = []
        self.message = self.hint = ""
        self._rest = b""
        python, folder = python or Path(sys.executable), folder or payload("install")
        if folder is None:
            self._fail("This copy of the add-on has no installer.", "Install the add-on from its zip.")
            return
        if not python.is_file():
            self._fail("Blender's own Python was not found.", "Run `python3 -m install setup` in a terminal.")
            return
        try:
            self._start([str(python), "-I", "-u", "-X", "utf8", str(folder), "setup", "--json"], home)
        except OSError as error:
            self._fail(f"The installer cannot be started: {error.strerror or error}.", "Choose another Data Folder.")

    @property
    def fraction(self) -> float:
        """How much of the stage is done, 0..1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    def poll(self) -> bool:
        """Read without waiting what the installer printed; True while it runs."""
        if not self.running:
            return False
        code = self._process.poll()
        *lines, self._rest = (self._rest + self._output.read()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a warning of some library is no message
                self._handle(json.loads(line))
        if code is not None:
            self._output.close()
            self.running = False
            if code and not self.message:
                self._fail(f"The installer stopped unexpectedly (exit code {code}).", "Open the log, and try again.")
        return self.running

    def stop(self) -> None:
        """End the installer and wait for it a bounded time; what it downloaded is kept for the next run."""
        if not self.running:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self.poll()
        self._fail("The installation was stopped.", "Press Install to go on.")

    def _start(self, command: list[str], home: Path) -> None:
        # output goes through a file: unlike a pipe it is read without waiting on every system, and stays for a report
        path = new_log(home / "logs", "setup")
        with path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=child_variables(home),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self._output = path.open("rb")
        self.running = True

    def _handle(self, message: dict) -> None:
        match message["type"]:
            case "say":
                self.said = [*self.said, *(line.strip() for line in message["text"].splitlines())][-_LINES_KEPT:]
            case "progress":
                self.stage, self.done, self.total = message["stage"], int(message["done"]), int(message["total"])
            case "error":
                self._fail(message["message"], message["hint"])

    def _fail(self, message: str, hint: str) -> None:
        self.message, self.hint = message, hint
