"""Where the server and its files are, as the user's preferences say."""

import time
from functools import lru_cache
from pathlib import Path

import bpy

from .backend import environment

PACKAGE = __package__
"""What Blender calls this add-on."""


def folder() -> Path:
    """The folder of environments, models, caches, logs and takes."""
    addon = bpy.context.preferences.addons.get(PACKAGE)  # absent where the package is registered without being enabled
    chosen = addon.preferences.home if addon else ""
    return Path(bpy.path.abspath(chosen)) if chosen else environment.default_home()


def server_environment() -> environment.Environment:
    """Where the server is and whether it can be started; read every two seconds, as panels ask at every redraw."""
    return _read(folder(), int(time.monotonic() / 2))


def look_again() -> None:
    """Have the next `server_environment` read at once."""
    _read.cache_clear()


@lru_cache(maxsize=1)
def _read(path: Path, _moment: int) -> environment.Environment:
    return environment.read(path)
