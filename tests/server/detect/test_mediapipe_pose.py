import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from vp3d import models
from vp3d.common.skeletons import BODY_21
from vp3d.detect import open_detector
from vp3d.detect.mediapipe_pose import MediaPipePose


def test_follows_the_person_with_heels_and_toes(shared: Path) -> None:
    reader = cv2.VideoCapture(str(shared / "clips/bodypose3d/cam0_test.mp4"))
    images = [np.ascontiguousarray(reader.read()[1][..., ::-1]) for _ in range(12)]
    detector = MediaPipePose()
    people = detector.detect(images)
    detector.close()
    assert [len(found) for found in people] == [1] * len(images)
    joints, confidence = people[-1].joints[0], people[-1].confidence[0]
    assert joints.shape == (21, 2) and joints.dtype == np.float32
    assert (confidence >= 0).all() and (confidence <= 1).all()
    at = {name: joints[i] for i, name in enumerate(BODY_21.joints)}
    # He faces the camera: his left is on the right of the image, and feet are below the knees.
    assert at["left_shoulder"][0] > at["right_shoulder"][0]
    for side in ("left", "right"):
        assert at[f"{side}_hip"][1] < at[f"{side}_knee"][1] < at[f"{side}_ankle"][1] < at[f"{side}_toe"][1]
        assert np.linalg.norm(at[f"{side}_heel"] - at[f"{side}_ankle"]) < 60


def test_both_detectors_agree_on_where_a_joint_is(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(shared / "models"))
    reader = cv2.VideoCapture(str(shared / "clips/bodypose3d/cam0_test.mp4"))
    reader.set(cv2.CAP_PROP_POS_FRAMES, 100)
    image = np.ascontiguousarray(reader.read()[1][..., ::-1])
    found = []
    for name in ("bottom-up", "mediapipe"):
        detector = open_detector(name, "fast")
        found.append(detector.detect([image])[0].joints[0, 5:17])
        detector.close()
    difference = found[0] - found[1]
    assert np.median(np.linalg.norm(difference, axis=1)) < 15


def test_blank_images_have_no_people_and_auto_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VP3D_HOME", str(tmp_path))
    monkeypatch.delenv(models.FOLDERS_VARIABLE, raising=False)
    detector = open_detector("auto")
    assert detector.name == "mediapipe"
    assert detector.licence == "Apache-2.0"
    assert "bottom-up" in detector.description
    assert [len(found) for found in detector.detect([np.zeros((37, 51, 3), np.uint8)] * 2)] == [0, 0]
    assert [len(found) for found in detector.detect([np.zeros((1, 1, 3), np.uint8)])] == [0]
    detector.close()


def test_it_is_quiet_and_imports_neither_matplotlib_nor_jax(repository: Path, shared: Path) -> None:
    code = f"""
import sys, cv2, numpy as np
from vp3d.detect.mediapipe_pose import MediaPipePose
reader = cv2.VideoCapture({str(shared / "clips/bodypose3d/cam0_test.mp4")!r})
detector = MediaPipePose()
assert len(detector.detect([np.ascontiguousarray(reader.read()[1][..., ::-1])])[0]) == 1
assert not {{"matplotlib", "jax"}} & set(sys.modules)
print("after", file=sys.stderr)
"""
    environment = {**os.environ, "PYTHONPATH": str(repository / "server")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == "after\n"
