"""Hidden parts of training images."""

import pytest
import torch
from vp3d.train.occlusion import GREY, Occlusion, hide, uncovered


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_nothing_is_hidden_by_default() -> None:
    assert not Occlusion().mask(5, (32, 32), generator()).any()


@pytest.mark.parametrize("kind", ["cutout", "hide-and-seek"])
def test_as_many_images_are_hit_as_asked(kind: str) -> None:
    mask = Occlusion(kind, probability=0.3).mask(2000, (32, 32), generator())
    assert abs(float(mask.flatten(1).any(1).float().mean()) - 0.3) < 0.04


def test_hide_and_seek_hides_whole_cells_at_its_rate() -> None:
    mask = Occlusion("hide-and-seek", probability=1, cells=4, hidden=0.4).mask(1000, (64, 32), generator())
    cells = mask.unflatten(1, (4, 8)).unflatten(3, (4, 16))
    assert (cells.all(4).all(2) == cells.any(4).any(2)).all()
    assert abs(float(mask.float().mean()) - 0.4) < 0.02


def test_a_cutout_is_a_square_of_the_asked_size() -> None:
    mask = Occlusion("cutout", probability=1, holes=1, length=0.25).mask(400, (64, 64), generator())
    area = mask.flatten(1).sum(1)
    assert area.max() == 16 * 16
    assert (area > 0).all()


def test_hidden_joints_count_no_more() -> None:
    mask = torch.zeros(1, 10, 20, dtype=torch.bool)
    mask[0, 2:5, 8:12] = True
    pixels = torch.tensor([[[9.0, 3.0], [9.0, 6.0], [25.0, 3.0], [torch.nan, torch.nan], [-0.4, 9.4]]])
    assert uncovered(pixels, mask).tolist() == [[False, True, False, False, True]]


def test_hidden_pixels_are_grey() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 1, 2] = True
    images = hide(torch.ones(1, 3, 4, 4), mask)
    assert (images[0, :, 1, 2] == GREY).all()
    assert images.sum() == 3 * 15 + 3 * GREY
