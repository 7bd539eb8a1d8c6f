"""Weights of a small network as the start of a larger one that computes nearly the same.

Source: Chen et al., "Net2Net: Accelerating learning via knowledge transfer" (ICLR 2016).
"""

import torch

from vp3d.lift.model import Architecture, TemporalModel, architecture_of

_APART = 0.02
"""Relative difference of weights that start as copies: without one they would stay copies."""
_FAINT = 0.1
"""What a new block adds at first; nothing at all would leave it without a gradient."""


def can_grow(small: Architecture, large: Architecture) -> bool:
    """Whether `large` is `small`, or has more channels, or more blocks after its last one, or both.

    One of them may be causal: what it has learned of another frame is a better start than nothing.
    """
    return (
        (small.features, small.joints) == (large.features, large.joints)
        and small.widths == large.widths[: len(small.widths)]
        and small.channels <= large.channels
    )


def grow(weights: dict[str, torch.Tensor], large: TemporalModel, seed: int = 0) -> None:
    """Fill a larger network with the weights of a smaller one.

    Random channels are doubled and what reads them is halved, in all layers alike since residual connections join them;
    a new block adds little to what comes before it.

    Args:
        weights: of a `TemporalModel` from whose architecture the larger one `can_grow`.
        large: changed in place.
        seed: of which channels are doubled.
    """
    small = architecture_of(weights)
    dice = torch.Generator().manual_seed(seed)
    extra = large.architecture.channels - small.channels
    sources = torch.cat([torch.arange(small.channels), torch.randint(small.channels, (extra,), generator=dice)])
    copies = torch.bincount(sources, minlength=small.channels)
    grown = {}
    for name, tensor in weights.items():
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        if tensor.ndim > 1 and name != "expand_conv.weight":
            tensor = (tensor / copies[:, None])[:, sources]
        if tensor.ndim > 0 and not name.startswith("shrink."):
            tensor = tensor[sources]
            if extra and tensor.ndim > 1:
                tensor = tensor * (1 + _APART * torch.randn(tensor.shape, generator=dice))
        grown[name] = tensor
    large.load_state_dict(grown, strict=False)
    for norm in large.layers_bn[2 * len(small.widths) - 1 :: 2]:
        torch.nn.init.constant_(norm.weight, _FAINT)
