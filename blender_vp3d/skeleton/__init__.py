"""A take becomes armatures with baked keyframes, and the camera that goes with them."""

from .apply import Applied, apply_take

__all__ = ["Applied", "apply_take"]
