import io
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console
from vp3d import models
from vp3d.common.skeletons import COCO_17
from vp3d.errors import UserError
from vp3d.evaluate.detectors import Contender, compare


def test_contenders_by_name_detail_and_how_often() -> None:
    assert Contender.parse("basic") == Contender("basic", "normal", 1)
    assert Contender.parse("bottom-up:fast:3") == Contender("bottom-up", "fast", 3)
    assert str(Contender.parse("bottom-up::2")) == "bottom-up, normal, every 2."
    assert str(Contender.parse("bottom-up:::torch")) == "bottom-up, normal, torch"
    for text in ("a:finest", "a:fast:often", "a:fast:2:3", "a:fast:-1", "a:fast:1:torch:5"):
        with pytest.raises(UserError, match="no detector to measure"):
            Contender.parse(text)


@pytest.fixture
def clip(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six frames of a walk, small."""
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(shared / "models"))
    reader = cv2.VideoCapture(str(shared / "clips/bodypose3d/cam0_test.mp4"))
    with av.open(str(tmp_path / "walk.mp4"), "w") as out:
        stream = out.add_stream("h264", rate=20)
        stream.width = stream.height = 320
        for _ in range(6):
            image = cv2.resize(reader.read()[1], (320, 320), interpolation=cv2.INTER_AREA)[..., ::-1]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode())
    return tmp_path / "walk.mp4"


def test_detectors_side_by_side_on_a_real_clip(clip: Path) -> None:
    """The release in 8-bit integers, and every second frame, agree with the whole thing; all measure a speed."""
    names = (
        "bottom-up:fast",
        "bottom-up-int8:fast",
        "bottom-up:fast:2",
        "bottom-up:fast::torch",
        "bottom-up:fast::float32",
    )
    result = compare(clip, [Contender.parse(name) for name in names], Contender.parse("bottom-up:fast"))
    same, integers, second, *exact = result.rows
    assert same.against.pck == 1 and same.against.extra == same.against.missed == 0
    assert same.against.people == result.frames == 6
    assert integers.against.pck > 0.9 and second.against.pck > 0.9
    assert all(row.against.pck > 0.99 for row in exact)
    assert all(row.frames_per_second > 0 and row.core_seconds > 0 for row in result.rows)
    text = io.StringIO()
    Console(file=text, width=160).print(result)
    assert "bottom-up, fast, every 2." in text.getvalue() and "100.0%" in text.getvalue()


def test_against_known_truth(clip: Path, tmp_path: Path) -> None:
    joints = np.full((1, 6, 17, 2), 5.0)
    truth = {"joint_names": COCO_17.joints, "frames": list(range(6)), "joints2d": joints.tolist()}
    path = tmp_path / "walk.truth.json"
    path.write_text(json.dumps(truth))
    (row,) = compare(clip, [Contender("bottom-up", "fast")], path).rows
    assert (row.against.pck, row.against.missed, row.against.people) == (0, 6, 6)
    path.write_text(json.dumps({**truth, "joint_names": ["knob"]}))
    with pytest.raises(UserError, match="truth cannot be used"):
        compare(clip, [Contender("bottom-up", "fast")], path)
