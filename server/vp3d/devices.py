"""Where torch computes."""

import torch

from vp3d.errors import UserError


def choose_device(name: str = "auto") -> str:
    """Resolve "auto" to the fastest device present: cuda, mps or cpu.

    Raises:
        UserError: a device that this computer does not have, or an unknown name.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, there in present.items() if there)
    if not present.get(name):
        there = ", ".join(device for device, is_there in present.items() if is_there)
        raise UserError(f"There is no device {name!r} that torch can use here.", f"Choose auto or one of: {there}.")
    return name


def computes_in_half(device: str) -> bool:
    """Whether bfloat16 is faster than float32 there: on graphics cards, and on processors with instructions for it."""
    return device == "cuda" or (device == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())
