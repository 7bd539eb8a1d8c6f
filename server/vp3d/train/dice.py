"""Random numbers on the training device."""

import math

import torch


class Dice:
    """Draws from one generator, so that a seed fixes everything drawn on one kind of device.

    Args:
        seed: of the generator.
        device: where the numbers are made.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._generator = torch.Generator(self.device).manual_seed(seed)
        # How many are chosen decides shapes: drawing that on the device would stop the queue of work there.
        self._sizes = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Numbers between `low` and `high`."""
        return torch.rand(shape, generator=self._generator, device=self.device) * (high - low) + low

    def normal(self, *shape: int) -> torch.Tensor:
        """Numbers of the standard normal distribution."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def between(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Numbers between two positive bounds, log-uniform."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def chance(self, share: float | torch.Tensor, *shape: int) -> torch.Tensor:
        """True with probability `share` each."""
        return self.uniform(0, 1, *shape) < share

    def some(self, count: int, share: float) -> torch.Tensor:
        """Indices of a random `share` of `count` things, rounded at random, so that a small batch is fair too."""
        wanted = share * count
        size = int(wanted) + int(torch.rand((), generator=self._sizes).item() < wanted % 1)
        return torch.randperm(count, generator=self._generator, device=self.device)[:size]

    def choice(self, things: torch.Tensor, count: int) -> torch.Tensor:
        """`count` draws from a vector, with repetition."""
        return things[torch.randint(len(things), (count,), generator=self._generator, device=self.device)]
