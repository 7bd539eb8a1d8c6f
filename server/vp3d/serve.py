"""The server behind the add-on: one client over loopback, one job at a time (messages: `vp3d.common.protocol`).

The main thread runs the jobs; one thread listens to the client and one to stdin. When either ends, Blender is gone
and the process ends at once, whatever it is doing: finished stages are on disk already. Without a job it ends after a
while by itself, and the add-on starts another one when there is need.
"""

import contextlib
import ctypes
import gc
import hmac
import itertools
import json
import logging
import os
import queue
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from vp3d import __version__
from vp3d.common import protocol
from vp3d.common import take as takes
from vp3d.common.take import TakeError
from vp3d.errors import Cancelled, UserError
from vp3d.files import check_output

log = logging.getLogger(__name__)

TOKEN_WAIT = 10.0  # s that a client has for its token
HELLO_LIMIT = 4096  # bytes that it may say before it is known
JOBS = 100  # captures that may wait
MISMATCH = "Update the add-on and the environment of the pose server together."
STRANGERS = 16  # connections heard at the same time, before one of them is known
PROGRESS_INTERVAL = 0.1  # s between two progress messages of one stage
SIGN_OF_LIFE = 5.0  # s after which the latest progress is told again, so that the add-on knows a hung server
IDLE = 120.0  # s to wait for a job, until one says otherwise
LONGEST_IDLE = 24 * 3600.0  # s


def serve(ready_file: Path) -> None:
    """Serve one client until it leaves, says `shutdown`, has no job for a while, or stdin ends.

    Args:
        ready_file: where to write `{"port", "pid", "protocol"}` once the server listens.

    Raises:
        UserError: no token in the environment.
    """
    token = os.environ.pop(protocol.TOKEN_VARIABLE, "")
    if len(token) < 32:
        raise UserError("The server was started without a token.", "Start it from Blender; it is not for use by hand.")
    _end_with_parent()
    threading.Thread(target=_leave_with_stdin, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0), backlog=STRANGERS) as listener:
        _write_ready(ready_file, listener.getsockname()[1])
        connection, decoder = _accept(listener, token)
    log.info("a client is connected")
    client = _Client(connection, decoder)
    client.send("hello", protocol=protocol.PROTOCOL, version=__version__, pid=os.getpid())
    threading.Thread(target=client.listen, daemon=True).start()
    threading.Thread(target=client.show_life, daemon=True).start()
    idle = IDLE
    while True:
        try:
            job = client.jobs.get(timeout=idle)
        except queue.Empty:
            _leave(f"no job for {idle:.0f} s")
        idle = job.get("idle_s", idle)
        _run(client, job)
        _free_memory()


def _end_with_parent() -> None:
    """On Linux the system ends this process with Blender, even while it is stopped or a library holds Python's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


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


def _accept(listener: socket.socket, token: str) -> tuple[socket.socket, protocol.Decoder]:
    """The first connection that knows the token, and what it has said; every other is closed without a word.

    Strangers are heard side by side: one that is silent keeps nobody out.
    """
    strangers: dict[socket.socket, tuple[protocol.Decoder, float]] = {}
    while True:
        now = time.monotonic()
        for connection, (_, since) in list(strangers.items()):
            if now - since > TOKEN_WAIT or len(strangers) > STRANGERS:
                _refuse(connection, strangers)
        for connection in select.select([listener, *strangers], [], [], TOKEN_WAIT)[0]:
            if connection is listener:
                with contextlib.suppress(OSError):  # gone again already
                    strangers[listener.accept()[0]] = protocol.Decoder(HELLO_LIMIT), now
                continue
            decoder = strangers[connection][0]
            try:
                data = connection.recv(HELLO_LIMIT)
                hello = next(decoder.feed(data), None if data else {})
            except (protocol.ProtocolError, OSError):
                hello = {}
            if hello is not None and _knows(hello, token):
                del strangers[connection]
                for other in list(strangers):
                    _refuse(other, strangers)
                decoder.limit = protocol.LINE_LIMIT
                return connection, decoder
            if hello is not None:
                _refuse(connection, strangers)


def _refuse(connection: socket.socket, strangers: dict) -> None:
    log.warning("a connection without the token was refused")
    del strangers[connection]
    connection.close()


def _knows(hello: dict, token: str) -> bool:
    given = hello.get("token") if hello.get("type") == "hello" else None
    # a lone surrogate has no bytes in UTF-8
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), token.encode())


class _Client:
    """The add-on's end of the connection."""

    def __init__(self, connection: socket.socket, decoder: protocol.Decoder) -> None:
        self.jobs: queue.Queue[dict] = queue.Queue()
        self.progress: dict | None = None  # of the running job, as told last
        self._cancelled: set[str] = set()
        self._connection = connection
        self._decoder = decoder
        self._sending = threading.Lock()

    def send(self, type_: str, **fields: object) -> None:
        line = protocol.encode(type_, **fields)
        try:
            with self._sending:
                self._connection.sendall(line)
        except OSError:
            _leave("the client cannot be reached")

    def show_life(self) -> None:
        while True:
            time.sleep(SIGN_OF_LIFE)
            if progress := self.progress:
                self.send("progress", **progress)

    def cancelled(self, job: str) -> bool:
        return job in self._cancelled

    def listen(self) -> None:
        try:
            self._take(b"")  # what came together with the greeting
            while data := self._connection.recv(65536):
                self._take(data)
        except OSError as error:
            _leave(f"the connection broke: {error}")
        except Exception:
            log.exception("listening failed")
            _leave("nobody listens any more")
        _leave("the client left")

    def _take(self, data: bytes) -> None:
        while True:
            message = {}
            try:
                for message in self._decoder.feed(data):
                    self._handle(message)
                    message = {}  # answered; what is refused after it is not its fault
                return
            except protocol.ProtocolError as error:
                # a running job is not given up for it
                log.warning("a message was refused: %s", error)
                job = str(message.get("job", ""))[:100]
                self.send("error", job=job, message=str(error), hint=MISMATCH, details="", cancelled=False)
                data = b""

    def _handle(self, message: dict) -> None:
        match message["type"]:
            case "start":
                if len(message["job"]) > 100 or self.jobs.qsize() >= JOBS:
                    raise protocol.ProtocolError("There are more captures than can be waited for.")
                idle = message.get("idle_s", IDLE)
                if isinstance(idle, bool) or not isinstance(idle, int | float) or not 0 < idle <= LONGEST_IDLE:
                    raise protocol.ProtocolError("A message of type 'start' lacks a proper 'idle_s'.")
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
        message, hint = _shortened(message), _shortened(hint)
        client.send("error", job=job, message=message, hint=hint, details=details[-20000:], cancelled=cancelled)

    try:
        take, summary = _capture(start, _reporter(client, job))
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
        client.send("result", job=job, take=str(take), summary=summary)
    finally:
        client.progress = None


def _shortened(text: str) -> str:
    """A text that fits a message, whatever it quotes."""
    return text if len(text) <= 1000 else f"{text[:500]} … {text[-400:]}"


def _free_memory() -> None:
    """Give back what a job leaves behind: on graphics cards to other programs, on Linux to the system."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    elif torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def _unused(path: Path) -> Path:
    """`path`, or a name with a number where another Blender, or a clock that was set back, has used it."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([path], others) if not candidate.exists())


def _save(take: takes.Take, path: Path) -> tuple[Path, list[str]]:
    """Write a take, to the system's temporary folder where its disk is full; its place, and a note if it is not `path`.

    Raises:
        TakeError: there is no room there either.
    """
    path = _unused(path)
    try:
        takes.save(take, path)
    except TakeError as error:
        refuge = _unused(Path(tempfile.gettempdir()) / path.name)
        try:
            takes.save(take, refuge)
        except TakeError:
            raise error from None
        return refuge, [f"{error} It lies in {refuge.parent} now: save it elsewhere."]
    return path, []


def _capture(start: dict, progress: Callable[[str, int, int], None]) -> tuple[Path, dict]:
    progress("load", 0, 1)
    from vp3d import pipeline  # torch and OpenVINO take seconds, and `hello` must not wait for them

    check_output(Path(start["take"]), Path(start["video"]))
    take = pipeline.capture(Path(start["video"]), pipeline.Options.from_message(start["options"]), progress)
    progress("write", 0, 1)
    path, notes = _save(take, Path(start["take"]))
    return path, {
        "people": take.report["people"],
        "detector": take.report["detector"]["description"],
        "lens": take.report["lens"]["note"],
        "motion": take.report["motion"]["note"],
        "warnings": [*notes, *take.report["warnings"]],
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
        told = {"job": job, "stage": stage, "done": int(done), "total": int(total)}
        client.progress = {**told, "fps": float(rate), "remaining_s": remaining}
        client.send("progress", **client.progress)

    return report
