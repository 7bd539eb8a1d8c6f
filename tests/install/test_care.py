"""Verifying and repairing environments that the real venv and pip made."""

import json

import pytest

from install.care import repair, verify
from install.errors import InstallError
from install.setup import ensure, is_ready


@pytest.fixture
def installed(home, small, transcript):
    environment = small()
    ensure(home, [environment], transcript)
    return environment


def test_what_is_damaged_is_found_named_and_installed_again(home, installed, transcript) -> None:
    verify(home, installed, transcript)
    assert "every file is as it was installed" in transcript.text

    module = home.packages(installed) / "tiny.py"
    module.write_text("version = '6.6'\n")
    with pytest.raises(InstallError, match=r"Damaged: tiny \(1 of \d+ files, first tiny\.py\)") as raised:
        verify(home, installed, transcript)
    assert "Repair" in raised.value.hint
    assert home.entry(installed)["state"] == "broken"
    assert not is_ready(home, installed)

    untouched = home.python(installed).parent.parent / "kept"
    untouched.touch()
    repair(home, installed, transcript)
    assert is_ready(home, installed)
    assert module.read_text() == "version = '1.0'\n"
    assert untouched.exists(), "one package is no reason to make everything anew"
    assert "repaired" in transcript.text
    repair(home, installed, transcript)
    assert transcript.text.endswith("nothing was broken\n")

    # A package that is gone with all that tells of it, and a list that was changed together with its package.
    record = next(home.packages(installed).glob("tiny-*.dist-info")) / "RECORD"
    record.write_text(record.read_text() + "tiny.txt,,\n")
    with pytest.raises(InstallError, match=r"tiny \(it is gone or was replaced\)"):
        verify(home, installed, transcript)
    record.unlink()
    repair(home, installed, transcript)
    verify(home, installed, transcript)


def test_what_cannot_be_mended_is_made_anew(home, installed, transcript) -> None:
    home.python(installed).unlink()
    with pytest.raises(InstallError):
        verify(home, installed, transcript)
    repair(home, installed, transcript)
    verify(home, installed, transcript)
    assert is_ready(home, installed)


def test_what_cannot_be_made_anew_stays_as_it_was(home, installed, transcript, tmp_path, monkeypatch) -> None:
    entry = {**home.entry(installed), "state": "broken"}
    home.record(installed, entry)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(InstallError):
        ensure(home, [installed], transcript)
    assert home.entry(installed) == entry
    assert home.python(installed).exists()


def test_what_is_not_there_is_installed_by_repair_and_refused_by_verify(home, small, transcript) -> None:
    with pytest.raises(InstallError, match="is not installed"):
        verify(home, small(), transcript)
    assert json.loads((home.path / "install.json").read_text() if (home.path / "install.json").exists() else "{}") == {}
    repair(home, small(), transcript)
    assert is_ready(home, small())
