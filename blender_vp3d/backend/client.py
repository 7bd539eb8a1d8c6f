"""The server process and the connection to it. Nothing here waits, except `Server.stop`, which waits a bounded time."""

import contextlib
import json
import logging
import secrets
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections import deque
from enum import Enum
from pathlib import Path

from ..common import protocol
from .environment import Environment, Remedy, child_variables

logger = logging.getLogger(__name__)

START_SECONDS = 120.0
"""Longest wait for the server to listen: a first start reads much from disk, and virus scanners slow it down."""
HELLO_SECONDS = 30.0
"""Longest wait for the server's answer once it listens."""
STOP_SECONDS = 2.0
"""How long the server may take to end by itself, and then again after being told to terminate."""
_DYING_SECONDS = 10.0  # that a killed process may take to be gone: the system may hold it in a driver
LOGS_KEPT = 5
_READ_SECONDS = 0.005  # a tick stops reading after this time; the rest waits for the next one
_REPAIR = "Repair the pose server, here or in the add-on's preferences."
_TAIL = 4000  # bytes of the log that go into a report


class ServerError(Exception):
    """The server cannot be started or used any more.

    Attributes:
        message: one sentence saying what happened.
        hint: one sentence saying what to do, or empty.
        details: the end of the server's log.
        remedy: what the installer can do about it, if it can.
        lasting: whether another start would end in the same way.
    """

    def __init__(
        self, message: str, hint: str = "", details: str = "", remedy: Remedy | None = None, lasting: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details
        self.remedy = remedy
        self.lasting = lasting


class Phase(Enum):
    """Where a server process is in its life."""

    STARTING = "starting"
    CONNECTING = "connecting"
    GREETING = "greeting"
    READY = "ready"
    STOPPING = "stopping"
    GONE = "gone"


class Server:
    """One server process. Create it, call `poll` often, `send` once it is READY, `stop` at the end.

    Raises ServerError when the process cannot be started at all.
    """

    def __init__(self, environment: Environment, command: list[str] | None = None) -> None:
        self.environment = environment
        self.phase = Phase.STARTING
        self._token = secrets.token_hex(32)
        self._socket: socket.socket | None = None
        self._decoder = protocol.Decoder()
        self._received: deque[dict] = deque()
        self._outgoing = bytearray()
        self._terminated = False
        command = command or [str(environment.python), "-I", "-B", "-u", "-X", "utf8", "-m", "vp3d", "serve"]
        self._folder = Path()
        try:
            self.log = new_log(environment.log_folder, "server")
            log = self.log.open("wb")
        except OSError as error:
            raise ServerError(
                f"Nothing can be written to {environment.home}: {error.strerror or error}.",
                "Free some space there, or choose another Data Folder in the add-on's preferences.",
                lasting=True,
            ) from error
        try:
            with log:
                self._folder = Path(tempfile.mkdtemp(prefix="vp3d-"))
                self._ready_file = self._folder / "ready.json"
                self._process = subprocess.Popen(
                    [*command, "--ready-file", str(self._ready_file)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=environment.home,
                    env=child_variables(environment.home, **{protocol.TOKEN_VARIABLE: self._token}),
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except OSError as error:
            self._remove_folder()
            message = f"The pose server cannot be started: {error.strerror or error}."
            raise ServerError(message, _REPAIR, remedy=Remedy.REPAIR) from error
        self._deadline = time.monotonic() + START_SECONDS

    @property
    def pid(self) -> int:
        """Process number of the server."""
        return self._process.pid

    def send(self, type_: str, **fields: object) -> None:
        """Queue a message; it leaves with this and the next polls."""
        self._outgoing += protocol.encode(type_, **fields)
        self._flush()

    def poll(self) -> list[dict]:
        """Advance without waiting; the messages that came. Raises ServerError, once, when the server is lost."""
        if self.phase is Phase.GONE:
            return []
        if self.phase is Phase.STOPPING:
            self._poll_stop()
            return []
        try:
            if self.phase is Phase.STARTING:
                self._look_for_ready_file()
            if self.phase is Phase.CONNECTING and self._socket:
                self._finish_connecting(self._socket)
            if self.phase in (Phase.GREETING, Phase.READY) and self._socket:
                over = self._process.poll() is not None
                self._flush()
                self._read(self._socket)
                # a child of the server may still hold the connection open
                if over and not self._received:
                    self._lose(None)
            if self.phase is Phase.GREETING and self._received:
                self._greet(self._received.popleft())
        except protocol.ProtocolError as error:
            self._lose(f"The pose server answered something that cannot be understood: {error}")
        if self.phase is not Phase.READY:
            self._check_start()
            return []
        messages = list(self._received)
        self._received.clear()
        return messages

    def begin_stop(self) -> None:
        """Ask the server to end; `poll` then sees to it that it does."""
        if self.phase in (Phase.STOPPING, Phase.GONE):
            return
        if self.phase is Phase.READY:
            self.send("shutdown")
        self._hang_up()
        self.phase = Phase.STOPPING
        self._deadline = time.monotonic() + STOP_SECONDS
        self._poll_stop()

    def kill(self) -> None:
        """End the server at once."""
        if self.phase is not Phase.GONE:
            self._process.kill()
            self._hang_up()
            self.phase = Phase.STOPPING
            self._terminated = True
            self._deadline = time.monotonic()

    def stop(self) -> None:
        """End the server and wait for it: at most twice STOP_SECONDS, and then it is killed."""
        self.begin_stop()
        end = time.monotonic() + 2 * STOP_SECONDS + _DYING_SECONDS
        while self.phase is not Phase.GONE and time.monotonic() < end:
            time.sleep(0.01)
            self._poll_stop()

    def log_tail(self) -> str:
        """The end of the server's log."""
        try:
            with self.log.open("rb") as log:
                size = log.seek(0, 2)
                log.seek(max(0, size - _TAIL))
                return log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def _poll_stop(self) -> None:
        if self._process.poll() is not None:
            self._finish()
        elif time.monotonic() >= self._deadline:
            if self._terminated:
                self._process.kill()
            else:
                self._process.terminate()
                self._terminated = True
                self._deadline = time.monotonic() + STOP_SECONDS

    def _look_for_ready_file(self) -> None:
        try:
            ready = json.loads(self._ready_file.read_text("utf-8"))
        except OSError:  # not there yet; or on Windows, a virus scanner holds it for a moment
            return
        except ValueError:
            raise protocol.ProtocolError("its ready file is damaged.") from None
        self._check_protocol(ready.get("protocol"))
        self._socket = connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", int(ready["port"])))
        self.phase = Phase.CONNECTING
        self._deadline = time.monotonic() + HELLO_SECONDS

    def _finish_connecting(self, connection: socket.socket) -> None:
        _, writable, failed = select.select([], [connection], [connection], 0)
        if not (writable or failed):
            return
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lose("The pose server does not accept a connection.")
        self._remove_folder()  # it has told the port; a killed Blender leaves no folder behind
        self.phase = Phase.GREETING
        self.send("hello", protocol=protocol.PROTOCOL, token=self._token)

    def _greet(self, message: dict) -> None:
        if message["type"] == "error":
            self._lose(message["message"])
        if message["type"] != "hello":
            raise protocol.ProtocolError("its first message is no greeting.")
        self._check_protocol(message["protocol"])
        self.phase = Phase.READY
        logger.info("connected to server %s, process %s", message.get("version"), self.pid)

    def _check_protocol(self, number: object) -> None:
        if number == protocol.PROTOCOL:
            return
        newer = isinstance(number, int) and number > protocol.PROTOCOL
        self._lose(
            f"The installed pose server is {'newer' if newer else 'older'} than this add-on "
            f"(protocol {number} instead of {protocol.PROTOCOL}).",
            "Update the add-on." if newer else "Update the environment of the pose server.",
            None if newer else Remedy.UPDATE,
            lasting=True,
        )

    def _check_start(self) -> None:
        if self._process.poll() is not None:
            self._lose(None, _REPAIR, Remedy.REPAIR)
        if time.monotonic() > self._deadline:
            self._lose("The pose server takes too long to start.", _REPAIR, Remedy.REPAIR)

    def _flush(self) -> None:
        if self._socket is None or not self._outgoing or self.phase is Phase.CONNECTING:
            return
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing[:65536])]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()  # the process's end or the next read tells what happened

    def _read(self, connection: socket.socket) -> None:
        until = time.monotonic() + _READ_SECONDS
        try:
            while data := connection.recv(65536):
                self._received.extend(self._decoder.feed(data))
                if time.monotonic() > until:
                    return
        except BlockingIOError:
            return
        except OSError:
            pass
        if not self._received:  # what came before the end is delivered first
            self._lose(None)

    def _lose(self, message: str | None, hint: str = "", remedy: Remedy | None = None, lasting: bool = False) -> None:
        """End what is left of the process and raise ServerError; without a message, say how the process ended."""
        if message is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)  # a closed connection comes a moment before the exit code
            message = _how_it_ended(self._process.poll())
        details = self.log_tail()
        self.kill()
        self._poll_stop()
        raise ServerError(message, hint or "If it happens again, open the log.", details, remedy, lasting)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _finish(self) -> None:
        self._hang_up()
        self._remove_folder()
        self.phase = Phase.GONE

    def _remove_folder(self) -> None:
        if self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)


def new_log(folder: Path, name: str) -> Path:
    """Path of a fresh log file in `folder`; of the ones before, the newest are kept. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob(f"{name}-*.log"))[: 1 - LOGS_KEPT]:
        with contextlib.suppress(OSError):  # Windows deletes no file that another process has open
            old.unlink()
    return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}.log"


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "The pose server closed the connection."
    if code < 0:
        return f"The pose server was ended by the system or by somebody (signal {-code}); memory may have run out."
    return f"The pose server stopped unexpectedly (exit code {code})."
