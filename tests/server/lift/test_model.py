import pytest
import torch
from vp3d.lift.model import Architecture, TemporalModel, architecture_of, count_parameters, multiply_adds


def random_statistics(model: TemporalModel) -> TemporalModel:
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.mark.parametrize(
    ("widths", "joints", "frames", "parameters"),
    [
        ((3, 3, 3), 17, 27, 8_555_571),
        ((3, 3, 3, 3), 17, 81, 12_753_971),
        ((3, 3, 3, 3, 3), 17, 243, 16_952_371),
        ((3, 3, 3, 3, 3), 1, 243, 16_903_171),
        ((1, 1, 1), 17, 1, 4_291_635),
    ],
)
def test_size_is_that_of_the_paper(widths, joints, frames, parameters):
    architecture = Architecture(34, joints, widths)
    model = TemporalModel(architecture)
    assert count_parameters(model) == parameters
    assert architecture.receptive_field == frames
    assert architecture_of(model.state_dict()) == architecture


@pytest.mark.parametrize(
    ("widths", "shared", "alone"),
    [
        ((3, 3, 3), 8_545_280, 17.8e6),
        ((3, 3, 3, 3), 12_739_584, 57.4e6),
        ((3, 3, 3, 3, 3), 16_933_888, 176.3e6),
    ],
)
def test_cost_is_that_of_the_paper(widths, shared, alone):
    architecture = Architecture(34, 17, widths)
    assert multiply_adds(architecture) == shared
    assert multiply_adds(architecture, shared=False) == pytest.approx(alone, rel=2e-3)


@pytest.mark.parametrize("widths", [(3, 3, 3), (1, 5), (7,)])
def test_cost_counts_what_the_layers_do(widths):
    architecture = Architecture(34, 17, widths, 32)
    model = TemporalModel(architecture).eval()
    counted = []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv1d):
            layer.register_forward_hook(lambda layer, _, output: counted.append(layer.weight.numel() * output.shape[2]))
    frames = 500
    with torch.no_grad():
        model(torch.zeros(1, frames + architecture.receptive_field - 1, 34))
    # Beyond the ends of the sequence every layer but the last computes a little more.
    assert multiply_adds(architecture) == pytest.approx(sum(counted) / frames, rel=0.06)
    assert sum(counted) / frames >= multiply_adds(architecture)


def test_names_are_those_of_the_published_weights():
    names = set(TemporalModel(Architecture(34, 17, (3, 3, 3), 8)).state_dict())
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    norms = ["expand_bn", *(f"layers_bn.{i}" for i in range(4))]
    assert names == {
        "expand_conv.weight", "shrink.weight", "shrink.bias",
        *(f"layers_conv.{i}.weight" for i in range(4)),
        *(f"{norm}.{statistic}" for norm in norms for statistic in statistics),
    }  # fmt: skip


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(3, 3, 3), (3, 5, 7), (1, 3), (5,), (3, 3, 3, 3)])
def test_dilated_and_strided_forms_agree(widths, causal):
    architecture = Architecture(34, 17, widths, 32, causal)
    dilated = random_statistics(TemporalModel(architecture))
    strided = TemporalModel(architecture, strided=True).eval()
    strided.load_state_dict(dilated.state_dict())
    frames = architecture.receptive_field
    features = torch.randn(2, frames + 5, 34)
    windows = features.unfold(1, frames, 1).transpose(2, 3).flatten(0, 1)
    assert dilated(features).shape == (2, 6, 17, 3)
    assert torch.allclose(dilated(features).flatten(0, 1), strided(windows)[:, 0], atol=1e-5)


def test_output_depends_on_the_receptive_field_and_nothing_else():
    architecture = Architecture(4, 2, (3, 3, 3), 16)
    model = random_statistics(TemporalModel(architecture))
    features = torch.randn(1, 27 + 10, 4, requires_grad=True)
    model(features)[0, 5].sum().backward()
    touched = features.grad[0].abs().sum(1).nonzero().flatten()
    assert touched.min() == 5
    assert touched.max() == 5 + 26


def test_residual_path_of_the_causal_form_ends_at_the_last_frame():
    # With the blocks' own weights at zero only the residual path is left.
    for causal, frame in ((True, 24), (False, 12)):
        model = random_statistics(TemporalModel(Architecture(1, 1, (3, 3, 3), 4, causal)))
        with torch.no_grad():
            for layer in model.layers_conv:
                layer.weight.zero_()
        features = torch.randn(1, 27, 1, requires_grad=True)
        model(features).sum().backward()
        assert features.grad[0, :, 0].nonzero().flatten().tolist() == [frame, frame + 1, frame + 2]


def test_even_widths_are_refused():
    with pytest.raises(ValueError, match="odd"):
        Architecture(34, 17, (3, 2))


@pytest.mark.parametrize("change", ["missing", "shape", "outputs"])
def test_weights_of_something_else_are_refused(change):
    weights = TemporalModel(Architecture(34, 17, (3, 3, 3), 8)).state_dict()
    if change == "missing":
        del weights["layers_bn.2.running_var"]
    elif change == "shape":
        weights["layers_conv.1.weight"] = torch.zeros(8, 9, 1)
    else:
        weights["shrink.weight"] = torch.zeros(50, 8, 1)
    with pytest.raises(ValueError, match=r"layers|joints"):
        architecture_of(weights)
