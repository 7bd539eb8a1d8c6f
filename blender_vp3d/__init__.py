"""VP3D Mocap: an ordinary video becomes an animated armature and a matched camera."""

from .registration import of_modules

register, unregister = of_modules(
    __package__, ("preferences", "capture", "camera", "retarget", "clean", "setup", "models")
)
