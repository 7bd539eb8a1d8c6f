"""What the add-on makes Blender, and a user, wait for.

    python tests/blender_vp3d/bench.py

in a Python with Blender's `bpy` module, with the server that is installed; on Linux. Prints one line of JSON: time on
the wall and processor time, ms, which on an idle computer are the same but where several cores work. What panels take
to draw is told by `tests/desktop/bench_panels.py`, as that takes a window.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import bpy  # noqa: E402
from captures import begin, wait  # noqa: E402
from server_home import borrow_server  # noqa: E402

SALSA = Path(__file__).parents[2] / "install" / "demo" / "salsa.mp4"
TURNS = 3


def registration() -> dict:
    """`register` as Blender's start waits for it, with the imports, and again without them."""
    began = now()
    import blender_vp3d

    blender_vp3d.register()
    told = {"register_ms": [since(began)], "unregister_ms": []}
    for _ in range(TURNS):
        began = now()
        blender_vp3d.unregister()
        told["unregister_ms"].append(since(began))
        began = now()
        blender_vp3d.register()
        told["register_ms"].append(since(began))
    blender_vp3d.unregister()
    return told


def server() -> dict:
    """From the start of a process to the server's greeting, and to the first frame with the networks loaded."""
    from blender_vp3d.backend.client import Phase
    from blender_vp3d.backend.session import Session

    told: dict = {"hello_ms": [], "ready_ms": []}
    with tempfile.TemporaryDirectory(prefix="vp3d-bench-") as folder:
        home = borrow_server(Path(folder))
        for _ in range(TURNS):
            shutil.rmtree(home / "cache" / "stages", ignore_errors=True)
            session = Session()
            began = time.perf_counter(), 0.0
            job = begin(session, home, SALSA, 5)
            wait(session, lambda session=session: session.server and session.server.phase is Phase.READY)
            pid = session.server.pid
            told["hello_ms"].append(since(began, pid))
            wait(session, lambda job=job: job.stage not in ("", "load"))
            told["ready_ms"].append(since(began, pid))
            session.close()
    return told


def now(pid: int | None = None) -> tuple[float, float]:
    """Time on the wall, and processor time of this process or of another one, s."""
    if pid is None:
        return time.perf_counter(), time.process_time()
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return time.perf_counter(), (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def since(began: tuple[float, float], pid: int | None = None) -> list[float]:
    """How much of both has gone by, ms."""
    return [round((end - start) * 1000, 1) for start, end in zip(began, now(pid), strict=True)]


def main() -> None:
    """Measure and tell."""
    sys.stdout.write(json.dumps({"blender": bpy.app.version_string, **registration(), **server()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    os._exit(0)  # Blender's module before 5.0 crashes while the interpreter shuts down
