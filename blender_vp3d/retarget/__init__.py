"""Motion of one armature onto another, whatever its bones are called and however it rests."""

from ..registration import of_modules

register, unregister = of_modules(__name__, ("properties", "operators", "panels"))
