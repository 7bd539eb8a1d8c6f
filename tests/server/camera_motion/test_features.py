"""Features followed through pictures of a made-up background that is moved in known ways."""

import cv2
import numpy as np
from vp3d.camera_motion import features

HEIGHT, WIDTH = 180, 320
NOBODY = np.full((1, 4), np.nan)


def texture(seed: int = 0) -> np.ndarray:
    """(600, 800) grey blobs of several sizes."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (600, 800)), (0, 0), sigma) * sigma for sigma in (1.5, 4, 12)]
    return cv2.normalize(sum(layers), None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8)


def view(background: np.ndarray, x: float, y: float) -> np.ndarray:
    shift = np.float32([[1, 0, -x], [0, 1, -y]])
    return cv2.warpAffine(background, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)


def test_followed_to_a_tenth_of_a_pixel_without_drift():
    background = texture()
    along = np.arange(30)
    way = np.stack([100 + 2.3 * along, 100 + 8 * np.sin(along / 5)], -1)
    followed = features.follow_all((view(background, *at), NOBODY) for at in way)
    assert followed.cuts == () and followed.looks == 30
    first = np.unique(followed.feature, return_index=True)[1]
    expected = followed.place[first][followed.feature] - (
        way[followed.row] - way[followed.row[first]][followed.feature]
    )
    error = np.linalg.norm(followed.place - expected, axis=-1)
    assert np.median(error) < 0.05
    assert np.quantile(error, 0.95) < 0.15
    assert (np.bincount(followed.row) > 60).all()


def test_features_cover_the_picture():
    background = view(texture(), 50, 50)
    background[:60, :80] = cv2.resize(np.tile([[0, 255], [255, 0]], (6, 8)).astype(np.uint8), (80, 60), interpolation=0)
    found = features.find(background, np.full((HEIGHT, WIDTH), 255, np.uint8), np.zeros((0, 2), np.float32), 200)
    quarters = np.bincount((found / [WIDTH / 2, HEIGHT / 2]).astype(int) @ [1, 2], minlength=4)
    assert quarters.min() > 0.12 * len(found)


def test_nobody_s_clothes_are_followed():
    background, rng = texture(), np.random.default_rng(3)
    covered = np.array([[120.0, 40, 200, 170]])

    def pictures():
        for step in range(12):
            picture = view(background, 100 + step, 80)
            picture[40:170, 120:200] = cv2.GaussianBlur(rng.integers(0, 255, (130, 80)).astype(np.uint8), (0, 0), 2)
            yield picture, covered

    followed = features.follow_all(pictures())
    inside = ((followed.place > [121, 41]) & (followed.place < [199, 169])).all(-1)
    assert not inside.any()
    assert len(followed.row) > 12 * 50


def test_boxes_reach_beyond_the_joints():
    joints = np.full((2, 3, 21, 2), np.nan)
    joints[0, 1, :4] = [[100, 100], [140, 300], [120, 200], [110, 150]]
    found = features.boxes(joints, 0.5)
    assert found.shape == (3, 2, 4)
    assert np.isnan(found[[0, 2]]).all() and np.isnan(found[1, 1]).all()
    left, top, right, bottom = found[1, 0]
    assert left < 45 and top < 45 and right > 75 and bottom > 155
    mask = features.background((180, 320), found[1])
    assert mask[100, 60] == 0 and mask[100, 150] == 255


def test_a_cut_is_found_where_it_is():
    one, other = texture(1), texture(2)
    pictures = [view(one, 100 + step, 90) for step in range(10)] + [view(other, 90, 90 + step) for step in range(8)]
    followed = features.follow_all((picture, NOBODY) for picture in pictures)
    assert followed.cuts == (10,)
    before = set(followed.feature[followed.row < 10].tolist())
    assert not before & set(followed.feature[followed.row >= 10].tolist())


def test_a_jerk_is_no_cut():
    background = texture(4)
    way = [(100, 100)] * 5 + [(230, 160)] * 5
    followed = features.follow_all((view(background, *at), NOBODY) for at in way)
    assert followed.cuts == ()
    assert len(np.intersect1d(followed.feature[followed.row == 4], followed.feature[followed.row == 5])) > 10


def test_darkness_and_an_empty_wall():
    for level in (0, 128):
        followed = features.follow_all((np.full((HEIGHT, WIDTH), level, np.uint8), NOBODY) for _ in range(5))
        assert len(followed.row) == 0 and followed.cuts == () and followed.looks == 5
