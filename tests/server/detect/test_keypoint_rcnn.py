import importlib.util
import pickle
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from vp3d.common.skeletons import BODY_21
from vp3d.detect import open_detector
from vp3d.detect.keypoint_rcnn import (
    MIN_PERSON,
    Detectron2,
    Found,
    Torchvision,
    confidence,
    found_by_detectron2,
    found_by_torchvision,
    people,
    read_detectron2,
)
from vp3d.errors import UserError


def logits(sigma: float, at: tuple[float, float] = (20.0, 30.0)) -> torch.Tensor:
    """(1, 17, 56, 56) whose softmax is a Gaussian."""
    y, x = torch.meshgrid(torch.arange(56.0), torch.arange(56.0), indexing="ij")
    return (-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / sigma**2).expand(1, 17, 56, 56)


def read(clip: Path, count: int) -> list[np.ndarray]:
    """The first frames of a clip."""
    reader = cv2.VideoCapture(str(clip))
    return [np.ascontiguousarray(reader.read()[1][..., ::-1]) for _ in range(count)]


def test_confidence_is_the_chance_to_lie_near_the_peak() -> None:
    """Against the mass of Gaussians within the tolerance, drawn at random."""
    rng = np.random.default_rng(0)
    for sigma in (1.0, 2.0, 4.0, 8.0):
        peak = logits(sigma).flatten(2).softmax(-1).amax(-1).numpy()
        near = np.linalg.norm(rng.normal(0, sigma, (20_000, 2)), axis=1) <= 3.4
        assert confidence(peak)[0, 0] == pytest.approx(near.mean(), abs=0.02)
    values = confidence(np.linspace(0, 1, 100))
    assert values[0] == 0 and values[-1] <= 1 and (np.diff(values) >= 0).all()


def test_the_structure_of_detectron2() -> None:
    """Instances hold `scores` (N,) and `pred_keypoints` (N, 17, 3): continuous x and y, and the peak of the softmax."""
    points = torch.rand(3, 17, 3)
    instances = SimpleNamespace(scores=torch.tensor([0.2, 0.9, 0.99]), pred_keypoints=points)
    found = people(found_by_detectron2(instances))
    assert len(found) == 2
    expected = points[[2, 1]].numpy()
    assert found.joints[:, :17] == pytest.approx(expected[..., :2] - 0.5, abs=1e-6)
    assert found.confidence[:, :17] == pytest.approx(confidence(expected[..., 2]), abs=1e-6)
    assert np.isnan(found.joints[:, 17:]).all() and (found.confidence[:, 17:] == 0).all()
    assert found.joints.dtype == np.float32 and found.joints.shape == (2, len(BODY_21), 2)


def test_coordinates_and_peaks_as_detectron2_gave_them() -> None:
    """Recorded from detectron2 0.6 (commit 02b5c4e): maps with one cell, and with a Gaussian of two cells, at cell
    (30, 20) of the box (10, 20)…(122, 244). The middle of that cell is (71, 102) counted from the picture's edge."""
    for x, y, peak in ((70.5, 101.5, 0.06738760), (70.5, 101.5, 0.03970140)):
        points = torch.tensor([x, y, peak]).expand(1, 17, 3)
        found = found_by_detectron2(SimpleNamespace(scores=torch.ones(1), pred_keypoints=points))
        # Of the two pixels in a cell, both the highest, it takes the first: half a pixel less than the middle.
        assert found.joints[0, 0].tolist() == [71 - 0.5 - 0.5, 102 - 0.5 - 0.5]
        assert found.peak[0, 0] == pytest.approx(peak)
    gaussian = logits(2.0, at=(20.0, 30.0)).flatten(2).softmax(-1).amax(-1)
    assert gaussian[0, 0].item() == pytest.approx(peak, rel=0.01)


def test_detectron2_itself_with_random_weights(shared: Path) -> None:
    pytest.importorskip("detectron2", reason="needs detectron2, which is no requirement")
    frames = read(shared / "clips/bodypose3d/cam0_test.mp4", 2)
    torch.manual_seed(0)
    library = Detectron2(None, 160, "cpu")
    network = library._network
    network.proposal_generator.post_nms_topk = {True: 8, False: 8}
    with torch.no_grad():
        # Random weights grow through the frozen normalisations, and give no box a high score.
        for name, values in network.named_buffers():
            if name.endswith("conv3.norm.weight"):
                values.fill_(0.1)
        network.roi_heads.box_predictor.cls_score.bias[0] = 3.0
        network.roi_heads.box_predictor.bbox_pred.weight.zero_()
    together = library(frames)
    for found, frame in zip(together, frames, strict=True):
        assert found.joints.shape == (len(found.score), 17, 2) and found.peak.shape == found.joints.shape[:2]
        assert len(found.score) and (found.joints > -1).all() and (found.joints < 720).all()
        assert ((found.peak > 0) & (found.peak <= 1)).all()
        (alone,) = library([frame])
        np.testing.assert_allclose(alone.joints, found.joints, atol=0.01)


def test_the_structure_of_torchvision() -> None:
    """`scores` (N,), `keypoints` (N, 17, 3) with a third column of ones, logits (N, 17, 56, 56)."""
    points = torch.cat((100 * torch.rand(2, 17, 2), torch.ones(2, 17, 1)), -1)
    maps = torch.cat((logits(1.0), logits(6.0)))
    output = {
        "boxes": torch.rand(2, 4),
        "labels": torch.ones(2),
        "scores": torch.tensor([0.8, 0.95]),
        "keypoints": points,
    }
    found = people(found_by_torchvision(output, maps))
    assert found.joints[:, :17] == pytest.approx(points[[1, 0], :, :2].numpy())
    assert (found.confidence[1, :17] > 0.95).all() and (found.confidence[0, :17] < 0.3).all()


def test_nobody() -> None:
    found = people(Found(np.zeros(0), np.zeros((0, 17, 2)), np.zeros((0, 17))))
    assert found.joints.shape == (0, 21, 2) and MIN_PERSON == 0.7


def test_without_either_library_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    absent = ("detectron2", "torchvision")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in absent else real(name, *a))
    with pytest.raises(UserError, match="detectron2 or torchvision") as error:
        open_detector("keypoint-rcnn")
    assert "pip install" in error.value.hint


def test_published_pickles_are_read_without_running_code(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {"model": {"roi_heads.keypoint_head.weight": weights}, "__author__": "Detectron2 Model Zoo"}
    path.write_bytes(pickle.dumps(content, protocol=2))
    assert read_detectron2(path)["roi_heads.keypoint_head.weight"].tolist() == weights.tolist()

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    path.write_bytes(pickle.dumps({"model": {"a": Evil()}}))
    with pytest.raises(UserError, match=r"model\.pkl"):
        read_detectron2(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(pickle.dumps({"model": {"backbone.weight": weights}}, protocol=2))
    with pytest.raises(UserError, match="another network"):
        read_detectron2(path)
    path.write_bytes(b"no pickle")
    with pytest.raises(UserError, match="cannot be used"):
        read_detectron2(path)


def test_torchvision_itself_with_random_weights(shared: Path) -> None:
    pytest.importorskip("torchvision", reason="needs torchvision, which is no requirement")
    frames = read(shared / "clips/bodypose3d/cam0_test.mp4", 2)
    torch.manual_seed(0)
    for found in Torchvision(None, 240, "cpu")(frames):
        assert found.joints.shape == (len(found.score), 17, 2) and found.peak.shape == found.joints.shape[:2]
        # Up to the picture's edge, give or take one of the three-pixel cells that it sees.
        assert (found.joints > -3).all() and (found.joints < 723).all()
        assert ((found.peak > 0) & (found.peak <= 1)).all()
