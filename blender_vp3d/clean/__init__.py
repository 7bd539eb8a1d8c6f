"""Motion made clean: noise and pops taken out, feet held where they stand, few keys to edit."""

from ..registration import of_modules

register, unregister = of_modules(__name__, ("properties", "operators", "panels"))
