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


def test_bytes_hang_on_the_files_alone(tmp_path) -> None:
    paths = [tmp_path / "today.zip", tmp_path / "another day.zip"]
    for path, names, year in zip(paths, (["a.py", "b/c.py"], ["b/c.py", "a.py"]), (2001, 2026), strict=True):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), f"# {name}\n" * 100)
        extension._make_reproducible(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.read("b/c.py").startswith(b"# b/c.py\n")


def test_built_and_validated(tmp_path) -> None:
    home = Home(default_home())
    if not home.folder(DEMO_BLENDER).exists():
        pytest.skip(f"needs the environment {DEMO_BLENDER.name} in {home.path}, whose Blender has the validator")
    path = extension.build(home, tmp_path / "dist")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert {"blender_manifest.toml", "__init__.py", "server/vp3d/__init__.py", "install/setup.py"} <= names
    assert path.stat().st_size < 40e6
