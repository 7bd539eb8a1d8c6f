import numpy as np
import pytest
from server.detect.scenes import affinity_maps, heatmaps, random_scene, score
from vp3d.detect.grouping import MIN_JOINTS, affinity_matrix, group
from vp3d.detect.layout import KEYPOINTS, STRIDE
from vp3d.detect.peaks import Peaks, find_peaks

WIDTH, HEIGHT = 640, 360


def detect(
    joints: np.ndarray, rng: np.random.Generator, missing: float = 0.0, noise_px: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Truth (P, 18, 2), NaN where a peak was taken away, and the people found (Q, 18, 2)."""
    present = rng.random(joints.shape[:2]) >= missing
    peaks = find_peaks(heatmaps(joints, WIDTH, HEIGHT, present)[: len(KEYPOINTS)], STRIDE)
    peaks = Peaks(peaks.kind, peaks.position + rng.normal(0, noise_px, peaks.position.shape), peaks.score)
    slots = group(peaks, affinity_matrix(peaks, affinity_maps(joints, WIDTH, HEIGHT)))
    found = np.full((len(slots), len(KEYPOINTS), 2), np.nan)
    for person, slot in zip(found, (slot[: len(KEYPOINTS)] for slot in slots), strict=True):
        person[slot >= 0] = peaks.position[slot[slot >= 0]]
    return np.where(present[..., None], joints, np.nan), found


@pytest.mark.parametrize("count", [2, 5, 10, 15, 20])
@pytest.mark.parametrize(("missing", "noise_px", "wanted"), [(0.0, 0.0, 0.99), (0.05, 1.0, 0.95)])
def test_joints_go_to_the_right_person(count: int, missing: float, noise_px: float, wanted: float) -> None:
    rng = np.random.default_rng(count)
    right = total = 0
    for _ in range(max(40 // count, 10)):
        truth, found = detect(random_scene(rng, count), rng, missing, noise_px)
        result = score(truth, found, tolerance_px=STRIDE / 2 + 3 * noise_px)
        right, total = right + result.right, total + result.total
    assert right / total >= wanted


def test_touching_people_stay_two() -> None:
    rng = np.random.default_rng(3)
    person = random_scene(rng, 1)
    person += np.array((WIDTH / 2, 150)) - person[0, 1]
    _, found = detect(person + np.array(((0, 0), (2 * STRIDE, 0)))[:, None], rng)
    assert len(found) == 2


def test_a_person_holds_together_without_neck_elbow_and_knee() -> None:
    rng = np.random.default_rng(4)
    hidden = [KEYPOINTS.index(name) for name in ("neck", "left_elbow", "right_knee")]
    whole = 0
    for _ in range(40):
        joints = random_scene(rng, 1)
        maps = heatmaps(joints, WIDTH, HEIGHT)[: len(KEYPOINTS)]
        maps[hidden] = 0
        peaks = find_peaks(maps, STRIDE)
        slots = group(peaks, affinity_matrix(peaks, affinity_maps(joints, WIDTH, HEIGHT)))
        whole += [(slot >= 0).sum() for slot in slots] == [len(KEYPOINTS) - len(hidden)]
    assert whole >= 36


def test_affinity_is_high_along_limbs_and_nothing_between_people() -> None:
    rng = np.random.default_rng(5)
    joints = random_scene(rng, 2)
    joints[0] += np.array((160, 180)) - joints[0].mean(0)
    joints[1] += np.array((480, 180)) - joints[1].mean(0)
    positions = joints.transpose(1, 0, 2).reshape(-1, 2)
    peaks = Peaks(np.repeat(np.arange(len(KEYPOINTS)), 2), positions, np.ones(len(positions)))
    affinity = affinity_matrix(peaks, affinity_maps(joints, WIDTH, HEIGHT))
    knee, ankle = (2 * KEYPOINTS.index(name) for name in ("right_knee", "right_ankle"))
    assert affinity[knee, ankle] > 0.8
    assert affinity[knee + 1, ankle + 1] > 0.8
    assert affinity[knee, ankle + 1] == 0
    assert (affinity == affinity.T).all()
    assert (affinity[::2, 1::2] == 0).all()


def candidates(*names: str) -> Peaks:
    kind = np.array([KEYPOINTS.index(name) for name in names])
    return Peaks(kind, np.zeros((len(names), 2)), np.full(len(names), 0.8))


def test_a_fragment_takes_the_place_of_a_worse_joint() -> None:
    # The false elbow (3) is a little nearer to the shoulder's field, but only the true one (4) has a wrist.
    peaks = candidates("neck", "right_shoulder", "right_hip", "right_elbow", "right_elbow", "right_wrist")
    affinity = np.zeros((6, 6))
    for a, b, value in ((0, 1, 0.9), (0, 2, 0.9), (1, 3, 0.85), (1, 4, 0.8), (4, 5, 0.7)):
        affinity[a, b] = affinity[b, a] = value
    (person,) = group(peaks, affinity)
    assert person[KEYPOINTS.index("right_elbow")] == 4
    assert person[KEYPOINTS.index("right_wrist")] == 5


def test_an_arm_alone_is_nobody() -> None:
    arm = [f"right_{part}" for part in ("shoulder", "elbow", "wrist")]
    chain = np.diag(np.full(3, 0.9), 1)
    assert group(candidates(*arm, "right_ear"), chain + chain.T) == []
    (person,) = group(candidates("neck", *arm), chain + chain.T)
    assert (person >= 0).sum() == 4


def test_two_people_get_their_own_arms_back() -> None:
    # The strongest single affinity between a shoulder and an elbow is wrong; only both pairs together tell.
    peaks = candidates(*("nose",) * 2, *("neck",) * 2, *("right_shoulder",) * 2, *("right_elbow",) * 2)
    affinity = np.zeros((8, 8))
    pairs = ((0, 2, 0.95), (1, 3, 0.95), (2, 4, 0.9), (3, 5, 0.9), (4, 7, 0.8), (4, 6, 0.79), (5, 7, 0.79), (5, 6, 0.3))
    for a, b, value in pairs:
        affinity[a, b] = affinity[b, a] = value
    elbows = {(slot[0], slot[KEYPOINTS.index("right_elbow")]) for slot in group(peaks, affinity)}
    assert elbows == {(0, 6), (1, 7)}


def test_never_two_joints_of_a_type_and_never_a_joint_in_two_people() -> None:
    rng = np.random.default_rng(6)
    kind = np.sort(rng.integers(0, len(KEYPOINTS), 120))
    peaks = Peaks(kind, rng.uniform(0, 300, (120, 2)), rng.uniform(0.1, 1, 120))
    affinity = np.triu(rng.uniform(0, 1, (120, 120)) * (rng.random((120, 120)) < 0.1), 1)
    affinity[kind[:, None] == kind] = 0
    people = group(peaks, affinity + affinity.T)
    assert len(people) > 1
    used = np.concatenate([slot[slot >= 0] for slot in people])
    assert len(used) == len(set(used.tolist()))
    for slot in people:
        members = slot[slot >= 0]
        assert len(members) >= MIN_JOINTS
        assert (kind[members] == np.nonzero(slot >= 0)[0]).all()


def test_no_candidates_are_no_people() -> None:
    peaks = find_peaks(np.zeros((len(KEYPOINTS), 4, 4)), STRIDE)
    assert group(peaks, affinity_matrix(peaks, np.zeros((38, 4, 4)))) == []
