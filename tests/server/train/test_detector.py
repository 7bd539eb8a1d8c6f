import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from server.train.pictures import write_coco
from vp3d.detect.basic_network import load
from vp3d.errors import Cancelled, UserError
from vp3d.train.detector import DetectorSettings, parse_sources, train


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network waits more for threads than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(tmp_path: Path) -> DetectorSettings:
    return DetectorSettings(
        sources=((write_coco(tmp_path / "a", 6, outlines=True), 1.0), (write_coco(tmp_path / "b", 3, seed=1), 0.5)),
        output=tmp_path / "detector.safetensors",
        validation=(write_coco(tmp_path / "c", 2, seed=2),),
        steps=6,
        batch=2,
        crop=64,
        size=96,
        widths=(8, 8, 16, 16, 16),
        evaluate_steps=3,
        device="cpu",
    )


def test_a_killed_run_goes_on_to_the_same_weights(settings: DetectorSettings, tmp_path: Path) -> None:
    whole = train(settings)
    second = replace(settings, output=tmp_path / "second.safetensors")

    def kill_at_4(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(second, kill_at_4)
    assert not second.output.exists()
    resumed = train(second)
    assert resumed["history"] == whole["history"] and resumed["validation"] == whole["validation"]
    one, two = (load(path).tensors for path in (settings.output, second.output))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("last", ["read pictures 3\n", "train 4\n"])
def test_a_run_that_is_killed_outright_goes_on_to_the_same_weights(
    settings: DetectorSettings, tmp_path: Path, repository: Path, last: str
) -> None:
    whole = train(settings)
    second = replace(settings, output=tmp_path / "second.safetensors", save_seconds=0)
    program = (
        "import pickle, sys, torch; from vp3d.train.detector import train; torch.set_num_threads(1)\n"
        "def tell(stage, done, total):\n    print(stage, done, flush=True)\n"
        "train(pickle.loads(bytes.fromhex(sys.argv[1])), tell)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, pickle.dumps(second).hex()],
        env=os.environ | {"PYTHONPATH": str(repository / "server")},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in child.stdout:
        if line == last:
            child.kill()
            break
    child.wait()
    assert not second.output.exists()
    resumed = train(second)
    assert resumed["history"] == whole["history"]
    one, two = (load(path).tensors for path in (settings.output, second.output))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_training_learns_and_goes_on_from_given_weights(settings: DetectorSettings, tmp_path: Path) -> None:
    longer = replace(settings, steps=100, batch=4, evaluate_steps=1000, learning_rate=1e-2)
    first, last = train(longer)["history"]
    assert last["total"] < 0.8 * first["total"]
    tuned = replace(longer, output=tmp_path / "tuned.safetensors", start=longer.output, steps=50, learning_rate=1e-4)
    (further,) = train(tuned)["history"]
    assert further["total"] < 1.05 * last["total"]
    weights = load(longer.output)
    assert [entry["pictures"] for entry in weights.training["sources"]] == [6, 3]
    assert weights.commercial and sum(tensor.numel() for tensor in weights.tensors.values()) < 3e6


def test_8_bit_integers_for_trained_weights(settings: DetectorSettings, tmp_path: Path) -> None:
    """With no further steps, weights stay as they are and gain one range per convolution."""
    train(replace(settings, steps=2))
    assert load(settings.output).ranges == ()
    integers = replace(
        settings, start=settings.output, output=tmp_path / "integers.safetensors", steps=0, integers=True
    )
    assert train(integers)["history"] == []
    before, after = load(settings.output), load(integers.output)
    assert all(torch.equal(before.tensors[name], after.tensors[name]) for name in before.tensors)
    assert len(after.ranges) == 28 and after.build().ranges == after.ranges
    assert all(low < high and low <= 0 for low, high in after.ranges) and after.ranges[0][1] <= 2


def test_what_cannot_be_used_is_named_and_the_rest_is_trained_on(
    settings: DetectorSettings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.sources[0][0].parent / "003.png").write_bytes(b"no picture")
    (settings.validation[0].parent / "001.png").unlink()
    with caplog.at_level(logging.WARNING):
        train(replace(settings, steps=1))
    assert "003.png" in caplog.text and "001.png" in caplog.text


def test_too_large_a_batch_names_a_smaller_one(settings: DetectorSettings) -> None:
    with pytest.raises(UserError) as error:
        train(replace(settings, batch=10_000_000_000))
    assert "10000000000 crops of 64 px" in error.value.message and "--batch 5000000000" in error.value.hint


def test_settings_that_make_no_sense(settings: DetectorSettings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="70 px"):
        train(replace(settings, crop=70))
    with pytest.raises(UserError, match="gone"):
        train(replace(settings, sources=((tmp_path / "gone.json", 1.0),)))
    train(replace(settings, steps=1))
    with pytest.raises(UserError, match="batch"):
        train(replace(settings, steps=1, batch=3))


def test_sources_and_their_weights() -> None:
    assert parse_sources(["a.json", "b=2.5"]) == ((Path("a.json"), 1.0), (Path("b"), 2.5))
    for text in ("a=b", "a=0", "a=nan", "a=inf", "a="):
        with pytest.raises(UserError, match="no weight"):
            parse_sources([text])
