"""`vp3d bench VIDEO` is short for `vp3d bench capture VIDEO`."""

from typing import Any

from typer.core import TyperGroup


class ByDefaultCapture(TyperGroup):
    """Commands of which the first one, `capture`, need not be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Group`."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named or not args else ["capture", *args])
