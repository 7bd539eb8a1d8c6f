"""What arrives at the port of a real server: scanners, browsers, second clients, and messages that are none."""

import contextlib
import http.client
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from damage import HOSTILE, damage, damage_json
from vp3d.common import protocol

TOKEN = secrets.token_hex(32)
PATIENCE = 120.0
"""Seconds without an answer after which a server counts as hung; on a busy computer, too."""
BATCH = 100
"""Messages between two questions whether the server still answers."""


class Server:
    """A server as the add-on starts it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "server.log"
        os.mkfifo(folder / "pipe")
        ready = folder / "ready.json"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "vp3d", "serve", "--ready-file", ready],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={
                    **os.environ,
                    protocol.TOKEN_VARIABLE: TOKEN,
                    "VP3D_HOME": str(folder / "home"),
                    "PYTHONPATH": str(Path(protocol.__file__).parents[2]),
                },
            )
        end = time.monotonic() + PATIENCE
        while not ready.exists():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)
        self.port = json.loads(ready.read_text())["port"]
        self.decoder = protocol.Decoder()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def greet(self) -> None:
        """Come in as the add-on does."""
        self.client = self.connect()
        self.client.sendall(protocol.encode("hello", protocol=protocol.PROTOCOL, token=TOKEN))
        assert next(self.messages())["type"] == "hello"

    def messages(self) -> Iterator[dict]:
        """What the server says, until it ends."""
        while data := self.client.recv(65536):
            yield from self.decoder.feed(data)

    def rss_mb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status")
        return int(status.read_text().split("VmRSS:")[1].split()[0]) // 1024 if status.exists() else 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()
    started.process.stdin.close()


def share(few: int, many: int) -> pytest.MarkDecorator:
    """A few tries in every run, and all of them with `-m faults`."""
    return pytest.mark.parametrize("tries", [few, pytest.param(many, marks=pytest.mark.faults)])


def silence(connection: socket.socket) -> bool:
    """Whether a connection is ended without a word."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1000) == b""
    return True


def garbage(number: int) -> bytes:
    """A message that is none, or one whose fields are not what they should be."""
    rng = random.Random(number)
    path = rng.choice(("missing.mp4", "", "\0", "\ud800", "/dev/null", "/", "x" * 5000, "concat:a|b", "CON", "pipe"))
    options = rng.choice(
        (
            {"people": "main"},
            {"end": rng.choice(HOSTILE), "every": rng.choice(HOSTILE)},
            {name: rng.choice(HOSTILE) for name in ("detector", "fov_deg", "views", "lifter", "height_m")},
            {str(rng.choice(HOSTILE)): 1},
        )
    )
    message = rng.choice(
        (
            {"type": "start", "job": f"fuzz {number}", "video": path, "take": f"{path}.vp3d", "options": options},
            {"type": "cancel", "job": "1"},
            {"type": "hello", "protocol": 1, "token": "0" * 64},
            {"type": "result", "job": "1", "take": "a", "summary": {}},
        )
    )
    line = json.dumps(message).encode()
    match rng.randrange(8):
        case 0 | 1 | 2:
            line = json.dumps(damage_json(message, rng)).encode()
        case 3:
            line = damage(line, line, rng).replace(b"\n", b" ")
        case 4:
            line = b"[" * rng.choice((10, 5000, 200_000))
        case 5:
            line = b'{"type":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
        case 6:
            line = rng.randbytes(rng.choice((1, 100, 5000))).replace(b"\n", b" ")
        case 7:
            line = b"x" * rng.choice((10, 100_000, 3 << 20)) if rng.random() < 0.1 else b"POST / HTTP/1.1\r"
    return b"" if b'"shutdown"' in line else line


@share(200, 10_000)
def test_fuzzed_messages(tries, server, tally, tmp_path):
    """In pieces of any length; after every hundred the server is asked for something that it must answer."""
    row = tally("fuzzed messages")
    server.greet()
    rng = random.Random(0)
    told = server.messages()
    grown_from = 0
    for first in range(0, tries, BATCH):
        numbers = range(first, min(first + BATCH, tries))
        question = {
            "job": f"question {first}",
            "video": str(tmp_path / "missing.mp4"),
            "take": str(tmp_path / "a.vp3d"),
        }
        stream = b"".join(garbage(number) + b"\n" for number in numbers)
        stream += protocol.encode("start", **question, options={})
        while stream:
            size = rng.choice((1, 7, 1000, 65536, 1 << 20))
            server.client.sendall(stream[:size])
            stream = stream[size:]
        speechless = 0
        try:
            for message in told:
                if message["type"] == "error":
                    speechless += not message["message"].endswith(".") or bool(message["details"])
                    if message["job"] == question["job"]:
                        break
            else:
                row.count("crash")
                break
        except TimeoutError:
            row.count("hang")
            break
        for number in range(len(numbers)):
            row.count("speechless" if number < speechless else "sentence")
        grown_from = grown_from or server.rss_mb()
    row.note = f"memory {grown_from} to {server.rss_mb()} MB"
    assert not (tmp_path / "a.vp3d").exists()
    row.check()
    assert server.rss_mb() < grown_from + 100


@share(20, 300)
def test_strangers(tries, server, tally):
    """Garbage, wrong tokens and hang-ups from who has no token; then the add-on comes in all the same."""
    row = tally("strangers at the port")
    for number in range(tries):
        rng = random.Random(number)
        with server.connect() as stranger:
            match number % 5:
                case 0:  # a port scanner
                    stranger.shutdown(socket.SHUT_RDWR)
                    row.count("sentence")
                    continue
                case 1:
                    given = rng.choice((*HOSTILE, "0" * 64, TOKEN[:-1], TOKEN.upper() + " "))
                    hello = {"type": "hello", "protocol": protocol.PROTOCOL, "token": given}
                    stranger.sendall(json.dumps(hello).encode() + b"\n")
                case 2:
                    stranger.sendall(protocol.encode("shutdown"))
                case 3:
                    with contextlib.suppress(OSError):  # cut off while it still talks
                        stranger.sendall(b"x" * (1 << 20))
                case 4:
                    stranger.sendall(rng.randbytes(100) + b"\n")
            row.count("sentence" if silence(stranger) else "speechless")
    server.greet()
    row.note = "each cut off without a word"
    row.check()


def test_a_browser_is_cut_off(server, tally):
    """What a web page can make a browser send to a port of this computer."""
    row = tally("browser at the port")
    body = protocol.encode("hello", protocol=protocol.PROTOCOL, token="0" * 64) + protocol.encode("shutdown")
    headers = {"Origin": "https://example.org", "Content-Type": "text/plain"}
    for method in ("GET", "POST", "OPTIONS", "PUT"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        with contextlib.closing(connection), pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            connection.request(method, "/", body, headers)
            connection.getresponse()
        row.count("sentence")
    server.greet()
    row.note = "each cut off without a word"
    row.check()


def test_there_is_one_client(server, tally):
    """A second one, with the right token even, finds nobody who listens; the first one is served on."""
    row = tally("two clients at once")
    server.greet()
    for _ in range(10):
        with pytest.raises(ConnectionError):
            server.connect()
        row.count("sentence")
    server.client.sendall(b"nonsense\n")
    assert next(server.messages())["message"] == "A message is not JSON."
    row.note = "each refused by the system"
    row.check()
