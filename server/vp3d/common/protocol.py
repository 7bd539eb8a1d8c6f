"""Messages between the add-on and the server: JSON lines over one loopback connection.

The add-on starts the server as a child with a token in the environment and its stdin held open. The server binds
127.0.0.1 on a free port, writes `{"port", "pid", "protocol"}` to the ready file (by rename, so it appears whole) and
accepts one client. The client's first message is `hello` with the token; the server answers `hello` with its version.
Videos and takes travel as paths.
"""

import json
import math
from collections.abc import Iterator

PROTOCOL = 1
"""Raised with every change that the other side would misunderstand."""

TOKEN_VARIABLE = "VP3D_TOKEN"
"""Environment variable that carries the token, so that no process list shows it."""

LINE_LIMIT = 1 << 20
"""Longest message in bytes."""

# type: the keys a message of that type must have, with their types
MESSAGES: dict[str, dict[str, type | tuple[type, ...]]] = {
    # add-on → server
    "hello": {"protocol": int},  # add-on: + token; server: + version, pid
    "start": {"job": str, "video": str, "take": str, "options": dict},
    "cancel": {"job": str},
    "shutdown": {},
    # server → add-on
    "progress": {"job": str, "stage": str, "done": int, "total": int},
    "result": {"job": str, "take": str, "summary": dict},
    "error": {"job": str, "message": str, "hint": str, "details": str, "cancelled": bool},
}


class ProtocolError(Exception):
    """The other side sent something that is no message."""


def encode(type_: str, **fields: object) -> bytes:
    """One message as a line of bytes; raises ProtocolError for a message the protocol does not have."""
    message = {"type": type_, **fields}
    _check(message)
    line = json.dumps(message, ensure_ascii=True, allow_nan=False).encode() + b"\n"
    if len(line) > LINE_LIMIT:
        raise ProtocolError(f"A message of type '{type_}' is too long.")
    return line


class Decoder:
    """Turns received bytes, in whatever pieces they come, into messages.

    Attributes:
        limit: longest message in bytes; of a longer one no more than that is ever kept.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._skipping = False  # the rest of a message that was too long

    def feed(self, data: bytes) -> Iterator[dict]:
        """Yield every message that `data` completes.

        Raises ProtocolError at the first that is none; another call, with no data, goes on behind it.
        """
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if self._skipping:
                self._skipping = False
                continue
            if len(line) > self.limit:
                raise ProtocolError("A message is too long.")
            yield _decode(line)
        if len(self._buffer) > self.limit:
            self._buffer.clear()
            if not self._skipping:
                self._skipping = True
                raise ProtocolError("A message is too long.")


def _decode(line: bytes) -> dict:
    try:
        message = json.loads(line.decode(), parse_int=_whole, parse_float=_real, parse_constant=_real)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("A message is not JSON.") from error
    _check(message)
    return message


def _whole(text: str) -> int:
    if len(text) > 18:
        raise ValueError("a number that no frame, person or file size has")
    return int(text)


def _real(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number that is none")
    return value


def _check(message: object) -> None:
    if not isinstance(message, dict):
        raise ProtocolError("A message is not an object.")
    wanted = MESSAGES.get(message.get("type")) if isinstance(message.get("type"), str) else None
    if wanted is None:
        raise ProtocolError("A message has an unknown type.")
    for key, type_ in wanted.items():
        value = message.get(key)
        if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
            raise ProtocolError(f"A message of type '{message['type']}' lacks a proper '{key}'.")
