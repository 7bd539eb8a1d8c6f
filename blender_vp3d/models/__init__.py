"""The networks' weights: which there are, what their licences allow, and getting them."""

from ..registration import of_modules

register, unregister = of_modules(__name__, ("operators", "panels"))
