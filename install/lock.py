"""`python3 -m install lock`: the exact packages of the server's environment, with the hashes of their files.

One lock serves every system and Python, by markers; torch stands apart, as its builds differ, and those with indexes of
their own have locks where pip's settings name such an index. For those who change the server's dependencies: users'
machines only install what is locked here. Needs Python 3.11 or later and a package index.
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

from install import detectron2
from install.backends import BACKENDS, PLAIN_LOCK, TORCH, Backend
from install.child import clean_environment
from install.environments import REPOSITORY, REQUIREMENTS
from install.errors import InstallError
from install.reporting import Reporter
from install.requirement_files import entries

_OLDEST_PYTHON = "3.10"
_PYTHONS = ("3.10", "3.11", "3.12", "3.13")
_SYSTEMS = ("linux", "windows", "macos")
_MEDIAPIPE = "mediapipe==0.10.21"
_MEDIAPIPE_NEEDS = ("absl-py", "attrs", "flatbuffers", "protobuf<5")
"""What its pose detector uses of its dependencies: neither jax nor matplotlib nor a second OpenCV."""
_DETECTRON2_NEEDS = (
    "antlr4-python3-runtime==4.9.3", "cloudpickle", "fvcore<0.1.6", "iopath<0.1.10", "ninja", "omegaconf<2.4",
    "packaging", "pillow", "portalocker", "pycocotools", "pyyaml", "tabulate", "termcolor", "torchvision==0.28.0",
    "tqdm", "yacs",
)  # fmt: skip
"""What its networks use of its dependencies, what builds them, and the torchvision that fits this torch."""
_MEDIAPIPE_PYTHONS = 'python_version < "3.13"'
_WITH_TORCH = re.compile(r"(torch|triton|pytorch-triton|nvidia-|cuda-)")
_WHEELS = {"linux": "manylinux_2_28_x86_64", "win32": "win_amd64"}
"""What wheels call the systems that have builds of torch with indexes of their own."""
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
        locked = _resolve(uv, folder, [*_dependencies(), TORCH], "--universal")
        locked += _resolve(uv, folder, [f"{_MEDIAPIPE}; {_MEDIAPIPE_PYTHONS}"], "--universal", "--no-deps")
        texts = {
            "server.txt": _text(entry for entry in locked if not _WITH_TORCH.match(entry)),
            PLAIN_LOCK: _text(entry for entry in locked if _WITH_TORCH.match(entry)),
            detectron2.LOCK: _text(_resolve(uv, folder, _DETECTRON2_NEEDS, "--universal", "--no-deps", sources=True)),
        }
        for system, backend in ((s, b) for s in _WHEELS for b in BACKENDS[s].values() if b.build):
            reporter.progress("looking for", 0, 1, f"{backend.requirement}, {system}")
            if found := _own_build(folder, system, backend):
                texts[backend.lock] = _text(found)
        for system in _SYSTEMS:
            for python in _PYTHONS:
                reporter.progress("checking", 0, 1, f"{system}, Python {python}")
                _check(uv, folder, system, python, [texts["server.txt"], texts[PLAIN_LOCK]])
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


def _resolve(uv: Path, folder: Path, requirements: Iterable[str], *options: str, sources: bool = False) -> list[str]:
    source = folder / "requirements.in"
    source.write_text("\n".join(requirements), "utf-8")
    words = ["pip", "compile", source, "--python-version", _OLDEST_PYTHON, "--generate-hashes"]
    words += [] if sources else ["--only-binary=:all:"]
    lock = folder / "requirements.txt"
    _run([uv, *words, "--no-annotate", "--no-header", "--quiet", "--output-file", lock, *options])
    return entries(lock)


def _text(requirements: Iterable[str]) -> str:
    return _HEADER + "".join(f"{requirement}\n" for requirement in sorted(requirements))


def _own_build(folder: Path, system: str, backend: Backend) -> list[str]:
    """A build of torch and what comes with it, by Python; nothing for those that pip's indexes and folders lack."""
    found = []
    for python in _PYTHONS:
        report = folder / "report.json"
        words = ["--dry-run", "--only-binary=:all:", f"--python-version={python}", "--quiet"]
        words += [f"--platform={_WHEELS[system]}", f"--target={folder / 'none'}", f"--report={report}"]
        with contextlib.suppress(InstallError):
            _run([sys.executable, "-m", "pip", "install", *words, backend.requirement])
            for package in json.loads(report.read_text("utf-8"))["install"]:
                name, version = package["metadata"]["name"], package["metadata"]["version"]
                if _WITH_TORCH.match(name):
                    digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
                    found.append(f"{name}=={version} ; python_version == '{python}' \\\n    --hash=sha256:{digest}")
    return found


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
