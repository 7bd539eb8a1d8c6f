"""Finished stages are found again, and only while nothing they depend on has changed."""

import logging
from pathlib import Path

import numpy as np
import pytest
from vp3d import cache, paths


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    return tmp_path


def test_a_stage_runs_once() -> None:
    runs = []

    def compute() -> cache.Arrays:
        runs.append(1)
        return {"a": np.arange(5), "text": np.array("ü")}

    first, cached_first = cache.entry("stage", ("common",), size=3).get(compute)
    second, cached_second = cache.entry("stage", ("common",), size=3).get(compute)
    assert (cached_first, cached_second, len(runs)) == (False, True, 1)
    np.testing.assert_array_equal(first["a"], second["a"])
    assert str(second["text"]) == "ü"


def test_other_inputs_or_code_are_another_entry() -> None:
    entries = {
        cache.entry("stage", ("common",), size=3).path,
        cache.entry("stage", ("common",), size=4).path,
        cache.entry("stage", ("errors.py",), size=3).path,
        cache.entry("other", ("common",), size=3).path,
    }
    assert len(entries) == 4


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"1")
    before = cache.file_stamp(file)
    file.write_bytes(b"22")
    assert cache.file_stamp(file) != before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"noise"])
def test_a_damaged_entry_is_made_anew(content: bytes) -> None:
    entry = cache.entry("stage", ("common",))
    entry.write({"a": np.zeros(2)})
    entry.path.write_bytes(content)
    arrays, cached = entry.get(lambda: {"a": np.ones(2)})
    assert not cached
    assert arrays["a"].tolist() == [1, 1]
    assert entry.read()["a"].tolist() == [1, 1]


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv(paths.HOME_VARIABLE, str(home / "file"))
    with caplog.at_level(logging.WARNING):
        arrays, _ = cache.entry("stage", ("common",)).get(lambda: {"a": np.ones(1)})
    assert arrays["a"].tolist() == [1]
    assert "could not be cached" in caplog.text


def test_the_oldest_entries_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SIZE_LIMIT", 20_000)
    entries = [cache.entry("stage", ("common",), n=n) for n in range(4)]
    for entry in entries:
        entry.write({"a": np.zeros(1000)})  # 8 kB each
    assert [entry.read() is not None for entry in entries] == [False, False, True, True]
