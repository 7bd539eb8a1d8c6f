"""Focal lengths against the geometry of fields of view, and what is refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from vp3d.calibration import CalibratedCamera
from vp3d.errors import UserError
from vp3d.media import VideoInfo
from vp3d.refine import choose_lens


def clip(width: int = 1920, height: int = 1080, **known) -> VideoInfo:
    return VideoInfo(Path("clip.mp4"), width, height, Fraction(30), 100, **known)


def horizontal_fov(lens, width: int) -> float:
    return np.degrees(2 * np.arctan(width / 2 / lens.K[0, 0]))


def test_pixels_are_taken_as_given():
    lens = choose_lens(clip(focal_35mm=26.0), focal_px=1500.0)
    assert (lens.source, lens.focal_sigma) == ("user", 0.0)
    np.testing.assert_array_equal(lens.K, [[1500, 0, 959.5], [0, 1500, 539.5], [0, 0, 1]])
    np.testing.assert_array_equal(lens.distortion, np.zeros(5))


def test_millimetres_are_blenders():
    """Blender's 50 mm on a 36 mm sensor sees 39.6° across the longer side, in landscape and in portrait."""
    for width, height in ((1920, 1080), (1080, 1920)):
        lens = choose_lens(clip(width, height), focal_mm=50, sensor_mm=36)
        assert np.degrees(2 * np.arctan(960 / lens.K[0, 0])) == pytest.approx(39.5978, abs=1e-3)


def test_field_of_view_is_across_the_longer_side():
    assert horizontal_fov(choose_lens(clip(), fov_deg=60), 1920) == pytest.approx(60)
    portrait = choose_lens(clip(1080, 1920), fov_deg=60)
    assert np.degrees(2 * np.arctan(960 / portrait.K[1, 1])) == pytest.approx(60)


@pytest.mark.parametrize(("millimetres", "degrees"), [(24, 76.3), (26, 71.9), (28, 67.9), (35, 56.6), (50, 41.3)])
def test_equivalent_from_metadata(millimetres, degrees):
    """Horizontal fields of view of 16:9 video at 35 mm equivalents, which compare diagonals."""
    lens = choose_lens(clip(focal_35mm=float(millimetres)))
    assert lens.source == "metadata"
    assert 0 < lens.focal_sigma < 0.2
    assert horizontal_fov(lens, 1920) == pytest.approx(degrees, abs=0.1)


def test_guesses_are_wider_for_phones_and_say_that_they_are_guesses():
    phone = choose_lens(clip(camera_model="Apple iPhone 14"))
    portrait = choose_lens(clip(1080, 1920))
    camera = choose_lens(clip(camera_model="Canon EOS R5"))
    unknown = choose_lens(clip())
    assert phone.K[0, 0] == pytest.approx(portrait.K[0, 0])
    assert phone.K[0, 0] < unknown.K[0, 0] < camera.K[0, 0]
    assert 60 < horizontal_fov(phone, 1920) < 66
    for lens in (phone, portrait, camera, unknown):
        assert lens.source == "prior"
        assert lens.focal_sigma >= 0.15
        assert "guessed" in lens.note


@pytest.mark.parametrize(
    "values",
    [
        {"focal_px": 0},
        {"focal_px": -3},
        {"focal_px": float("nan")},
        {"focal_px": 12},
        {"focal_px": 1e6},
        {"focal_mm": 35},
        {"sensor_mm": 36},
        {"focal_mm": 35, "sensor_mm": 0},
        {"fov_deg": 0},
        {"fov_deg": 179},
        {"fov_deg": float("nan")},
        {"focal_px": 1000, "fov_deg": 60},
        {"focal_px": 1000, "focal_mm": 35, "sensor_mm": 36},
    ],
)
def test_impossible_lenses_are_refused_in_words(values):
    with pytest.raises(UserError) as caught:
        choose_lens(clip(), **values)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")


def test_a_calibration_comes_first():
    K = np.array([[1480.0, 0, 950], [0, 1485, 545], [0, 0, 1]])
    camera = CalibratedCamera("left", (1920, 1080), K, np.array([-0.2, 0.05, 0, 0, 0]))
    lens = choose_lens(clip(focal_35mm=26.0), calibration=camera)
    assert (lens.source, lens.focal_sigma) == ("calibration", 0.0)
    assert "“left”" in lens.note
    np.testing.assert_array_equal(lens.K, K)
    np.testing.assert_array_equal(lens.distortion, camera.distortion)
    assert choose_lens(clip(960, 540), calibration=camera).K[0, 0] == pytest.approx(740)
    with pytest.raises(UserError, match="1920 × 1080"):
        choose_lens(clip(1080, 1920), calibration=camera)
    with pytest.raises(UserError, match="more than one way"):
        choose_lens(clip(), focal_px=1500.0, calibration=camera)
