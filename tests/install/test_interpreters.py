"""A Python is found by trying what there is, not by trusting names on the PATH."""

import os
import sys
from pathlib import Path

import pytest

from install.errors import InstallError
from install.interpreters import find_python

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for interpreters are shell scripts")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `python3.99` on the PATH as pyenv puts it there: it only complains."""
    folder = script(tmp_path / "shims/python3.99", "echo 'command not found' >&2; exit 127").parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))


def test_the_running_one_is_preferred(small) -> None:
    assert find_python(small(pythons=((3, 99), sys.version_info[:2]))) == Path(sys.executable)


def test_behind_a_shim_that_fails(small, shim, tmp_path) -> None:
    python = tmp_path / "pyenv/versions/3.99.0/bin/python"
    script(python, f"echo 3 99 '{python}'")
    assert find_python(small(pythons=((3, 99),))) == python


def test_one_that_is_of_another_version_does_not_count(small, shim, tmp_path) -> None:
    script(tmp_path / "pyenv/versions/3.99.0/bin/python", "echo 3 98 /bin/python")
    with pytest.raises(InstallError, match=r"'small' needs Python 3\.99, and none was found"):
        find_python(small(pythons=((3, 99),)))
