"""A stereo network looks at several views again: what pixels reach it, and where its joints come back to."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from server.ring import K, ring
from vp3d.cameras import Camera
from vp3d.common.skeletons import COCO_17
from vp3d.common.take import Source
from vp3d.errors import UserError
from vp3d.refine import Lens
from vp3d.stereo import second_look
from vp3d.stereo.checkpoint import StereoCheckpoint
from vp3d.stereo.networks import StereoArchitecture, build, gaussian_heatmaps
from vp3d.stereo.second_look import Film, look_again
from vp3d.stereo.views import ClipView, join
from vp3d.track import Tracks

SIZE, FRAMES = (1000, 960), 50
BENT = np.array([-0.15, 0.05, 0.001, -0.001, 0.0])
WRIST = COCO_17.index("left_wrist")


class Finder(torch.nn.Module):
    """Finds the white dot in a crop, and calls it every joint: its place is known, unlike a trained network's."""

    architecture = StereoArchitecture(len(COCO_17), 18, fused=False)

    def forward(self, crops: torch.Tensor, projections: torch.Tensor | None = None) -> torch.Tensor:
        light = crops.mean(2).clamp_min(0).square()
        light = light * (light > 0.3 * light.amax((-1, -2), keepdim=True))
        total = light.sum((-1, -2)).clamp_min(1e-9)
        side = torch.arange(crops.shape[-1], dtype=crops.dtype)
        x, y = (light.sum(-2) * side).sum(-1) / total, (light.sum(-1) * side).sum(-1) / total
        cells = crops.shape[-1] // 4
        return gaussian_heatmaps(torch.stack([x, y], -1), (cells, cells))[:, :, None].expand(
            -1, -1, len(COCO_17), -1, -1
        )


@pytest.fixture
def scene(tmp_path: Path):
    """A white dot that wanders among 17 grey joints, filmed by two cameras with bent lenses; detections 25 px off."""
    rng = np.random.default_rng(0)
    joints = np.repeat(rng.uniform(-0.6, 0.6, (1, len(COCO_17), 3)), FRAMES, 0)
    joints[:, WRIST] = np.stack([0.3 * np.sin(np.arange(FRAMES) / 8), np.zeros(FRAMES), np.full(FRAMES, 0.2)], -1)
    views, films, true = [], [], []
    for v, pose in enumerate(np.linalg.inv(K) @ ring([0, 60]).numpy()):
        camera = Camera(K[None], pose[None, :, :3], pose[None, :, 3], BENT)
        pixels = camera.project(joints[None])[0]
        path = tmp_path / f"{v}.avi"
        film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, SIZE)
        for frame in pixels:
            picture = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
            cv2.circle(
                picture, np.round(frame[WRIST] * 16).astype(int).tolist(), 6 * 16, (255,) * 3, -1, cv2.LINE_AA, 4
            )
            film.write(picture)
        film.release()
        seen = np.full((1, FRAMES, 21, 2), np.nan)
        seen[0, :, :17] = pixels + rng.normal(0, 3, pixels.shape)
        seen[0, :, WRIST] += 25
        confidence = np.where(np.isfinite(seen[..., 0]), 0.9, 0.0)
        source = np.where(confidence > 0, Source.MEASURED, Source.ABSENT).astype(np.uint8)
        tracks = Tracks(np.arange(FRAMES, dtype=np.int32), seen, confidence, source)
        lens = Lens(K, BENT, "user", "", 0.0)
        views.append(ClipView(path.name, tracks, np.arange(FRAMES) / 25, lens, pose[:, :3], pose[:, 3]))
        films.append(Film(path, np.arange(FRAMES)))
        true.append(pixels[:, WRIST])
    return views, films, true


def checkpoint(skeleton: str = "coco-17") -> StereoCheckpoint:
    network = build(Finder.architecture)
    return StereoCheckpoint(network.state_dict(), network.architecture, skeleton, 128)


def test_what_the_network_finds_lies_where_it_is_in_the_film(scene, monkeypatch: pytest.MonkeyPatch) -> None:
    views, films, true = scene
    monkeypatch.setattr(StereoCheckpoint, "network", lambda self: Finder())
    monkeypatch.setattr(second_look, "normalise", lambda crops: crops)
    joined = join(views[0], views[1:], [0.0])
    main, again = look_again(checkpoint(), views[0], joined, films)
    found = [main.tracks.joints[0], again.side.views[0].joints[0]]
    for joints, expected in zip(found, true, strict=True):
        assert np.median(np.linalg.norm(joints[:, WRIST] - expected, axis=-1)) < 2.0  # px, of crops at half size
    assert np.isnan(main.tracks.joints[0][:, 17:]).all()


def test_a_film_that_lacks_instants_leaves_the_detectors_joints(scene, monkeypatch: pytest.MonkeyPatch) -> None:
    views, films, _ = scene
    monkeypatch.setattr(StereoCheckpoint, "network", lambda self: Finder())
    numbers = np.arange(FRAMES)
    numbers[:10] = -1
    joined = join(views[0], views[1:], [0.0])
    main, _ = look_again(checkpoint(), views[0], joined, [films[0], Film(films[1].path, numbers)])
    before, after = views[0].tracks.joints[0], main.tracks.joints[0]
    assert np.array_equal(before[:10], after[:10], equal_nan=True)
    assert not np.allclose(before[10:, :17], after[10:, :17])


def test_a_real_network_runs_on_real_pictures(scene) -> None:
    views, films, _ = scene
    joined = join(views[0], views[1:], [0.0])
    network = build(StereoArchitecture(len(COCO_17), 18, fused=True))
    weights = StereoCheckpoint(network.state_dict(), network.architecture, "coco-17", 64)
    short = [Film(film.path, np.where(film.numbers < 9, film.numbers, -1)) for film in films]
    main, _ = look_again(weights, views[0], joined, short)
    height, width = SIZE[1], SIZE[0]
    found = main.tracks.joints[0][:9, :17]
    assert np.isfinite(found).all()
    assert (found > -width).all() and (found[..., 1] < 2 * height).all()


def test_where_the_rays_do_not_meet_the_detectors_joints_stay(scene) -> None:
    views, films, _ = scene
    joined = join(views[0], views[1:], [0.0])
    boxes = [tracks[0, :, :17, 0] for tracks in (views[0].tracks.joints, joined.side.views[0].joints)]
    first, second = (box.min() + box.max() for box in boxes)
    behind = replace(joined.side.views[0], R=np.eye(3), t=np.array([-np.sign(second - first), 0, 0]))
    joined = replace(joined, side=replace(joined.side, views=(behind,)))
    network = build(StereoArchitecture(len(COCO_17), 18, fused=True))
    weights = StereoCheckpoint(network.state_dict(), network.architecture, "coco-17", 64)
    main, _ = look_again(weights, views[0], joined, films)
    assert np.array_equal(main.tracks.joints, views[0].tracks.joints, equal_nan=True)


def test_a_network_for_other_joints_is_refused(scene) -> None:
    views, films, _ = scene
    joined = join(views[0], views[1:], [0.0])
    with pytest.raises(UserError, match="mpii-16"):
        look_again(checkpoint("mpii-16"), views[0], joined, films)
