"""Children see nothing of the user's Python, and end with their parent."""

import os
import sys

import pytest

from install.child import clean_environment, run_logged

SHOW = "import os, sys; print(os.environ.get('PIP_INDEX_URL')); print('/elsewhere' in sys.path, sys.flags.utf8_mode)"


def test_no_variable_leaks_that_changes_what_python_finds(tmp_path, monkeypatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_USER"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "an index of the user's")
    assert not {"PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_USER"} & clean_environment().keys()
    lines: list[str] = []
    status, output = run_logged([sys.executable, "-c", SHOW], tmp_path / "log", lines.append, clean_environment())
    assert status == 0
    assert lines == ["an index of the user's", "False 1"]
    log = (tmp_path / "log").read_text("utf-8")
    assert log.startswith("$ ")
    assert log.endswith(output)


def test_an_interrupted_parent_ends_its_child(tmp_path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    program = f"import os, time; print(os.getpid(), flush=True); time.sleep(60); open({str(tmp_path / 'late')!r}, 'w')"
    with pytest.raises(KeyboardInterrupt):
        run_logged([sys.executable, "-c", program], tmp_path / "log", interrupt, clean_environment())
    pid = int((tmp_path / "log").read_text().splitlines()[-1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
