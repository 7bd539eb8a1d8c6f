"""The zip is laid out as Blender wants it, and Blender's own tool accepts it."""

import subprocess
import sys
import zipfile

import pytest

from install import extension
from install.environments import DEMO_BLENDER
from install.home import Home, default_home


def test_staged_with_server_and_installer(tmp_path) -> None:
    extension.package_stage(tmp_path / "stage")
    for path in ("__init__.py", "blender_manifest.toml", "LICENSE", "server/vp3d/__main__.py", "install/__main__.py"):
        assert (tmp_path / "stage" / path).is_file(), path
    left_out = [path for path in (tmp_path / "stage").rglob("*") if path.name in ("__pycache__", "demo", ".git")]
    assert left_out == []
    program = "import sys; sys.path.insert(0, '.'); from install.environments import REPOSITORY; print(REPOSITORY)"
    done = subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path / "stage", capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "stage"), done.stderr


def test_built_and_validated(tmp_path) -> None:
    home = Home(default_home())
    if not home.folder(DEMO_BLENDER).exists():
        pytest.skip(f"needs the environment {DEMO_BLENDER.name} in {home.path}, whose Blender has the validator")
    path = extension.build(home, tmp_path / "dist")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    assert {"blender_manifest.toml", "__init__.py", "server/vp3d/__init__.py", "install/setup.py"} <= names
    assert path.stat().st_size < 40e6
