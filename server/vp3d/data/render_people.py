"""`vp3d data render-people`: training images of rendered people with exact labels, by processes of Blender.

Needs a Blender: an environment that `python3 -m install` made, or a program the user names. Stopped at any point, the
same command goes on and ends with the same images.
"""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vp3d.data import poses
from vp3d.data.records import ANNOTATIONS, count_records, done_instants, merge
from vp3d.errors import UserError
from vp3d.files import written_whole
from vp3d.paths import home
from vp3d.progress import Progress, silent
from vp3d.train.recordings import read_recordings

SCRIPT = Path(__file__).with_name("blender") / "render.py"
ENGINES = ("workbench", "cycles", "eevee")
BLENDERS = ("blender-5.0", "blender-4.5", "blender-5.2", "blender-5.1", "blender-4.2")
"""Environments of the installer, the one to take first in front."""
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MADE_UP_POSES = 6000
MAKEHUMAN_PEOPLE = 160
RIGS = 24
HELD_OUT = 0.2


@dataclass(frozen=True)
class RenderSettings:
    """What to render.

    Attributes:
        output: folder of the data set.
        images: how many images, all views counted.
        meshes: folders or files of people: Rocketbox FBX files and MakeHuman's archive.
        motion: zips or folders of motion capture to pose them by; none is possible.
        backgrounds: folders of photographs without people.
        views: cameras that see each instant.
        size: width and height, px.
        engine: one of `ENGINES`.
        samples: per pixel, for Cycles.
        seed: of everything.
        processes: how many Blenders work side by side.
        threads: of each process; 0 shares the processor's among them.
        blender: a Blender program, or a Python with bpy; None for one that the installer made.
    """

    output: Path
    images: int
    meshes: Sequence[Path]
    motion: Sequence[Path] = ()
    backgrounds: Sequence[Path] = ()
    views: int = 1
    size: int = 384
    engine: str = "workbench"
    samples: int = 4
    seed: int = 1
    processes: int = 1
    threads: int = 0
    blender: Path | None = None


def render_people(settings: RenderSettings, progress: Progress = silent) -> Path:
    """Render what is not rendered yet and write `annotations.json`; returns its path.

    Raises:
        UserError: a setting or file is no good, the folder holds a data set of other settings, or Blender failed.
        Cancelled: `progress` asked to stop; what is rendered is kept.
    """
    _check(settings)
    blender = find_blender(settings.blender)
    records = settings.output / "records"
    records.mkdir(parents=True, exist_ok=True)
    (settings.output / "images").mkdir(exist_ok=True)
    job = _job(settings, progress)
    instants = job["instants"]
    done = len(done_instants(settings.output))
    progress("render", done * settings.views, instants * settings.views)
    if done < instants:
        _run(blender, job, settings, progress)
    return write_annotations(settings.output)


def write_annotations(folder: Path) -> Path:
    """Write `annotations.json` of what is rendered so far, also while rendering goes on."""
    path = folder / ANNOTATIONS
    with written_whole(path) as partial:
        partial.write_text(json.dumps(merge(folder), separators=(",", ":")), "utf-8")
    return path


def find_blender(named: Path | None) -> Path:
    """The program to render with: what the user names, or the Python of an environment of the installer's.

    Raises:
        UserError: there is none.
    """
    if named is not None:
        if not named.is_file():
            raise UserError(f"There is no program “{named}”.", "Name a Blender, or a Python that has bpy.")
        return named.absolute()  # a link into an environment stays a link: it is how Python finds its packages
    scripts, python = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    for name in BLENDERS:
        path = home() / name / scripts / python
        if path.is_file():
            return path
    raise UserError(
        "Rendering people needs Blender, and there is none that this program knows.",
        "Run `python3 -m install setup --blender 5.0`, or name one with --blender.",
    )


def _check(settings: RenderSettings) -> None:
    if settings.engine not in ENGINES:
        raise UserError(f"“{settings.engine}” is no engine.", f"Choose one of {', '.join(ENGINES)}.")
    for name, value, low, high in (
        ("images", settings.images, 1, 10_000_000),
        ("views", settings.views, 1, 4),
        ("size", settings.size, 32, 4096),
        ("samples", settings.samples, 1, 4096),
        ("processes", settings.processes, 1, 64),
    ):
        if not low <= value <= high:
            raise UserError(f"--{name} {value} is out of range.", f"Give a number from {low} to {high}.")


def _job(settings: RenderSettings, progress: Progress) -> dict:
    """What the processes need to know, settled at the first run and kept in the folder."""
    folder = settings.output.absolute()
    rocketbox, makehuman = _meshes(settings.meshes)
    people = list(range(len(rocketbox) + (MAKEHUMAN_PEOPLE if makehuman else 0)))
    shuffled = np.random.default_rng(settings.seed).permutation(people).tolist()
    held = max(1, round(HELD_OUT * len(people))) if settings.views > 1 else 0
    unseen = RIGS * 3 // 4
    job = {
        "views": settings.views,
        "size": settings.size,
        "engine": settings.engine,
        "samples": settings.samples,
        "seed": settings.seed,
        "rocketbox": [str(path) for path in rocketbox],
        "makehuman": str(makehuman) if makehuman else None,
        "backgrounds": [str(path) for path in _pictures(settings.backgrounds)],
        "motion": [str(path.absolute()) for path in settings.motion],
        "held_out": HELD_OUT,
        "subjects": {"train": sorted(shuffled[held:]), "test": sorted(shuffled[:held])},
        "rigs": {"train": list(range(unseen)), "test": list(range(unseen, RIGS))} if settings.views > 1 else {},
    }
    kept = folder / "settings.json"
    if kept.exists() and json.loads(kept.read_text("utf-8")) != job:
        raise UserError(
            f"“{settings.output}” holds images of other settings.",
            "Name another folder, or the settings it was begun with.",
        )
    packed = folder / "records" / "poses.npz"
    if not packed.exists():
        made_up, kinds = poses.make_up(MADE_UP_POSES, settings.seed)
        recorded = np.empty((0, *made_up.shape[1:]), np.float32)
        if settings.motion:
            recorded = poses.from_recordings(read_recordings(settings.motion, progress))
        with written_whole(packed) as partial, partial.open("wb") as file:
            np.savez_compressed(file, recorded=recorded, made_up=made_up, kinds=np.array(kinds))
    with written_whole(kept) as partial:
        partial.write_text(json.dumps(job, indent=1), "utf-8")
    return job | {
        "folder": str(folder),
        "poses": str(packed),
        "instants": -(-settings.images // settings.views),
        "processes": settings.processes,
        "threads": settings.threads or max(1, (os.cpu_count() or 1) // settings.processes),
        "follow_parent": True,
    }


def _meshes(places: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """FBX files and MakeHuman's archive in the places given."""
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise UserError(f"There is no “{place}”.", "Name folders or files with people.")
        files += sorted(place.rglob("*")) if place.is_dir() else [place]
    rocketbox = [file.absolute() for file in files if file.suffix.lower() == ".fbx"]
    makehuman = [file.absolute() for file in files if file.suffix == ".zip" and "makehuman" in file.name.lower()]
    if not rocketbox and not makehuman:
        raise UserError(
            "None of the given places holds people to render.",
            "Name a folder with Rocketbox adults (FBX) or MakeHuman's archive (makehuman.zip).",
        )
    return rocketbox, makehuman[0] if makehuman else None


def _pictures(folders: Sequence[Path]) -> list[Path]:
    found = []
    for folder in folders:
        pictures = sorted(file.absolute() for file in folder.rglob("*") if file.suffix.lower() in PICTURES)
        if not pictures:
            raise UserError(f"“{folder}” holds no pictures.", "Name a folder of photographs without people.")
        found += pictures
    return found


def _run(blender: Path, job: dict, settings: RenderSettings, progress: Progress) -> None:
    """Start the processes and watch their records grow; all of them end with this one."""
    folder = settings.output.absolute()
    plan = folder / "records" / "job.json"
    plan.write_text(json.dumps(job), "utf-8")
    words = [str(SCRIPT), str(plan)]
    if blender.stem.lower().startswith("blender"):
        words = [
            "--background",
            "--factory-startup",
            "--python-exit-code",
            "1",
            "--python",
            str(SCRIPT),
            "--",
            str(plan),
        ]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {name: str(job["threads"]) for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    children: list[tuple[subprocess.Popen, Path]] = []
    try:
        for number in range(settings.processes):
            log = folder / "records" / f"{number}.log"
            with log.open("wb") as output:
                child = subprocess.Popen(
                    [str(blender), *words, str(number)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for this process, which ends them
                )
            children.append((child, log))
        while any(child.poll() is None for child, _ in children):
            for child, log in children:
                if child.returncode:
                    raise UserError(f"Blender ended with status {child.returncode}.", f"What it said is in “{log}”.")
            time.sleep(0.3)
            progress("render", count_records(folder) * settings.views, job["instants"] * settings.views)
        for child, log in children:
            if child.returncode:
                raise UserError(f"Blender ended with status {child.returncode}.", f"What it said is in “{log}”.")
    finally:
        for child, _ in children:
            if child.poll() is None:
                child.kill()
            child.wait()
            child.stdin.close()
