"""Many captures in a row in one Blender, each applied and then left behind by a new file: what stays of them in memory.

    python tests/blender_vp3d/soak.py [CLIP] [--captures 200] [--frames 12]

in a Python with Blender's `bpy` module, with the server that is installed; on Linux. Nothing of a capture is taken from
the cache. Prints one line per capture and a summary as JSON; the exit status is 1 where memory or open files grow.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import bpy  # noqa: E402
from server_home import borrow_server  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.capture import running  # noqa: E402

SALSA = Path(__file__).parents[2] / "install" / "demo" / "salsa.mp4"
SETTLED = 20  # captures until libraries have made what they keep
GIVING_BACK = 0.5  # s, in which the server frees what the capture used
GROWTH = 0.05  # of the memory at that time, up and down


def state(pid: int) -> dict:
    """Resident memory (MB), open files, threads and children of a process."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    children = (process / "task" / str(pid) / "children").read_text().split()
    return {
        "memory_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        "files": sum(1 for _ in (process / "fd").iterdir()),
        "threads": sum(1 for _ in (process / "task").iterdir()),
        "children": len(children),
    }


def capture(clip: Path, frames: int, cache: Path) -> dict:
    """One capture and what both processes hold after it."""
    shutil.rmtree(cache, ignore_errors=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    settings = bpy.context.scene.vp3d
    settings.video, settings.detail = str(clip), "fast"
    settings.use_range, settings.first, settings.last = True, 1, frames
    began = time.perf_counter()
    bpy.ops.vp3d.capture()
    seconds = time.perf_counter() - began
    bpy.ops.vp3d.apply_take()
    Path(bpy.context.window_manager.vp3d.take).unlink()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    server = running.session.server.pid
    time.sleep(GIVING_BACK)
    return {"seconds": round(seconds, 2), "pid": server, "blender": state(os.getpid()), "server": state(server)}


def verdict(rows: list[dict]) -> dict:
    """How far both processes strayed after the captures that settle them."""
    told: dict = {
        "blender_version": bpy.app.version_string,
        "captures": len(rows),
        "servers": len({row["pid"] for row in rows}),
        "median_s": round(statistics.median(row["seconds"] for row in rows), 2),
    }
    for name in ("blender", "server"):
        settled = [row[name] for row in rows[min(SETTLED, len(rows)) - 1 :]]
        base, memory = settled[0]["memory_mb"], [one["memory_mb"] for one in settled]
        told[name] = {
            "memory_mb": [base, min(memory), max(memory), memory[-1]],
            "strays": round(max(max(memory) - base, base - min(memory)) / base, 4),
            **{key: sorted({one[key] for one in settled}) for key in ("files", "threads", "children")},
        }
    told["flat"] = told["servers"] == 1 and all(
        told[name]["strays"] <= GROWTH and len(told[name]["files"]) == 1 for name in ("blender", "server")
    )
    return told


def main() -> int:
    """Capture as often as asked; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("clip", nargs="?", type=Path, default=SALSA, help="default: a clip that comes with the project")
    parser.add_argument("--captures", type=int, default=200)
    parser.add_argument("--frames", type=int, default=12, help="of the clip, from its beginning")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="vp3d-soak-") as folder:
        home = borrow_server(Path(folder))
        os.environ["VP3D_HOME"] = str(home)
        blender_vp3d.register()
        try:
            for _ in range(options.captures):
                rows.append(capture(options.clip.resolve(), options.frames, home / "cache" / "stages"))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
        finally:
            blender_vp3d.unregister()
    told = verdict(rows)
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if told["flat"] else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # Blender's module before 5.0 crashes while the interpreter shuts down
