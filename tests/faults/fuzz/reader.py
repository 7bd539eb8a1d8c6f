"""A process that reads files it is told of, so that a crash or a hang is its own: paths in, one JSON line each out.

`python reader.py KIND`; the answer's outcome is "sentence" (refused, for a reason that a user can read), "accepted",
or "speechless" for any other exception.
"""

import json
import logging
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from vp3d.common.take import TakeError
from vp3d.errors import UserError

ROOM = 6 << 30  # bytes of address space on top of what the libraries took: what asks for more gets a MemoryError
FRAMES = 200


def read_take(path: Path) -> None:
    """Load, and look at what a reader relies on."""
    import numpy as np
    from vp3d.common import take as takes

    take = takes.load(path)
    takes.Take(**vars(take))
    assert take.fps > 0 and (np.diff(take.frames) > 0).all() and np.isfinite(take.camera_K).all()
    assert not np.isinf(take.joints3d).any() and len(take.joints3d) == len(take.person_ids)


def read_weights(path: Path) -> None:
    """Load weights with the reader of their kind, and build the network."""
    kind = path.name.split("-")[0]
    if kind in ("lifter", "published"):
        from vp3d.lift import checkpoint

        found = checkpoint.load(path)
        found.build()
        found.build_trajectory()
    elif kind == "detector":
        from vp3d.detect import basic_network

        basic_network.load(path).build()
    elif kind == "stereo":
        from vp3d.stereo import checkpoint

        checkpoint.load(path).network()
    elif kind == "detectron2":
        from vp3d.detect.keypoint_rcnn import read_detectron2

        read_detectron2(path)


def read_graph(path: Path) -> None:
    """Load a published graph as a capture on the CPU does, and look at one image with it."""
    import numpy as np
    from vp3d.detect import openvino_ir
    from vp3d.detect.runtime import OpenVinoRuntime

    xml = path / "human-pose-estimation-0001.xml"
    openvino_ir.load_network(xml)
    list(OpenVinoRuntime(xml).run(np.zeros((1, 64, 64, 3), np.uint8)))


def read_video(path: Path) -> None:
    """Probe, and read every frame up to a number."""
    from vp3d import media

    info = media.probe(path)
    for count, frame in enumerate(media.read_frames(path)):
        assert frame.image.shape == (info.height, info.width, 3)
        if count == FRAMES:
            break


def read_calibration(path: Path) -> None:
    """Read the cameras of a calibration."""
    from vp3d import calibration

    calibration.read_calibration(path)


READERS: dict[str, Callable[[Path], None]] = {
    "take": read_take, "weights": read_weights, "graph": read_graph, "video": read_video,
    "calibration": read_calibration,
}  # fmt: skip


def outcome(read: Callable[[Path], None], path: Path) -> tuple[str, str]:
    """What comes of reading a file, and what is said of it."""
    try:
        read(path)
    except (TakeError, UserError) as error:
        text = getattr(error, "message", str(error))
        return ("sentence" if text.endswith(".") and "\n" not in text else "speechless"), text
    except Exception:
        return "speechless", traceback.format_exc()
    return "accepted", ""


def _limit_memory() -> None:
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))


def main() -> None:
    """Answer for every path on standard input."""
    logging.disable(logging.CRITICAL)
    if sys.argv[1] in ("weights", "graph"):
        import torch

        torch.set_num_threads(1)
    _limit_memory()
    for line in sys.stdin:
        result, text = outcome(READERS[sys.argv[1]], Path(json.loads(line)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        sys.stdout.write(json.dumps({"outcome": result, "text": text, "peak_mb": peak}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
