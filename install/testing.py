"""The tests, each in the environment that it is for, and one summary of all."""

import re
import subprocess
import sys
from collections.abc import Sequence

from install.child import clean_environment, stop
from install.environments import REPOSITORY, SERVER, TESTED, Environment
from install.errors import InstallError
from install.home import HOME_VARIABLE, Home
from install.interpreters import find_python
from install.reporting import Reporter
from install.setup import ensure

_OUTCOME = re.compile(r"\b\d+ (passed|failed|error|skipped|deselected|xfailed)|\bno tests ran\b")
_NO_TESTS = 5
"""pytest's exit status where it selected no test."""


def run(home: Home, only: Sequence[Environment], arguments: Sequence[str], reporter: Reporter) -> int:
    """Set up and run the tests of the environments `only`, or of all that this machine has a Python for.

    `arguments` are pytest's; paths among them replace the environment's own. Returns the exit status.
    """
    environments = list(only)
    summary = []
    for environment in () if only else TESTED:
        try:
            find_python(environment)
            environments.append(environment)
        except InstallError as error:
            summary.append(f"{environment.name}: left out. {error.message}")
    ensure(home, environments, reporter, tests=True)
    failed = False
    for environment in environments:
        selected = _selected(environment, arguments)
        if selected is None:
            continue
        reporter.say(f"Tests in {environment.name}")
        status, last_line = _pytest(home, environment, selected)
        if status and not (status == _NO_TESTS and arguments):
            failed = True
            last_line += f" (exit status {status})"
        summary.append(f"{environment.name}: {last_line}")
    reporter.say("\n".join(["Summary", *(f"  {line}" for line in summary)]))
    reporter.result(passed=not failed, summary=summary)
    return int(failed)


def _selected(environment: Environment, arguments: Sequence[str]) -> list[str] | None:
    """pytest's arguments in an environment, None where they name only tests of another."""
    paths = [a for a in arguments if not a.startswith("-") and (REPOSITORY / a.split("::")[0]).exists()]
    if not paths:
        return [*environment.tests, *arguments]
    for_blender = environment is not SERVER
    foreign = [path for path in paths if path.startswith("tests/blender_vp3d") != for_blender]
    return None if foreign == paths else [a for a in arguments if a not in foreign]


def _pytest(home: Home, environment: Environment, arguments: Sequence[str]) -> tuple[int, str]:
    command = [str(home.python(environment)), "-m", "pytest", *arguments]
    last_line = "no output"
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=clean_environment(**{HOME_VARIABLE: str(home.path)}),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                if _OUTCOME.search(line):  # Blender may talk on after pytest has summed up
                    last_line = line.strip("= \n")
        except BaseException:
            stop(process)
            raise
    return process.returncode, last_line
