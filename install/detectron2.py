"""detectron2 in the server's environment. It has no packages: it is built from its source, here.

The build and all downloads happen beside the environment, against the torch in it; only when everything is there are
the packages added, and if one of them does not work, what was added is taken away again.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from install.backends import PLAIN_LOCK, offered
from install.child import bound_module, clean_environment, run_logged
from install.environments import REQUIREMENTS, SERVER
from install.errors import InstallError, explain
from install.home import READY, Home, delete, writing
from install.records import write_records
from install.reporting import Reporter
from install.requirement_files import entries, names
from install.setup import free_mb, is_ready, size

NAME = "detectron2"
LOCK = "detectron2.txt"
"""What it needs, in the versions that were tried with it."""
SOURCE = "https://github.com/facebookresearch/detectron2/archive/02b5c4e295e990042a714712c21dc79b731e8833.zip"
"""The public repository, as it was tried."""
WORKS_ON = "Linux and macOS"
_DISK_MB = 400
"""What the build and its packages take at most, measured."""
_TOOLS = {"ninja"}
_TEST = "import torchvision; from detectron2 import _C; from detectron2.modeling import build_model"
_UNDO = "before-detectron2.json"
_STEP = re.compile(r"\s*\[(\d+)/(\d+)\]")


def install(home: Home, source: str, reporter: Reporter) -> None:
    """Build detectron2 from `source`, a folder, an archive or what else pip takes, and add it to the environment.

    Raises InstallError; the environment then is as it was.
    """
    reporter.say(
        f"detectron2 is built from its source. That needs a C++ compiler, works on {WORKS_ON}, takes "
        f"{size(_DISK_MB)} of disk, and several minutes of every processor core."
    )
    _check(home, source)
    if "://" not in source:
        source = str(Path(source).absolute())
    log = home.log(SERVER).with_name("install-detectron2.log")
    with home.locked():
        _undo(home)
        log.write_text("", "utf-8")
        with writing(home.path), tempfile.TemporaryDirectory(dir=home.path, prefix="pip-") as folder:
            wheels = _Workshop(home, Path(folder), log, reporter).make(source)
            _add(home, wheels, log, reporter)
    reporter.say("  detectron2: ready. Choose it with the detector 'keypoint-rcnn'.")


def _check(home: Home, source: str) -> None:
    if sys.platform == "win32":
        raise InstallError(f"detectron2 builds on {WORKS_ON} only.", "On Windows use the detectors that are there.")
    if not is_ready(home, SERVER):
        raise InstallError("The pose server is not ready.", "Install or repair it first.")
    compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    if not shutil.which(compiler[0]):
        raise InstallError(
            f"There is no C++ compiler ({compiler[0]}).",
            "On Debian and Ubuntu install the package g++; on a Mac run `xcode-select --install`.",
        )
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    done = subprocess.run(
        [home.python(SERVER), "-I", "-c", ask], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if not Path(done.stdout.strip(), "Python.h").is_file():
        raise InstallError(
            "The Python of the pose server has no C headers.",
            "On Debian and Ubuntu install the package python3-dev; or make the environment from another Python.",
        )
    if (free := free_mb(home)) < _DISK_MB:
        raise InstallError(f"{size(_DISK_MB)} of disk are needed in {home.path}, and {size(free)} are free.")
    if "://" not in source and not Path(source).exists():
        raise InstallError(f"There is no {source}.", "Name a folder or an archive with detectron2's source.")


class _Workshop:
    """A folder beside the environment in which packages are made for it."""

    def __init__(self, home: Home, folder: Path, log: Path, reporter: Reporter) -> None:
        self._python = home.python(SERVER)
        self._folder = folder
        self._log = log
        self._reporter = reporter
        self._backend = home.entry(SERVER).get("backend")

    def make(self, source: str) -> list[Path]:
        """Packages of detectron2 and all that it needs; what comes from the network comes first."""
        listed = entries(REQUIREMENTS / LOCK)
        self._pip("tools", "install", "--target", self._folder / "tools", "-r", self._some(listed, _TOOLS))
        needed = names(listed) - _TOOLS
        if (backend := offered()[self._backend]).lock != PLAIN_LOCK:
            needed.remove("torchvision")
            plain = next(text.split()[0] for text in listed if text.startswith("torchvision=="))
            self._pip("torchvision", "download", "--only-binary=:all:", "--dest", "wheels", f"{plain}+{backend.build}")
        wheel = ["wheel", "--no-build-isolation", "--use-pep517", "--wheel-dir", "wheels"]
        self._pip("packages", *wheel, "-r", self._some(listed, needed))
        if Path(source).is_dir():  # builds in place, which is nothing that the user asked for
            shutil.copytree(source, self._folder / "source", ignore=shutil.ignore_patterns(".git", "build"))
            source = str(self._folder / "source")
        self._pip("building", *wheel, "--verbose", source)
        return sorted((self._folder / "wheels").glob("*.whl"))

    def _some(self, listed: list[str], wanted: set[str]) -> Path:
        file = self._folder / f"{len(wanted)}.txt"
        file.write_text("\n".join(text for text in listed if names([text]) <= wanted), "utf-8")
        return file

    def _pip(self, stage: str, *arguments: str | Path) -> None:
        def follow(line: str) -> None:
            if found := _STEP.match(line):
                self._reporter.progress(f"{NAME}: {stage}", int(found[1]), int(found[2]))

        self._reporter.progress(f"{NAME}: {stage}", 0, 1)
        tools = self._folder / "tools"
        variables = {"PYTHONPATH": str(tools), "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
        variables |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._folder))
        verb, *rest = arguments
        options = ["--no-deps", "--no-input", "--no-color", "--progress-bar=off", "--disable-pip-version-check"]
        words = [self._folder / word if word == "wheels" else word for word in rest]
        status, output = run_logged(
            bound_module(self._python, "pip", verb, *options, *words), self._log, follow, clean_environment(**variables)
        )
        if status and stage == "torchvision" and "No matching distribution" in output:
            raise InstallError(
                f"No package index that pip knows has {arguments[-1]}, which detectron2 needs beside this torch.",
                "Name an index that has it (Package Index in the add-on's preferences, or PIP_EXTRA_INDEX_URL).",
                self._log,
            )
        if status:
            raise explain(output, status, "Building detectron2", self._log)


def _add(home: Home, wheels: list[Path], log: Path, reporter: Reporter) -> None:
    """Add packages to the environment; whatever ends this leaves a note by which it is undone."""
    reporter.progress(f"{NAME}: adding", 0, 1)
    note = home.folder(SERVER) / _UNDO
    there = {str(folder): sorted(path.name for path in folder.iterdir()) for folder in _places(home)}
    note.write_text(json.dumps(there), "utf-8")
    python = home.python(SERVER)
    try:
        for command in (
            bound_module(python, "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", *wheels),
            [python, "-I", "-c", _TEST],
        ):
            status, output = run_logged(command, log, lambda line: None, clean_environment())
            if status:
                raise explain(output, status, "The test of detectron2", log)
    except BaseException:
        _undo(home)
        raise
    write_records(home, SERVER)
    entry = home.entry(SERVER)
    built = next(wheel.name.split("-")[1] for wheel in wheels if wheel.name.startswith(NAME))
    home.record(SERVER, {**entry, "state": READY, "extras": {**entry.get("extras", {}), NAME: built}})
    note.unlink()


def _places(home: Home) -> tuple[Path, Path]:
    return home.packages(SERVER), home.scripts(SERVER)


def _undo(home: Home) -> None:
    """Take away what was added since the note was written, if there is one."""
    note = home.folder(SERVER) / _UNDO
    if not note.is_file():
        return
    try:
        there = json.loads(note.read_text("utf-8"))
    except ValueError:  # killed while it was written, before anything was added
        there = {}
    for folder in _places(home):
        for path in folder.iterdir() if str(folder) in there else ():
            if path.name in there[str(folder)]:
                continue
            if path.is_dir():
                delete(path)
            else:
                path.unlink()
    note.unlink()
