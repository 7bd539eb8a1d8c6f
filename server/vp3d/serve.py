"""The server behind the add-on: one client over loopback, one job at a time (messages: `vp3d.common.protocol`).

The main thread runs the jobs; one thread listens to the client and one to stdin. When either ends, Blender is gone
and the process ends at once, whatever it is doing: finished stages are on disk already.
"""

import hmac
import json
import logging
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from vp3d import __version__
from vp3d.common import protocol
from vp3d.common.take import TakeError
from vp3d.errors import Cancelled, UserError
from vp3d.files import check_output

log = logging.getLogger(__name__)

TOKEN_WAIT = 10.0  # s that a client has for its token
PROGRESS_INTERVAL = 0.1  # s between two progress messages of one stage


def serve(ready_file: Path) -> None:
    """Serve one client until it leaves, says `shutdown`, or stdin ends.

    Args:
        ready_file: where to write `{"port", "pid", "protocol"}` once the server listens.

    Raises:
        UserError: no token in the environment.
    """
    token = os.environ.pop(protocol.TOKEN_VARIABLE, "")
    if len(token) < 32:
        raise UserError("The server was started without a token.", "Start it from Blender; it is not for use by hand.")
    threading.Thread(target=_leave_with_stdin, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        _write_ready(ready_file, listener.getsockname()[1])
        connection = _accept(listener, token)
    log.info("a client is connected")
    client = _Client(connection)
    client.send("hello", protocol=protocol.PROTOCOL, version=__version__, pid=os.getpid())
    threading.Thread(target=client.listen, daemon=True).start()
    while True:
        _run(client, client.jobs.get())


def _leave_with_stdin() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    _leave("stdin ended")


def _leave(reason: str) -> None:
    # a native call may hold the main thread for seconds: nothing but an immediate exit keeps the promise
    log.info("the server ends: %s", reason)
    logging.shutdown()
    os._exit(0)


def _write_ready(path: Path, port: int) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps({"port": port, "pid": os.getpid(), "protocol": protocol.PROTOCOL}), encoding="utf-8")
    partial.replace(path)


def _accept(listener: socket.socket, token: str) -> socket.socket:
    """The first connection that knows the token; every other is closed without a word."""
    while True:
        connection, _ = listener.accept()
        connection.settimeout(TOKEN_WAIT)
        try:
            hello = _first_message(connection)
        except (protocol.ProtocolError, OSError):
            hello = {}
        given = hello.get("token") if hello.get("type") == "hello" else None
        if isinstance(given, str) and hmac.compare_digest(given.encode(), token.encode()):
            connection.settimeout(None)
            return connection
        log.warning("a connection without the token was refused")
        connection.close()


def _first_message(connection: socket.socket) -> dict:
    decoder, deadline = protocol.Decoder(), time.monotonic() + TOKEN_WAIT
    while time.monotonic() < deadline:
        data = connection.recv(4096)
        if not data:
            break
        for message in decoder.feed(data):
            return message
    return {}


class _Client:
    """The add-on's end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.jobs: queue.Queue[dict] = queue.Queue()
        self._cancelled: set[str] = set()
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, type_: str, **fields: object) -> None:
        line = protocol.encode(type_, **fields)
        try:
            with self._sending:
                self._connection.sendall(line)
        except OSError:
            _leave("the client cannot be reached")

    def cancelled(self, job: str) -> bool:
        return job in self._cancelled

    def listen(self) -> None:
        decoder = protocol.Decoder()
        try:
            while data := self._connection.recv(65536):
                for message in decoder.feed(data):
                    self._handle(message)
        except (OSError, protocol.ProtocolError) as error:
            _leave(f"the connection broke: {error}")
        _leave("the client left")

    def _handle(self, message: dict) -> None:
        match message["type"]:
            case "start":
                self.jobs.put(message)
            case "cancel":
                self._cancelled.add(message["job"])
            case "shutdown":
                _leave("asked to")
            case other:
                raise protocol.ProtocolError(f"A message of type '{other}' is not for the server.")


def _run(client: _Client, start: dict) -> None:
    job = start["job"]

    def fail(message: str, hint: str = "", details: str = "", cancelled: bool = False) -> None:
        client.send("error", job=job, message=message, hint=hint, details=details[-20000:], cancelled=cancelled)

    try:
        summary = _capture(start, _reporter(client, job))
    except Cancelled:
        fail("The capture was stopped.", "Finished stages are kept for the next capture.", cancelled=True)
    except (UserError, TakeError) as error:
        fail(getattr(error, "message", str(error)), getattr(error, "hint", ""))
    except MemoryError:
        fail("The computer ran out of memory.", "Close other programs, or capture a shorter range with detail 'fast'.")
    except Exception as error:
        log.exception("job %s failed", job)
        fail(f"The capture failed unexpectedly ({type(error).__name__}).", "Copy the report.", traceback.format_exc())
    else:
        client.send("result", job=job, take=start["take"], summary=summary)


def _capture(start: dict, progress: Callable[[str, int, int], None]) -> dict:
    progress("load", 0, 1)
    from vp3d import pipeline  # torch and OpenVINO take seconds, and `hello` must not wait for them
    from vp3d.common import take as takes

    check_output(Path(start["take"]), Path(start["video"]))
    take = pipeline.capture(Path(start["video"]), pipeline.Options.from_message(start["options"]), progress)
    takes.save(take, start["take"])
    return {
        "people": take.report["people"],
        "detector": take.report["detector"]["description"],
        "lens": take.report["lens"]["note"],
        "motion": take.report["motion"]["note"],
        "warnings": take.report["warnings"],
        "views": [{key: view[key] for key in ("path", "offset_s")} for view in take.report["views"]],
    }


def _reporter(client: _Client, job: str) -> Callable[[str, int, int], None]:
    """A `Progress` that tells the client at most ten times a second, and stops a cancelled job."""
    begun: dict[str, tuple[float, int]] = {}
    last = {"stage": "", "time": 0.0}

    def report(stage: str, done: int, total: int) -> None:
        if client.cancelled(job):
            raise Cancelled
        now = time.monotonic()
        if stage == last["stage"] and done < total and now - last["time"] < PROGRESS_INTERVAL:
            return
        last.update(stage=stage, time=now)
        start, first = begun.setdefault(stage, (now, done))
        rate = (done - first) / (now - start) if now > start else 0.0
        remaining = (total - done) / rate if rate > 0 else None
        client.send(
            "progress", job=job, stage=stage, done=int(done), total=int(total), fps=float(rate), remaining_s=remaining
        )

    return report
