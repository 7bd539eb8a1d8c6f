"""The main job from end to end: a video becomes a take, a Blender file, a BVH file, a preview and a report."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from install.child import clean_environment, run_logged
from install.environments import DEMO_BLENDER, REPOSITORY, SERVER, Environment
from install.errors import InstallError
from install.home import HOME_VARIABLE, Home, writing
from install.reporting import Reporter
from install.setup import ensure

CLIP = Path(__file__).resolve().parent / "demo/salsa.mp4"
TRUTH = CLIP.with_suffix(".truth.json")


def run(home: Home, video: Path | None, out: Path, capture_options: Sequence[str], reporter: Reporter) -> None:
    """Set up, and make `out`/NAME with everything that comes from `video`, or from the clip of this project.

    Raises InstallError; what the steps before the failed one made stays.
    """
    video = (video or CLIP).absolute()
    if not video.exists():
        raise InstallError(f"There is no video {video}.", "Name a video file, or none for the clip of this project.")
    folder = out.absolute() / video.stem
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    ensure(home, [SERVER, DEMO_BLENDER], reporter)

    take, blend, bvh = (folder / f"{video.stem}.{suffix}" for suffix in ("vp3d", "blend", "bvh"))
    preview, report = folder / "preview.mp4", folder / "report.html"
    truth = ["--truth", TRUTH] if video == CLIP else []
    with tempfile.TemporaryDirectory() as frames:
        reporter.say("[1/5] Capture")
        _vp3d(home, "capture", video, "-o", take, *capture_options)
        reporter.say("[2/5] BVH")
        _vp3d(home, "export", take, "--to", "bvh", "-o", bvh)
        reporter.say("[3/5] Blender file, and its pictures")
        _blender(home, reporter, take, "--blend", blend, "--render", frames)
        reporter.say("[4/5] Preview")
        _vp3d(home, "preview", take, "-o", preview, "--frames", frames)
        reporter.say("[5/5] Report")
        _vp3d(home, "report", take, "-o", report, *truth)
    made = [take, blend, bvh, preview, report]
    reporter.say("\n".join(["Made:", *(f"  {path}" for path in made)]))
    reporter.result(files=[str(path) for path in made])


def _vp3d(home: Home, *words: str | Path) -> None:
    command = in_environment(home, SERVER, ["vp3d", *words])
    if status := subprocess.call(command, env=clean_environment(**{HOME_VARIABLE: str(home.path)})):
        raise InstallError(f"`vp3d {words[0]}` ended with status {status}.", "What it said stands above.")


def _blender(home: Home, reporter: Reporter, *words: str | Path) -> None:
    """Run the add-on's batch command, whose progress is JSON lines among what Blender itself prints."""
    log = home.path / "logs/demo-blender.log"
    last_line = ""

    def follow(line: str) -> None:
        nonlocal last_line
        if line.startswith('{"stage"'):
            progress = json.loads(line)
            reporter.progress(progress["stage"], progress["done"], progress["total"])
        else:
            last_line = line or last_line

    command = in_environment(home, DEMO_BLENDER, ["python", "-m", "blender_vp3d.batch", *words])
    status, _ = run_logged(command, log, follow, clean_environment(PYTHONPATH=str(REPOSITORY)))
    if status:
        raise InstallError(f"Blender ended with status {status}: {last_line}", log=log)


def in_environment(home: Home, environment: Environment, words: Sequence[str | Path]) -> list[str]:
    """The command that runs `words` in an environment: `vp3d`, `python`, or another program there or on the PATH."""
    program, *arguments = (str(word) for word in words)
    python = str(home.python(environment))
    if program == "vp3d":
        return [python, "-I", "-u", "-m", "vp3d", *arguments]
    if program in ("python", "python3"):
        return [python, *arguments]
    installed = home.scripts(environment) / program
    return [str(installed) if installed.exists() else program, *arguments]
