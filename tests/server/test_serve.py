"""The server as a process: greeting, token, jobs, and that it never outlives Blender."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vp3d.common import protocol
from vp3d.common import take as takes

TOKEN = secrets.token_hex(32)


class Server:
    """A server child as the add-on starts it."""

    def __init__(self, folder: Path, token: str = TOKEN) -> None:
        self.ready_file = folder / "ready.json"
        self.log = (folder / "server.log").open("w")
        environment = {**os.environ, protocol.TOKEN_VARIABLE: token, "VP3D_HOME": str(folder / "home")}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "vp3d", "serve", "--ready-file", str(self.ready_file)],
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            env={**environment, "PYTHONPATH": str(Path(takes.__file__).parents[2])},
        )
        self.decoder = protocol.Decoder()
        self.received: list[dict] = []
        self.socket: socket.socket | None = None

    def port(self) -> int:
        """Where it listens, once it does."""
        deadline = time.monotonic() + 60
        while not self.ready_file.exists():
            assert time.monotonic() < deadline and self.process.poll() is None, self.text()
            time.sleep(0.01)
        return json.loads(self.ready_file.read_text())["port"]

    def connect(self, token: str = TOKEN) -> dict:
        self.socket = socket.create_connection(("127.0.0.1", self.port()))
        self.socket.settimeout(120)
        self.socket.sendall(protocol.encode("hello", protocol=protocol.PROTOCOL, token=token))
        return self.receive("hello")

    def send(self, type_: str, **fields: object) -> None:
        self.socket.sendall(protocol.encode(type_, **fields))

    def receive(self, *types: str) -> dict:
        """The next message of some types; others are passed over."""
        while True:
            while self.received:
                message = self.received.pop(0)
                if message["type"] in types:
                    return message
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(self.text())
            self.received += self.decoder.feed(data)

    def ended(self, within: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within)
        return self.process.poll() is not None

    def text(self) -> str:
        return Path(self.log.name).read_text()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


def test_greeting_and_shutdown(server: Server) -> None:
    hello = server.connect()
    assert (hello["protocol"], hello["pid"]) == (protocol.PROTOCOL, server.process.pid)
    server.send("shutdown")
    assert server.ended(within=2)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\x00" * 100 + b"\n", b"{}\n"])
def test_strangers_are_refused_and_the_client_still_comes_in(server: Server, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port())) as stranger:
        stranger.settimeout(60)
        stranger.sendall(first)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    assert server.connect()["type"] == "hello"


def test_a_wrong_token_is_refused(server: Server) -> None:
    with pytest.raises((ConnectionError, TimeoutError)):
        server.connect(token="0" * 64)
    assert server.connect()["type"] == "hello"


def test_no_token_no_server(tmp_path: Path) -> None:
    server = Server(tmp_path, token="")
    assert server.ended(within=20)
    assert "without a token" in server.text()


def test_it_ends_with_stdin(server: Server) -> None:
    server.connect()
    server.process.stdin.close()
    assert server.ended(within=2)


def test_it_ends_with_the_connection(server: Server) -> None:
    server.connect()
    server.socket.close()
    assert server.ended(within=2)


def test_it_ends_with_a_killed_parent(tmp_path: Path) -> None:
    _end_with_parent(tmp_path)


def _end_with_parent(tmp_path: Path, stop_child: bool = False) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; import pathlib, time; from test_serve import Server;"
        "server = Server(pathlib.Path(sys.argv[1])); server.connect();"
        "print(server.process.pid, flush=True); time.sleep(60)"
    )
    folders = [str(Path(__file__).parent), str(Path(takes.__file__).parents[2])]
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *folders], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    if stop_child:
        os.kill(child, signal.SIGSTOP)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 2
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "line",
    [
        protocol.encode("progress", job="1", stage="x", done=0, total=1),
        b"GET / HTTP/1.1\n",
        b'{"type": "start", "job": "1", "video": "a", "take": "b", "options": {"end": NaN}}\n',
        b"\xff" * 3_000_000 + b"\n",
        b"[" * 200_000 + b"\n",
    ],
)
def test_what_is_no_message_is_answered_with_a_sentence_and_ends_nothing(server: Server, line: bytes) -> None:
    server.connect()
    server.socket.sendall(line)
    error = server.receive("error")
    assert error["job"] == ("1" if b'"progress"' in line else "")  # whose it is, where that can be read
    assert error["message"].endswith(".") and error["hint"]
    server.send("cancel", job="1")
    server.send("shutdown")
    assert server.ended(within=5)


def test_what_is_refused_is_not_laid_to_the_job_before_it(server: Server) -> None:
    server.connect()
    number = {"type": "hello", "protocol": 1, "job": 5}
    server.socket.sendall(protocol.encode("cancel", job="1") + b"nonsense\n" + json.dumps(number).encode() + b"\n")
    assert [server.receive("error")["job"] for _ in range(2)] == ["", "5"]


def test_silent_strangers_keep_nobody_out(server: Server) -> None:
    port = server.port()
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
        assert server.connect()["type"] == "hello"
        for stranger in strangers:
            stranger.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(10) == b""
        with pytest.raises(OSError):  # there is one client, and nobody listens any more
            socket.create_connection(("127.0.0.1", port), timeout=5).recv(1)


def test_a_token_that_is_no_text_is_refused(server: Server) -> None:
    """A lone surrogate, which has no bytes to compare."""
    with pytest.raises((ConnectionError, TimeoutError)):
        server.connect(token="\ud800")
    assert server.connect()["type"] == "hello"


def test_what_comes_together_with_the_greeting_is_heard(server: Server) -> None:
    hello = protocol.encode("hello", protocol=protocol.PROTOCOL, token=TOKEN)
    with socket.create_connection(("127.0.0.1", server.port())) as client:
        client.sendall(hello + protocol.encode("shutdown"))
        assert server.ended(within=5)


def test_it_ends_when_idle(server: Server, tmp_path: Path) -> None:
    server.connect()
    server.send("start", job="1", video="missing.mp4", take=str(tmp_path / "a.vp3d"), options={}, idle_s=0.2)
    server.receive("error")
    assert server.ended(within=10)
    assert server.process.returncode == 0


@pytest.mark.parametrize("idle", [0, 1e9, "long"])
def test_it_waits_no_absurd_time(server: Server, idle: object) -> None:
    server.connect()
    server.send("start", job="1", video="a.mp4", take="a.vp3d", options={}, idle_s=idle)
    assert "idle_s" in server.receive("error")["message"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the child with its parent")
def test_a_stopped_server_ends_with_its_killed_parent(tmp_path: Path) -> None:
    _end_with_parent(tmp_path, stop_child=True)


def _start(server: Server, video: Path, take: Path, **options: object) -> None:
    server.send("start", job="1", video=str(video), take=str(take), options={"detector": "mediapipe", **options})


def test_bad_jobs_end_in_sentences_and_the_next_one_runs(server: Server, tmp_path: Path) -> None:
    server.connect()
    text = tmp_path / "not a video.mp4"
    text.write_text("hello")
    for video, options in ((text, {}), (tmp_path / "missing.mp4", {}), (text, {"colour": 1}), (text, {"start": "x"})):
        _start(server, video, tmp_path / "out.vp3d", **options)
        error = server.receive("error", "result")
        assert error["type"] == "error"
        assert error["message"].endswith(".") and not error["details"], error


def test_capture_cancel_and_capture_again(server: Server, tmp_path: Path, repository: Path) -> None:
    server.connect()
    video = repository / "install/demo/salsa.mp4"
    _start(server, video, tmp_path / "out.vp3d", end=60)
    progress = server.receive("progress", "error")
    while progress.get("stage") != "detect" or progress["done"] < 5:
        progress = server.receive("progress", "error")
    begun = time.monotonic()
    server.send("cancel", job="1")
    error = server.receive("error", "result")
    assert error["cancelled"] and time.monotonic() - begun < 2
    assert not (tmp_path / "out.vp3d").exists()

    server.send(
        "start",
        job="2",
        video=str(video),
        take=str(tmp_path / "out.vp3d"),
        options={"detector": "mediapipe", "end": 60},
    )
    result = server.receive("result", "error")
    assert result["type"] == "result", result
    assert result["summary"]["people"][0]["frames"] >= 55
    assert result["summary"]["motion"] and result["summary"]["lens"]
    assert takes.load(tmp_path / "out.vp3d").joints3d.shape == (1, 60, 17, 3)
