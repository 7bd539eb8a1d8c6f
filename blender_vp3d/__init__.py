"""VP3D Mocap: an ordinary video becomes an animated armature and a matched camera."""

from importlib import import_module

_ROOMS = ("preferences", "capture", "retarget", "clean", "setup")


def register() -> None:
    """Register every room with Blender."""
    for room in _ROOMS:
        import_module(f".{room}", __package__).register()


def unregister() -> None:
    """Take every room back out of Blender, in reverse order."""
    for room in reversed(_ROOMS):
        import_module(f".{room}", __package__).unregister()
