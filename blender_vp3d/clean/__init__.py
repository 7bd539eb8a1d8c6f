"""Motion made clean: noise and pops taken out, feet held where they stand, few keys to edit."""

from importlib import import_module

_MODULES = ("properties", "operators", "panels")  # by name: the maths beside them must not need Blender


def register() -> None:
    """Register properties, operators and panels."""
    for module in _MODULES:
        import_module(f".{module}", __package__).register()


def unregister() -> None:
    """Take everything back."""
    for module in reversed(_MODULES):
        import_module(f".{module}", __package__).unregister()
