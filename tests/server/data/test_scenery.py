import cv2
import numpy as np
import pytest
from vp3d.data.blender import scenery
from vp3d.data.blender.scenery import Room, Wall, choose_rig, choose_view, look


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def test_views_project_as_opencv_does(rng):
    view = look(np.array([3.0, -2, 1.4]), np.array([0.2, 0, 0.9]), 0.2, 35, 384)
    points = rng.normal((0, 0, 1), 0.6, (50, 3))
    ours, depths = view.project(points)
    theirs, _ = cv2.projectPoints(points, cv2.Rodrigues(view.R)[0], view.t, view.K, None)
    assert ours == pytest.approx(theirs[:, 0], abs=1e-6) and (depths > 0).all()
    assert pytest.approx(np.eye(3)) == view.R @ view.R.T and np.linalg.det(view.R) == pytest.approx(1)


def test_a_level_view_has_its_target_in_the_middle_and_up_above():
    view = look(np.array([0, -4.0, 1]), np.array([0, 0, 1.0]), 0.0, 50, 200)
    (middle, above, left), _ = view.project(np.array([[0, 0, 1.0], [0, 0, 1.5], [-0.5, 0, 1]]))
    assert middle == pytest.approx((99.5, 99.5))
    assert above[1] < 99.5 and above[0] == pytest.approx(99.5) and left[0] < 99.5
    assert view.K[0, 0] == pytest.approx(50 / 36 * 200)


def test_rays_are_the_inverse_of_projection():
    view = look(np.array([3.0, 2, 2.4]), np.array([0.2, 0, 0.9]), -0.4, 24, 16)
    pixels, _ = view.project(view.eye + 3 * view.rays())
    v, u = np.mgrid[:16, :16]
    assert pixels == pytest.approx(np.stack([u, v], -1), abs=1e-9)


def test_rigs_see_whoever_is_in_the_middle(rng):
    person = np.array([[0, 0, 0.05], [0, 0, 1.75], [0.3, 0, 1.2], [-0.3, 0, 1.2]])
    for _ in range(30):
        rig = choose_rig(rng, 3, 256)
        for view in rig:
            pixels, depths = view.project(person)
            assert (depths > 1).all() and (pixels > -12).all() and (pixels < 268).all()
        axes = [view.R[2] for view in rig]
        assert np.degrees(np.arccos(np.clip(axes[0] @ axes[1], -1, 1))) > 25


def test_chosen_views_stand_above_the_floor_and_see_people(rng):
    body = rng.uniform((0.2, 0.2, 0.6), (0.8, 0.8, 1.2), (4000, 3))
    seen = 0
    for _ in range(100):
        view = choose_view(rng, [body], 128)
        assert view.eye[2] >= 0.12 and 20 <= view.focal_mm <= 85
        pixels, depths = view.project(body.mean(0))
        seen += bool(depths > 0 and (abs(pixels - 63.5) < 64).all())
    assert seen > 90


def test_a_rooms_nearest_wall_is_seen_and_walls_from_behind_are_not():
    def plain(colour: float) -> scenery.Paint:
        return scenery.Paint("plain", np.full(3, colour), np.zeros(3), 1.0, 1)

    far = Wall("wall", np.array([-9.0, 5, -9]), np.array([18.0, 0, 0]), np.array([0, 0, 18.0]), plain(0.2))
    near = Wall("picture", np.array([-0.5, 4, 0.5]), np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), plain(0.9))
    behind = Wall("wall", np.array([9.0, -3, -9]), np.array([-18.0, 0, 0]), np.array([0, 0, 18.0]), plain(0.9))
    assert far.inward == pytest.approx((0, -1, 0))
    room = Room([near, behind, far], np.array([[0, 0, 2.0]]))
    view = look(np.array([0, -5.0, 1]), np.array([0, 0, 1.0]), 0, 36, 64)
    image = room.image(view, []).mean(-1)
    v, u = np.mgrid[:64, :64]
    at_wall = 9 * (np.stack([u, v], -1) - 31.5) / 64  # metres in the picture's plane, 9 m away
    inside, outside = (abs(at_wall) < 0.45).all(-1), (abs(at_wall) > 0.55).any(-1)
    assert image[inside].min() > 2 * image[outside].max()


def test_a_floor_is_darker_under_somebody():
    grey = scenery.Paint("plain", np.full(3, 0.5), np.zeros(3), 1.0, 1)
    floor = Wall("floor", np.array([-5.0, -5, 0]), np.array([10.0, 0, 0]), np.array([0, 10.0, 0]), grey)
    room = Room([floor], np.array([[0, 0, 3.0]]))
    view = look(np.array([0, -0.01, 5]), np.zeros(3), 0, 36, 65)
    body = np.array([[0, 0, 0.01], [0.02, 0, 0.02]])
    ratio = (room.image(view, [body]) / room.image(view, [])).mean(-1)
    assert ratio[32, 32] < 0.7 and ratio[5, 5] == pytest.approx(1, abs=1e-3)


def test_a_panorama_is_seen_in_the_right_direction():
    panorama = np.zeros((90, 180, 3))
    panorama[:45, :, 2] = 1  # the sky
    panorama[:, 40:50, 0] = 1  # a red strip about azimuth 90 degrees
    view = look(np.zeros(3), np.array([0, 1.0, 0]), 0, 18, 64)
    image = scenery.sample_panorama(panorama, view, 0.0)
    assert image[10, 32, 2] > 0.9 and image[54, 32, 2] < 0.1
    assert image[32, 31, 0] > 0.9 and image[32, 5, 0] < 0.1


def test_boxes_have_their_size_and_place(rng):
    surface = scenery.box(rng, np.array([1.0, 0.5, 2.0]), np.array([3.0, 0, 0]), 0.0)
    assert surface.vertices.min(0) == pytest.approx((2.5, -0.25, 0)) and surface.vertices.max(0)[2] == pytest.approx(2)
    assert surface.faces.shape[1] == 4 and surface.faces.max() == len(surface.vertices) - 1
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    outward = np.einsum("fi,fi->f", np.cross(b - a, c - a), surface.vertices[surface.faces].mean(1) - (3, 0, 1))
    assert (outward > 0).all()
