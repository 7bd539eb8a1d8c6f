"""Faults that are really caused, and one table of what came of them at the end of the run.

python -m pytest tests/faults            a share that every run of the tests has
python -m pytest tests/faults -m faults  all the others
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_home import borrow_server

from blender_vp3d.backend.environment import default_home, python_of

_HEADINGS = ("fault", "stage", "orphans", "resumed", "sentence")
_rows: list[tuple[str, ...]] = []


@pytest.fixture
def tell() -> Callable[..., None]:
    """Adds a row to the table: fault, stage, processes left over, whether work was kept, and what the user reads."""

    def add(fault: str, stage: str = "", orphans: object = "", resumed: str = "", sentence: str = "") -> None:
        _rows.append((fault, stage, str(orphans), resumed, sentence))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not _rows:
        return
    terminalreporter.section("faults that were caused")
    rows = [_HEADINGS, *_rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        line = " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line(line.rstrip())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder of the test's own, with the server that is installed."""
    return borrow_server(tmp_path)


@pytest.fixture
def clip(repository: Path) -> Path:
    """A video with one dancer."""
    return repository / "install" / "demo" / "salsa.mp4"


@pytest.fixture(scope="session")
def bpy_python() -> Path:
    """A Python that has Blender as a module, as the installer makes it."""
    pythons = map(python_of, sorted(default_home().glob("blender-*")))
    if python := next((python for python in pythons if python.is_file()), None):
        return python
    return pytest.skip("needs Blender as a module: run `python3 -m install setup --blender`")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name == "nt" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    with contextlib.suppress(OSError):
        subprocess.run(["umount", "-l", str(folder)], check=True)
