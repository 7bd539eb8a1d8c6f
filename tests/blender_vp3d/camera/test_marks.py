"""Strokes of the overlay: the painted picture is the truth of what the triangles cover."""

import numpy as np
import pytest

from blender_vp3d.camera import marks


def strokes(*ends, radius=4.0, colour=(1.0, 0.5, 0.25, 1.0)):
    return marks.Strokes(np.array(ends, float), np.full(len(ends), radius), np.tile(colour, (len(ends), 1)))


def test_a_dot_covers_its_disc():
    image = np.zeros((60, 80, 3))
    marks.paint(image, strokes([[30, 20], [30, 20]], radius=9.0))
    assert image[20, 30] == pytest.approx([1, 0.5, 0.25])
    assert image[..., 0].sum() == pytest.approx(np.pi * 81, rel=0.005)
    v, u = np.mgrid[:60, :80]
    assert (image[..., 0] * u).sum() / image[..., 0].sum() == pytest.approx(30)
    assert (image[..., 0] * v).sum() / image[..., 0].sum() == pytest.approx(20)


def test_a_line_covers_its_length_and_fades_with_its_opacity():
    image = np.zeros((60, 80, 3))
    marks.paint(image, strokes([[15, 20], [55, 40]], colour=(1, 1, 1, 0.5)))
    length = np.hypot(40, 20)
    assert image[..., 0].sum() == pytest.approx(0.5 * (8 * length + np.pi * 16), rel=0.01)


def test_what_is_outside_the_picture_is_left_out():
    image = np.zeros((60, 80, 3))
    marks.paint(image, strokes([[-500, -500], [-490, -480]], [[79, 59], [200, 300]]))
    assert image[59, 79, 0] == 1 and image[:40].sum() == 0


def test_triangles_cover_what_is_painted():
    drawn = strokes([[15, 20], [55, 40]], [[60, 12], [60, 12]], radius=6.0)
    points, colours, faces = marks.triangles(drawn)
    corners = points[faces]
    area = 0.5 * np.abs(np.linalg.det(np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 1)))
    image = np.zeros((60, 80, 3))
    marks.paint(image, drawn)
    assert (area * colours[faces][..., 3].mean(1)).sum() == pytest.approx(image[..., 0].sum(), rel=0.03)
    assert set(np.unique(colours[:, 3])) == {0.0, 1.0}


def test_errors_have_colours_and_joints_without_partner_none():
    seen = np.array([[10, 10], [30, 10], [50, 10], [np.nan, np.nan], [70, 10]])
    solved = np.array([[10, 10], [30, 20], [50, 40], [60, 60], [np.nan, np.nan]])
    error = np.linalg.norm(seen - solved, axis=1)
    found = marks.of_person(seen, solved, error, np.ones(5), limit=20.0)

    def dot(x):
        """Colour of the topmost stroke that is a dot at (x, 10)."""
        return found.colour[np.flatnonzero((found.ends == [[x, 10], [x, 10]]).all((1, 2)))[-1], :3]

    green, yellow, red, grey = (dot(x) for x in (10, 30, 50, 70))
    assert green[1] > green[0] and red[0] > 0.9 and red[1] < 0.3
    assert yellow[0] > 0.9 and yellow[1] > 0.8
    assert np.ptp(grey) < 0.1
    assert np.isfinite(found.ends).all() and not ((found.ends == 60).all((1, 2))).any()


def test_unsure_joints_are_faint():
    seen = np.array([[10.0, 10], [30, 10]])
    found = marks.of_person(seen, seen, np.zeros(2), np.array([1.0, 0.0]), limit=20.0)
    assert found.colour[-2, 3] == 1 and found.colour[-1, 3] < 0.5
