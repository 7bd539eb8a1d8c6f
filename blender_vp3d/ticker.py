"""The add-on's one timer. It runs while something needs watching, survives file loads, and ends when all is quiet."""

import logging
import time
from collections.abc import Callable

import bpy

logger = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two ticks."""
_BACKGROUND_INTERVAL = 0.02  # nothing else waits there

_steps: list[Callable[[], bool]] = []


def watch(step: Callable[[], bool]) -> None:
    """Call `step` with every tick until it returns False. In background mode there are no timers: the caller loops."""
    if step not in _steps:
        _steps.append(step)
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=INTERVAL, persistent=True)


def follow(step: Callable[[], bool]) -> None:
    """Watch a step that ends by itself. In background mode this returns when it has ended."""
    watch(step)
    redraw()
    while bpy.app.background and step():
        time.sleep(_BACKGROUND_INTERVAL)


def tick() -> float | None:
    """Run every step once; the seconds until the next tick, or None when there is nothing left to watch."""
    for step in tuple(_steps):
        try:
            watching = step()
        except Exception:  # Blender silently drops a timer that raises, and the others would stop with it
            logger.exception("a step of the timer failed")
            watching = False
        if not watching and step in _steps:
            _steps.remove(step)
    return INTERVAL if _steps else None


def unregister() -> None:
    """Stop at once. A timer that is left at exit crashes Blender 4.2."""
    _steps.clear()
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)


def redraw() -> None:
    """Have every 3D viewport draw its sidebar again, and the preferences what they tell of the server."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()
