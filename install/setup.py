"""Making environments: announced, checked, undone where a step fails, and quick where nothing is to do."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from install.backends import CPU_LOCK, CPU_TORCH, Backend, Choice, choose, find_card
from install.child import clean_environment, run_logged
from install.environments import REPOSITORY, REQUIREMENTS, SERVER, Environment
from install.errors import InstallError, explain
from install.home import HOME_VARIABLE, INCOMPLETE, READY, Home, writing
from install.interpreters import find_python
from install.reporting import Reporter

# What pip prints for a package from an index, one that is there already, and one from a folder; and for its archive.
_PACKAGE = re.compile(r"(?:Collecting |Requirement already satisfied: |Processing \S*[/\\])([\w.]+)")
_ARCHIVE_SIZE = re.compile(r"\s+(?:Downloading|Using cached) \S+ \((.+)\)")


_LOCKED = ("--no-deps", "--require-hashes")
_OLD = "-old"
"""Appended to the name of an environment's folder while a new one is made in its place."""


def ensure(
    home: Home, environments: Sequence[Environment], reporter: Reporter, tests: bool = False, backend: str = "auto"
) -> None:
    """Make every environment that is not ready, with what its tests need if `tests`.

    Args:
        backend: build of torch, one of `backends.BACKENDS`; "auto" keeps the one that is installed, and for a new
            environment takes what suits the computer.

    Raises InstallError; an environment whose making fails or is interrupted is taken away again, and the one that was
    there before comes back.
    """
    wanted = [e for e in environments if not is_ready(home, e, backend)]
    bare = [e for e in environments if tests and (e in wanted or home.entry(e).get("tests") != _test_key(home, e))]
    if wanted or bare:
        chosen = next((_choice(home, e, backend) for e in wanted if e.torch), None)
        with home.locked():
            _announce(home, wanted, bare, chosen.backend if chosen else None, reporter)
            if chosen:
                reporter.say(f"  {chosen.reason}")
            for environment in wanted:
                _Build(home, environment, reporter, chosen.backend if chosen and environment.torch else None).make()
            for environment in bare:
                _Build(home, environment, reporter, None).add_test_packages()
    if SERVER in environments:
        _link_server(home)


def is_ready(home: Home, environment: Environment, backend: str = "auto") -> bool:
    """Whether the environment is there, whole, and has the packages that this version wants."""
    entry = home.entry(environment)
    return (
        entry.get("state") == READY
        and entry.get("key") == _key(home, environment)
        and backend in ("auto", entry.get("backend", "auto"))
        and home.python(environment).exists()
    )


def download(home: Home, environment: Environment, folder: Path, backend: str, reporter: Reporter) -> None:
    """Fetch an environment's packages for this system into a folder, checked against the locks; raises InstallError."""
    build = choose(backend, card=find_card()).backend
    python = find_python(environment)
    log = home.log(environment)
    with writing(folder), home.locked():
        folder.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
    files = [*environment.requirement_files, *([REQUIREMENTS / build.lock] if environment.torch else [])]
    for done, file in enumerate(files):
        reporter.progress(f"{environment.name}: download", done, len(files), file.name)
        words = ["download", *_LOCKED, "--only-binary=:all:", "--no-input", "--dest", folder, "-r", file]
        status, output = run_logged([python, "-I", "-m", "pip", *words], log, lambda line: None, clean_environment())
        if status:
            raise explain(output, status, "Downloading packages", log)


def install_from(folder: Path) -> None:
    """Let pip take packages from a folder of wheels alone, without any index; raises InstallError where it has none."""
    if not any(folder.glob("*.whl")):
        raise InstallError(f"The folder {folder} holds no wheels.", "Fetch them with `python3 -m install download`.")
    # As a URL: pip takes a space for the end of a path.
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder.absolute().as_uri()}


def remove(home: Home, environments: Sequence[Environment], reporter: Reporter) -> None:
    """Take environments and their entries away; those that are not there are passed over."""
    with home.locked():
        for environment in environments:
            if home.folder(environment).exists() or home.entry(environment):
                home.record(environment, {**home.entry(environment), "state": INCOMPLETE})
                _delete(home.folder(environment))
                home.record(environment, None)
                reporter.say(f"Removed {home.folder(environment)}")


def version() -> str:
    """Version of the server beside this installer."""
    text = (REPOSITORY / "server/pyproject.toml").read_text("utf-8")
    return re.search(r'^version = "(.+)"', text, re.MULTILINE)[1]


def _choice(home: Home, environment: Environment, backend: str) -> Choice:
    """The build of torch for an environment; an upgrade with "auto" keeps the build that the user had."""
    entry = home.entry(environment)
    had = entry.get("backend") or (entry.get("before") or {}).get("backend")
    return choose(had if backend == "auto" and had else backend, card=find_card())


class _Build:
    """The steps that make one environment."""

    def __init__(self, home: Home, environment: Environment, reporter: Reporter, backend: Backend | None) -> None:
        self._home = home
        self._environment = environment
        self._reporter = reporter
        self._backend = backend
        self._folder = home.folder(environment)
        self._old = self._folder.with_name(self._folder.name + _OLD)
        self._log = home.log(environment)

    def make(self) -> None:
        """All steps; "incomplete" is on record from before the first until after the last.

        The environment that was there waits under another name until the new one has passed its self-test: it works
        where it was made, so it is the new one that is made in the old one's place.
        """
        python = find_python(self._environment)
        with writing(self._home.path):
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.write_text("", "utf-8")
        before = self._set_aside()
        entry = {"state": INCOMPLETE, "version": version(), "before": before}
        self._home.record(self._environment, entry)
        try:
            self._run("Making the environment", [python, "-I", "-m", "venv", self._folder])
            if self._environment is SERVER:
                _link_server(self._home)
            for step in self._environment.steps:
                self._pip_install(step)
            if self._backend:
                self._install_torch()
            self._test()
            self._fetch_weights()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            if before:
                self._old.rename(self._folder)
                self._home.record(self._environment, before)
                self._reporter.say(f"  {self._environment.name}: the one that was there before is back")
            raise
        ready = {"state": READY, "version": version()}
        if self._backend:
            ready |= {"backend": self._backend.name, "lock": self._backend.lock}
        self._home.record(self._environment, ready)
        self._home.record(self._environment, {**ready, "key": _key(self._home, self._environment)})
        _delete(self._old)
        self._reporter.say(f"  {self._environment.name}: ready")

    def _set_aside(self) -> dict[str, Any] | None:
        """Move a ready environment out of the way; returns its entry. Half-made ones are deleted.

        A run that was killed has left its predecessor aside and half an environment in its place.
        """
        entry = self._home.entry(self._environment)
        if entry.get("state") == INCOMPLETE and entry.get("before") and self._old.exists():
            _delete(self._folder)
            return entry["before"]
        if entry.get("state") != READY or not self._home.python(self._environment).exists():
            _delete(self._folder)
            _delete(self._old)
            return None
        _delete(self._old)
        with writing(self._folder):
            self._folder.rename(self._old)
        return entry

    def add_test_packages(self) -> None:
        """Only adds packages, so that a failure leaves the environment as useful as it was."""
        self._pip_install(("-r", self._environment.test_requirements))
        entry = self._home.entry(self._environment)
        self._home.record(self._environment, {**entry, "tests": _test_key(self._home, self._environment)})

    def _pip_install(self, arguments: Sequence[str]) -> None:
        files = [REQUIREMENTS / word for word in arguments if word.endswith(".txt")]
        total = sum(len(_package_names(file)) for file in files) or 1
        self._pip(f"{self._environment.name}: packages", total, *(_in_requirements(word) for word in arguments))

    def _pip(self, stage: str, total: int, *arguments: str) -> None:
        done = 0
        current = ""

        def follow(line: str) -> None:
            nonlocal done, current
            if found := _PACKAGE.match(line):
                current = found[1]
                done += 1
            elif found := _ARCHIVE_SIZE.match(line):
                current += f" ({found[1]})"
            elif line.startswith("Installing collected packages"):
                current = "unpacking"
            else:
                return
            self._reporter.progress(stage, min(done, total), total, current)

        self._reporter.progress(stage, 0, total)
        # Large packages are unpacked beside the environment: /tmp may be small, and this disk's space is checked.
        with writing(self._home.path), tempfile.TemporaryDirectory(dir=self._home.path, prefix="pip-") as folder:
            pip = [self._home.python(self._environment), "-I", "-m", "pip", "install"]
            options = ["--no-input", "--no-color", "--progress-bar=off", "--disable-pip-version-check"]
            self._run(
                "Installing packages",
                [*pip, *options, "--only-binary=:all:", *arguments],
                follow,
                **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder),
            )

    def _install_torch(self) -> None:
        """The chosen build, by its lock where it has one for this Python.

        On Linux the CPU build has an index of its own, which pip may not know: then the build with CUDA, which runs
        without a card too, and is many times larger.
        """
        if self._backend.lock == CPU_LOCK:
            if not self._is_offered(CPU_TORCH):
                self._backend = choose("cuda").backend
                _check_space(self._home, self._backend.disk_mb)
                self._reporter.say(
                    f"  The package index has torch with CUDA only: {_size(self._backend.download_mb)} to download. "
                    "Without an NVIDIA card, stop here and name an index of CPU builds (see --help)."
                )
            elif not self._is_locked(CPU_LOCK):
                self._pip_install(("--no-deps", CPU_TORCH))
                return
        self._pip_install((*_LOCKED, "-r", self._backend.lock))

    def _is_offered(self, requirement: str) -> bool:
        words = ["install", "--dry-run", "--no-deps", "--only-binary=:all:", "--quiet", requirement]
        python = self._home.python(self._environment)
        with writing(self._home.path):
            status, _ = run_logged(
                [python, "-I", "-m", "pip", *words], self._log, lambda line: None, clean_environment()
            )
        return status == 0

    def _is_locked(self, name: str) -> bool:
        """Whether a lock holds anything for this environment's Python."""
        ask = "import sys; print('%d.%d' % sys.version_info[:2])"
        command = [self._home.python(self._environment), "-I", "-c", ask]
        _, python = run_logged(command, self._log, lambda line: None, clean_environment())
        return f"'{python.strip()}'" in (REQUIREMENTS / name).read_text("utf-8")

    def _test(self) -> None:
        self._reporter.progress(f"{self._environment.name}: self-test", 0, 1)
        program = f"import {', '.join(self._environment.modules)}"
        self._run("The self-test", [self._home.python(self._environment), "-I", "-c", program])

    def _fetch_weights(self) -> None:
        """Offline or blocked, the environment is as ready: the detector that comes with its packages needs nothing."""
        for name in self._environment.weights:
            self._reporter.progress(f"{self._environment.name}: weights {name}", 0, 1)
            fetch = ["vp3d", "models", "download", name]
            environment = clean_environment(**{HOME_VARIABLE: str(self._home.path)})
            with writing(self._home.path):
                status, _ = run_logged(
                    [self._home.python(self._environment), "-I", "-m", *fetch],
                    self._log,
                    lambda line: None,
                    environment,
                )
            if status:
                self._reporter.say(
                    f"  The weights {name} could not be fetched, and captures go without them. To try again later: "
                    f"python3 -m install run -- {' '.join(fetch)}"
                )

    def _run(self, doing: str, command: Sequence[str | Path], on_line=lambda line: None, **variables: str) -> None:
        with writing(self._home.path):
            status, output = run_logged(command, self._log, on_line, clean_environment(**variables))
        if status:
            raise explain(output, status, doing, self._log)


def _announce(
    home: Home,
    environments: Sequence[Environment],
    with_tests: Sequence[Environment],
    backend: Backend | None,
    reporter: Reporter,
) -> None:
    lines = [f"Setting up in {home.path}"]
    need = largest = 0
    for e in environments:
        build = backend if e.torch and backend else Backend("", "", "", 0, 0)
        download, disk = e.download_mb + build.download_mb, e.disk_mb + build.disk_mb
        lines.append(f"  {e.name} ({e.purpose}): downloads {_size(download)}, takes {_size(disk)} of disk")
        need, largest = need + disk, max(largest, download)
    lines += [f"  {e.name}, weights of networks: downloads {_size(e.weights_mb)}" for e in environments if e.weights]
    lines += [f"  {e.name}, what its tests need: downloads {_size(e.test_download_mb)}" for e in with_tests]
    reporter.say("\n".join([*lines, "  Packages that pip has in its cache are not downloaded again."]))
    _check_space(home, need + largest)


def _check_space(home: Home, need_mb: int) -> None:
    place = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free_mb = shutil.disk_usage(place).free // 1_000_000
    if free_mb < need_mb:
        raise InstallError(
            f"{_size(need_mb)} of disk are needed in {home.path}, and {_size(free_mb)} are free.",
            "Free some space, or choose another folder with --prefix.",
        )


def _link_server(home: Home) -> None:
    """Let the environment find the server's package where it lies; escapes keep any path readable in any locale."""
    scripts = home.scripts(SERVER)
    folder = scripts.parent / "Lib" if sys.platform == "win32" else next((scripts.parent / "lib").glob("python3*"))
    text = f"import sys; sys.path.append({str(REPOSITORY / 'server')!a})\n"
    link = folder / "site-packages/vp3d.pth"
    with writing(home.path):
        if not link.exists() or link.read_text("ascii") != text:
            link.write_text(text, "ascii")


def _delete(folder: Path) -> None:
    if folder.exists():
        with writing(folder):
            shutil.rmtree(folder)


def _key(home: Home, environment: Environment, *more: Path) -> str:
    """What the packages of an environment are made from, with the lock of the torch that it has."""
    lock = home.entry(environment).get("lock")
    files = [*environment.requirement_files, *([REQUIREMENTS / lock] if lock else []), *more]
    return hashlib.sha256(b"\0".join(file.read_bytes() if file.exists() else b"" for file in files)).hexdigest()


def _test_key(home: Home, environment: Environment) -> str:
    return _key(home, environment, REQUIREMENTS / environment.test_requirements)


def _in_requirements(word: str) -> str:
    return str(REQUIREMENTS / word) if word.endswith(".txt") else word


def _package_names(file: Path) -> set[str]:
    lines = file.read_text("utf-8").splitlines()
    return {line.split("==")[0] for line in lines if line and not line.startswith(("#", " "))}


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"
