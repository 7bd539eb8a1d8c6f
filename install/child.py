"""Child processes: an environment that nothing of the user's Python leaks into, a log, and a clean end."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# pip's own settings stay (index, proxy, certificates, cache), except those that point it outside the environment.
_DROPPED = ("VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


def clean_environment(**added: str) -> dict[str, str]:
    """This process's environment variables without those that change which modules Python finds, plus `added`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", **added}


def run_logged(
    command: Sequence[str | Path], log: Path, on_line: Callable[[str], None], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Run a command, append what it prints to `log`, and hand each line to `on_line`.

    Returns its exit status and its output. The child is ended if this process is interrupted.
    """
    output: list[str] = []
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {subprocess.list2cmdline([str(word) for word in command])}\n")
        file.flush()
        with subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                for line in process.stdout:
                    output.append(line)
                    file.write(line)
                    file.flush()
                    on_line(line.rstrip())
            except BaseException:
                stop(process)
                raise
    return process.returncode, "".join(output)


def stop(process: subprocess.Popen) -> None:
    """End a child: politely, and after five seconds by force."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
