"""`install test` runs each test where it belongs, and fails when one fails."""

import os
import sys
from pathlib import Path

import pytest

from install import testing
from install.environments import BLENDERS, REQUIREMENTS, SERVER
from install.requirement_files import key
from install.setup import _test_key

BLENDER = BLENDERS["5.0"]


@pytest.mark.parametrize(
    ("arguments", "in_server", "in_blender"),
    [
        ([], list(SERVER.tests), ["tests/blender_vp3d"]),
        (["-k", "walk"], [*SERVER.tests, "-k", "walk"], ["tests/blender_vp3d", "-k", "walk"]),
        (["tests/install", "-x"], ["tests/install", "-x"], None),
        (["tests/blender_vp3d/capture"], None, ["tests/blender_vp3d/capture"]),
        (
            ["tests/test_common.py::test_x", "tests/blender_vp3d"],
            ["tests/test_common.py::test_x"],
            ["tests/blender_vp3d"],
        ),
    ],
)
def test_tests_go_to_their_environment(arguments, in_server, in_blender) -> None:
    assert testing._selected(SERVER, arguments) == in_server
    assert testing._selected(BLENDER, arguments) == in_blender


@pytest.mark.skipif(os.name == "nt", reason="the environment's interpreter is a shell script")
@pytest.mark.parametrize(("body", "status", "line"), [("assert 1", 0, "1 passed"), ("assert 0", 1, "1 failed")])
def test_status_and_summary(home, small, transcript, tmp_path: Path, capfd, body, status, line) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    environment = small(tests=(str(tmp_path / "test_it.py"),))
    home.scripts(environment).mkdir(parents=True)
    home.python(environment).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    home.python(environment).chmod(0o755)
    keys = {"key": key(environment, None), "tests": _test_key(home, environment)}
    home.record(environment, {"state": "ready", **keys})
    assert testing.run(home, [environment], ["-p", "no:cacheprovider"], transcript) == status
    assert line in transcript.text.splitlines()[-1]
    assert line in capfd.readouterr().out


def test_requirements_of_tests_are_named_for_all() -> None:
    assert all((REQUIREMENTS / e.test_requirements).is_file() for e in (SERVER, *BLENDERS.values()))
