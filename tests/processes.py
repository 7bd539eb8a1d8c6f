"""What has become of a process."""

import contextlib
import os
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        return not Path("/proc").is_dir() or b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except (ProcessLookupError, FileNotFoundError):
        return False


def working_in(home: Path) -> list[int]:
    """Processes that run with `home` as their VP3D_HOME, on Linux; this one and those it only collects are left out."""
    wanted = f"VP3D_HOME={home}\0".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        pid = int(environment.parent.name)
        with contextlib.suppress(OSError):
            if wanted in environment.read_bytes() + b"\0" and pid != os.getpid() and alive(pid):
                found.append(pid)
    return found


def left_over(home: Path, seconds: float = 2.0) -> list[int]:
    """Those of `working_in` that are still there when all have had some seconds to end."""
    end = time.monotonic() + seconds
    while (processes := working_in(home)) and time.monotonic() < end:
        time.sleep(0.02)
    return processes
