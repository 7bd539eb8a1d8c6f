"""VP3D Mocap's server: from a video to a take (people in 3D, contacts and the camera that saw them)."""

import sys

# OpenVINO tells its maker of every model it converts, from forked processes that outlive this one. Nobody agreed to
# that; without the module that does it, OpenVINO goes without.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

__version__ = "0.1.0"
