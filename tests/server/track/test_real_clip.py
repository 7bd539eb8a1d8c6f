"""The tracker on what the bottom-up detector makes of a hard clip: a somersault before the sun, behind a passer-by."""

import numpy as np
import pytest
from vp3d import detect, media, track


@pytest.fixture(scope="module")
def tracks(shared):
    clip = shared / "clips/sports2d/demo.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VP3D_MODELS_DIR", str(shared / "models"))
        detector = detect.open_detector("bottom-up", "fast", "cpu")
    frames = list(media.read_frames(clip, every=3))
    found = detector.detect([frame.image for frame in frames])
    detector.close()
    return track.track(np.array([frame.index for frame in frames]), found, 10.0)


def test_two_people_and_no_swap(tracks):
    assert len(tracks.joints) == 2
    across = {}
    for person, joints in enumerate(tracks.joints):
        seen = np.isfinite(joints[..., 0]).any(1)
        across[person] = dict(zip(tracks.frames[seen].tolist(), np.nanmedian(joints[seen, :, 0], axis=1), strict=True))
    walks, jumps = sorted(across.values(), key=lambda x: x[max(x)])
    # She walks from right to left throughout; he stays on the roof, jumps off it and runs away to the right.
    assert min(walks) > 30 and max(jumps) > 215
    steps = np.array(sorted(walks.items()))
    assert np.all(np.diff(steps[:, 1]) < 40) and steps[0, 1] > 1400 and steps[-1, 1] < 100
    assert all(600 < x < 850 for frame, x in jumps.items() if frame < 150)
    assert all(x > 1150 for frame, x in jumps.items() if frame >= 200)
