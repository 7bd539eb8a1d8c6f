"""Tests inside Blender's module, each in an empty file, none touching the user's settings."""

import os
import sys
import tempfile
from collections.abc import Iterator

import pytest

# read by Blender when its module is imported
_settings = tempfile.TemporaryDirectory(prefix="vp3d-blender-", ignore_cleanup_errors=True)
os.environ["BLENDER_USER_RESOURCES"] = _settings.name

_status = 0


@pytest.fixture(autouse=True)
def empty_file() -> Iterator[None]:
    """Every test that has Blender begins with an empty file."""
    if "bpy" in sys.modules:
        sys.modules["bpy"].ops.wm.read_factory_settings(use_empty=True)
    yield


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Blender's module before 5.0 crashes while the interpreter shuts down, which would hide the exit status."""
    bpy = sys.modules.get("bpy")
    if bpy and bpy.app.version < (5, 0):
        sys.stdout.flush()
        sys.stderr.flush()
        _settings.cleanup()
        os._exit(_status)
