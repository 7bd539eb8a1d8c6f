import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import vp3d
from rich.console import Console
from vp3d import media, models
from vp3d.bench import bench, loop_video, peak_memory
from vp3d.errors import UserError

SERVER = Path(vp3d.__file__).parent.parent


@pytest.mark.parametrize("name", ["sports2d/demo.mp4", "rendered/dance.mp4", "bodypose3d/cam0_test.mp4"])
def test_looped_clip_shows_the_clip_again_and_again(shared, tmp_path, name):
    video, out = shared / "clips" / name, tmp_path / "looped.mp4"
    loop_video(video, out, 3)
    count = media.probe(video).frame_count
    assert media.probe(out).frame_count == 3 * count and media.probe(out).fps == media.probe(video).fps
    for frame in (0, count // 2):
        (first,) = media.read_frames(video, frame, frame + 1)
        for turn in range(3):
            (again,) = media.read_frames(out, turn * count + frame, turn * count + frame + 1)
            np.testing.assert_array_equal(again.image, first.image)


def test_peak_memory_is_this_process_alone():
    """A process that takes 300 MB more peaks 300 MB higher; what its parent holds does not count."""
    held = np.ones(50_000_000)
    code = "import sys; from vp3d.bench import *; import numpy; a = numpy.ones(int(sys.argv[1])); print(peak_memory())"
    small, large = (
        int(subprocess.run([sys.executable, "-c", code, str(n)], cwd=SERVER, capture_output=True, check=True).stdout)
        for n in (1, 37_500_000)
    )
    assert large - small == pytest.approx(300e6, rel=0.1)
    assert peak_memory() > held.nbytes > small / 2


def encode(path: Path, images: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=30)
        stream.height, stream.width = images[0].shape[:2]
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_measures_every_stage(shared, tmp_path):
    if models.find("lifter") is None:
        pytest.skip("needs the lifter's weights, which this checkout does not have yet")
    dance = media.read_frames(shared / "clips/rendered/dance.mp4", end=20)
    clip = encode(tmp_path / "short.mp4", [frame.image for frame in dance])
    result = bench(clip, detector="mediapipe", detail="fast", loops=2)
    once, twice = result.runs
    assert (once.frames, twice.frames, once.detector) == (20, 40, "mediapipe")
    assert {"detect", "track", "lift", "refine"} <= set(once.stages)
    # The rest is opening the detector and the lifter, much for 20 frames.
    assert 0.5 * once.seconds < sum(once.stages.values()) <= once.seconds
    assert twice.peak_bytes < 1.2 * once.peak_bytes
    text = io.StringIO()
    Console(file=text, width=160).print(result)
    assert "whole capture" in text.getvalue() and "20 frames" in text.getvalue()


def test_says_why_it_cannot_measure(tmp_path):
    with pytest.raises(UserError, match="no file"):
        bench(tmp_path / "gone.mp4")
    nobody = encode(tmp_path / "grey.mp4", [np.full((48, 64, 3), 100, np.uint8)] * 8)
    with pytest.raises(UserError, match="No person"):
        bench(nobody, detector="mediapipe", loops=1)
