"""A package index in a folder, and small environments that real venv and pip fill from it."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Bare pytest puts only `server` and `tests` on the path.
sys.path.insert(0, str(REPOSITORY))

from install.environments import Environment  # noqa: E402
from install.home import Home  # noqa: E402
from install.reporting import Reporter  # noqa: E402
from install.setup import _Build  # noqa: E402


class Transcript(Reporter):
    """A reporter that keeps what it says."""

    def __init__(self) -> None:
        super().__init__(StringIO())

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "a home with späces")


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip knows no index and no settings of this machine."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture(scope="session")
def with_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which there is nothing but pip."""
    folder = tmp_path_factory.mktemp("pip")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def copied_pip(with_pip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments get their pip from the one above: ensurepip is most of what a small one costs."""

    def copy(build: _Build) -> None:
        def link(source: str, to: str) -> None:
            if not os.path.lexists(to):
                os.link(source, to)

        shutil.copytree(with_pip, build._folder, copy_function=link, dirs_exist_ok=True)

    monkeypatch.setattr(_Build, "_install_pip", copy)


@pytest.fixture
def small(
    tmp_path: Path, no_index: None, copied_pip: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Environment]:
    """Makes an environment whose requirements come from a folder that holds `tiny` 1.0 and 2.0."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        write_wheel(wheels, "tiny", version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))

    def make(requirement: str = "tiny==1.0", module: str = "tiny", **fields: object) -> Environment:
        file, tests = tmp_path / "small.txt", tmp_path / "small-test.txt"
        file.write_text(f"# One package.\n{requirement}\n")
        tests.write_text("tiny==2.0\n")
        values = {
            "name": "small",
            "purpose": "a test",
            "pythons": (sys.version_info[:2],),
            "steps": (("-r", str(file)),),
            "test_requirements": str(tests),
            "modules": (module,),
            "download_mb": 1,
            "disk_mb": 30,
            "test_download_mb": 1,
            "tests": (),
        }
        return Environment(**{**values, **fields})

    return make


@pytest.fixture
def make_wheel() -> Callable[[Path, str, str], None]:
    """Writes a wheel of one module into a folder, given its name and version."""
    return write_wheel


def write_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel of one module that knows its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
