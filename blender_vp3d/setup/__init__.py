"""Whether the server is installed, where, and its installation."""

from . import operators, panels

_MODULES = (operators, panels)


def register() -> None:
    """Register operators and panels."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Stop a running installation and take everything back."""
    for module in reversed(_MODULES):
        module.unregister()
