"""`vp3d evaluate` as its users meet it."""

import json
import sys

import pytest
from server.evaluate.test_reference import write_trc
from takes import walker
from vp3d import cli
from vp3d.common import take as takes


@pytest.fixture
def take(tmp_path):
    path = tmp_path / "wälker.vp3d"
    takes.save(walker(frames=30), path)
    return path


@pytest.fixture
def markers(tmp_path, take):
    return write_trc(tmp_path / "walk.trc", takes.load(take).joints3d[0])


@pytest.fixture
def calibration(tmp_path, take):
    known = takes.load(take)
    camera = {"K": known.camera_K[0].tolist(), "R": known.camera_R[0].tolist(), "t": known.camera_t[0].tolist()}
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"front": camera}))
    return path


def run(monkeypatch, *words):
    """Status of the command line `vp3d WORDS`."""
    monkeypatch.setattr(sys, "argv", ["vp3d", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_a_take_against_markers(monkeypatch, capsys, tmp_path, take, markers, calibration):
    assert run(monkeypatch, "evaluate", "take", take, "--reference", markers, "-o", tmp_path / "a.json") == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["solved"]["p_mpjpe"] < 0.1
    assert report["lifted"]["p_mpjpe"] > 1
    assert "mpjpe" not in report["solved"]
    assert "P-MPJPE" in capsys.readouterr().out
    words = ["--reference", markers, "--calibration", calibration, "-o", tmp_path / "b.json"]
    assert run(monkeypatch, "evaluate", "take", take, *words) == 0
    assert json.loads((tmp_path / "b.json").read_text())["solved"]["mpjpe"] < 0.1


def test_a_lifter_on_real_detections(monkeypatch, capsys, tmp_path, take, markers, calibration):
    words = ["--take", take, "--reference", markers, "--calibration", calibration, "-o", tmp_path / "a.json"]
    assert run(monkeypatch, "evaluate", "lifter", *words) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert 1 < report["detected"]["p_mpjpe"] < 120
    assert report["lifter"]["parameters"] > 1e6
    assert "real detections" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--motion"),
        (["--take", "a.vp3d"], "--reference"),
        (["nothing.safetensors", "--motion", "a.zip"], "nothing.safetensors"),
    ],
)
def test_what_is_missing_is_said(monkeypatch, capsys, words, said):
    assert run(monkeypatch, "evaluate", "lifter", *words) == 1
    assert said in capsys.readouterr().err
