"""Triangulation against singular value decomposition, OpenCV and known points."""

import cv2
import pytest
import torch
from server.ring import ring
from vp3d.stereo.triangulation import project, triangulate, triangulate_robust, triangulate_svd


def scene(angles: list[float], count: int = 500, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random points in a cube of 2 m, their pixels, and the cameras."""
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1
    P = ring(angles)
    pixels = project(points, P)
    return points, pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=torch.float64), P


@pytest.mark.parametrize("angles", [[0, 10], [0, 30], [0, 90], [0, 180], [0, 90, 180, 270]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_singular_value_decomposition(angles: list[float], dtype: torch.dtype) -> None:
    _, pixels, P = scene(angles, noise=2.0)
    found = triangulate(pixels.to(dtype), P.to(dtype)).double()
    reference = triangulate_svd(pixels, P)
    both = torch.isfinite(found).all(-1) & torch.isfinite(reference).all(-1)
    assert both.double().mean() > 0.99
    assert (found - reference)[both].norm(dim=-1).median() < 1e-4  # m


def test_exact_pixels_give_exact_points() -> None:
    points, pixels, P = scene([0, 40, 100])
    assert torch.allclose(triangulate(pixels, P), points, atol=1e-5)


def test_agrees_with_opencv_for_two_views() -> None:
    _, pixels, P = scene([0, 60], noise=0.5)
    # OpenCV does not scale its equations, which noise shows in the second order only.
    homogeneous = cv2.triangulatePoints(P[0].numpy(), P[1].numpy(), pixels[:, 0].T.numpy(), pixels[:, 1].T.numpy())
    expected = torch.tensor((homogeneous[:3] / homogeneous[3]).T)
    assert (triangulate(pixels, P) - expected).norm(dim=-1).median() < 1e-3


def test_confidence_zero_leaves_a_view_out_and_so_does_nan() -> None:
    points, pixels, P = scene([0, 40, 100])
    wrong = pixels.clone()
    wrong[:, 2] += 50
    confidence = torch.ones(wrong.shape[:2], dtype=torch.float64)
    confidence[:, 2] = 0
    assert torch.allclose(triangulate(wrong, P, confidence), points, atol=1e-5)
    wrong[:, 2] = torch.nan
    assert torch.allclose(triangulate(wrong, P), points, atol=1e-5)


def test_degenerate_input_is_nan() -> None:
    points, pixels, P = scene([0, 90], count=4)
    one_view = pixels.clone()
    one_view[0, 1] = torch.nan
    assert torch.isnan(triangulate(one_view, P)[0]).all()
    assert torch.isfinite(triangulate(one_view, P)[1:]).all()
    twice = P[:1].expand(2, 3, 4)
    assert torch.isnan(triangulate(project(points, twice), twice)).all()
    everything_missing = torch.full_like(pixels, torch.nan)
    assert torch.isnan(triangulate(everything_missing, P)).all()


def test_a_point_behind_a_camera_is_nan() -> None:
    P = ring([0, 20])
    behind = torch.tensor([[9.0, 2.0, 3.0]], dtype=torch.float64)
    assert torch.isnan(triangulate(project(behind, P), P)).all()


def test_gradient_is_right_and_finite_beside_degenerate_points() -> None:
    _, pixels, P = scene([0, 50, 120], count=3, noise=1.0)
    confidence = torch.tensor([[1.0, 0.5, 0.2]] * 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda uv, c: triangulate(uv, P, c), (pixels.requires_grad_(), confidence.requires_grad_()), eps=1e-4, atol=1e-5
    )
    mixed = pixels.detach().clone()
    mixed[0, 1:] = torch.nan
    mixed.requires_grad_()
    torch.nansum(triangulate(mixed, P)).backward()
    assert torch.isfinite(mixed.grad).all()


def test_robust_triangulation_leaves_out_the_view_that_is_wrong() -> None:
    points, pixels, P = scene([0, 50, 120, 200], noise=0.5)
    wrong = pixels.clone()
    wrong[:, 1] += torch.tensor([120.0, -60.0])
    found, agreeing = triangulate_robust(wrong, P)
    assert (agreeing == torch.tensor([True, False, True, True])).all(1).double().mean() > 0.98
    assert (found - points).norm(dim=-1).median() < 0.004
    assert (triangulate(wrong, P) - points).norm(dim=-1).nanmedian() > 0.05


def test_polishing_lowers_the_reprojection_error() -> None:
    _, pixels, P = scene([0, 25], noise=2.0)
    polished, _ = triangulate_robust(pixels, P)
    linear = triangulate(pixels, P)
    kept = torch.isfinite(polished).all(-1)

    def error(world: torch.Tensor) -> torch.Tensor:
        return (project(world, P) - pixels)[kept].square().sum()

    assert error(polished) < error(linear)
