"""A take's camera as a Blender camera, the video behind it, and how well the two and the armatures agree."""

from ..registration import of_modules

register, unregister = of_modules(__name__, ("properties", "overlay", "operators", "panels"))
