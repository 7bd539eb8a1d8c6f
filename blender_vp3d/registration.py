"""How a package registers its modules with Blender, and takes them back in reverse order."""

from collections.abc import Callable, Sequence
from importlib import import_module


def of_modules(package: str, names: Sequence[str]) -> tuple[Callable[[], None], Callable[[], None]]:
    """`register` and `unregister` of a package made of modules that have both.

    The modules are imported when they are registered: what lies beside them must not need Blender.
    """

    def register() -> None:
        for name in names:
            import_module(f".{name}", package).register()

    def unregister() -> None:
        for name in reversed(names):
            import_module(f".{name}", package).unregister()

    return register, unregister
