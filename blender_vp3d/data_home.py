"""Where the server and its files are, as the user's preferences say."""

import time
from functools import lru_cache
from pathlib import Path

import bpy

from .backend import environment, session
from .backend.installation import Wishes

PACKAGE = __package__
"""What Blender calls this add-on."""


def folder() -> Path:
    """The folder of environments, models, caches, logs and takes."""
    chosen = preferences.home if (preferences := _preferences()) else ""
    return Path(bpy.path.abspath(chosen)) if chosen else environment.default_home()


def idle_seconds() -> float:
    """How long a server waits for another capture before it ends."""
    return preferences.idle_minutes * 60.0 if (preferences := _preferences()) else session.IDLE_SECONDS


def mirror() -> str:
    """Address to download weights from instead of the official ones; empty for those."""
    return preferences.mirror if (preferences := _preferences()) else ""


def wishes() -> Wishes:
    """What the user decided of the server's environment."""
    preferences = _preferences()
    if preferences is None:
        return Wishes()
    paths = (bpy.path.abspath(path) if path else "" for path in (preferences.python, preferences.wheels))
    return Wishes(preferences.backend, *paths, preferences.index.strip())


def server_environment() -> environment.Environment:
    """Where the server is and whether it can be started; read every two seconds, as panels ask at every redraw."""
    return _read(folder(), int(time.monotonic() / 2))


def look_again() -> None:
    """Have the next `server_environment` read at once."""
    _read.cache_clear()


def _preferences() -> bpy.types.AddonPreferences | None:
    addon = bpy.context.preferences.addons.get(PACKAGE)  # absent where the package is registered without being enabled
    return addon.preferences if addon else None


@lru_cache(maxsize=1)
def _read(path: Path, _moment: int) -> environment.Environment:
    return environment.read(path)
