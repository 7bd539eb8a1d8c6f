import importlib.util
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from vp3d.common.skeletons import BODY_21
from vp3d.detect import open_detector
from vp3d.detect.keypoint_rcnn import (
    MIN_PERSON,
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
    import cv2

    reader = cv2.VideoCapture(str(shared / "clips/bodypose3d/cam0_test.mp4"))
    frames = [np.ascontiguousarray(reader.read()[1][..., ::-1]) for _ in range(2)]
    torch.manual_seed(0)
    for found in Torchvision(None, 240, "cpu")(frames):
        assert found.joints.shape == (len(found.score), 17, 2) and found.peak.shape == found.joints.shape[:2]
        assert (found.joints > -1).all() and (found.joints < 720).all()
        assert ((found.peak > 0) & (found.peak <= 1)).all()
