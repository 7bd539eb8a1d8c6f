"""The main job from end to end: a video becomes a take, a Blender file, a BVH file, a preview and a report."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from install.child import clean_environment
from install.environments import DEMO_BLENDER, REPOSITORY, SERVER, Environment
from install.errors import InstallError
from install.home import HOME_VARIABLE, Home, writing
from install.reporting import Reporter
from install.setup import ensure

CLIP = Path(__file__).resolve().parent / "demo/walk.mp4"
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
        steps = (
            ("Capture", SERVER, ["vp3d", "capture", video, "-o", take, *capture_options]),
            ("BVH", SERVER, ["vp3d", "export", take, "--to", "bvh", "-o", bvh]),
            (
                "Blender file and renders",
                DEMO_BLENDER,
                ["python", "-m", "blender_vp3d.batch", take, "--blend", blend, "--render", frames],
            ),
            ("Preview", SERVER, ["vp3d", "preview", take, "-o", preview, "--frames", frames]),
            ("Report", SERVER, ["vp3d", "report", take, "-o", report, *truth]),
        )
        for number, (title, environment, words) in enumerate(steps, 1):
            reporter.say(f"[{number}/{len(steps)}] {title}")
            status = subprocess.call(
                in_environment(home, environment, words),
                cwd=REPOSITORY,
                env=clean_environment(**{HOME_VARIABLE: str(home.path)}),
            )
            if status:
                raise InstallError(f"The step '{title}' failed with status {status}.", "What it said stands above.")
    made = [take, blend, bvh, preview, report]
    reporter.say("\n".join(["Made:", *(f"  {path}" for path in made)]))
    reporter.result(files=[str(path) for path in made])


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
