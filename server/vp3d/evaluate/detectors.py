"""How fast detectors are on a clip, and how far they agree with a better one or with the truth."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Column, Table

from vp3d import media, truth
from vp3d.common.skeletons import BODY_21
from vp3d.detect import DETAILS, SEEN, Detector, People, open_detector
from vp3d.detect.runtime import RUNTIMES
from vp3d.errors import UserError
from vp3d.evaluate.keypoints import Agreement, agreement
from vp3d.media import VideoInfo
from vp3d.progress import Progress, silent

_WARM = 2  # batches before the clock starts: the first compile the network for the size of the images


@dataclass(frozen=True)
class Contender:
    """A detector to measure: its name, level of detail, how often it looks, and for a bottom-up one what runs it."""

    name: str
    detail: str = "normal"
    every: int = 1
    runtime: str = "auto"

    @classmethod
    def parse(cls, text: str) -> "Contender":
        """`NAME:DETAIL:EVERY:RUNTIME`, all but the name optional; raises UserError for anything else."""
        name, *rest = text.split(":")
        detail, every, runtime = (*rest, "", "", "")[:3]
        contender = cls(
            name, detail or "normal", int(every or "1") if (every or "1").isdigit() else 0, runtime or "auto"
        )
        if len(rest) > 3 or contender.detail not in DETAILS or not contender.every or contender.runtime not in RUNTIMES:
            raise UserError(
                f"“{text}” is no detector to measure.",
                "Write NAME:DETAIL:EVERY:RUNTIME, such as bottom-up:fast:2 or bottom-up:::torch.",
            )
        return contender

    def __str__(self) -> str:
        text = f"{Path(self.name).name}, {self.detail}" + (f", every {self.every}." if self.every > 1 else "")
        return text + (f", {self.runtime}" if self.runtime != "auto" else "")

    def open(self, device: str) -> Detector:
        """The detector; raises what `open_detector` raises."""
        return open_detector(self.name, self.detail, device, self.every, self.runtime)


@dataclass(frozen=True)
class Row:
    """What was measured of one detector.

    Attributes:
        frames_per_second: by the clock on the wall.
        core_seconds: time of one processor core per frame, which other work on the computer hardly changes.
    """

    contender: Contender
    frames_per_second: float
    core_seconds: float
    against: Agreement


@dataclass(frozen=True)
class Comparison:
    """Detectors on one clip."""

    info: VideoInfo
    frames: int
    reference: str
    rows: tuple[Row, ...]

    def __rich__(self) -> Table:
        """A table for the command line."""
        clip = f"{self.info.path.name}, {self.info.width} × {self.info.height} px, {self.frames} frames"
        titles = ("frames/s", "core ms/frame", "joints within 0.2 torso", "people missed", "people extra")
        table = Table(
            "detector",
            *(Column(title, justify="right") for title in titles),
            title=f"{clip}, {os.cpu_count()} CPU cores, against {self.reference}",
        )
        for row in self.rows:
            found = row.against
            table.add_row(
                str(row.contender),
                f"{row.frames_per_second:.1f}",
                f"{1000 * row.core_seconds:.0f}",
                f"{found.pck:.1%}",
                f"{found.missed} of {found.people}",
                str(found.extra),
            )
        return table


def compare(
    video: Path,
    contenders: Sequence[Contender],
    reference: Contender | Path,
    end: int | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Comparison:
    """Run detectors over a clip, one after the other.

    Args:
        video: the clip.
        contenders: whom to measure.
        reference: whose sure joints (at least `SEEN`) count as true, or a truth file as for `vp3d.truth.read`.
        end: frame after the last, None for all.
        device: as for `open_detector`.
        progress: called with ("detect", detectors done, detectors).

    Raises:
        UserError: the clip, a detector or the truth cannot be used.
    """
    frames = [frame.image for frame in media.read_frames(video, end=end)]
    if isinstance(reference, Path):
        known = _known(truth.read(reference), len(frames))
        title = reference.name
    else:
        known = [_sure(people) for people in _run(reference, frames, device)[0]]
        title = str(reference)
    rows = []
    for number, contender in enumerate(contenders):
        progress("detect", number, len(contenders))
        people, seconds, core_seconds = _run(contender, frames, device)
        found = [person.joints for person in people]
        rows.append(Row(contender, len(frames) / seconds, core_seconds / len(frames), agreement(known, found)))
    progress("detect", len(contenders), len(contenders))
    return Comparison(media.probe(video), len(frames), title, tuple(rows))


def _run(contender: Contender, frames: list[np.ndarray], device: str) -> tuple[list[People], float, float]:
    detector = contender.open(device)
    size = detector.batch_size
    detector.detect(frames[: _WARM * size])
    detector.close()
    # Opened anew, because some detectors remember what they saw.
    detector = contender.open(device)
    try:
        detector.detect(frames[:1] * min(size, 2))
        begin, core = time.perf_counter(), time.process_time()
        people = [p for start in range(0, len(frames), size) for p in detector.detect(frames[start : start + size])]
        return people, time.perf_counter() - begin, time.process_time() - core
    finally:
        detector.close()


def _sure(people: People) -> np.ndarray:
    joints = np.where((people.confidence >= SEEN)[..., None], people.joints, np.nan)
    return joints[np.isfinite(joints[..., 0]).any(1)]


def _known(content: dict, count: int) -> list[np.ndarray]:
    """Per frame (P, 21, 2) px from a truth file."""
    try:
        names, frames = list(content["joint_names"]), np.asarray(content["frames"], int)
        joints = np.asarray(content["joints2d"], float)
        result = [np.full((len(joints), len(BODY_21), 2), np.nan) for _ in range(count)]
        for step, frame in enumerate(frames):
            if frame < count:
                for place, name in enumerate(names):
                    result[frame][:, BODY_21.index(name)] = joints[:, step, place]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"The known truth cannot be used ({error}).", "Leave it out, or make it again.") from error
    return result
