"""A server that misbehaves in one chosen way, over the real protocol and a socket: `peer.py MODE --ready-file PATH`."""

import json
import os
import socket
import sys
import time
from pathlib import Path

mode, ready_file = sys.argv[1], Path(sys.argv[3])


def line(**fields):
    return json.dumps(fields).encode() + b"\n"


def progress(job, done):
    return line(type="progress", job=job, stage="détect", done=done, total=50, fps=12.5, remaining_s=2.0)


if mode == "dies at start":
    sys.exit("no module named torch")
if mode == "never ready":
    time.sleep(60)
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
if mode == "refuses":
    listener.close()
spoken = {"newer": 99, "older": 0}.get(mode, 1)
text = json.dumps({"port": port, "pid": os.getpid(), "protocol": spoken})
partial = ready_file.with_suffix(".part")
partial.write_text("{" if mode == "damaged ready file" else text)
partial.replace(ready_file)
if mode == "refuses":
    time.sleep(60)
client, _ = listener.accept()
lines = client.makefile("rb")
greeting = json.loads(next(lines))
if greeting["token"] != os.environ["VP3D_TOKEN"]:
    sys.exit("wrong token")
if mode == "says nothing":
    time.sleep(60)
if mode == "not JSON":
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    time.sleep(60)
if mode == "endless line":
    client.sendall(b"x" * 3_000_000)
    time.sleep(60)
client.sendall(line(type="hello", protocol=1, version="9.9", pid=os.getpid()))
job = None
for text in lines:
    message = json.loads(text)
    if message["type"] == "shutdown" and mode != "deaf":
        break
    if message["type"] == "cancel" and mode != "deaf":
        client.sendall(line(type="error", job=job, message="Cancelled.", hint="", details="", cancelled=True))
    if message["type"] != "start":
        continue
    job = message["job"]
    if mode == "dies once" and not Path("died").exists():
        Path("died").touch()
        sys.exit(7)
    if mode == "dies while working":
        client.sendall(progress(job, 3))
        sys.stderr.write("last words\n")
        sys.exit(7)
    if mode in ("slow", "deaf"):
        client.sendall(progress(job, 1))
        continue
    burst = b"".join(progress(job, done) for done in range(1, 51))
    burst += line(type="progress", job="another", stage="wrong", done=1, total=1)
    burst += line(type="result", job=job, take=message["take"], summary={"people": [], "warnings": []})
    pieces = [burst[i : i + 7] for i in range(0, len(burst), 7)] if mode == "in pieces" else [burst]
    for piece in pieces:
        client.sendall(piece)
        if mode == "in pieces":
            time.sleep(0.0005)
    if mode == "tires of waiting":
        time.sleep(message["idle_s"])
        sys.exit()
    if mode == "dies after the result":
        client.close()
        os._exit(0)
if mode == "deaf":
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
