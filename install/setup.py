"""Making environments: announced, checked, undone where a step fails, and quick where nothing is to do."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from install.backends import PLAIN_LOCK, Backend, Choice, choose, find_card, has_amd_card, offered
from install.child import bound_module, clean_environment, run_logged
from install.environments import REPOSITORY, REQUIREMENTS, SERVER, Environment
from install.errors import InstallError, explain
from install.home import BROKEN, HOME_VARIABLE, INCOMPLETE, READY, Home, delete, persistently, writing
from install.interpreters import find_python, version_of
from install.records import write_records
from install.reporting import Reporter
from install.requirement_files import LOCKED, entries, key, names, package_files

# What pip prints for a package from an index, one that is there already, and one from a folder; and for its archive.
_PACKAGE = re.compile(r"(?:Collecting |Requirement already satisfied: |Processing \S*[/\\])([\w.]+)")
_ARCHIVE_SIZE = re.compile(r"\s+(?:Downloading|Using cached) \S+ \((.+)\)")

_LONGEST_PATH = 260
"""Characters of a path that Windows takes unless it is told to take more."""
_PATH_INSIDE = 175
"""Characters of the longest path inside an environment, which are torch's headers; measured, rounded up."""


@dataclass(frozen=True)
class Wish:
    """What the user may decide of an environment.

    Attributes:
        backend: build of torch, one of `backends.BACKENDS`; "auto" keeps the one that is installed, and for a new
            environment takes what suits the computer.
        python: interpreter to make it from; None keeps the one that is installed, or looks for one.
    """

    backend: str = "auto"
    python: Path | None = None


ANYTHING = Wish()


def ensure(
    home: Home, environments: Sequence[Environment], reporter: Reporter, tests: bool = False, wish: Wish = ANYTHING
) -> None:
    """Make every environment that is not ready, with what its tests need if `tests`.

    Raises InstallError; an environment whose making fails or is interrupted is taken away again, and the one that was
    there before comes back.
    """
    wanted = [e for e in environments if not is_ready(home, e, wish)]
    bare = [e for e in environments if tests and (e in wanted or home.entry(e).get("tests") != _test_key(home, e))]
    left = [e for e in environments if e not in wanted and home.old(e).exists()]
    if wanted or bare or left:
        with home.locked():
            for environment in left:  # by a run that was killed when all but this was done
                delete(home.old(environment))
            if wanted or bare:
                _make(home, wanted, bare, reporter, wish)
    if SERVER in environments:
        link_server(home)


def is_ready(home: Home, environment: Environment, wish: Wish = ANYTHING) -> bool:
    """Whether the environment is there, whole, as wished, and has the packages that this version wants."""
    entry = home.entry(environment)
    return (
        entry.get("state") == READY
        and entry.get("key") == key(environment, entry.get("lock"))
        and wish.backend in ("auto", entry.get("backend", "auto"))
        and (wish.python is None or version_of(wish.python) == entry.get("python"))
        and home.python(environment).exists()
    )


def remake(home: Home, environment: Environment, reporter: Reporter) -> None:
    """Make an environment anew, with the build and the Python that it had; for `repair`, which holds the lock."""
    _make(home, [environment], [], reporter, ANYTHING)
    if environment is SERVER:
        link_server(home)


def reinstall(home: Home, environment: Environment, packages: Iterable[str], reporter: Reporter) -> None:
    """Install some of an environment's packages anew over what is there; raises InstallError."""
    wanted = set(packages)
    texts = [text for file in package_files(environment, home.entry(environment).get("lock")) for text in entries(file)]
    with writing(home.path), tempfile.TemporaryDirectory(dir=home.path, prefix="pip-") as folder:
        file = Path(folder) / "some.txt"
        file.write_text("\n".join(text for text in texts if names([text]) <= wanted), "utf-8")
        build = _Build(home, environment, reporter, None)
        build.pip(f"{environment.name}: repair", len(wanted), "--ignore-installed", "--no-deps", "-r", file)


def self_test(home: Home, environment: Environment, reporter: Reporter) -> None:
    """Import what an environment is for, and compute where its torch should; raises InstallError."""
    backend = home.entry(environment).get("backend")
    build = _Build(home, environment, reporter, choose(backend) if backend else None)
    build.import_modules()
    build.compute()


def download(home: Home, environment: Environment, folder: Path, wish: Wish, reporter: Reporter) -> None:
    """Fetch an environment's packages for this system into a folder, checked against the locks; raises InstallError."""
    build = choice(home, environment, wish).backend
    python = find_python(environment, wish.python)
    log = home.log(environment)
    with writing(folder), home.locked():
        folder.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
    files = [*environment.requirement_files, *([REQUIREMENTS / build.lock] if environment.torch else [])]
    for done, file in enumerate(files):
        reporter.progress(f"{environment.name}: download", done, len(files), file.name)
        words = ["download", *LOCKED, "--only-binary=:all:", "--no-input", "--dest", folder, "-r", file]
        status, output = run_logged(bound_module(python, "pip", *words), log, lambda line: None, clean_environment())
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
            folders = [f for f in (home.folder(environment), home.old(environment)) if f.exists() or f.is_symlink()]
            if folders or home.entry(environment):
                home.record(environment, {**home.entry(environment), "state": INCOMPLETE, "before": None})
                for folder in folders:
                    delete(folder)
                home.record(environment, None)
                reporter.say(f"Removed {home.folder(environment)}")
        _clear(home)


def version() -> str:
    """Version of the server beside this installer."""
    text = (REPOSITORY / "server/pyproject.toml").read_text("utf-8")
    return re.search(r'^version = "(.+)"', text, re.MULTILINE)[1]


def choice(home: Home, environment: Environment, wish: Wish) -> Choice:
    """The build of torch for an environment; an upgrade with "auto" keeps the build that the user had."""
    entry = home.entry(environment)
    had = entry.get("backend") or (entry.get("before") or {}).get("backend")
    return choose(had if wish.backend == "auto" and had else wish.backend, card=find_card(), amd=has_amd_card())


def needs(environment: Environment, backend: Backend | None) -> tuple[int, int]:
    """Megabytes that an environment downloads and takes of the disk.

    A build of torch that no index had to be measured counts as the largest one that was.
    """
    if backend is None:
        return environment.download_mb, environment.disk_mb
    known = backend if backend.disk_mb else max(offered().values(), key=lambda b: b.disk_mb)
    return environment.download_mb + known.download_mb, environment.disk_mb + known.disk_mb


def free_mb(home: Home) -> int:
    """Megabytes that are free on the disk of a home folder, made or not."""
    place = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    return shutil.disk_usage(place).free // 1_000_000


def size(megabytes: int) -> str:
    """Megabytes in words."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"


def link_server(home: Home) -> None:
    """Let the environment find the server's package where it lies; escapes keep any path readable in any locale."""
    text = f"import sys; sys.path.append({str(REPOSITORY / 'server')!a})\n"
    link = home.packages(SERVER) / "vp3d.pth"
    with writing(home.path):
        if not link.exists() or link.read_text("ascii") != text:
            link.write_text(text, "ascii")


def check_path(home: Home, system: str = sys.platform) -> None:
    """Raise InstallError where Windows would refuse the paths that an environment needs."""
    if system == "win32" and len(str(home.path)) + len(SERVER.name) + _PATH_INSIDE > _LONGEST_PATH:
        raise InstallError(
            f"The path {home.path} is too long for Windows, which takes {_LONGEST_PATH} characters.",
            "Choose one such as C:\\vp3d (Data Folder in the add-on's preferences, or --prefix).",
        )


def _make(
    home: Home, wanted: Sequence[Environment], bare: Sequence[Environment], reporter: Reporter, wish: Wish
) -> None:
    chosen = {e: choice(home, e, wish) for e in wanted if e.torch}
    _announce(home, {e: chosen[e].backend if e in chosen else None for e in wanted}, bare, reporter)
    for made in chosen.values():
        reporter.say(f"  {made.reason}")
    for environment in wanted:
        _Build(home, environment, reporter, chosen.get(environment), wish.python).make()
    for environment in bare:
        _Build(home, environment, reporter, None).add_test_packages()


class _Build:
    """The steps that make one environment."""

    def __init__(
        self,
        home: Home,
        environment: Environment,
        reporter: Reporter,
        chosen: Choice | None,
        python: Path | None = None,
    ) -> None:
        self._home = home
        self._environment = environment
        self._reporter = reporter
        self._chosen = chosen
        self._backend = chosen.backend if chosen else None
        self._python = python
        self._folder = home.folder(environment)
        self._old = home.old(environment)
        self._log = home.log(environment)

    def make(self) -> None:
        """All steps; "incomplete" is on record from before the first until after the last.

        The environment that was there waits under another name until the new one has passed its self-test: it works
        where it was made, so it is the new one that is made in the old one's place.
        """
        python = find_python(self._environment, self._python)
        with writing(self._home.path):
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.write_text("", "utf-8")
        before = self._set_aside()
        steps: list[Callable[[], None]] = [
            # Apart, as venv keeps to itself what goes wrong with pip.
            lambda: self._run("Making the environment", bound_module(python, "venv", "--without-pip", self._folder)),
            self._install_pip,
            self._install_packages,
            self._install_torch,
            self.import_modules,
            self._settle_device,
            self._fetch_weights,
            lambda: write_records(self._home, self._environment),
        ]
        try:
            for step in steps:
                step()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            if before:
                with writing(self._home.path):
                    persistently(self._old.rename, self._folder)
                self._home.record(self._environment, before)
                self._reporter.say(f"  {self._environment.name}: the one that was there before is back")
            raise
        ready = {"state": READY, "version": version(), "python": version_of(python)}
        if self._backend:
            ready |= {"backend": self._backend.name, "lock": self._lock}
        self._home.record(self._environment, {**ready, "key": key(self._environment, ready.get("lock"))})
        delete(self._old)
        self._reporter.say(f"  {self._environment.name}: ready")
        for extra in (before or {}).get("extras", ()):
            self._reporter.say(
                f"  {extra} was built for the one before: add it again with `python3 -m install {extra}`."
            )

    def add_test_packages(self) -> None:
        """Only adds packages, so that a failure leaves the environment as useful as it was."""
        self._pip_install(("-r", self._environment.test_requirements))
        write_records(self._home, self._environment)
        entry = self._home.entry(self._environment)
        self._home.record(self._environment, {**entry, "tests": _test_key(self._home, self._environment)})

    def pip(self, stage: str, total: int, *arguments: str | Path) -> None:
        """One run of pip's install, its progress counted in packages; raises InstallError."""
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
            options = ["--no-input", "--no-color", "--progress-bar=off", "--disable-pip-version-check"]
            words = ["install", *options, "--only-binary=:all:", *arguments]
            self._run(
                "Installing packages",
                bound_module(self._home.python(self._environment), "pip", *words),
                follow,
                **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder),
            )

    def import_modules(self) -> None:
        """What the environment is for can be imported."""
        self._reporter.progress(f"{self._environment.name}: self-test", 0, 1)
        self._run_program("The self-test", f"import {', '.join(self._environment.modules)}")

    def compute(self) -> None:
        """Torch computes where its build should; a build for a card that is not there computes on the processor."""
        if self._backend is None:
            return
        device = self._backend.device
        if device == "cuda" and not (find_card() or has_amd_card()):
            device = "cpu"
        program = f"import torch; ones = torch.ones(4, 4, device='{device}'); assert (ones @ ones)[0, 0].item() == 4"
        self._run_program("The self-test", program)

    def _set_aside(self) -> dict[str, Any] | None:
        """Move an environment that was once whole out of the way; returns its entry. Half-made ones are deleted.

        At every moment `install.json` tells a later run, should this one be killed, which folder is which.
        """
        entry = self._home.entry(self._environment)
        if entry.get("state") == INCOMPLETE:
            before = entry.get("before")
        else:
            delete(self._old)
            # a broken one may still do for something, and a repair without a network should not end with nothing
            usable = entry.get("state") in (READY, BROKEN) and self._home.python(self._environment).exists()
            before = entry if usable else None
        aside = self._old.exists()
        self._home.record(self._environment, {"state": INCOMPLETE, "version": version(), "before": before})
        if before and not aside and self._folder.exists():
            with writing(self._folder):
                persistently(self._folder.rename, self._old)
            aside = True
        delete(self._folder)
        _clear(self._home)
        return before if aside else None

    @property
    def _lock(self) -> str | None:
        """The lock of the build of torch, where it has one."""
        return self._backend.lock if (REQUIREMENTS / self._backend.lock).exists() else None

    def _install_pip(self) -> None:
        python = self._home.python(self._environment)
        self._run("Making the environment", bound_module(python, "ensurepip", "--upgrade", "--default-pip"))

    def _install_packages(self) -> None:
        if self._environment is SERVER:
            link_server(self._home)
        for step in self._environment.steps:
            self._pip_install(step)

    def _install_torch(self) -> None:
        """The chosen build, by its lock where it has one for this Python.

        All but one build of a system have package indexes of their own, which pip may not know. Where the user asked
        for such a build, that is an error; otherwise it is the one that every index has, which runs everywhere: on
        Linux it is that with CUDA, many times larger.
        """
        backend = self._backend
        if backend is None:
            return
        if not backend.build:
            self._pip_install((*LOCKED, "-r", backend.lock))
        elif not self._is_offered(backend.requirement):
            self._backend = self._instead(backend)
            self._pip_install((*LOCKED, "-r", self._backend.lock))
        elif self._is_locked(backend.lock):
            self._pip_install((*LOCKED, "-r", backend.lock))
        else:
            self._pip_install((backend.requirement,))

    def _instead(self, backend: Backend) -> Backend:
        plain = next(b for b in offered().values() if b.lock == PLAIN_LOCK)
        if not self._chosen.automatic and backend.device != "cpu":
            raise InstallError(
                f"No package index that pip knows has torch for {backend.title}.",
                f"Name an index that has {backend.requirement} (Package Index in the add-on's preferences, or "
                f"PIP_EXTRA_INDEX_URL), or choose {next(iter(offered()))}.",
            )
        _check_space(self._home, plain.disk_mb)
        what = "for the processor"
        if plain.device == "cuda":
            what = f"with CUDA only: {size(plain.download_mb)} to download"
        self._reporter.say(
            f"  The package index has torch {what}. To have it for {backend.title}, stop here and name an index "
            f"that has {backend.requirement} (see --help)."
        )
        return plain

    def _is_offered(self, requirement: str) -> bool:
        words = ["install", "--dry-run", "--no-deps", "--only-binary=:all:", "--quiet", requirement]
        command = bound_module(self._home.python(self._environment), "pip", *words)
        with writing(self._home.path):
            status, _ = run_logged(command, self._log, lambda line: None, clean_environment())
        return status == 0

    def _is_locked(self, name: str) -> bool:
        """Whether a lock holds anything for this environment's Python."""
        file = REQUIREMENTS / name
        return file.exists() and f"'{version_of(self._home.python(self._environment))}'" in file.read_text("utf-8")

    def _settle_device(self) -> None:
        """Where the computer chose a build that then does not compute, the one that runs everywhere takes its place."""
        try:
            self.compute()
        except InstallError as error:
            first = next(iter(offered().values()))
            if not self._chosen.automatic or self._backend == first:
                raise
            self._reporter.say(f"  {error.message} Torch for {first.title} takes its place.")
            self._backend = first
            self._install_torch()
            self.compute()

    def _fetch_weights(self) -> None:
        """Offline or blocked, the environment is as ready: the detector that comes with its packages needs nothing."""
        for name in self._environment.weights:
            self._reporter.progress(f"{self._environment.name}: weights {name}", 0, 1)
            fetch = ["vp3d", "models", "download", name]
            environment = clean_environment(**{HOME_VARIABLE: str(self._home.path)})
            command = bound_module(self._home.python(self._environment), *fetch)
            status = 1
            if "PIP_NO_INDEX" not in os.environ:  # else packages come from a folder, and nothing may go online
                with writing(self._home.path):
                    status, _ = run_logged(command, self._log, lambda line: None, environment)
            if status:
                self._reporter.say(
                    f"  The weights {name} could not be fetched, and captures go without them. To try again later: "
                    f"Download in Blender's Models panel, or python3 -m install run -- {' '.join(fetch)}"
                )

    def _pip_install(self, arguments: Sequence[str]) -> None:
        files = [REQUIREMENTS / word for word in arguments if word.endswith(".txt")]
        total = sum(len(names(entries(file))) for file in files) or 1
        self.pip(f"{self._environment.name}: packages", total, *(_in_requirements(word) for word in arguments))

    def _run_program(self, doing: str, program: str) -> None:
        self._run(doing, [self._home.python(self._environment), "-I", "-c", program])

    def _run(
        self,
        doing: str,
        command: Sequence[str | Path],
        on_line: Callable[[str], None] = lambda line: None,
        **variables: str,
    ) -> None:
        with writing(self._home.path):
            status, output = run_logged(command, self._log, on_line, clean_environment(**variables))
        if status:
            raise explain(output, status, doing, self._log)


def _announce(
    home: Home, wanted: dict[Environment, Backend | None], with_tests: Sequence[Environment], reporter: Reporter
) -> None:
    check_path(home)
    lines = [f"Setting up in {home.path}"]
    need = largest = 0
    for e, backend in wanted.items():
        download, disk = needs(e, backend)
        lines.append(f"  {e.name} ({e.purpose}): downloads {size(download)}, takes {size(disk)} of disk")
        need, largest = need + disk, max(largest, download)
    lines += [f"  {e.name}, weights of networks: downloads {size(e.weights_mb)}" for e in wanted if e.weights]
    lines += [f"  {e.name}, what its tests need: downloads {size(e.test_download_mb)}" for e in with_tests]
    reporter.say("\n".join([*lines, "  Packages that pip has in its cache are not downloaded again."]))
    _check_space(home, need + largest)


def _check_space(home: Home, need_mb: int) -> None:
    free = free_mb(home)
    if free < need_mb:
        raise InstallError(
            f"{size(need_mb)} of disk are needed in {home.path}, and {size(free)} are free.",
            "Free some space, or choose another folder (Data Folder in the add-on's preferences, or --prefix).",
        )


def _clear(home: Home) -> None:
    """Take away what pip had unpacked when a run was killed."""
    for folder in home.path.glob("pip-*"):
        delete(folder)


def _test_key(home: Home, environment: Environment) -> str:
    return key(environment, home.entry(environment).get("lock"), REQUIREMENTS / environment.test_requirements)


def _in_requirements(word: str) -> str:
    return str(REQUIREMENTS / word) if word.endswith(".txt") else word
