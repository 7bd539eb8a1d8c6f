"""`python3 -m install lock`: the exact packages of the server's environment, with the hashes of their files.

One lock serves every system and Python, by markers; torch stands apart, as its builds differ. For those who change the
server's dependencies: users' machines only install what is locked here. Needs Python 3.11 or later and a package index.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from install.backends import CPU_LOCK, CPU_TORCH, TORCH
from install.child import clean_environment
from install.environments import REPOSITORY, REQUIREMENTS
from install.errors import InstallError
from install.reporting import Reporter

_OLDEST_PYTHON = "3.10"
_PYTHONS = ("3.10", "3.11", "3.12", "3.13")
_SYSTEMS = ("linux", "windows", "macos")
_MEDIAPIPE = "mediapipe==0.10.21"
_MEDIAPIPE_NEEDS = ("absl-py", "attrs", "flatbuffers", "protobuf<5")
"""What its pose detector uses of its dependencies: neither jax nor matplotlib nor a second OpenCV."""
_MEDIAPIPE_PYTHONS = 'python_version < "3.13"'
_WITH_TORCH = re.compile(r"(torch|triton|nvidia-|cuda-)")
_LINUX_WHEEL = "manylinux_2_28_x86_64"
_UV = "uv==0.13.8"
_HEADER = "# Made by `python3 -m install lock`; change server/pyproject.toml and run it again.\n"


def write_locks(reporter: Reporter) -> list[Path]:
    """Resolve for all systems and Pythons, check that every one installs, and write the locks; returns them.

    Raises:
        InstallError: something does not resolve; the present locks stay.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        uv = _uv(folder)
        reporter.say("Resolving for all systems and Pythons")
        locked = _entries(_resolve(uv, folder, [*_dependencies(), TORCH], "--universal"))
        locked += _entries(_resolve(uv, folder, [f"{_MEDIAPIPE}; {_MEDIAPIPE_PYTHONS}"], "--universal", "--no-deps"))
        texts = {
            "server.txt": _text(entry for entry in locked if not _WITH_TORCH.match(entry)),
            "torch.txt": _text(entry for entry in locked if _WITH_TORCH.match(entry)),
            CPU_LOCK: _text(_cpu_torch(folder)),
        }
        for system in _SYSTEMS:
            for python in _PYTHONS:
                reporter.progress("checking", 0, 1, f"{system}, Python {python}")
                _check(uv, folder, system, python, [texts["server.txt"], texts["torch.txt"]])
        for name, text in texts.items():
            (REQUIREMENTS / name).write_text(text, "utf-8")
    reporter.say(f"Locked: {', '.join(texts)}, checked for {', '.join(_SYSTEMS)} and Python {', '.join(_PYTHONS)}")
    return [REQUIREMENTS / name for name in texts]


def _dependencies() -> list[str]:
    import tomllib  # not in every Python that installs

    project = tomllib.loads((REPOSITORY / "server/pyproject.toml").read_text("utf-8"))["project"]
    own = [requirement for requirement in project["dependencies"] if requirement != "torch"]
    return own + [f"{name}; {_MEDIAPIPE_PYTHONS}" for name in _MEDIAPIPE_NEEDS]


def _uv(folder: Path) -> Path:
    """The resolver, which unlike pip resolves for other systems than its own; for this command alone."""
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", folder / "uv", _UV])
    return folder / "uv/bin" / ("uv.exe" if sys.platform == "win32" else "uv")


def _resolve(uv: Path, folder: Path, requirements: Iterable[str], *options: str) -> str:
    source = folder / "requirements.in"
    source.write_text("\n".join(requirements), "utf-8")
    words = ["pip", "compile", source, "--python-version", _OLDEST_PYTHON, "--only-binary=:all:", "--generate-hashes"]
    return _run([uv, *words, "--no-annotate", "--no-header", "--quiet", *options])


def _entries(text: str) -> list[str]:
    """Requirements of a lock, each with its lines of hashes."""
    return [entry.strip() for entry in re.split(r"\n(?=\S)", text) if entry.strip()]


def _text(entries: Iterable[str]) -> str:
    return _HEADER + "".join(f"{entry}\n" for entry in sorted(entries))


def _cpu_torch(folder: Path) -> list[str]:
    """Torch for Linux without CUDA, which pip's indexes and folders may have, by Python; what they lack is left out."""
    entries = []
    for python in _PYTHONS:
        report = folder / "report.json"
        words = ["--dry-run", "--no-deps", "--only-binary=:all:", f"--python-version={python}", "--quiet"]
        words += [f"--platform={_LINUX_WHEEL}", f"--target={folder / 'none'}", f"--report={report}"]
        with contextlib.suppress(InstallError):
            _run([sys.executable, "-m", "pip", "install", *words, CPU_TORCH])
            (found,) = json.loads(report.read_text("utf-8"))["install"]
            digest = found["download_info"]["archive_info"]["hashes"]["sha256"]
            entries.append(f"{CPU_TORCH} ; python_version == '{python}' \\\n    --hash=sha256:{digest}")
    if not entries:
        raise InstallError(
            f"No package index that pip knows has {CPU_TORCH}.", "Add the index of torch's CPU builds to pip's."
        )
    return entries


def _check(uv: Path, folder: Path, system: str, python: str, locks: list[str]) -> None:
    """Everything in the locks can be installed on a system, with no other package."""
    together = folder / "together.txt"
    together.write_text("\n".join(locks), "utf-8")
    words = ["--dry-run", "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", folder / "none"]
    where = ["--python-platform", system, "--python-version", python]
    _run([uv, "pip", "install", *words, *where, "-r", together])


def _run(command: list[str | Path]) -> str:
    certificates = {"SSL_CERT_FILE": os.environ["PIP_CERT"]} if "PIP_CERT" in os.environ else {}
    # The first macOS that torch's wheels run on.
    environment = clean_environment(**certificates, MACOSX_DEPLOYMENT_TARGET="14.0")
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise InstallError(f"{Path(command[0]).name} failed: {last[0]}", "Check the network and the dependencies.")
    return done.stdout
