import numpy as np
import pytest
from server.detect.scenes import random_person
from vp3d.common.skeletons import BODY_21
from vp3d.detect.layout import KEYPOINTS
from vp3d.evaluate.keypoints import agreement, average_precision, torso
from vp3d.track.oks import SIGMAS, size


def people(count: int, seed: int = 0) -> np.ndarray:
    """(count, 21, 2) px, apart from each other, without feet."""
    rng = np.random.default_rng(seed)
    result = np.full((count, 21, 2), np.nan)
    for number in range(count):
        person = random_person(rng, 150)
        for index, name in enumerate(BODY_21.joints[:17]):
            result[number, index] = person[KEYPOINTS.index(name)] + (200 * number, 0)
    return result


def test_torso_is_shoulders_to_hips_and_never_nothing() -> None:
    person = people(1)[0]
    ends = [
        person[[BODY_21.index(f"{side}_{part}") for side in ("left", "right")]].mean(0) for part in ("shoulder", "hip")
    ]
    assert torso(person) == pytest.approx(np.linalg.norm(ends[0] - ends[1]))
    person[BODY_21.index("left_hip")] = np.nan
    assert 0 < torso(person) < 60


def test_people_found_missed_and_made_up() -> None:
    known = people(3)
    off = known.copy()
    off[1, :8] += (0.21 * torso(known[1]), 0)
    off[0, :17] += (0.19 * torso(known[0]), 0)
    result = agreement([known, known[:0]], [off[[1, 0]], known[:2] + 5000])
    assert result.pck == pytest.approx((1 + 9 / 17 + 0) / 3)
    assert (result.people, result.missed, result.extra) == (3, 1, 2)
    assert np.isnan(agreement([known[:0]], [known]).pck)


def test_average_precision_by_hand() -> None:
    known = people(2)
    sure = np.array([0.9, 0.8])
    assert average_precision([known], [known], [sure]) == pytest.approx(1)
    # One of two found: precision 1 up to a recall of one half, which 51 of the 101 points do not exceed.
    assert average_precision([known], [known[:1]], [sure[:1]]) == pytest.approx(51 / 101)
    # Somebody made up who is surer than the two: precisions 1/2 and 2/3, the better one counts for both.
    crowd = np.concatenate((known + 5000, known))
    assert average_precision([known], [crowd[1:]], [np.array([1.0, 0.9, 0.8])]) == pytest.approx(2 / 3)
    assert np.isnan(average_precision([known[:0]], [known], [sure]))


def test_similarity_falls_as_coco_says() -> None:
    """All joints at the distance where exp(-d²/2s²k²) = 0.72: right at the thresholds 0.50…0.70, wrong above."""
    known = people(1)
    distance = np.sqrt(-2 * np.log(0.72)) * 2 * SIGMAS * size(known[0])
    found = known + np.stack((distance, np.zeros(21)), -1)
    assert average_precision([known], [found], [np.ones(1)]) == pytest.approx(0.5)
