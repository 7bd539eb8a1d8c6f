"""A child process that tells its progress as JSON lines: `say`, `progress`, `error` and `result`."""

import contextlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .client import STOP_SECONDS, new_log
from .environment import child_variables

_LINES_KEPT = 5


class Task:
    """One run of such a child. Create it, `start` it, call `poll` often; `stop` ends it.

    Attributes:
        running: whether it still runs.
        stage: what it does at the moment, `done` of `total` steps; `detail` says at what it is.
        said: the latest lines that it had to say: what it downloads, how large it is.
        message: one sentence saying why it failed, empty otherwise; `hint` says what to do.
        result: the fields of its `result`, empty before.
    """

    name = "task"
    """What the child is called in sentences, and, without spaces, its log file."""
    stopped = ("It was stopped.", "")
    """Message and hint after `stop`."""

    def __init__(self) -> None:
        self.running = False
        self.stage = "Starting"
        self.detail = ""
        self.done = self.total = 0
        self.said: list[str] = []
        self.message = self.hint = ""
        self.result: dict = {}
        self._rest = b""

    def start(self, command: Sequence[str], home: Path, **variables: str) -> None:
        """Start the child with `home` as its folder; raises OSError."""
        # output goes through a file: unlike a pipe it is read without waiting on every system, and stays for a report
        path = new_log(home / "logs", self.name.replace(" ", "-"))
        with path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # held open: a child that reads it ends with Blender
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=child_variables(home, **variables),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self._output = path.open("rb")
        self.running = True

    @property
    def fraction(self) -> float:
        """How much of the stage is done, 0..1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    def poll(self) -> bool:
        """Read without waiting what the child printed; True while it runs."""
        if not self.running:
            return False
        code = self._process.poll()
        *lines, self._rest = (self._rest + self._output.read()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a warning of some library is no message
                self._handle(json.loads(line))
        if code is not None:
            self._output.close()
            self._process.stdin.close()
            self.running = False
            if code and not self.message:
                self.fail(f"The {self.name} stopped unexpectedly (exit code {code}).", "Open the log, and try again.")
        return self.running

    def stop(self) -> None:
        """End the child and wait for it a bounded time; what it downloaded is kept for the next run."""
        if not self.running:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.poll()
        self.fail(*self.stopped)

    def fail(self, message: str, hint: str) -> None:
        """What went wrong, for the user."""
        self.message, self.hint = message, hint

    def _handle(self, message: dict) -> None:
        match message["type"]:
            case "say":
                self.said = [*self.said, *(line.strip() for line in message["text"].splitlines())][-_LINES_KEPT:]
            case "progress":
                self.stage, self.done, self.total = message["stage"], int(message["done"]), int(message["total"])
                self.detail = message.get("detail", "")
            case "error":
                self.fail(message["message"], message["hint"])
            case "result":
                self.result = message
