"""Messages survive any cutting of the stream, and nothing but messages passes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vp3d.common import protocol

MESSAGES = [
    ("hello", {"protocol": 1, "token": "ab"}),
    ("start", {"job": "1", "video": "/clips/Größe 1.mp4", "take": "/t.vp3d", "options": {"people": "all"}}),
    ("progress", {"job": "1", "stage": "detect", "done": 3, "total": 10, "fps": 12.5, "remaining_s": None}),
    ("shutdown", {}),
]


@given(cuts=st.lists(st.integers(1, 60), min_size=1))
def test_any_cutting_gives_the_same_messages(cuts: list[int]) -> None:
    stream = b"".join(protocol.encode(type_, **fields) for type_, fields in MESSAGES)
    decoder, received, position, turn = protocol.Decoder(), [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        received += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert received == [{"type": type_, **fields} for type_, fields in MESSAGES]


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"[1, 2]\n",
        b'{"type": "launch"}\n',
        b'{"type": ["hello"]}\n',
        b'{"type": "cancel"}\n',
        b'{"type": "progress", "job": "1", "stage": "x", "done": true, "total": 1}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"type": "hello", "protocol": NaN}\n',
        b'{"type": "hello", "protocol": 1, "more": 1e999}\n',
        b'{"type": "hello", "protocol": 1, "more": -Infinity}\n',
        b'{"type": "hello", "protocol": 1' + b"0" * 5000 + b"}\n",
        '{"type": "shutdown"}\n'.encode("utf-16"),
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        list(protocol.Decoder().feed(line))


def test_endless_lines_are_refused() -> None:
    with pytest.raises(protocol.ProtocolError, match="too long"):
        list(protocol.Decoder().feed(b"x" * (protocol.LINE_LIMIT + 1)))
    with pytest.raises(protocol.ProtocolError, match="too long"):
        protocol.encode("error", job="1", message="", hint="", details="x" * protocol.LINE_LIMIT, cancelled=False)


def test_what_comes_after_a_refused_message_is_read() -> None:
    shutdown = protocol.encode("shutdown")
    decoder, received, refused = protocol.Decoder(limit=100), [], 0
    for data in (b"nonsense\n" + shutdown, b"x" * 250, b"x" * 250, b"x\n" + shutdown, b"y" * 101 + b"\n" + shutdown):
        while True:
            try:
                received += list(decoder.feed(data))
                break
            except protocol.ProtocolError:
                refused, data = refused + 1, b""
    assert [message["type"] for message in received] == ["shutdown"] * 3 and refused == 3


def test_own_mistakes_are_found_before_they_are_sent() -> None:
    with pytest.raises(protocol.ProtocolError, match="lacks a proper 'job'"):
        protocol.encode("cancel")


@given(data=st.binary(max_size=300))
def test_noise_never_raises_anything_else(data: bytes) -> None:
    try:
        for message in protocol.Decoder().feed(data + b"\n"):
            assert json.dumps(message)
    except protocol.ProtocolError:
        pass
