"""`vp3d models …` as people and the add-on meet it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from vp3d import cli, models


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VP3D_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(models.FOLDERS_VARIABLE, raising=False)
    return tmp_path / "home"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["vp3d", "models", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_list_says_what_licences_allow(monkeypatch, capsys):
    assert run(monkeypatch, "list") == 0
    told = capsys.readouterr().out
    about = told[told.index("videopose3d:") :]
    assert "CC BY-NC 4.0, commercial work: no\n  not here" in about
    assert f"here: {models.BUNDLED / 'lifter.safetensors'}" in told


def test_import_verify_remove(own_home, monkeypatch, capsys):
    assert run(monkeypatch, "import", models.BUNDLED) == 0
    assert "Imported: lifter, lifter-causal" in capsys.readouterr().out
    inside = own_home / "models/lifter/lifter.safetensors"
    assert run(monkeypatch, "verify", "lifter") == 0
    inside.write_bytes(b"nonsense")
    assert run(monkeypatch, "verify") == 1
    said = capsys.readouterr()
    assert "lifter: damaged: lifter.safetensors does not hold lifter weights." in said.out
    assert "1 of" in said.err
    assert run(monkeypatch, "remove", "lifter") == 0
    assert not inside.exists() and models.find("lifter") == models.BUNDLED / "lifter.safetensors"
    assert run(monkeypatch, "remove", "lifter") == 1
    assert "not ours to change" in capsys.readouterr().err


def test_programs_read_json_lines(monkeypatch, capsys):
    assert run(monkeypatch, "verify", "lifter", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["progress", "result"]
    told = {row["name"]: row for row in lines[-1]["models"]}
    assert told.keys() == models.MODELS.keys()
    assert (told["lifter"]["state"], told["lifter"]["origin"]) == ("here", "bundled")
    assert run(monkeypatch, "remove", "nonsense", "--json") == 1
    error = json.loads(capsys.readouterr().out)
    assert error["type"] == "error" and "no weights called 'nonsense'" in error["message"] and error["hint"]


def test_a_child_ends_with_its_parent(tmp_path, monkeypatch):
    """The child waits for a server that never answers; its standard input ends as it does when Blender is killed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(models.MIRROR_VARIABLE, f"http://127.0.0.1:{silent.getsockname()[1]}")
        child = subprocess.Popen(
            [sys.executable, "-m", "vp3d", "models", "--child", "download", "keypoint-rcnn-torchvision", "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(models.__file__).parents[2])},
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(20) == 1
        connection.close()
