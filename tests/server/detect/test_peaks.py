import numpy as np
import pytest
from server.detect.scenes import heatmaps
from vp3d.detect.layout import KEYPOINTS, STRIDE
from vp3d.detect.peaks import MIN_SCORE, find_peaks


def gaussian(u: float, v: float, sigma: float, peak: float = 0.8, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    rows, columns = ((np.arange(n) + 0.5) * STRIDE - 0.5 for n in shape)
    return peak * np.exp(-0.5 * ((rows[:, None] - v) ** 2 + (columns - u) ** 2) / sigma**2)[None]


@pytest.mark.parametrize("sigma", [6.0, 7.0, 10.0])
def test_decoding_has_no_bias(sigma: float) -> None:
    rng = np.random.default_rng(0)
    errors, scores = [], []
    for u, v in rng.uniform((30, 30), (200, 120), (300, 2)):
        peaks = find_peaks(gaussian(u, v, sigma), STRIDE)
        assert len(peaks) == 1
        errors.append(peaks.position[0] - (u, v))
        scores.append(peaks.score[0])
    assert np.abs(np.mean(errors, axis=0)).max() < 0.05
    assert np.abs(errors).max() < 0.05
    assert scores == pytest.approx([0.8] * len(scores), abs=1e-3)


def test_a_joint_at_the_centre_of_a_cell_has_that_cells_image_position() -> None:
    peaks = find_peaks(gaussian((3 + 0.5) * STRIDE - 0.5, (5 + 0.5) * STRIDE - 0.5, 7.0), STRIDE)
    assert peaks.position[0] == pytest.approx((27.5, 43.5))


def test_peaks_at_the_border_stay_in_their_cell() -> None:
    for u, v in ((0, 0), (30 * STRIDE - 1, 20 * STRIDE - 1), (-4, 60)):
        peaks = find_peaks(gaussian(u, v, 7.0), STRIDE)
        assert len(peaks) == 1
        assert np.abs(peaks.position[0] - (u, v)).max() <= STRIDE


def test_equal_neighbours_are_one_peak() -> None:
    maps = np.zeros((1, 6, 6), np.float32)
    maps[0, 2:4, 2:4] = 0.6
    assert len(find_peaks(maps, STRIDE)) == 1


def test_noise_empty_and_smallest_maps() -> None:
    rng = np.random.default_rng(1)
    assert len(find_peaks(rng.uniform(-0.02, 0.5 * MIN_SCORE, (18, 40, 60)), STRIDE)) == 0
    assert len(find_peaks(np.zeros((18, 1, 1)), STRIDE)) == 0
    single = find_peaks(np.full((1, 1, 1), 0.5), STRIDE)
    assert single.position.tolist() == [[3.5, 3.5]]


def test_every_joint_of_a_scene_is_a_candidate_of_its_type() -> None:
    joints = np.stack(np.meshgrid(np.linspace(40, 600, 18), [100, 250]), axis=-1)
    peaks = find_peaks(heatmaps(joints, 640, 360)[: len(KEYPOINTS)], STRIDE)
    assert np.bincount(peaks.kind).tolist() == [2] * len(KEYPOINTS)
    assert (np.diff(peaks.kind) >= 0).all()
    for kind, position in zip(peaks.kind, peaks.position, strict=True):
        assert np.linalg.norm(joints[:, kind] - position, axis=1).min() < 0.05
