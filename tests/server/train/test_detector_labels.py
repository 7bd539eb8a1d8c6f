import json
import logging
from pathlib import Path

import numpy as np
import pytest
from server.train.pictures import NAMES_WITH_FEET, change, write_coco
from vp3d.common.skeletons import BODY_21, COCO_17
from vp3d.errors import UserError
from vp3d.train.detector_labels import IGNORED, read


def test_joints_come_back_with_what_is_labelled_and_what_is_hidden(tmp_path: Path) -> None:
    path = write_coco(tmp_path, 2, names=NAMES_WITH_FEET)
    content = json.loads(path.read_text())
    points = content["annotations"][0]["keypoints"]
    wrist = COCO_17.index("left_wrist")
    points[3 * wrist + 2] = 1  # hidden
    points[3 * 17 : 3 * 18] = [30.5, 40.25, 2]  # left big toe
    change(path, annotations=content["annotations"])
    picture, second = read(tmp_path)
    assert picture.size == (128, 96) and picture.joints.shape == (1, 21, 2)
    assert picture.joints[0, BODY_21.index("left_toe")].tolist() == [30.5, 40.25]
    assert picture.visible[0, :17].sum() == 16 and not picture.visible[0, wrist]
    assert np.isfinite(picture.joints[0, wrist]).all()
    expected = [name in NAMES_WITH_FEET or name == "left_toe" for name in BODY_21.joints]
    assert picture.labelled.tolist() == expected
    assert np.isnan(second.joints[0, 17:]).all() and (second.confidence[0, :17] == 1).all()


def test_rendered_people_are_read_as_they_lie(tmp_path: Path) -> None:
    (labels := write_coco(tmp_path / "images", 2)).rename(tmp_path / "annotations.json")
    assert not labels.exists()
    assert [picture.path.parent for picture in read(tmp_path)] == [tmp_path / "images"] * 2


def counts_as_text(runs: list[int]) -> str:
    """COCO's text form of run lengths, after its description."""
    text = ""
    for i, run in enumerate(runs):
        value = run - (runs[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits | (0x20 if more else 0)))
    return text


@pytest.mark.parametrize("form", ["runs", "text", "polygon", "box"])
def test_outlines_of_every_form(tmp_path: Path, form: str) -> None:
    path = write_coco(tmp_path, 1)
    inside = np.zeros((96, 128), bool)
    inside[20:71, 30:101] = True
    flat = inside.T.ravel()
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], flat, [2])).astype(int)) != 0), prepend=0).tolist()
    outline = {
        "runs": {"size": [96, 128], "counts": runs},
        "text": {"size": [96, 128], "counts": counts_as_text(runs)},
        "polygon": [[30, 20, 100, 20, 100, 70, 30, 70]],
        "box": None,
    }[form]
    person = json.loads(path.read_text())["annotations"][0]
    crowd = {**person, "id": 9, "iscrowd": 1, "bbox": [30, 20, 71, 51], "segmentation": outline}
    change(path, annotations=[crowd])
    (picture,) = read(path)
    assert len(picture.joints) == 0
    np.testing.assert_array_equal(picture.mask() == IGNORED, inside)
    if outline:
        change(path, annotations=[{**person, "segmentation": outline}])
        np.testing.assert_array_equal(read(path)[0].mask() == 1, inside)


def test_entries_that_cannot_be_used_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_coco(tmp_path, 4)
    annotations = json.loads(path.read_text())["annotations"]
    annotations[0]["keypoints"] = annotations[0]["keypoints"][:-1]
    annotations[1]["keypoints"][0] = float("nan")
    del annotations[2]["keypoints"]
    change(path, annotations=annotations)
    with caplog.at_level(logging.WARNING):
        assert [picture.path.name for picture in read(path)] == ["003.png"]
    assert all(f"00{number}.png" in caplog.text for number in range(3))


def test_files_without_key_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "gone.json")
    path = tmp_path / "labels.json"
    path.write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read(path)
    for content in ({"images": []}, {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}, []):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match="no COCO key-points"):
            read(path)
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["nose"]}]}))
    with pytest.raises(UserError, match="nothing that can be used"):
        read(path)
