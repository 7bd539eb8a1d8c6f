"""How a stage tells that it advances, and learns that it should stop."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) at least once a batch; raises `vp3d.errors.Cancelled` to stop the stage."""


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that does nothing."""
