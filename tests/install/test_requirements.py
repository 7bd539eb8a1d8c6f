"""The pinned lists are complete, and are what is installed where these tests run."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from install import detectron2
from install.backends import BACKENDS, PLAIN_LOCK, TORCH
from install.environments import ALL, REQUIREMENTS, SERVER
from install.home import Home, default_home

FILES = sorted(REQUIREMENTS.glob("*.txt"))


BUILDS = [backend for there in BACKENDS.values() for backend in there.values()]
LOCKS = {file for backend in BUILDS if (file := REQUIREMENTS / backend.lock).exists()}
OWN_BUILDS = {REQUIREMENTS / backend.lock for backend in BUILDS if backend.build}
HASHED = sorted(LOCKS | {REQUIREMENTS / "server.txt", REQUIREMENTS / detectron2.LOCK})


def entries(file: Path) -> list[str]:
    """Each requirement with its hashes on one line."""
    lines = file.read_text("utf-8").replace("\\\n", "").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def requirements(file: Path) -> list[Requirement]:
    return [Requirement(line.split("--hash=")[0]) for line in entries(file)]


def applies(requirement: Requirement, python: str, system: str = sys.platform) -> bool:
    place = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system}
    return requirement.marker is None or requirement.marker.evaluate(place)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_every_package_has_exactly_one_version(file: Path, python: str, system: str) -> None:
    chosen = [r for r in requirements(file) if applies(r, python, system)]
    names = [r.name.lower() for r in chosen]
    assert len(set(names)) == len(names)
    assert names or file in OWN_BUILDS
    for requirement in chosen:
        (pin,) = requirement.specifier
        assert (pin.operator, pin.version.endswith("*")) == ("==", False)


@pytest.mark.parametrize("file", HASHED, ids=lambda file: file.name)
def test_every_locked_package_has_hashes(file: Path) -> None:
    for entry in entries(file):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_every_file_is_used_and_exists() -> None:
    used = {file for e in ALL.values() for file in (*e.requirement_files, REQUIREMENTS / e.test_requirements)}
    assert used | LOCKS | {REQUIREMENTS / detectron2.LOCK} == set(FILES)
    assert TORCH in [str(r).split(";")[0].strip() for r in requirements(REQUIREMENTS / PLAIN_LOCK)]
    for backend in BUILDS:
        if (file := REQUIREMENTS / backend.lock) in LOCKS:
            assert backend.requirement in {str(r).split(";")[0].strip() for r in requirements(file)}


def test_cuda_comes_to_linux_only() -> None:
    for requirement in requirements(REQUIREMENTS / "torch.txt"):
        if requirement.name != "torch":
            assert applies(requirement, "3.12", "linux") or applies(requirement, "3.10", "linux")
            assert not applies(requirement, "3.12", "win32") and not applies(requirement, "3.12", "darwin")


def installed_files() -> list[Path]:
    lock = Home(default_home()).entry(SERVER)["lock"]
    return [*SERVER.requirement_files, REQUIREMENTS / lock, REQUIREMENTS / SERVER.test_requirements]


def test_this_environment_has_those_versions() -> None:
    if Path(sys.prefix) != Home(default_home()).folder(SERVER):
        pytest.skip("runs in an environment that the installer did not make")
    for file in installed_files():
        for requirement in requirements(file):
            if requirement.marker is None or requirement.marker.evaluate():
                assert requirement.specifier.contains(importlib.metadata.version(requirement.name)), requirement


def test_all_that_is_installed_is_pinned() -> None:
    if Path(sys.prefix) != Home(default_home()).folder(SERVER):
        pytest.skip("runs in an environment that the installer did not make")
    pinned = {r.name.lower().replace("-", "_") for file in installed_files() for r in requirements(file)}
    installed = {d.name.lower().replace("-", "_") for d in importlib.metadata.distributions()}
    assert installed - pinned == {"pip"}
