import json
import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from server.train.pictures import stick_figure
from vp3d.detect import People
from vp3d.errors import Cancelled, UserError
from vp3d.train.detector_labels import read
from vp3d.train.detector_teacher import label


class Teacher:
    """Sees one person, whose joints lie on a diagonal, in pictures that are not black."""

    name, description, licence, weights, batch_size = "teacher", "", "", Path(), 2

    def __init__(self, feet: bool = False) -> None:
        self.feet, self.seen = feet, 0

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        self.seen += len(images)
        return [self._people(image) for image in images]

    def _people(self, image: np.ndarray) -> People:
        if not image.any():
            return People.empty()
        people = People.empty(1)
        count = 21 if self.feet else 17
        people.joints[0, :count] = np.linspace((10, 20), (image.shape[1] - 30, image.shape[0] - 20), count)
        people.joints[0, 3] = np.nan
        people.confidence[0, :count] = np.linspace(0.3, 0.9, count)
        people.confidence[0, 3] = 0
        return people

    def close(self) -> None: ...


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        image, _ = stick_figure(np.random.default_rng(number), 200, 100)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    cv2.imwrite(str(folder / "black.png"), np.zeros((100, 200, 3), np.uint8))
    return folder


def test_what_the_teacher_sees_comes_back_smaller(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    assert label([pictures], out, Teacher(), size=100) == 3  # nobody was seen in the black one
    for picture in read(out):
        assert picture.size == (100, 50) and cv2.imread(str(picture.path)).shape == (50, 100, 3)
        assert picture.joints[0, 16] == pytest.approx(np.array([84.75, 39.75]))  # half of 170.5 and 80.5, less 0.5
        assert picture.confidence[0, [0, 16]] == pytest.approx(np.array([0.3, 0.9]))
        assert np.isnan(picture.joints[0, 3]).all() and picture.visible[0].sum() == 16
        assert picture.labelled.tolist() == [True] * 17 + [False] * 4


def test_a_teacher_with_feet_labels_them_and_nobody_labels_all(pictures: Path, tmp_path: Path) -> None:
    label([pictures], tmp_path / "feet", Teacher(feet=True))
    assert read(tmp_path / "feet")[0].labelled.all()
    assert label([pictures], tmp_path / "empty", None) == 4
    assert all(len(p.joints) == 0 and p.labelled.all() for p in read(tmp_path / "empty"))


def test_every_frame_of_a_clip_with_brackets_in_its_name_is_kept(repository: Path, tmp_path: Path) -> None:
    clip = tmp_path / "salsa [1].mp4"
    clip.write_bytes((repository / "install/demo/salsa.mp4").read_bytes())
    count = label([clip], tmp_path / "labels", Teacher(), every=60, size=64)
    assert count > 1 and len({picture.path for picture in read(tmp_path / "labels")}) == count


def test_stopped_work_is_kept_and_not_done_again(pictures: Path, tmp_path: Path) -> None:
    out, teacher = tmp_path / "labels", Teacher()

    def stop(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        label([pictures], out, teacher, progress=stop)
    assert len(read(out)) == teacher.seen == 2
    assert label([pictures], out, teacher) == 3
    assert teacher.seen == 4
    ids = [entry["id"] for entry in json.loads((out / "labels.json").read_text())["annotations"]]
    assert len(set(ids)) == 3


def test_what_cannot_be_read_is_named(pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pictures / "1.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        assert label([pictures], tmp_path / "out", Teacher()) == 2
    assert "1.png" in caplog.text
    with pytest.raises(UserError, match="gone"):
        label([tmp_path / "gone"], tmp_path / "out", Teacher())
    with pytest.raises(UserError, match="found nobody"):
        label([pictures / "black.png"], tmp_path / "nobody", Teacher())
