import numpy as np
import pytest
from server.walker import walking_points
from vp3d.common.skeletons import H36M_FROM_COCO
from vp3d.evaluate.film import CHANGES, DETECTOR, SIZE, action_of, film
from vp3d.evaluate.postures import POSTURES
from vp3d.train.recording import Recording

LIMBS = list(H36M_FROM_COCO)
COCO = [H36M_FROM_COCO[joint] for joint in LIMBS]


@pytest.fixture(scope="module")
def recordings():
    points = walking_points(500, 60.0).astype(np.float32)
    return [Recording("a.bvh", "007-01", points), Recording("b.bvh", "salsa-02", points[:100])]


def test_clips_are_what_their_cameras_see(recordings):
    for clip in film(recordings, fps=50.0):
        seen = (clip.joints[:, COCO] - clip.K[:2, 2]) / clip.K[0, 0]
        # The root is where it makes the limbs project onto the joints: two equations a joint, three unknowns a frame.
        for t in (0, len(seen) // 2):
            rays, pose = seen[t], clip.poses[t, LIMBS]
            rows = np.concatenate(
                [np.c_[np.ones(12), np.zeros(12), -rays[:, 0]], np.c_[np.zeros(12), np.ones(12), -rays[:, 1]]]
            )
            right = np.concatenate([rays[:, 0] * pose[:, 2] - pose[:, 0], rays[:, 1] * pose[:, 2] - pose[:, 1]])
            root, residual, *_ = np.linalg.lstsq(rows, right, rcond=None)
            assert residual == pytest.approx(0, abs=1e-10)
            assert root[2] > 0.5


def test_the_person_stays_in_the_image(recordings):
    for clip in film(recordings, fps=50.0):
        limbs = clip.joints[:, :17]
        assert (limbs > -1).all()
        assert (limbs < np.array(SIZE)).all()
        assert np.ptp(limbs[..., 1]) > SIZE[1] / 6 or np.ptp(limbs[..., 0]) > SIZE[0] / 6


def test_the_same_seed_gives_the_same_cameras(recordings):
    perfect, again, noisy = (film(recordings, noise=noise) for noise in (None, None, DETECTOR))
    for one, two, three in zip(perfect, again, noisy, strict=True):
        assert np.array_equal(one.joints, two.joints, equal_nan=True)
        assert np.array_equal(one.poses, three.poses)
        assert np.array_equal(one.K, three.K)
        assert not np.array_equal(one.joints, three.joints, equal_nan=True)
    other = film(recordings, seed=1)
    assert not any(np.array_equal(one.K, two.K) for one in perfect for two in other)


def test_noise_lowers_confidence_and_leaves_joints_out(recordings):
    clips = film(recordings, noise=DETECTOR, cameras=4)
    confidence = np.concatenate([clip.confidence[:, :17] for clip in clips])
    missing = np.concatenate([np.isnan(clip.joints[:, :17]).any(-1) for clip in clips])
    assert ((confidence == 0) == missing).all()
    assert 0.02 < missing.mean() < 0.5
    assert confidence[~missing].mean() < 0.95


def test_fields_of_view_and_rates_are_those_asked_for(recordings):
    for clip in film(recordings, fps=30.0, fields_of_view=(60, 60)):
        assert 2 * np.degrees(np.arctan(SIZE[0] / 2 / clip.K[0, 0])) == pytest.approx(60)
        assert clip.fps == 30
    frames = sum(len(clip.poses) for clip in film(recordings, fps=30.0, cameras=1))
    assert frames == pytest.approx(290, abs=3), "what is left over is shorter than a second"
    assert len(film(recordings, frames=1)) == 1


def test_changed_motion_sits_and_lies(recordings):
    found = {
        change: np.bincount(
            np.concatenate([clip.posture for clip in film(recordings, cameras=8, change=change)]), minlength=5
        )
        for change in CHANGES
    }
    index = POSTURES.index
    assert found["recorded"][index("walking")] > 0.9 * found["recorded"].sum()
    low = found["bent to sit"]
    assert low[index("sitting")] + low[index("floor")] > 0.3 * low.sum()
    assert found["tipped over"][index("lying")] > 0.3 * found["tipped over"].sum()


def test_actions_come_from_the_names_of_takes():
    assert action_of("002-01") == "walking"
    assert action_of("002-05") == "everyday"
    assert action_of("salsa-11") == "salsa"
    assert action_of("fencing") == "fencing"
