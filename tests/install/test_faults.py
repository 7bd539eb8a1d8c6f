"""What goes wrong on users' machines, really caused where Linux can, is one sentence that says what to do."""

import http.server
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from install.backends import choose
from install.child import bound_module, clean_environment
from install.environments import REPOSITORY
from install.errors import InstallError
from install.home import Home, delete, persistently
from install.setup import _Build, ensure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="causes the faults by means of Linux")

PROGRAM = """
import sys
from pathlib import Path
repository, folder, home = sys.argv[1:]
sys.path.insert(0, repository)
from install.environments import Environment
from install.errors import InstallError
from install.home import Home
from install.reporting import Reporter
from install.setup import ensure

environment = Environment(
    name="small", purpose="a test", pythons=(sys.version_info[:2],), steps=(("-r", folder + "/small.txt"),),
    test_requirements="", modules=("tiny",), download_mb=0, disk_mb=0, test_download_mb=1, tests=(),
)
try:
    ensure(Home(Path(home)), [environment], Reporter())
except InstallError as error:
    print(error.message, "|", error.hint)
"""


def sentence_in(wrapper: list[str], small, tmp_path: Path, home: Path) -> str:
    """Install the small environment below a command that prepares the fault; the last line that it prints."""
    small()
    command = [*wrapper, sys.executable, "-c", PROGRAM, REPOSITORY, tmp_path, home]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def mounted(script: str) -> list[str]:
    """A shell that may mount what only it and its children see."""
    wrapper = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-ec", f'{script}\nexec "$@"', "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    return wrapper


def test_a_full_disk(small, tmp_path) -> None:
    home = tmp_path / "disk"
    home.mkdir()
    wrapper = mounted(f"mount -t tmpfs -o size=6m none '{home}'")
    assert sentence_in(wrapper, small, tmp_path, home / "home").startswith("The disk is full. | Free some space")


def test_a_disk_that_takes_no_large_files(small, tmp_path) -> None:
    line = sentence_in(["prlimit", "--fsize=100000"], small, tmp_path, tmp_path / "home")
    assert line.startswith("The disk takes no file of this size. | Choose a folder on another disk")


def test_a_folder_that_is_read_only(small, tmp_path) -> None:
    home = tmp_path / "readonly"
    home.mkdir()
    wrapper = mounted(f"mount -t tmpfs -o ro none '{home}'")
    line = sentence_in(wrapper, small, tmp_path, home / "home")
    assert "cannot be written to (read-only file system). | Choose another folder" in line


def test_a_path_that_is_too_long(small, tmp_path, transcript) -> None:
    with pytest.raises(InstallError, match="file name too long") as raised:
        ensure(Home(tmp_path / ("long" * 70)), [small()], transcript)
    assert "short path" in raised.value.hint


def test_a_folder_that_something_holds_fast(tmp_path) -> None:
    """As a virus scanner holds a file on Windows: for a while, or for good."""
    attempts = []

    def refused(folder: Path) -> None:
        attempts.append(folder)
        if len(attempts) < 3:
            raise PermissionError(13, "Permission denied")

    persistently(refused, tmp_path)
    assert len(attempts) == 3


def test_only_a_link_is_taken_away_and_not_what_it_leads_to(tmp_path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    delete(tmp_path / "link")
    assert not (tmp_path / "link").exists()
    assert (tmp_path / "theirs/file").exists()


@pytest.mark.parametrize("days", [("20000101000000Z", "20000201000000Z"), ("20900101000000Z", "20910101000000Z")])
def test_a_clock_that_jumped(small, tmp_path, no_index, transcript, monkeypatch, days) -> None:
    """To a computer whose clock is wrong, every certificate is past or to come."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    try:
        done = subprocess.run([*make, "-not_before", days[0], "-not_after", days[1]], capture_output=True)
    except OSError:
        pytest.skip("there is no openssl here to make certificates")
    if done.returncode:
        pytest.skip("this openssl cannot make certificates of other times")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = small()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"https://localhost:{server.server_port}/")
        monkeypatch.setenv("PIP_CERT", str(certificate))
        monkeypatch.setenv("PIP_RETRIES", "0")
        with pytest.raises(InstallError, match="not valid at this computer's date and time") as raised:
            ensure(Home(tmp_path / "home"), [environment], transcript)
        server.shutdown()
    assert raised.value.hint.startswith("Set the computer's clock")


def test_a_build_of_torch_that_does_not_run_on_the_card(home, small, transcript, monkeypatch) -> None:
    torch = pytest.importorskip("torch", reason="needs torch, as in the server's environment")
    if torch.cuda.is_available():
        pytest.skip("there is a card that it runs on")
    monkeypatch.setattr(Home, "python", lambda self, environment: Path(sys.executable))
    monkeypatch.setattr("install.setup.has_amd_card", lambda: True)
    home.log(small()).parent.mkdir(parents=True)
    with pytest.raises(InstallError, match="does not run on the graphics card") as raised:
        _Build(home, small(), transcript, choose("cuda")).compute()
    assert "cpu" in raised.value.hint


def test_a_step_ends_with_the_installer_that_is_killed(tmp_path) -> None:
    (tmp_path / "slow.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    command = bound_module(sys.executable, "slow")
    command.remove("-I")  # to find the module above
    starts = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(60)"
    parent = subprocess.Popen(
        [sys.executable, "-c", starts, *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**clean_environment(), "PYTHONPATH": str(tmp_path)},
    )
    child = Path("/proc", parent.stdout.readline().strip())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while child.exists() and child.joinpath("stat").read_text().rsplit(") ")[1][0] != "Z":
        assert time.monotonic() < end
        time.sleep(0.02)
