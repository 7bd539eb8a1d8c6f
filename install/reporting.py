"""Telling the user, or the add-on as JSON lines, how far things are."""

import json
import sys
import time
from typing import TextIO

from install.errors import InstallError


class Reporter:
    """Plain text: progress on one line of a terminal, or a line every few seconds elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._open_line = False
        self._stage = ""
        self._last = 0.0

    def say(self, text: str) -> None:
        """One line, or several."""
        self._write(text, end="\n")

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """`done` of `total` steps of a stage are behind us; `detail` says what is being done now."""
        text = f"  {stage}: {done} of {total}" + (f", {detail}" if detail else "")
        if self._terminal:
            self._write(text, end="")
        elif stage != self._stage or done >= total or time.monotonic() - self._last > 5:
            self._write(text, end="\n")
            self._last = time.monotonic()
        self._stage = stage

    def fail(self, error: InstallError, cancelled: bool = False) -> None:
        """The sentence that ends everything."""
        self.say("\n".join(filter(None, (error.message, error.hint, error.log and f"Log: {error.log}"))))

    def result(self, **fields: object) -> None:
        """What came out, for a program that reads along; a person has read it already."""

    def _write(self, text: str, end: str) -> None:
        if self._terminal and self._open_line:
            self._stream.write("\r\x1b[K")
        self._stream.write(text + end)
        self._stream.flush()
        self._open_line = not end


class JsonReporter(Reporter):
    """One JSON object a line, with the fields of the server's protocol where it has the same message."""

    def say(self, text: str) -> None:
        """A `say` object."""
        self._object("say", text=text)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """A `progress` object."""
        self._object("progress", stage=stage, done=done, total=total, detail=detail)

    def fail(self, error: InstallError, cancelled: bool = False) -> None:
        """An `error` object; `details` is the path of the log."""
        self._object("error", message=error.message, hint=error.hint, details=str(error.log or ""), cancelled=cancelled)

    def result(self, **fields: object) -> None:
        """A `result` object."""
        self._object("result", **fields)

    def _object(self, type_: str, **fields: object) -> None:
        self._stream.write(json.dumps({"type": type_, **fields}) + "\n")
        self._stream.flush()
