"""The add-on's zip, built and validated by Blender's own command-line tool, which the Blender module brings."""

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from install.child import clean_environment
from install.environments import DEMO_BLENDER, REPOSITORY
from install.errors import InstallError
from install.home import Home, writing

_PAYLOAD = ("server", "install")
_FILES = ("blender_manifest.toml", "README.md", "LICENSE")
# What only someone with the repository can use.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*.egg-info", "demo")


def build(home: Home, out: Path) -> Path:
    """Stage the add-on with its server and installer, build the zip in `out`, validate it; returns its path."""
    tool = _tool(home)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / "stage"
        package_stage(stage)
        output = _run(home, tool, "build", "--source-dir", stage, "--output-dir", out)
        _make_reproducible(path := _built(output, out))
        _run(home, tool, "validate", path)
    return path


def package_stage(stage: Path) -> None:
    """Lay out the extension as Blender wants it: the add-on's package and the manifest at the top."""
    shutil.copytree(REPOSITORY / "blender_vp3d", stage, ignore=_LEFT_OUT)
    for name in _PAYLOAD:
        shutil.copytree(REPOSITORY / name, stage / name, ignore=_LEFT_OUT)
    for name in _FILES:
        shutil.copy2(REPOSITORY / name, stage / name)


def _tool(home: Home) -> Path:
    found = home.folder(DEMO_BLENDER).rglob("addons_core/bl_pkg/cli/blender_ext.py")
    if tool := next(found, None):
        return tool
    raise InstallError(
        f"{home.folder(DEMO_BLENDER)} lacks Blender's extension tool.", "Run `remove`, then `extension`."
    )


def _run(home: Home, tool: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [home.python(DEMO_BLENDER), "-I", tool, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(),
    )
    if done.returncode:
        raise InstallError(f"Blender's tool refuses the extension: {done.stdout.strip()}")
    return done.stdout


def _make_reproducible(path: Path) -> None:
    """Write a zip again so that it hangs on its files alone, not on when, where and in which order they were found."""
    draft = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name)  # of 1980, the beginning of time in zips
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            new.writestr(entry, old.read(name))
    draft.replace(path)


def _built(output: str, out: Path) -> Path:
    return next(path for path in out.glob("*.zip") if path.name in output)
