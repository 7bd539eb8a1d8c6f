from dataclasses import replace

import pytest
import torch
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.train.grow import can_grow, grow

SMALL = Architecture(10, 5, (3, 3), 32)


@pytest.mark.parametrize(
    "change", [{}, {"channels": 48}, {"channels": 100}, {"widths": (3, 3, 1)}, {"widths": (3, 3, 3)}]
)
def test_a_grown_network_computes_nearly_the_same(change):
    torch.manual_seed(0)
    small = TemporalModel(SMALL)
    features = torch.randn(50, 27, 10)
    for _ in range(20):
        small(features)
    large = TemporalModel(replace(SMALL, **change)).eval()
    grow(small.state_dict(), large)
    with torch.no_grad():
        before = small.eval()(features)
        lost = (before.shape[1] - large(features).shape[1]) // 2
        error = large(features) - before[:, lost : before.shape[1] - lost]
    assert error.std() < (0.1 * before.std() if change else 1e-6)


def test_copies_are_told_apart():
    large = TemporalModel(replace(SMALL, channels=64))
    grow(TemporalModel(SMALL).state_dict(), large)
    rows = large.expand_conv.weight.detach().flatten(1)
    assert torch.cdist(rows, rows).fill_diagonal_(1).min() > 1e-4


@pytest.mark.parametrize("change", [{"channels": 16}, {"widths": (3,)}, {"widths": (1, 3, 3)}, {"features": 11}])
def test_another_network_cannot_be_grown(change):
    assert can_grow(SMALL, SMALL)
    assert not can_grow(SMALL, replace(SMALL, **change))
