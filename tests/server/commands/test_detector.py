from pathlib import Path

import cv2
import numpy as np
import pytest
from server.train.pictures import write_coco
from typer.testing import CliRunner
from vp3d.cli import app
from vp3d.detect.basic_network import load
from vp3d.errors import UserError


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.output


def test_bench_measures_captures_by_default(tmp_path: Path) -> None:
    assert all(command in run("bench", "--help") for command in ("capture", "detect"))
    for arguments in ((), ("capture",)):
        with pytest.raises(UserError, match="no file"):
            run("bench", *arguments, "--loops", 1, tmp_path / "gone.mp4")
    with pytest.raises(UserError, match="no detector to measure"):
        run("bench", "detect", tmp_path / "gone.mp4", "--detectors", "bottom-up:finest")
    with pytest.raises(UserError, match="no detector to measure"):
        run("bench", "detect", tmp_path / "gone.mp4", "--detectors", ",")


def test_pictures_with_nobody_are_labelled_and_trained_on(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((120, 160, 3), 90, np.uint8))
    folder = tmp_path / "walls"
    nobody = ("--teacher", "nobody", "--size", 80)
    assert run("data", "label", tmp_path / "wall.png", "-o", folder, *nobody).endswith(": 1\n")
    people = write_coco(tmp_path / "people", 3)
    output = tmp_path / "detector.safetensors"
    options = ("--steps", 1, "--batch", 2, "--crop", 64, "--size", 96, "--device", "cpu", "--validation", people)
    assert "pck" in run("train", "detector", f"{folder}=0.5", people, "-o", output, *options)
    sources = load(output).training["sources"]
    assert [(source["name"], source["weight"], source["pictures"]) for source in sources] == [
        ("walls", 0.5, 1),
        ("labels.json", 1.0, 3),
    ]
