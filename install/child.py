"""Child processes: an environment that nothing of the user's Python leaks into, a log, and an end with their parent."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# pip's own settings stay (index, proxy, certificates, cache), except those that point it outside the environment.
_DROPPED = ("VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


def clean_environment(**added: str) -> dict[str, str]:
    """This process's environment variables without those that change which modules Python finds, plus `added`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", **added}


def bound_module(python: str | Path, module: str, *arguments: str | Path) -> list[str | Path]:
    """The command `python -m module` for `run_logged`; it ends with this process, even where that is killed."""
    return [python, "-I", Path(__file__).with_name("bound.py"), module, *arguments]


def end_with_parent() -> None:
    """Have this process stop, as when asked to, when the one that holds the other end of its standard input is gone."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


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
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="replace",
            close_fds=False,  # it holds the lock of the home folder too, see `Home.locked`
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
