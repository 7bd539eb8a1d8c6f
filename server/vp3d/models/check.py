"""Whether files are the weights that the table means."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from vp3d.errors import UserError
from vp3d.models.table import Model

_LIMIT = 1 << 30  # bytes; the largest weights of the table have a quarter of it


def check(row: Model, paths: Sequence[Path]) -> None:
    """Prove that files are a model's: against the table's size and hash, or by reading them where it has none.

    Raises:
        UserError: a file is cut short, damaged, another one, or of another network.
    """
    check_sizes(row, paths)
    for file, path in zip(row.files, paths, strict=True):
        if file.sha256 and sha256(path) != file.sha256:
            raise UserError(
                f"{path.name} is not the official file: its checksum differs.",
                "It is damaged, or of another version: fetch it again.",
            )
    if reader := _READERS.get(row.name):
        reader(paths[0])


def check_sizes(row: Model, paths: Sequence[Path]) -> None:
    """The part of `check` that costs no reading."""
    for file, path in zip(row.files, paths, strict=True):
        size, most = path.stat().st_size, file.size or _LIMIT
        if size < file.size:
            raise UserError(
                f"{path.name} is cut short: it has {size:,} of {file.size:,} bytes.", "Fetch it again, to its end."
            )
        if size > most:
            raise UserError(
                f"{path.name} is another file: it has {size:,} bytes, and {most:,} would be right.",
                "Look which file the list means.",
            )


def sha256(path: Path) -> str:
    """Hash of a file as the table writes it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# What the weights without a fixed release are read by. Each raises UserError for another network's.


def _lifter(causal: bool) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from vp3d.lift.checkpoint import load

        checkpoint = load(path)
        if checkpoint.convention != "canonical" or checkpoint.causal != causal:
            wanted = "one that looks back only" if causal else "one that looks both ways"
            raise UserError(f"{path.name} holds another lifter, not {wanted}.", "Look which file the list means.")

    return read


def _videopose3d(path: Path) -> None:
    from vp3d.lift.checkpoint import load

    if load(path).convention != "width-normalised":
        raise UserError(f"{path.name} holds a lifter, but not VideoPose3D's.", "Look which file the list means.")


def _detector(path: Path) -> None:
    from vp3d.detect.basic_network import load

    load(path)


def _detectron2(path: Path) -> None:
    from vp3d.detect.keypoint_rcnn import read_detectron2

    read_detectron2(path)


_READERS: dict[str, Callable[[Path], None]] = {
    "lifter": _lifter(causal=False),
    "lifter-causal": _lifter(causal=True),
    "videopose3d": _videopose3d,
    "detector": _detector,
    "keypoint-rcnn-detectron2": _detectron2,
}
