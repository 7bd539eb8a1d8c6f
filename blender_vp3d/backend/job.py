"""One capture: what was asked, how far it is, how it ended."""

import secrets
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .environment import Remedy


class JobState(Enum):
    """How far a job is."""

    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ACTIVE = {JobState.STARTING, JobState.RUNNING, JobState.CANCELLING}


@dataclass
class Job:
    """One capture.

    Attributes:
        video: the file, folder or pattern to capture.
        take: where the server writes the take.
        options: as the protocol's `start.options`.
        stage: the running stage, empty before the first.
        done: steps of the stage that are finished, of `total`.
        fps: frames per second of the stage, None while unknown.
        remaining_s: seconds left in the stage, None while unknown.
        message: one sentence saying why it failed; `hint` says what to do, `details` is for a report.
        remedy: what the installer can do about the failure, if it can.
        lost: whether it failed because the server was lost, so that the same again may end well.
        summary: what was found, as the protocol's `result.summary`; empty until DONE.
    """

    video: Path
    take: Path
    options: dict
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: JobState = JobState.STARTING
    stage: str = ""
    done: int = 0
    total: int = 0
    fps: float | None = None
    remaining_s: float | None = None
    message: str = ""
    hint: str = ""
    details: str = ""
    remedy: Remedy | None = None
    lost: bool = False
    summary: dict = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it still runs."""
        return self.state in _ACTIVE

    @property
    def fraction(self) -> float:
        """How much of the stage is done, 0..1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    def again(self) -> "Job":
        """A new job that asks for the same."""
        return Job(self.video, self.take, self.options)

    def handle(self, message: dict) -> None:
        """Take in one message of the server; those of other jobs and those after the end change nothing."""
        if message.get("job") != self.id or not self.active:
            return
        match message["type"]:
            case "progress":
                self.stage, self.done, self.total = message["stage"], message["done"], message["total"]
                self.fps = _number(message.get("fps"))
                self.remaining_s = _number(message.get("remaining_s"))
            case "result":
                self.take = Path(message["take"])
                self.summary = message["summary"]
                self.state = JobState.DONE
            case "error" if message["cancelled"]:
                self.state = JobState.CANCELLED
            case "error":
                self.fail(message["message"], message["hint"], message["details"])

    def fail(self, message: str, hint: str = "", details: str = "", remedy: Remedy | None = None) -> None:
        """End the job with a sentence."""
        self.state = JobState.FAILED
        self.message, self.hint, self.details, self.remedy = message, hint, details, remedy

    def report(self) -> str:
        """All that helps somebody else to understand a failure, as text."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items() if value is not None)
        lines = [
            self.message,
            self.hint,
            "",
            f"Video: {self.video.name}",
            f"Options: {options}",
            f"Stage: {self.stage or 'start'} {self.done}/{self.total}",
            "",
            self.details,
        ]
        return "\n".join(lines).strip() + "\n"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
