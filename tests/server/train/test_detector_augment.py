from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from server.train.pictures import write_coco
from vp3d.common.skeletons import BODY_21
from vp3d.train.detector_augment import draw
from vp3d.train.detector_labels import read
from vp3d.train.detector_pictures import Pictures
from vp3d.train.detector_pixels import compressed, spoil
from vp3d.train.occlusion import Occlusion

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def unspoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vp3d.train.detector_augment.spoil", lambda images, generator: images)


def dotted(folder: Path, outlines: bool = False) -> Pictures:
    """Grey pictures with one bright dot at the left wrist of each person, in the middle of nothing else."""
    path = write_coco(folder, 6, outlines=outlines)
    for picture in read(path):
        u, v = picture.joints[0, BODY_21.index("left_wrist")].astype(float)
        x, y = np.meshgrid(np.arange(128), np.arange(96))
        dot = np.exp(-0.5 * ((x - u) ** 2 + (y - v) ** 2) / 2.0**2)
        image = np.stack([60 + 180 * dot, np.full_like(dot, 60), np.full_like(dot, 60)], -1)
        cv2.imwrite(str(picture.path), image.astype(np.uint8)[..., ::-1])
    return Pictures([read(path)], [1.0], 128, CPU)


@pytest.mark.usefixtures("unspoilt")
def test_joints_go_where_their_pixels_go(tmp_path: Path) -> None:
    """Also turned, scaled and mirrored, when the left wrist becomes the right one; half a pixel off would show."""
    pictures = dotted(tmp_path)
    wrists = [BODY_21.index(f"{side}_wrist") for side in ("left", "right")]
    errors, mirrored = [], 0
    for seed in range(6):
        examples = draw(pictures, 16, 128, generator(seed), ())
        excess = (examples.images[:, 0] - examples.images[:, 1]).clamp_min(0.1).numpy() - 0.1
        for dot, joints in zip(excess, examples.joints[:, 0].numpy(), strict=True):
            near = [
                w for w in wrists if np.isfinite(joints[w]).all() and (joints[w] > 14).all() and (joints[w] < 113).all()
            ]
            if dot.sum() < 5 or len(near) < 2 or dot[[0, -1]].any() or dot[:, [0, -1]].any():
                continue
            v, u = (np.indices(dot.shape) * dot).sum((1, 2)) / dot.sum()
            distance = np.linalg.norm(joints[near] - (u, v), axis=1)
            mirrored += int(distance.argmin())
            errors.append(distance.min())
    assert len(errors) > 20 and mirrored > 5
    assert np.mean(errors) < 0.15


@pytest.mark.usefixtures("unspoilt")
def test_pasted_people_bring_their_joints_and_cover_others(tmp_path: Path) -> None:
    pictures = dotted(tmp_path, outlines=True)
    examples = draw(pictures, 32, 128, generator(1), ())
    assert examples.joints.shape[1] == 2
    pasted = torch.isfinite(examples.joints[:, 1]).all(-1).any(-1)
    assert 8 < pasted.sum() < 24
    assert (examples.weight[~pasted, 1] == 0).all()
    # Rectangles are cut out here, so joints under one are hidden, and hidden ones count less.
    assert ((examples.weight[pasted, 0] > 0) & (examples.weight[pasted, 0] < 1)).any()


def test_the_same_state_draws_the_same_batch_and_covered_joints_count_less(tmp_path: Path) -> None:
    pictures = Pictures([read(write_coco(tmp_path, 4))], [1.0], 128, CPU)
    hide = (Occlusion("cutout", probability=1.0, holes=4, length=0.4),)
    one, two = (draw(pictures, 4, 64, generator(3), hide) for _ in range(2))
    torch.testing.assert_close(one.images, two.images, rtol=0, atol=0)
    plain = draw(pictures, 4, 64, generator(3), ())
    assert one.weight.sum() < 0.92 * plain.weight.sum()
    assert one.images.shape == (4, 3, 64, 64) and one.images.min() >= 0 and one.images.max() <= 1


def test_compression_is_what_jpeg_does() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (64, 96, 3), np.uint8), (0, 0), 2.0)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    for quality in (15, 40, 85):
        full_colour = [
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ]
        _, encoded = cv2.imencode(".jpg", image[..., ::-1], full_colour)
        expected = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
        batch = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255
        ours = compressed(batch, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy() * 255
        lost = np.abs(expected - image).mean()
        # Single coefficients round differently, because libjpeg computes in integers; what is lost is the same.
        assert np.abs(ours - image).mean() == pytest.approx(lost, rel=0.03)
        assert np.abs(ours - expected).mean() < 0.4 * lost


def test_spoiling_keeps_pictures_recognisable() -> None:
    image, _ = np.zeros((64, 64, 3)), None
    image[16:48, 16:48] = 0.8
    batch = torch.from_numpy(image.transpose(2, 0, 1)).float()[None].repeat(32, 1, 1, 1)
    spoilt = spoil(batch, generator())
    assert spoilt.min() >= 0 and spoilt.max() <= 1
    assert (spoilt - batch).abs().mean((1, 2, 3)).std() > 0.01
    contrast = (spoilt[:, :, 24:40, 24:40].mean((1, 2, 3)) - spoilt[:, :, :8, :8].mean((1, 2, 3))).abs()
    assert (contrast > 0.1).float().mean() > 0.8


def test_unreadable_pictures_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_coco(tmp_path, 3)
    (tmp_path / "001.png").write_bytes(b"no picture")
    (tmp_path / "002.png").unlink()
    pictures = Pictures([read(path)], [1.0], 96, CPU)
    assert "001.png" in caplog.text and "002.png" in caplog.text
    assert (pictures.chance > 0).tolist() == [True, False, False]
