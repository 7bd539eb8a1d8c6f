"""What commands show: text, errors, and a bar for every stage."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vp3d.errors import Cancelled

console = Console(highlight=False, markup=False)  # brackets are part of many file names
errors = Console(stderr=True, highlight=False, markup=False)

STAGES = {
    "detect": "Finding joints",
    "background": "Looking at the background",
    "camera": "Following the camera",
    "look again": "Looking again",
    "adapt": "Adapting the lifter",
    "lift": "Lifting to 3D",
    "refine": "Solving camera and world",
    "preview": "Drawing the preview",
    "download": "Downloading",
    "verify": "Verifying",
    "read motion": "Reading motion",
    "train": "Training",
    "label": "Labelling",
    "read pictures": "Reading pictures",
    "render": "Rendering",
    "evaluate": "Evaluating",
    "study": "Runs of the study",
}


class Bar:
    """A progress bar with a line for every stage."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=errors
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        if self._tasks:
            self._progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        if stage not in self._tasks:
            self._progress.start()  # not before there is something to show: an early error stands alone
            self._tasks[stage] = self._progress.add_task(STAGES.get(stage, stage.capitalize()), total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C in work that goes on from where it was."""
    try:
        yield
    except KeyboardInterrupt:
        raise Cancelled from None
