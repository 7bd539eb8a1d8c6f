"""The command line as its users meet it: what it says, what it returns, and that it never harms what it was given."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import vp3d
from takes import walker
from vp3d import cli, paths
from vp3d.common import take as takes


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def clip(repository: Path) -> Path:
    return repository / "install/demo/salsa.mp4"


@pytest.fixture
def take(tmp_path: Path) -> Path:
    path = tmp_path / "wälker [mine].vp3d"
    takes.save(walker(people=2, video=str(tmp_path / "gone.mp4")), path)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Status of the command line `vp3d WORDS`."""
    monkeypatch.setattr(sys, "argv", ["vp3d", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *words: object) -> str:
    """What `vp3d WORDS` answers, which has to be one line, without a traceback, and status 1."""
    assert run(monkeypatch, *words) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("vp3d: ") and len(said.splitlines()) == 1
    return said


def test_info_and_export(take, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "info", take) == 0
    assert "60 frames at 25.000 fps" in capsys.readouterr().out
    assert run(monkeypatch, "export", take, "--to", "bvh") == 0
    assert "[mine]-1.bvh" in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.bvh")} == {"wälker [mine]-1.bvh", "wälker [mine]-2.bvh"}


def test_nothing_is_written_over_what_it_is_made_from(take, clip, tmp_path, monkeypatch, capsys):
    video = tmp_path / "clip.mp4"
    video.write_bytes(clip.read_bytes())
    before = take.read_bytes()
    for words in (
        ("capture", video, "-o", video),
        ("export", take, "--to", "npz", "-o", take),
        ("report", take, "-o", take),
        ("preview", take, "--video", video, "-o", take),
        ("preview", take, "--video", video, "-o", video),
    ):
        assert "would be overwritten" in refused(monkeypatch, capsys, *words)
    assert take.read_bytes() == before and video.read_bytes() == clip.read_bytes()


def test_a_place_that_cannot_be_written_is_known_before_the_work(clip, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "take.vp3d"):
        assert "cannot be written" in refused(monkeypatch, capsys, "capture", clip, "-o", place)
    assert not (tmp_path / "home").exists()


def test_without_a_name_the_take_is_called_as_the_video(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.vp3d").mkdir()
    assert "clip.vp3d” cannot be written" in refused(monkeypatch, capsys, "capture", tmp_path / "clip.mp4")
    assert "needs other views" in refused(monkeypatch, capsys, "capture", clip, "--stereo", "network.safetensors")


def test_a_take_whose_video_has_moved(take, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "preview", take)
    assert "gone.mp4" in said and "--video" in said


def test_what_is_no_take_or_no_truth(take, tmp_path, monkeypatch, capsys):
    other = tmp_path / "other.json"
    other.write_bytes(b"\x95")
    for words, name in (
        (("info", other), other.name),
        (("info", tmp_path / "missing.vp3d"), "missing.vp3d"),
        (("report", take, "--truth", other), other.name),
        (("report", take, "--truth", tmp_path / "missing.json"), "missing.json"),
    ):
        assert name in refused(monkeypatch, capsys, *words)


def test_interrupted_it_says_so_and_keeps_what_is_finished(clip, home, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "vp3d", "capture", clip, "-o", tmp_path / "take.vp3d", "--detector", "mediapipe"],
        cwd=Path(vp3d.__file__).parent.parent,
        env={**os.environ, paths.HOME_VARIABLE: str(home)},
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, a shell has switched the signal off for all of them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    patience = time.monotonic() + 60
    while not list(home.rglob("detect-*.npz")) and time.monotonic() < patience:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "Stopped." in said and "Traceback" not in said
    assert list(home.rglob("detect-*.npz")) and not (tmp_path / "take.vp3d").exists()
