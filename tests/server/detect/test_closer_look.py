from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from vp3d import models
from vp3d.detect import People, open_detector
from vp3d.detect.closer_look import SIDE, CloserLook

SHAPE = (300, 400)
PATTERN = np.random.default_rng(0).uniform(0, 1, (21, 2))
"""Where the joints of everyone are in the box around them."""


class Marked:
    """Finds people in pictures: bright squares, whose joints lie in `PATTERN`, off by `error` of the box."""

    name, description, licence, weights, batch_size = "marked", "It sees squares.", "none", Path(), 2

    def __init__(self, error: float, blind: bool = False) -> None:
        self.error, self.blind, self.seen = error, blind, []

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        self.seen += [image.shape for image in images]
        return [self._found(image) for image in images]

    def _found(self, image: np.ndarray) -> People:
        _, _, boxes, _ = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
        boxes = [box for box in boxes[1:] if not self.blind]
        joints = np.array([PATTERN * (box[2:4] - 1) + box[:2] + self.error * box[2] for box in boxes], np.float32)
        return People(joints.reshape(-1, 21, 2), np.full((len(boxes), 21), 0.5 + 0.1 * (self.error == 0), np.float32))

    def close(self) -> None:
        self.closed = True


def picture(*boxes: tuple[int, int, int]) -> np.ndarray:
    """Black with white squares at left, top, side."""
    image = np.zeros((*SHAPE, 3), np.uint8)
    for left, top, side in boxes:
        image[top : top + side, left : left + side] = 255
    return image


def truth(left: int, top: int, side: int) -> np.ndarray:
    return PATTERN * (side - 1) + (left, top)


def test_small_people_are_placed_by_the_second_look_and_large_ones_by_the_first() -> None:
    whole, close = Marked(0.03), Marked(0.0)
    detector = CloserLook(whole, close)
    small, edge, large = (100, 40, 64), (2, 3, 32), (200, 80, 190)
    (people,) = detector.detect([picture(small, edge, large)])
    assert close.seen == [(SIDE, SIDE, 3)] * 2
    by_size = people.joints[np.argsort(np.ptp(people.joints[..., 0], axis=1))]
    # Half a pixel: what the bounds of an enlarged square are known to.
    assert np.abs(by_size[0] - truth(*edge)).max() < 0.5 and np.abs(by_size[1] - truth(*small)).max() < 0.5
    np.testing.assert_allclose(by_size[2], truth(*large) + 0.03 * 190, atol=1e-3)
    assert sorted(people.confidence[:, 0].tolist()) == pytest.approx([0.5, 0.6, 0.6])
    detector.close()
    assert whole.closed and close.closed


def test_who_is_not_seen_again_stays_and_nobody_gives_nobody() -> None:
    detector = CloserLook(Marked(0.03), Marked(0.0, blind=True))
    one, none = detector.detect([picture((100, 40, 64)), picture()])
    np.testing.assert_allclose(one.joints[0], truth(100, 40, 64) + 0.03 * 64, atol=1e-3)
    assert len(none) == 0 and detector.detect([]) == []


def test_fine_places_the_joints_of_a_small_person_better(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against what the same network sees in the picture from which the small one was made."""
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(shared / "models"))
    reader = cv2.VideoCapture(str(shared / "clips/bodypose3d/cam0_test.mp4"))
    reader.set(cv2.CAP_PROP_POS_FRAMES, 40)
    large = [np.ascontiguousarray(reader.read()[1][..., ::-1]) for _ in range(3)]
    side = 144
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in large]
    small = [cv2.copyMakeBorder(i, side, side, 2 * side, side, cv2.BORDER_CONSTANT, value=(90, 90, 90)) for i in small]
    normal, fine = (open_detector("bottom-up", detail, "cpu") for detail in ("normal", "fine"))
    truth = [people.joints[0] for people in normal.detect(large)]
    truth = (np.array(truth) + 0.5) * side / large[0].shape[0] - 0.5 + np.array((2 * side, side))
    errors = [
        np.nanmedian(
            [np.linalg.norm(people.joints[0] - joints, axis=1) for people, joints in zip(found, truth, strict=True)]
        )
        for found in (normal.detect(small), fine.detect(small))
    ]
    assert errors[1] < 0.8 * errors[0]
