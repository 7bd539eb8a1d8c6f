"""A training run that is stopped and goes on."""

from pathlib import Path

import pytest
import torch
from torch import nn
from vp3d.errors import UserError
from vp3d.progress import silent
from vp3d.train.run import LOG_STEPS, Run


class Line(nn.Linear):
    """A line to fit."""

    def __init__(self, architecture: int = 1) -> None:
        super().__init__(architecture, 1)
        self.architecture = architecture


def a_run(file: Path, steps: int = 3 * LOG_STEPS, **settings: float) -> Run:
    torch.manual_seed(0)
    return Run(Line(), file, settings, steps, learning_rate=0.05)


def losses_of(run: Run, stop_at: int | None = None):
    def losses() -> dict[str, torch.Tensor]:
        if run.step == stop_at:
            raise KeyboardInterrupt
        x = torch.rand(16, 1, generator=run.generator)
        loss = (run.model(x) - (3 * x + 1)).square().mean()
        return {"total": loss}

    return losses


def loop(run: Run, stop_at: int | None = None) -> None:
    run.loop(losses_of(run, stop_at), lambda: {"slope": run.averaged().weight.item()}, 2 * LOG_STEPS, silent)


@pytest.mark.parametrize("stop_at", [1, LOG_STEPS, 2 * LOG_STEPS + 7])
def test_a_stopped_run_goes_on_to_the_same_curve(tmp_path: Path, stop_at: int) -> None:
    whole = a_run(tmp_path / "whole.training")
    loop(whole)
    stopped = a_run(tmp_path / "stopped.training")
    with pytest.raises(KeyboardInterrupt):
        loop(stopped, stop_at)
    again = a_run(tmp_path / "stopped.training")
    again.resume()
    assert again.step == stop_at
    loop(again)
    assert again.history == whole.history
    assert torch.equal(again.averaged().weight, whole.averaged().weight)


def test_it_fits_a_line(tmp_path: Path) -> None:
    run = a_run(tmp_path / "line.training", steps=2000)
    loop(run)
    assert abs(run.averaged().weight.item() - 3) < 0.05


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    a_run(tmp_path / "line.training", width=1).save()
    with pytest.raises(UserError, match="another width"):
        a_run(tmp_path / "line.training", width=2).resume()
