"""Stereo networks and a detector compared on one set of views."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from vp3d.common.skeletons import COCO_17
from vp3d.detect import People
from vp3d.errors import UserError
from vp3d.evaluate.stereo import compare
from vp3d.stereo import checkpoint as checkpoints
from vp3d.stereo.networks import StereoArchitecture, build
from vp3d.train.stereo_sets import Instant, View, write_set

BONE = 0.25
"""m between the points of a row."""


class Dots:
    """Finds the joints by their brightness: joint j is a square of grey 60 + 11 j."""

    name, description, licence, weights, batch_size = "dots", "", "", Path(), 1

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """Everything but the last joint."""
        found = []
        for image in images:
            people, grey = People.empty(1), image[..., 0]
            flat = cv2.dilate(grey, np.ones((3, 3))) - cv2.erode(grey, np.ones((3, 3))) < 5
            for joint in range(len(COCO_17) - 1):
                y, x = np.nonzero(flat & (np.abs(grey.astype(int) - 60 - 11 * joint) < 5))
                if len(x):
                    people.joints[0, joint], people.confidence[0, joint] = (x.mean(), y.mean()), 1
            found.append(people)
        return found

    def close(self) -> None:
        """Nothing to give back."""


def rows_of_dots() -> Instant:
    joints = np.array([[BONE * (j % 4), 0.3 * (j % 3), BONE * (j // 4)] for j in range(len(COCO_17))]) - 0.4
    views = []
    for angle in (-0.4, 0.4):
        R = np.array([[np.cos(angle), np.sin(angle), 0], [0, 0, -1.0], [-np.sin(angle), np.cos(angle), 0]])
        K, t = np.array([[300.0, 0, 127.5], [0, 300, 127.5], [0, 0, 1]]), np.array([0, 0, 3.0])
        camera = joints @ R.T + t
        pixels = (camera @ K.T)[:, :2] / camera[:, 2:]
        image = np.zeros((256, 256, 3), np.uint8)
        for j, (x, y) in enumerate(pixels.round().astype(int)):
            image[y - 5 : y + 6, x - 5 : x + 6] = 60 + 11 * j
        views.append(View(image, K, R, t, pixels, np.ones(len(joints), bool)))
    return Instant(joints, tuple(views))


def test_a_detectors_joints_are_triangulated_beside_the_networks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("vp3d.train.stereo_sets._JPEG_QUALITY", 100)
    write_set(tmp_path, COCO_17, [("train", "a", rows_of_dots()), ("test", "b", rows_of_dots())])
    architecture = StereoArchitecture(len(COCO_17), 18, decoder=16)
    blank = checkpoints.StereoCheckpoint(build(architecture).state_dict(), architecture, COCO_17.name, 192)
    checkpoints.save(blank, tmp_path / "blank.safetensors")
    dots, network = compare(tmp_path, [tmp_path / "blank.safetensors"], "cpu", Dots())
    assert (dots["network"], network["network"]) == ("triangulate (dots)", "blank")
    assert {row["set"] for row in (dots, network)} == {"test"}, "pictures for training are not judged"
    assert dots["missing"] == pytest.approx(1 / len(COCO_17))
    assert dots["px"] < 1
    assert dots["mpjpe_mm"] == pytest.approx(500 / len(COCO_17), abs=15), "what is missing costs half a metre"
    assert network["mpjpe_mm"] > 100 and network["parameters"] > 11_000_000


def test_weights_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        compare(tmp_path, [tmp_path / "none.safetensors"])
