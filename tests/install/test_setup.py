"""Environments are made by the real venv and pip, from a folder of packages instead of an index."""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from install.environments import REPOSITORY, SERVER
from install.errors import InstallError
from install.home import Home
from install.setup import (
    ANYTHING,
    Wish,
    check_path,
    choice,
    download,
    ensure,
    install_from,
    is_ready,
    link_server,
    remove,
)


def imported(home: Home, environment, expression: str) -> str:
    command = [home.python(environment), "-I", "-c", f"import tiny; print({expression})"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_made_once_and_then_found(home, small, transcript) -> None:
    environment = small()
    ensure(home, [environment], transcript)
    assert imported(home, environment, "tiny.version") == "1.0"
    assert home.entry(environment)["state"] == "ready"
    assert "downloads 1 MB, takes 30 MB" in transcript.text
    assert "packages: 1 of 1" in transcript.text
    said = transcript.text

    started = time.monotonic()
    ensure(home, [environment], transcript)
    assert time.monotonic() - started < 0.5
    assert transcript.text == said

    ensure(home, [environment], transcript, tests=True)
    assert imported(home, environment, "tiny.version") == "2.0"
    assert is_ready(home, environment)

    remove(home, [environment], transcript)
    assert not home.folder(environment).exists()
    assert home.entries() == {}


def test_a_failed_step_is_undone_and_the_next_run_starts_again(home, small, transcript) -> None:
    with pytest.raises(InstallError, match="The self-test failed") as raised:
        ensure(home, [small(module="enormous")], transcript)
    assert "No module named 'enormous'" in raised.value.log.read_text("utf-8")
    assert not home.folder(small()).exists()
    assert home.entry(small())["state"] == "incomplete"
    assert list(home.path.glob("pip-*")) == []

    environment = small()
    home.folder(environment).mkdir()
    (home.folder(environment) / "left over by a killed run").touch()
    ensure(home, [environment], transcript)
    assert is_ready(home, environment)
    assert not (home.folder(environment) / "left over by a killed run").exists()
    assert not is_ready(home, small("tiny==2.0")), "other requirements ask for another environment"


def locked(small, folder: Path):
    """An environment of one package that is locked to its file's hash."""
    digest = hashlib.sha256((folder / "wheels/tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    steps = (("--no-deps", "--require-hashes", "-r", str(folder / "small.txt")),)
    return small(f"tiny==1.0 --hash=sha256:{digest}", steps=steps)


def test_an_upgrade_that_fails_leaves_what_was_there(home, small, transcript) -> None:
    ensure(home, [small()], transcript)
    with pytest.raises(InstallError, match="The self-test failed"):
        ensure(home, [small("tiny==2.0", module="enormous")], transcript)
    assert is_ready(home, small())
    assert imported(home, small(), "tiny.version") == "1.0"
    assert "the one that was there before is back" in transcript.text
    ensure(home, [small("tiny==2.0")], transcript)
    assert imported(home, small(), "tiny.version") == "2.0"
    assert [path.name for path in home.path.glob("small*")] == ["small"]


def test_an_upgrade_that_is_killed_still_has_what_was_there(home, small, transcript) -> None:
    """As it lies after a kill: the old environment aside, half a new one in its place."""
    environment = small()
    ensure(home, [environment], transcript)
    before = home.entry(environment)
    folder = home.folder(environment)
    folder.rename(folder.with_name("small-old"))
    folder.mkdir()
    home.record(environment, {"state": "incomplete", "version": "1", "before": before})
    with pytest.raises(InstallError, match="The self-test failed"):
        ensure(home, [small("tiny==2.0", module="enormous")], transcript)
    assert is_ready(home, small())
    assert imported(home, small(), "tiny.version") == "1.0"


def test_a_damaged_package_is_not_installed(home, small, transcript, tmp_path) -> None:
    environment = locked(small, tmp_path)
    ensure(home, [environment], transcript)
    remove(home, [environment], transcript)
    with zipfile.ZipFile(tmp_path / "wheels/tiny-1.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("tiny.txt", "something else")
    with pytest.raises(InstallError, match="A downloaded package is damaged"):
        ensure(home, [environment], transcript)


def test_packages_for_a_computer_that_is_offline(home, small, transcript, tmp_path, monkeypatch) -> None:
    environment = locked(small, tmp_path)
    download(home, environment, tmp_path / "a stick", ANYTHING, transcript)
    assert [path.name for path in (tmp_path / "a stick").iterdir()] == ["tiny-1.0-py3-none-any.whl"]
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")  # so that they are put back afterwards
    with pytest.raises(InstallError, match="holds no wheels"):
        install_from(tmp_path)
    install_from(tmp_path / "a stick")
    ensure(home, [environment], transcript)
    assert imported(home, environment, "tiny.version") == "1.0"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one build of torch")
def test_an_upgrade_keeps_the_build_of_torch_that_the_user_chose(home) -> None:
    assert choice(home, SERVER, Wish("cuda")).backend.name == "cuda"
    home.record(SERVER, {"state": "ready", "backend": "cuda"})
    assert choice(home, SERVER, ANYTHING).backend.name == "cuda"
    assert choice(home, SERVER, Wish("cpu")).backend.name == "cpu"


@pytest.mark.parametrize("online", [True, False])
def test_weights_that_cannot_be_fetched_stop_nothing(home, small, transcript, tmp_path, monkeypatch, online) -> None:
    environment = small(weights=("some-weights",), weights_mb=8)  # it has no `vp3d` that could fetch them
    if online:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())
    ensure(home, [environment], transcript)
    assert is_ready(home, environment)
    assert ("some-weights" in home.log(environment).read_text("utf-8")) == online, "from a folder, nothing goes online"
    assert "weights of networks: downloads 8 MB" in transcript.text
    assert "could not be fetched" in transcript.text and "vp3d models download some-weights" in transcript.text


def test_too_little_space_is_seen_before_anything_is_made(home, small, transcript) -> None:
    with pytest.raises(InstallError, match=r"1000000\.0 GB of disk are needed"):
        ensure(home, [small(disk_mb=1_000_000_000)], transcript)
    assert not home.folder(small()).exists()


def test_a_folder_that_cannot_be_made(tmp_path, small, transcript) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InstallError, match=r"The folder .*file.home cannot be written to \(not a directory\)"):
        ensure(Home(tmp_path / "file/home"), [small()], transcript)


def test_paths_that_windows_would_refuse_are_seen_before_anything_is_made() -> None:
    check_path(Home(Path("C:/Users/Somebody/AppData/Local/vp3d")), "win32")
    deep = Home(Path("C:/Users/Somebody/" + "Documents/" * 8))
    check_path(deep, "linux")
    with pytest.raises(InstallError, match="too long for Windows") as raised:
        check_path(deep, "win32")
    assert "Data Folder" in raised.value.hint


def test_one_installer_at_a_time(home, small, transcript, monkeypatch) -> None:
    monkeypatch.setattr("install.home._PATIENCE_SECONDS", 0.1)
    with home.locked(), pytest.raises(InstallError, match="Another installation is at work"):
        ensure(home, [small()], transcript)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"small": "ready"}', '{"small": {"state": "ready"}}'])
def test_a_damaged_state_file_counts_as_nothing_installed(home, small, text: str) -> None:
    home.path.mkdir()
    (home.path / "install.json").write_text(text)
    assert not is_ready(home, small())


@pytest.mark.skipif(os.name == "nt", reason="makes the environment's folder by hand as POSIX has it")
def test_the_environment_finds_the_server_from_any_folder(home, tmp_path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home.folder(SERVER)], check=True)
    link_server(home)
    program = "import vp3d; print(vp3d.__file__)"
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            [home.python(SERVER), "-I", "-c", program],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"LC_ALL": locale},
        )
        assert Path(done.stdout.strip()) == REPOSITORY / "server/vp3d/__init__.py", done.stderr
