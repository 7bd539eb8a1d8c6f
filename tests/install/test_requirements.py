"""The pinned lists are complete, and are what is installed where these tests run."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from install.environments import ALL, REQUIREMENTS, SERVER, TORCH
from install.home import Home, default_home

FILES = sorted(REQUIREMENTS.glob("*.txt"))


def requirements(file: Path) -> list[Requirement]:
    return [Requirement(line) for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_package_has_exactly_one_version(file: Path, python: str) -> None:
    chosen = [r for r in requirements(file) if r.marker is None or r.marker.evaluate({"python_version": python})]
    names = [r.name.lower() for r in chosen]
    assert len(set(names)) == len(names) > 0
    for requirement in chosen:
        (pin,) = requirement.specifier
        assert (pin.operator, pin.version.endswith("*")) == ("==", False)


def test_every_file_is_used_and_exists() -> None:
    used = {file for e in ALL.values() for file in (*e.requirement_files, REQUIREMENTS / e.test_requirements)}
    assert used == set(FILES)
    assert TORCH in (REQUIREMENTS / "server.txt").read_text("utf-8").splitlines()


def test_this_environment_has_those_versions() -> None:
    if Path(sys.prefix) != Home(default_home()).folder(SERVER):
        pytest.skip("runs in an environment that the installer did not make")
    for file in (*SERVER.requirement_files, REQUIREMENTS / SERVER.test_requirements):
        for requirement in requirements(file):
            if file.name != "cuda.txt" and (requirement.marker is None or requirement.marker.evaluate()):
                assert requirement.specifier.contains(importlib.metadata.version(requirement.name)), requirement


def test_all_that_is_installed_is_pinned() -> None:
    if Path(sys.prefix) != Home(default_home()).folder(SERVER):
        pytest.skip("runs in an environment that the installer did not make")
    files = [*SERVER.requirement_files, REQUIREMENTS / SERVER.test_requirements]
    pinned = {r.name.lower().replace("-", "_") for file in files for r in requirements(file)}
    installed = {d.name.lower().replace("-", "_") for d in importlib.metadata.distributions()}
    assert installed - pinned == {"pip"}
