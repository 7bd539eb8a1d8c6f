"""A Python is found by trying what there is, not by trusting names on the PATH."""

import os
import shutil
import subprocess
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


def test_the_users_choice_comes_first(small, tmp_path) -> None:
    python = tmp_path / "mine/python"
    script(python, f"echo 3 99 '{python}'")
    assert find_python(small(pythons=((3, 99),)), python) == python
    with pytest.raises(InstallError, match=r"is no Python 3\.98 that can make environments"):
        find_python(small(pythons=((3, 98),)), python)
    with pytest.raises(InstallError, match="is no Python"):
        find_python(small(), tmp_path / "nowhere")


def test_a_python_that_cannot_make_environments_does_not_count(small, tmp_path) -> None:
    """A whole copy of this Python's standard library, except what Debian ships apart."""
    base = Path(sys.base_prefix)
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    python = tmp_path / "debian/bin" / name
    python.parent.mkdir(parents=True)
    shutil.copy2(base / "bin" / name, python)
    for library in base.glob("lib/libpython*"):
        (tmp_path / "debian/lib").mkdir(exist_ok=True)
        (tmp_path / "debian/lib" / library.name).symlink_to(library)
    modules = tmp_path / "debian/lib" / name
    modules.mkdir(parents=True)
    for module in (base / "lib" / name).iterdir():
        if module.name not in ("ensurepip", "venv", "__pycache__"):
            (modules / module.name).symlink_to(module)
    if subprocess.run([python, "-I", "-c", "import json"], capture_output=True).returncode:
        pytest.skip("this Python does not run from another folder")
    with pytest.raises(InstallError, match="that can make environments") as raised:
        find_python(small(), python)
    assert "python3-venv" in raised.value.hint


def test_one_that_is_of_another_version_does_not_count(small, shim, tmp_path) -> None:
    script(tmp_path / "pyenv/versions/3.99.0/bin/python", "echo 3 98 /bin/python")
    with pytest.raises(InstallError, match=r"'small' needs Python 3\.99, and none was found"):
        find_python(small(pythons=((3, 99),)))
