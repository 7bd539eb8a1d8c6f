"""Choose a video, capture it, watch it, and apply what was found."""

from . import operators, panels, properties, running

_MODULES = (properties, operators, panels, running)


def register() -> None:
    """Register properties, operators, panels and handlers."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Stop the server and take everything back."""
    for module in reversed(_MODULES):
        module.unregister()
