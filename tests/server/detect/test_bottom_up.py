from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from server.detect.scenes import affinity_maps, heatmaps, random_scene
from vp3d import models
from vp3d.common.skeletons import BODY_21
from vp3d.detect import Detector, open_detector
from vp3d.detect.bottom_up import SHORT_SIDE, decode, input_size
from vp3d.detect.layout import KEYPOINTS, STRIDE
from vp3d.errors import UserError


def test_input_keeps_the_asked_for_short_side_in_multiples_of_the_stride() -> None:
    assert input_size(1920, 1080, 368) == (656, 368)
    assert input_size(1080, 1920, 368) == (368, 656)
    assert input_size(64, 64, 256) == (256, 256)
    for width, height in ((1, 1), (3000, 10), (10, 3000), (1768, 994)):
        size = input_size(width, height, 368)
        assert min(size) >= STRIDE
        assert max(size) <= 4 * 368
        assert all(side % STRIDE == 0 for side in size)


def test_decoded_people_are_in_image_pixels_and_body_21() -> None:
    truth = random_scene(np.random.default_rng(0), 3)
    people = decode(heatmaps(truth, 640, 360), affinity_maps(truth, 640, 360), (3.0, 2.0))
    assert people.joints.shape == (3, 21, 2) and people.joints.dtype == np.float32
    assert people.confidence.shape == (3, 21) and people.confidence.dtype == np.float32
    expected = (truth + 0.5) * (3.0, 2.0) - 0.5
    for name in ("left_wrist", "right_knee", "nose"):
        found = people.joints[:, BODY_21.index(name)]
        for point in expected[:, KEYPOINTS.index(name)]:
            assert np.linalg.norm(found - point, axis=1).min() < 1.5
    assert np.isnan(people.joints[:, 17:]).all()
    assert (people.confidence[:, 17:] == 0).all()
    assert (people.confidence[:, :17] > 0.95).all()


@pytest.fixture(scope="module")
def detector(shared: Path) -> Iterator[Detector]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(models.FOLDERS_VARIABLE, str(shared / "models"))
        opened = open_detector("auto", "fast")
    yield opened
    opened.close()


def read(path: Path, index: int) -> np.ndarray:
    reader = cv2.VideoCapture(str(path))
    reader.set(cv2.CAP_PROP_POS_FRAMES, index)
    _, frame = reader.read()
    return np.ascontiguousarray(frame[..., ::-1])


def test_auto_is_bottom_up_where_its_weights_are(detector: Detector) -> None:
    assert detector.name == "bottom-up"
    assert detector.licence == "Apache-2.0"
    assert "MediaPipe" in detector.description and str(SHORT_SIDE["fast"]) in detector.description


def test_finds_both_people_and_their_joints_in_a_video_frame(detector: Detector, shared: Path) -> None:
    image = read(shared / "clips/sports2d/demo.mp4", 100)
    (people,) = detector.detect([image])
    assert len(people) == 2
    assert ((people.confidence > 0.3).sum(axis=1) >= 12).all()
    for joints in people.joints:
        feet, head = joints[15:17, 1], joints[:5, 1]
        assert np.nanmax(head) < np.nanmin(feet)


def test_position_does_not_depend_on_image_size_or_padding(detector: Detector, shared: Path) -> None:
    image = read(shared / "clips/bodypose3d/cam0_test.mp4", 100)
    (people,) = detector.detect([image])
    (twice,) = detector.detect([cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)])
    sure = (people.confidence[0] > 0.5) & (twice.confidence[0] > 0.5)
    assert sure.sum() >= 12
    difference = (twice.joints[0, sure] + 0.5) / 2 - 0.5 - people.joints[0, sure]
    assert np.abs(np.median(difference, axis=0)).max() < 0.5


def test_a_mirrored_image_gives_the_mirrored_person(detector: Detector, shared: Path) -> None:
    image = read(shared / "clips/bodypose3d/cam0_test.mp4", 100)
    (people,) = detector.detect([image])
    (mirrored,) = detector.detect([np.ascontiguousarray(image[:, ::-1])])
    back = mirrored.joints[0, list(BODY_21.mirrored)]
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    confidence = np.minimum(mirrored.confidence[0, list(BODY_21.mirrored)], people.confidence[0])
    distance = np.linalg.norm(back - people.joints[0], axis=1)[confidence > 0.5]
    assert len(distance) >= 12
    # A shift by half a cell of the 256 px input would be 11 px in this image.
    assert np.median(distance) < 6


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 500), (501, 37), (121, 243)])
def test_odd_and_tiny_and_blank_images_have_no_people(detector: Detector, shape: tuple[int, int]) -> None:
    blank = np.full((*shape, 3), 127, np.uint8)
    people = detector.detect([blank, np.zeros_like(blank), blank])
    assert [len(found) for found in people] == [0, 0, 0]
    assert people[0].joints.shape == (0, 21, 2)


def test_no_images_and_one_batch_or_many(detector: Detector, shared: Path) -> None:
    assert detector.detect([]) == []
    frames = [read(shared / "clips/sports2d/demo.mp4", index) for index in (10, 60)]
    together = detector.detect(frames)
    for frame, people in zip(frames, together, strict=True):
        (alone,) = detector.detect([frame])
        np.testing.assert_array_equal(alone.joints, people.joints)


@pytest.mark.parametrize(("name", "folder"), [("bottom-up", ""), ("bottom-up-int8", "FP16-INT8")])
def test_unreadable_weights_are_named(name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    for suffix in (".xml", ".bin"):
        (tmp_path / folder / f"human-pose-estimation-0001{suffix}").write_bytes(b"no weights")
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=r"human-pose-estimation-0001\.xml"):
        open_detector(name)


def test_the_release_in_integers_finds_the_same_people(
    detector: Detector, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(shared / "models"))
    integers = open_detector("bottom-up-int8", "fast")
    assert integers.name == "bottom-up-int8" and "8-bit" in integers.description
    for size in (720, 320):  # the graph is compiled anew for another size
        image = cv2.resize(read(shared / "clips/bodypose3d/cam0_test.mp4", 100), (size, size))
        (whole,), (small,) = detector.detect([image]), integers.detect([image])
        sure = (whole.confidence[0] > 0.5) & (small.confidence[0] > 0.5)
        assert len(whole) == len(small) == 1 and sure.sum() >= 12
        assert np.linalg.norm(whole.joints[0, sure] - small.joints[0, sure], axis=1).max() < 0.02 * size
    integers.close()


def test_unknown_names_and_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VP3D_HOME", str(tmp_path))
    monkeypatch.delenv(models.FOLDERS_VARIABLE, raising=False)
    with pytest.raises(UserError, match="download"):
        open_detector("bottom-up")
    with pytest.raises(UserError, match="no detector 'openpose'"):
        open_detector("openpose")
    with pytest.raises(UserError, match="no level of detail 'finest'"):
        open_detector("auto", "finest")
