"""VP3D Mocap's server: from a video to a take (people in 3D, contacts and the camera that saw them)."""

import os
import sys

# OpenBLAS's threads wait for each other by spinning: on a busy machine that makes the solver's many small products ten
# times slower than one thread, and gains nothing on a free one. It reads this once, when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# OpenVINO tells its maker of every model it converts, from forked processes that outlive this one. Nobody agreed to
# that; without the module that does it, OpenVINO goes without.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

__version__ = "0.1.0"
