"""All that helps somebody else to understand an installation that failed, as text."""

import platform
import sys
from pathlib import Path

from ..backend.environment import Environment, payload

_LONGEST_LOG = 400_000
"""Characters of a log's end; a clipboard should stay one that can be pasted into a message."""


def report(environment: Environment, blender: str, failure: str) -> str:
    """Versions, state and the full logs of the installer.

    Args:
        environment: what is known of the server.
        blender: version and platform of Blender.
        failure: what went wrong, one or two sentences.
    """
    logs = environment.log_folder
    newest = sorted(logs.glob("installer-*.log"), key=lambda path: path.stat().st_mtime)[-1:]
    files = [environment.home / "install.json", *newest, logs / "install-server.log", logs / "install-detectron2.log"]
    lines = [
        failure,
        "",
        f"VP3D Mocap {_version()}, state: {environment.state.value}, server {environment.version or 'none'}",
        f"{blender}, Python {platform.python_version()}",
        f"{platform.platform()}, {platform.machine()}, file names in {sys.getfilesystemencoding()}",
        f"Home: {environment.home}",
    ]
    lines += [f"\n--- {file.name}\n{_text(file)}" for file in files if file.is_file()]
    return "\n".join(lines) + "\n"


def _version() -> str:
    server = payload("server")
    text = (server / "pyproject.toml").read_text("utf-8") if server else ""
    return next((line.split('"')[1] for line in text.splitlines() if line.startswith("version = ")), "")


def _text(file: Path) -> str:
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError as error:
        return f"cannot be read: {error}"
    return text if len(text) <= _LONGEST_LOG else f"(the last {_LONGEST_LOG} characters)\n{text[-_LONGEST_LOG:]}"
