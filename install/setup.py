"""Making environments: announced, checked, undone where a step fails, and quick where nothing is to do."""

import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from install.child import clean_environment, run_logged
from install.environments import (
    CUDA_DISK_MB,
    CUDA_DOWNLOAD_MB,
    REPOSITORY,
    REQUIREMENTS,
    SERVER,
    TORCH,
    Environment,
)
from install.errors import InstallError, explain
from install.home import HOME_VARIABLE, INCOMPLETE, READY, Home, writing
from install.interpreters import find_python
from install.reporting import Reporter

# What pip prints for a package from an index, one that is there already, and one from a folder; and for its archive.
_PACKAGE = re.compile(r"(?:Collecting |Requirement already satisfied: |Processing \S*[/\\])([\w.]+)")
_ARCHIVE_SIZE = re.compile(r"\s+(?:Downloading|Using cached) \S+ \((.+)\)")


def ensure(home: Home, environments: Sequence[Environment], reporter: Reporter, tests: bool = False) -> None:
    """Make every environment that is not ready, with what its tests need if `tests`.

    Raises InstallError; an environment whose making fails or is interrupted is taken away again.
    """
    wanted = [e for e in environments if not is_ready(home, e)]
    bare = [e for e in environments if tests and (e in wanted or home.entry(e).get("tests") != _key(_test_files(e)))]
    if wanted or bare:
        with home.locked():
            _announce(home, wanted, bare, reporter)
            for environment in wanted:
                _Build(home, environment, reporter).make()
            for environment in bare:
                _Build(home, environment, reporter).add_test_packages()
    if SERVER in environments:
        _link_server(home)


def is_ready(home: Home, environment: Environment) -> bool:
    """Whether the environment is there, whole, and has the packages that this version wants."""
    entry = home.entry(environment)
    return (
        entry.get("state") == READY
        and entry.get("key") == _key(environment.requirement_files)
        and home.python(environment).exists()
    )


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


class _Build:
    """The steps that make one environment."""

    def __init__(self, home: Home, environment: Environment, reporter: Reporter) -> None:
        self._home = home
        self._environment = environment
        self._reporter = reporter
        self._folder = home.folder(environment)
        self._log = home.log(environment)

    def make(self) -> None:
        """All steps; "incomplete" is on record from before the first until after the last."""
        python = find_python(self._environment)
        entry = {"state": INCOMPLETE, "version": version()}
        self._home.record(self._environment, entry)
        with writing(self._home.path):
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.write_text("", "utf-8")
        _delete(self._folder)
        try:
            self._run("Making the environment", [python, "-I", "-m", "venv", self._folder])
            if self._environment is SERVER:
                self._check_torch_build()
                _link_server(self._home)
            for step in self._environment.steps:
                self._pip_install(step)
            self._test()
            self._fetch_weights()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._home.record(
            self._environment, {**entry, "state": READY, "key": _key(self._environment.requirement_files)}
        )
        self._reporter.say(f"  {self._environment.name}: ready")

    def add_test_packages(self) -> None:
        """Only adds packages, so that a failure leaves the environment as useful as it was."""
        self._pip_install(("-r", self._environment.test_requirements))
        self._home.record(
            self._environment,
            {**self._home.entry(self._environment), "tests": _key(_test_files(self._environment))},
        )

    def _pip_install(self, arguments: Sequence[str]) -> None:
        files = [REQUIREMENTS / word for word in arguments if word.endswith(".txt")]
        total = len(_package_names(files[0]))
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

    def _check_torch_build(self) -> None:
        """Say so where the package index offers torch with CUDA, which is many times larger."""
        report = self._folder / "torch.json"
        stage = f"{self._environment.name}: which torch the package index offers"
        self._pip(stage, 1, "--dry-run", "--no-deps", f"--report={report}", TORCH)
        metadata = json.loads(report.read_text("utf-8"))["install"][0]["metadata"]
        if any("nvidia" in requirement for requirement in metadata.get("requires_dist", ())):
            _check_space(self._home, self._environment.disk_mb + CUDA_DISK_MB)
            self._reporter.say(
                f"  The package index offers torch with CUDA: {_size(CUDA_DOWNLOAD_MB)} more to download. "
                "Without an NVIDIA card, stop here and name an index of CPU builds (see --help)."
            )

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
    home: Home, environments: Sequence[Environment], with_tests: Sequence[Environment], reporter: Reporter
) -> None:
    lines = [f"Setting up in {home.path}"]
    lines += [
        f"  {e.name} ({e.purpose}): downloads {_size(e.download_mb)}, takes {_size(e.disk_mb)} of disk"
        for e in environments
    ]
    lines += [f"  {e.name}, weights of networks: downloads {_size(e.weights_mb)}" for e in environments if e.weights]
    lines += [f"  {e.name}, what its tests need: downloads {_size(e.test_download_mb)}" for e in with_tests]
    reporter.say("\n".join([*lines, "  Packages that pip has in its cache are not downloaded again."]))
    _check_space(home, sum(e.disk_mb for e in environments) + max((e.download_mb for e in environments), default=0))


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


def _test_files(environment: Environment) -> list[Path]:
    return [*environment.requirement_files, REQUIREMENTS / environment.test_requirements]


def _key(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _in_requirements(word: str) -> str:
    return str(REQUIREMENTS / word) if word.endswith(".txt") else word


def _package_names(file: Path) -> set[str]:
    lines = file.read_text("utf-8").splitlines()
    return {line.split("==")[0] for line in lines if line and not line.startswith("#")}


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"
