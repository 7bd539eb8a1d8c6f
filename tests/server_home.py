"""A home folder of a test's own around the server that is installed on this computer."""

import json
from pathlib import Path

import pytest

from blender_vp3d.backend import environment


def borrow_server(folder: Path) -> Path:
    """Make a home in `folder` that uses the installed server, or skip where none is installed."""
    installed = environment.read(environment.default_home())
    if installed.state is not environment.State.READY:
        pytest.skip(f"{environment.SENTENCES[installed.state]} Run `python3 -m install setup`.")
    home = folder / "home"
    home.mkdir()
    (home / "server").symlink_to(installed.home / "server")
    (home / "install.json").write_text(json.dumps({"server": {"state": "ready", "version": installed.version}}))
    return home
