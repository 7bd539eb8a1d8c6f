from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from vp3d.detect import People, open_detector
from vp3d.detect.propagation import EveryNth
from vp3d.errors import UserError

STEP = np.array((3.0, -1.5))  # px per frame


class Known:
    """A detector that is right about people drifting over the picture, and counts what it looks at."""

    name, description, licence, weights, batch_size = "known", "It knows.", "none", Path(), 2

    def __init__(self, start: np.ndarray, leaves: int = 10**6) -> None:
        self.start, self.leaves, self.looked = start, leaves, []

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        result = []
        for image in images:
            number = int(image[0, 0, 0])  # each image carries its number
            self.looked.append(number)
            count = len(self.start) if number < self.leaves else len(self.start) - 1
            joints = (self.start[:count] + number * STEP).astype(np.float32)
            result.append(People(joints, np.full(joints.shape[:2], 0.9, np.float32)))
        return result

    def close(self) -> None:
        self.closed = True


def clip(count: int) -> list[np.ndarray]:
    """Smooth noise that moves by `STEP`."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (360, 480, 3), np.uint8), (0, 0), 3.0)
    noise = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    frames = []
    for number in range(count):
        shift = np.float32([[1, 0, number * STEP[0]], [0, 1, number * STEP[1]]])
        frame = cv2.warpAffine(noise, shift, (480, 360), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        frame[0, 0] = number
        frames.append(frame)
    return frames


def people(count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array([rng.uniform((100 + 150 * p, 120), (180 + 150 * p, 280), (21, 2)) for p in range(count)])


@pytest.mark.parametrize("every", [2, 3, 5])
def test_joints_follow_the_pixels_between_detections(every: int) -> None:
    known, frames = Known(people()), clip(23)
    detector = EveryNth(known, every)
    found = [
        p
        for start in range(0, 23, detector.batch_size)
        for p in detector.detect(frames[start : start + detector.batch_size])
    ]
    assert len(found) == 23 and len(known.looked) <= 23 / every + 23 / detector.batch_size + 1
    for number, frame in enumerate(found):
        assert frame.joints.dtype == np.float32 and len(frame) == 2
        assert np.abs(frame.joints - (people() + number * STEP)).max() < 0.5
        assert (frame.confidence > 0.4).all()
    detector.close()
    assert known.closed


def test_who_leaves_is_gone_half_way_between_two_detections() -> None:
    detector = EveryNth(Known(people(), leaves=3), 4)
    assert [len(found) for found in detector.detect(clip(9))] == [2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_after_a_restart_nothing_follows_from_the_images_before() -> None:
    frames, detector, fresh = clip(23), EveryNth(Known(people()), 4), EveryNth(Known(people()), 4)
    detector.detect(frames[:7])
    detector.restart()
    assert all(
        np.array_equal(a.joints, b.joints)
        for a, b in zip(detector.detect(frames[16:]), fresh.detect(frames[16:]), strict=True)
    )


def test_missing_joints_stay_missing_and_come_from_the_other_side() -> None:
    start = people(1)
    start[0, 4] = np.nan
    detector = EveryNth(Known(start), 3)
    for found in detector.detect(clip(7)):
        assert np.isnan(found.joints[0, 4]).all() and found.confidence[0, 4] in (0, np.float32(0.9))
        assert np.isfinite(found.joints[0, :4]).all()
    assert detector.detect([]) == []


def test_nobody_at_all_and_nonsense() -> None:
    detector = EveryNth(Known(people(0).reshape(0, 21, 2)), 2)
    assert [len(found) for found in detector.detect(clip(5))] == [0] * 5
    with pytest.raises(UserError, match="0th frame"):
        open_detector("mediapipe", every=0)
