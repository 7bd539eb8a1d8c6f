"""The installer killed outright at every step, and what the next run makes of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from install.environments import REPOSITORY
from install.home import INCOMPLETE, Home
from install.setup import ensure, is_ready

PROGRAM = """
import os, shutil, signal, sys
from pathlib import Path
repository, folder, with_pip, kill_at = sys.argv[1:]
sys.path.insert(0, repository)
from install.environments import Environment
from install import home
from install.home import Home
from install.reporting import Reporter
from install.setup import _Build, ensure

file = Path(folder, "small.txt")
environment = Environment(
    name="small", purpose="a test", pythons=(sys.version_info[:2],), steps=(("-r", str(file)),),
    test_requirements=str(file), modules=("tiny",), download_mb=1, disk_mb=30, test_download_mb=1, tests=(),
)
# Before the folder or `install.json` changes, before a child starts, and while one works.
MOMENTS = {"os.rename", "shutil.rmtree", "subprocess.Popen"}
left = int(kill_at)

def reached():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Watched(Reporter):
    def progress(self, stage, done, total, detail=""):
        if detail:  # of a package that pip is at
            reached()

home._PATIENCE_SECONDS = 600.0  # on a busy computer the killed one's child is slow to notice
_Build._install_pip = lambda build: shutil.copytree(
    with_pip, build._folder, copy_function=lambda file, to: os.path.lexists(to) or os.link(file, to), dirs_exist_ok=True
)
sys.addaudithook(lambda event, arguments: reached() if event in MOMENTS else None)
ensure(Home(Path(folder, "höme")), [environment], Watched(open(os.devnull, "w")))
"""


def run(folder: Path, with_pip: Path, kill_at: int) -> bool:
    """One installation; whether it was killed."""
    command = [sys.executable, "-c", PROGRAM, REPOSITORY, folder, with_pip, kill_at]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def installed(home, environment) -> str:
    """Version in the environment that a user of this folder has, or gets back: the one that is whole."""
    aside = home.entry(environment)["state"] == INCOMPLETE and home.old(environment).exists()
    folder = home.old(environment) if aside else home.folder(environment)
    (module,) = folder.glob("lib/python3*/site-packages/tiny.py")
    return module.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_killed_at_every_step_and_then_repaired(small, with_pip, transcript, tmp_path) -> None:
    """An upgrade that is killed again and again, one step later each time, and finally let alone."""
    home = Home(tmp_path / "höme")
    ensure(home, [small()], transcript)
    environment = small("tiny==2.0")
    kills = 0
    while run(tmp_path, with_pip, kills):
        kills += 1
        expected = "2.0" if is_ready(home, environment) else "1.0"
        assert installed(home, environment) == f"version = '{expected}'\n"
    assert kills >= 10, "the steps are many more"
    assert is_ready(home, environment)
    assert installed(home, environment) == "version = '2.0'\n"
    left = {path.name for path in home.path.iterdir()}
    assert left == {"small", "logs", "install.json", "install.lock"}
