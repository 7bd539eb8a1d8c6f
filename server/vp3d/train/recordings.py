"""Finding, reading and splitting the motion capture a lifter is trained on."""

import logging
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from vp3d.common import take as takes
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.train.bodies import SOURCES, harmonise
from vp3d.train.motion import read_amc, read_bvh
from vp3d.train.recording import STORED_FPS, Recording, resample
from vp3d.train.videopose3d import read_positions, with_face

logger = logging.getLogger(__name__)

_LARGEST = 1 << 28  # bytes of one text file of motion


# Path pattern, source skeletons to try, take. Some headers state a wrong frame rate: a source carries the true one.
# Salsa files 16 to 30 are the partners of 01 to 15.
_FILES: tuple[tuple[str, tuple[str, ...], Callable[[re.Match[str]], str]], ...] = (
    (r"salsa/(\d+)\.bvh$", ("daz-60",), lambda found: f"salsa-{(int(found[1]) - 1) % 15 + 1:02d}"),
    (r"(indian|martial)/(\d+)\.bvh$", ("daz-120",), lambda found: f"{found[1]}-{found[2]}"),
    (r"(\d+)_(\d+)\.bvh$", ("character-creator", "motion-builder"), lambda found: f"{int(found[1]):03d}-{found[2]}"),
    (r"([^/]+)\.bvh$", ("mixamo",), lambda found: found[1]),
    (r"(\d+)_(\d+)\.amc$", ("acclaim",), lambda found: f"{int(found[1]):03d}-{found[2]}"),
)


def read_recordings(paths: Sequence[Path], progress: Progress = silent) -> list[Recording]:
    """Read every recording in the given places whose skeleton is known; others are logged and left out.

    Args:
        paths: zip archives and folders of BVH and ASF/AMC files, single BVH files, takes (.vp3d) and VideoPose3D's
            `data_3d_*.npz`.
        progress: is told the files read.

    Raises:
        UserError: a path does not exist, or nothing in them is a known recording.
    """
    recordings = []
    for path in paths:
        path = Path(path)
        if path.is_file() and path.suffix in _PLACED:
            recordings += _PLACED[path.suffix](path)
            continue
        files = _contents(path)
        for done, name in enumerate(files):
            progress("read motion", done, len(files))
            for pattern, sources, take in _FILES:
                if found := re.search(pattern, name):
                    recording = _read(name, files, sources, take(found))
                    if recording is not None:
                        recordings.append(recording)
                    break
    if not recordings:
        raise UserError(
            "None of the given places holds motion capture that training knows.",
            "Name archives or folders of CMU's or Mixamo's BVH or ASF/AMC files, takes, or VideoPose3D's data.",
        )
    return recordings


def _read(name: str, files: dict[str, Callable[[], str]], sources: Sequence[str], take: str) -> Recording | None:
    try:
        if name.endswith(".amc"):
            subject = PurePosixPath(name).name.split("_")[0]
            skeleton = str(PurePosixPath(name).with_name(f"{subject}.asf"))
            motion = read_amc(files[skeleton](), files[name](), name)
        else:
            motion = read_bvh(files[name](), name)
        source = next((SOURCES[each] for each in sources if SOURCES[each].fits(motion)), SOURCES[sources[0]])
        points = harmonise(motion, source)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile, UserError) as error:
        logger.warning("left out %s: %s", name, error)
        return None
    return Recording(
        name, take, resample(points, source.fps or motion.fps or STORED_FPS, STORED_FPS).astype(np.float32)
    )


def _contents(path: Path) -> dict[str, Callable[[], str]]:
    """Names and readers of the text files in an archive or folder, in a fixed order."""
    reader = partial(Path.read_text, encoding="utf-8", errors="replace")
    if path.is_file() and path.suffix == ".bvh":
        return {path.name: partial(reader, path)}
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in (".bvh", ".asf", ".amc"))
        return {file.relative_to(path).as_posix(): partial(reader, file) for file in files}
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is neither a folder nor a zip archive of motion.", "Name where the motion lies.")
    with zipfile.ZipFile(path) as archive:
        return {name: partial(_read_member, path, name) for name in sorted(archive.namelist())}


def _of_take(path: Path) -> list[Recording]:
    """The people of a take, each in their longest stretches without gaps; what was corrected by hand counts."""
    take = takes.load(path)
    fps = float(take.fps) / int(take.video.get("every") or 1)
    recordings = []
    for person, joints in zip(take.person_ids, take.joints3d, strict=True):
        there = np.flatnonzero(np.isfinite(joints).all((1, 2)))
        for stretch in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1):
            if len(stretch) > 1:
                points = resample(with_face(joints[stretch].astype(float)), fps, STORED_FPS).astype(np.float32)
                recordings.append(Recording(f"{path.name}, person {person}", f"{path.stem}-{person}", points))
    return recordings


def _of_positions(path: Path) -> list[Recording]:
    return read_positions(path)


_PLACED: dict[str, Callable[[Path], list[Recording]]] = {".vp3d": _of_take, ".npz": _of_positions}
"""Readers of files whose joints already are Human3.6M's, by ending."""


def _read_member(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > _LARGEST:
            raise ValueError("too large for motion capture")
        return archive.read(name).decode("utf-8", errors="replace")


def split(
    recordings: Sequence[Recording],
    held_out: float,
    seed: int,
    named: Sequence[str] = (),
    share: float = 1.0,
) -> tuple[list[Recording], list[Recording]]:
    """Divide into training and held-out recordings by take.

    Args:
        recordings: what there is.
        held_out: share of the takes to hold out, chosen at random.
        seed: of the choice.
        named: takes, and performers with all their takes, to hold out instead.
        share: of the remaining takes to train on.

    Raises:
        UserError: a name that nothing has, or nothing is left to train on.
    """
    performers = {recording.take: recording.performer for recording in recordings}
    unknown = sorted(set(named) - set(performers) - set(performers.values()))
    if unknown:
        raise UserError(
            f"No take and nobody in the motion is called {unknown[0]}.",
            f"Name takes, or among: {', '.join(sorted(set(performers.values())))}.",
        )
    takes = sorted(performers)
    order = [takes[i] for i in np.random.default_rng(seed).permutation(len(takes))]
    held = {take for take in takes if {take, performers[take]} & set(named)}
    held = held or set(order[: max(1, round(len(takes) * held_out))])
    rest = [take for take in order if take not in held]
    if not rest:
        raise UserError("All takes are held out, and none is left to train on.", "Give more takes, or hold out fewer.")
    used = set(rest[: max(1, round(len(rest) * share))])
    return (
        [recording for recording in recordings if recording.take in used],
        [recording for recording in recordings if recording.take in held],
    )


def minutes(recordings: Sequence[Recording]) -> float:
    """Length of all recordings together, minutes."""
    return sum(len(recording.points) for recording in recordings) / STORED_FPS / 60
