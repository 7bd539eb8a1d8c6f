"""How the camera moved, from the features of the background outside the people."""

from vp3d.camera_motion.estimate import Clip, estimate, watch
from vp3d.camera_motion.features import Followed
from vp3d.camera_motion.types import CameraMotion, still

__all__ = ["CameraMotion", "Clip", "Followed", "estimate", "still", "watch"]
