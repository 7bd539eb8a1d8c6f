"""Damaged input by the thousand, and one table of what came of it at the end of the run.

python -m pytest tests/faults/fuzz            a share that every run of the tests has
python -m pytest tests/faults/fuzz -m faults  all of it
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 120
"""Seconds after which a file counts as having hung its reader; on a busy computer, too."""


@dataclass
class Tally:
    """What came of one kind of fault."""

    fault: str
    tries: int = 0
    crashes: int = 0
    hangs: int = 0
    speechless: int = 0
    accepted: int = 0
    note: str = ""

    def count(self, outcome: str) -> None:
        """One more try: a "sentence" for the user, "accepted" as whole, or what must not be."""
        self.tries += 1
        self.crashes += outcome == "crash"
        self.hangs += outcome == "hang"
        self.speechless += outcome == "speechless"
        self.accepted += outcome == "accepted"

    def check(self) -> None:
        """Fail where a try ended otherwise than it may."""
        assert self.tries
        assert (self.crashes, self.hangs, self.speechless) == (0, 0, 0), self


class Reader:
    """A process of `reader.py`, started again where a file has ended it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.peak_mb = 0
        self._process: subprocess.Popen | None = None

    def read(self, path: Path) -> tuple[str, str]:
        """What came of a file: outcome, and what was said."""
        if self._process is None:
            script = Path(__file__).with_name("reader.py")
            self._process = subprocess.Popen(
                [sys.executable, script, self.kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(script.parents[3] / "server")},
            )
        process, hung = self._process, threading.Event()
        timer = threading.Timer(PATIENCE, lambda: (hung.set(), process.kill()))
        timer.start()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(str(path)) + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        timer.cancel()
        if not answer:
            self.close()
            return ("hang" if hung.is_set() else "crash"), f"exit code {process.returncode}"
        told = json.loads(answer)
        self.peak_mb = max(self.peak_mb, told["peak_mb"])
        return told["outcome"], told["text"]

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
        self._process = None


@pytest.fixture
def reader() -> Iterator[Callable[[str], Reader]]:
    """Makes readers, and ends their processes."""
    with contextlib.ExitStack() as stack:

        def make(kind: str) -> Reader:
            made = Reader(kind)
            stack.callback(made.close)
            return made

        yield make


_tallies: list[Tally] = []


@pytest.fixture
def tally() -> Callable[[str], Tally]:
    """Begins a row of the table."""

    def begin(fault: str) -> Tally:
        _tallies.append(Tally(fault))
        return _tallies[-1]

    return begin


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not _tallies:
        return
    terminalreporter.section("damaged input")
    rows = [("fault", "tries", "crashes", "hangs", "without a sentence", "accepted as whole", "note")]
    rows += [(t.fault, *map(str, (t.tries, t.crashes, t.hangs, t.speechless, t.accepted)), t.note) for t in _tallies]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line(line.rstrip())
