import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from vp3d.errors import UserError
from vp3d.lift.checkpoint import Checkpoint, load, save
from vp3d.lift.model import Architecture, TemporalModel


def weights(features: int = 52, joints: int = 17, widths: tuple[int, ...] = (3, 3, 3)) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return TemporalModel(Architecture(features, joints, widths, 16)).state_dict()


def published(path: Path, widths: tuple[int, ...], old_layout: bool, **changes: object) -> Path:
    """A file with the keys that VideoPose3D's published checkpoints have, small channels aside."""
    pose = TemporalModel(Architecture(34, 17, widths, 16))
    content = {
        "epoch": 80,
        "lr": 1.7e-5,
        "random_state": np.random.RandomState(1234),
        "optimizer": torch.optim.Adam(pose.parameters(), amsgrad=True).state_dict(),
        "model_pos": pose.state_dict(),
        "model_traj": TemporalModel(Architecture(34, 1, widths, 16)).state_dict(),
        "random_state_semi": None,
        **changes,
    }
    torch.save(content, path, _use_new_zipfile_serialization=not old_layout)
    return path


def test_our_format_keeps_weights_and_description(tmp_path):
    checkpoint = Checkpoint(
        weights(), weights(joints=1), fps=30.0, causal=True, licence="CC0", commercial=True, training={"seed": 3}
    )
    save(checkpoint, tmp_path / "lifter.safetensors")
    again = load(tmp_path / "lifter.safetensors")
    assert again.architecture == Architecture(52, 17, (3, 3, 3), 16, causal=True)
    assert (again.fps, again.licence, again.commercial, again.training) == (30.0, "CC0", True, {"seed": 3})
    model = again.build()
    assert model.state_dict()["expand_conv.weight"].numpy() == pytest.approx(
        checkpoint.pose["expand_conv.weight"].numpy(), abs=1e-3
    )
    assert again.build_trajectory().architecture.joints == 1
    assert not model.training


@pytest.mark.parametrize("old_layout", [False, True])
@pytest.mark.parametrize("widths", [(3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3, 3)])
def test_published_layout_loads_at_any_depth(tmp_path, widths, old_layout):
    path = published(tmp_path / "published.bin", widths, old_layout)
    checkpoint = load(path)
    assert checkpoint.architecture.widths == widths
    assert checkpoint.convention == "width-normalised"
    assert not checkpoint.commercial
    assert checkpoint.build_trajectory() is not None
    expected = torch.load(path, weights_only=False)["model_pos"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in checkpoint.pose.items())


def test_published_layout_without_trajectory(tmp_path):
    assert load(published(tmp_path / "a.bin", (3, 3, 3), False, model_traj=None)).trajectory is None


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("old_layout", [False, True])
def test_code_in_a_pickle_does_not_run(tmp_path, old_layout):
    trace = tmp_path / "ran"
    path = published(tmp_path / "bomb.bin", (3, 3, 3), old_layout, random_state=Bomb(trace))
    with pytest.raises(UserError, match="does not hold lifter weights"):
        load(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the file would have run code in an ordinary unpickler"


def test_code_in_a_plain_pickle_does_not_run(tmp_path):
    trace = tmp_path / "ran"
    (tmp_path / "plain.bin").write_bytes(pickle.dumps({"model_pos": Bomb(trace)}))
    with pytest.raises(UserError):
        load(tmp_path / "plain.bin")
    assert not trace.exists()


def write_wrong_file(kind: str, path: Path) -> None:
    good = path.with_suffix(".good")
    save(Checkpoint(weights()), good)
    if kind == "text":
        path.write_text("these are not weights")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut short":
        path.write_bytes(good.read_bytes()[:-100])
    elif kind == "header only":
        path.write_bytes(good.read_bytes()[:64])
    elif kind == "other safetensors":
        save_file({"weight": torch.zeros(3)}, path)
    elif kind == "features of another convention":
        save(Checkpoint(weights(features=34)), path)
    elif kind == "other torch file":
        torch.save({"state_dict": {"weight": torch.zeros(3)}}, path)
    elif kind == "a list":
        torch.save([1, 2, 3], path)
    elif kind == "published with confidence":
        torch.save({"model_pos": weights(features=51)}, path)
    elif kind == "newer version":
        save_file(
            {"pose.x": torch.zeros(1)}, path, {"vp3d-lifter": json.dumps({"format": "vp3d-lifter", "version": 99})}
        )


@pytest.mark.parametrize(
    "kind",
    [
        "text", "empty", "cut short", "header only", "other safetensors", "features of another convention",
        "other torch file", "a list", "published with confidence", "newer version", "missing",
    ],
)  # fmt: skip
def test_a_wrong_file_says_so_in_a_sentence(tmp_path, kind):
    path = tmp_path / "wrong.bin"
    write_wrong_file(kind, path)
    with pytest.raises(UserError) as caught:
        load(path)
    assert "wrong.bin" in caught.value.message
    assert caught.value.message.endswith(".")
    assert caught.value.hint


def test_saving_leaves_no_partial_file(tmp_path):
    save(Checkpoint(weights()), tmp_path / "lifter.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["lifter.safetensors"]
