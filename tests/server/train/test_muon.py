import pytest
import torch
from vp3d.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(40, 40), (20, 60), (60, 20)])
def test_orthogonal_keeps_singular_vectors_and_evens_out_their_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.diagonal(u.T @ orthogonal(matrix) @ vt.T)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_badly_scaled_problem_is_solved():
    torch.manual_seed(0)
    inputs = torch.randn(256, 30) * torch.logspace(-1.5, 0, 30)
    true, layer = torch.randn(10, 30), torch.nn.Linear(30, 10)
    targets = inputs @ true.T + 2
    optimiser = Muon(layer.parameters(), 0.05, weight_decay=0.0)

    def loss():
        return (layer(inputs) - targets).square().mean()

    first = loss().item()
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.02 * first
    assert layer.bias.detach().mean().item() == pytest.approx(2, abs=0.2)


def test_vectors_follow_adam():
    one, two = (torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0])) for _ in range(2))
    mine = Muon([one], 0.01, others=1.0)
    adam = torch.optim.Adam([two], 0.01)
    for scale in (1.0, 0.3, -2.0):
        for parameter, optimiser in ((one, mine), (two, adam)):
            parameter.grad = scale * parameter.detach() ** 2
            optimiser.step()
    assert torch.allclose(one, two, atol=1e-6)
