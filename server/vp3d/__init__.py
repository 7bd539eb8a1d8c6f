"""VP3D Mocap's server: from a video to a take (people in 3D, contacts and the camera that saw them)."""

__version__ = "0.1.0"
