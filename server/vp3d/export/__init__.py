"""Takes as files that other programs read."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from vp3d.common.take import Take
from vp3d.errors import UserError
from vp3d.files import written_whole

FORMATS = {
    "json": "one object with everything, names and units spelled out",
    "csv": "one row per person and frame, for spreadsheets",
    "npz": "NumPy arrays, for scripts",
    "bvh": "one skeleton animation per person, for 3D programs",
    "chan": "the camera as a table, for Nuke, Houdini and others",
    "nk": "the camera as a Nuke script, with sensor back and lens shift",
}
"""What `write` can write, and whom it serves. Each is a module of this package with a function `write`."""

_NUMBERED = ("chan", "nk")  # formats whose frames have numbers of their own


def write(take: Take, path: Path, format: str, first_frame: int = 1) -> list[Path]:
    """Write a take in one of `FORMATS`; files appear whole or not at all.

    Args:
        take: what to write.
        path: file to write. BVH holds one person: with several, `-1`, `-2`, … (their ids) come before the suffix.
        format: a key of `FORMATS`.
        first_frame: number of the video's frame 0 in `chan` and `nk`: 1 as in Blender, or where a plate begins.

    Returns:
        The files written.

    Raises:
        UserError: there is no such format, nobody is in the take (BVH), or the file cannot be written.
    """
    path = Path(path)
    if format not in FORMATS:
        raise UserError(f"“{format}” is not a format to export to.", f"Choose one of {', '.join(FORMATS)}.")
    module = import_module(f"vp3d.export.{format}")
    if format in _NUMBERED:
        return [_write(path, lambda file: module.write(take, file, first_frame))]
    if format != "bvh":
        return [_write(path, lambda file: module.write(take, file))]
    people = [int(person) for person in np.flatnonzero([take.present(p).any() for p in range(len(take.person_ids))])]
    if not people:
        raise UserError("Nobody in this take has a 3D pose, so there is no motion to write.", "Export it as JSON.")
    several = len(people) > 1
    return [
        _write(
            path.with_name(f"{path.stem}-{take.person_ids[person]}{path.suffix}") if several else path,
            lambda file, person=person: module.write(take, file, person),
        )
        for person in people
    ]


def _write(path: Path, fill: Callable[[Path], object]) -> Path:
    with written_whole(path) as partial:
        fill(partial)
    return path
