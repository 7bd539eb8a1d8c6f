"""Whether the server is installed, where, and its installation."""

from ..registration import of_modules

register, unregister = of_modules(__name__, ("operators", "panels"))
