"""The extension's zip, as Blender's own tool makes it, through its whole life in Blender as a module."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import left_over
from server_home import borrow_server

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")


@pytest.fixture(scope="module")
def archive(repository, tmp_path_factory):
    """The zip, built and validated by this Blender's tool."""
    sys.path.insert(0, str(repository))
    from install import extension

    folder = tmp_path_factory.mktemp("extension")
    extension.package_stage(folder / "stage")
    tool = Path(bpy.utils.system_resource("SCRIPTS"), "addons_core", "bl_pkg", "cli", "blender_ext.py")
    for words in (
        ("build", "--source-dir", folder / "stage", "--output-filepath", folder / "it.zip"),
        ("validate", folder / "it.zip"),
    ):
        subprocess.run([sys.executable, "-I", tool, *words], check=True)
    return folder / "it.zip"


def test_installed_enabled_used_disabled_removed(archive, repository, tmp_path):
    home, result = borrow_server(tmp_path), tmp_path / "result.json"
    done = subprocess.run(
        [
            sys.executable,
            repository / "tests" / "extension_life.py",
            archive,
            repository / "install" / "demo" / "salsa.mp4",
            result,
        ],
        env={**os.environ, "VP3D_HOME": str(home), "BLENDER_USER_RESOURCES": str(tmp_path / "settings")},
        capture_output=True,
        text=True,
    )
    assert result.exists(), done.stdout + done.stderr
    told = json.loads(result.read_text("utf-8"))
    assert "error" not in told, told["error"]
    assert told["before"] == told["disabled"] == []
    assert told["enabled"] > 50
    assert told["idle_s"] == 420
    assert told["armatures"] == 1
    assert told["written_into_it"] == []
    assert told["removed"]
    assert not left_over(home), "the server goes with the add-on"
