"""Previews of a take whose truth is known, on plates made on the spot."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from takes import walker
from vp3d import drawing, media
from vp3d.common.take import Take
from vp3d.errors import Cancelled, UserError
from vp3d.preview import write_preview


def plate(path: Path, size: tuple[int, int], frames: int, fps: int = 25) -> Path:
    """A plate of one grey."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        for _ in range(frames):
            grey = np.full((size[1], size[0], 3), 100, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def take_of(size: tuple[int, int], video: Path, **options) -> Take:
    K = np.array([[1.5 * max(size), 0, (size[0] - 1) / 2], [0, 1.5 * max(size), (size[1] - 1) / 2], [0, 0, 1]])
    return walker(size=size, K=K, video=str(video), **options)


@pytest.mark.parametrize("size", [(640, 360), (480, 640), (1920, 801), (322, 322)])
@pytest.mark.parametrize("moving", [False, True])
def test_skeletons_lie_on_the_plate_and_in_the_camera_view(tmp_path, size, moving):
    video = plate(tmp_path / "plate.mkv", size, 6)
    take = take_of(size, video, frames=6, people=1, moving_camera=moving)
    out = tmp_path / "new" / "preview.mp4"
    seen = []
    write_preview(take, video, out, progress=lambda *call: seen.append(call))
    assert seen[0] == ("preview", 0, 6) and seen[-1] == ("preview", 6, 6)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec.name == "h264" and container.streams.video[0].pix_fmt == "yuv420p"
    info = media.probe(out)
    assert info.frame_count == 6 and info.fps == 25
    assert info.width <= 1280 and info.height <= 720 and info.width % 2 == info.height % 2 == 0
    frames = [frame.image.astype(int) for frame in media.read_frames(out)]

    # One scale for plate and camera view: where plate and view are drawn follows from the sizes alone.
    wide = size[0] >= size[1]
    scale = min((1280 * 2 / 3 if wide else 1280 / 3) / size[0], 720 / size[1])
    left = int(size[0] * scale) // 2 * 2
    for step in (0, 5):
        for place, share, offset in (("plate", 1.0, 0), ("camera view", 0.5 if wide else 1.0, left)):
            hits = total = 0
            for joint, colour in ((7, drawing.LEFT), (13, drawing.LEFT), (8, drawing.RIGHT), (14, drawing.RIGHT)):
                u, v = (take.joints2d[0, step, joint] + 0.5) * scale * share - 0.5
                patch = frames[step][round(v) - 2 : round(v) + 3, round(u) + offset - 2 : round(u) + offset + 3]
                if patch.size:
                    total += 1
                    hits += np.abs(patch - colour).sum(-1).min() < 150
            assert total == 4 and hits >= 3, (place, step)


def test_frames_from_blender_stand_beside_the_plate(tmp_path):
    video = plate(tmp_path / "plate.mkv", (320, 180), 12)
    take = take_of((320, 180), video, frames=5, every=2)
    folder = tmp_path / "réndered"
    folder.mkdir()
    for frame in take.frames:
        cv2.imencode(".png", np.full((180, 320, 3), 20 * frame + 10, np.uint8))[1].tofile(folder / f"{frame:04d}.png")
    write_preview(take, video, tmp_path / "a.mp4", folder)
    frames = list(media.read_frames(tmp_path / "a.mp4"))
    assert media.probe(tmp_path / "a.mp4").fps == 12.5 and frames[0].image.shape == (360, 1280, 3)
    assert [float(np.median(f.image[:, 700:])) for f in frames] == pytest.approx([10, 50, 90, 130, 170], abs=4)
    (folder / "0004.png").unlink()
    with pytest.raises(UserError, match=r"lack 1 of 5, first frame 4"):
        write_preview(take, video, tmp_path / "b.mp4", folder)
    with pytest.raises(UserError, match="no folder"):
        write_preview(take, video, tmp_path / "b.mp4", tmp_path / "gone")
    assert not (tmp_path / "b.mp4").exists()


def test_people_who_are_absent_are_not_drawn(tmp_path):
    video = plate(tmp_path / "plate.mkv", (320, 180), 4)
    take = take_of((320, 180), video, frames=4)
    take.joints2d[:], take.joints3d[:], take.confidence[:] = np.nan, np.nan, 0
    write_preview(take, video, tmp_path / "a.mp4")
    image = next(media.read_frames(tmp_path / "a.mp4")).image[:400, :800].astype(int)
    assert np.ptp(image) < 30


def test_a_stopped_preview_leaves_nothing(tmp_path):
    video = plate(tmp_path / "plate.mkv", (320, 180), 4)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_preview(take_of((320, 180), video, frames=4), video, tmp_path / "a.mp4", progress=stop)
    with pytest.raises(UserError, match="no file"):
        write_preview(take_of((320, 180), video, frames=4), tmp_path / "gone.mkv", tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["plate.mkv"]


def test_other_views_stand_beside_the_plate(tmp_path):
    """The other view is the same camera half a second later: its skeletons lie where the first one's do, in its row."""
    size = (640, 480)
    video, other = plate(tmp_path / "a.mkv", size, 20), plate(tmp_path / "b.mkv", size, 8)
    take = take_of(size, video, frames=20)
    about = {"path": str(other), "name": "b.mkv", "width": 640, "height": 480, "fps": 25.0, "offset_s": 0.4}
    pose = {"K": take.camera_K[0].tolist(), "R": take.camera_R[0].tolist(), "t": take.camera_t[0].tolist()}
    take.report["views"] = [{**about, **pose, "distortion": [0.0] * 5}]
    out = tmp_path / "preview.mp4"
    write_preview(take, video, out)
    frames = [frame.image.astype(int) for frame in media.read_frames(out)]
    width = frames[0].shape[1] // 3
    for step, shown in ((5, False), (12, True), (19, False)):  # the other film has instants 10 to 17
        corner = frames[step][10, width + 10]
        assert (np.abs(corner - 100).max() < 12) == shown
        u, v = (take.joints2d[0, step, 7] + 0.5) * width / size[0] - 0.5
        patch = frames[step][round(v) - 2 : round(v) + 3, round(u) + width - 2 : round(u) + width + 3]
        assert np.abs(patch - drawing.LEFT).sum(-1).min() < 170


def test_a_gif_by_its_name(tmp_path):
    video = plate(tmp_path / "plate.mkv", (320, 180), 5)
    take = take_of((320, 180), video, frames=5)
    write_preview(take, video, tmp_path / "preview.gif")
    assert (tmp_path / "preview.gif").read_bytes()[:4] == b"GIF8"
    with av.open(str(tmp_path / "preview.gif")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
