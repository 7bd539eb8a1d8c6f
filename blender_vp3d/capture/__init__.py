"""Choose a video, capture it, watch it, and apply what was found."""

from ..registration import of_modules

register, unregister = of_modules(__name__, ("operators", "panels", "properties", "running"))
