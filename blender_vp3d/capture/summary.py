"""What a take holds, in the words of the panel. No bpy in here."""

import numpy as np

from ..backend.job import Job, JobState
from ..common.take import Take

STAGES = {
    "load": "Loading the networks",
    "detect": "Finding joints",
    "track": "Following people",
    "background": "Looking at the background",
    "camera": "Following the camera",
    "look again": "Looking again in all views",
    "adapt": "Adapting the lifter",
    "lift": "Lifting to 3D",
    "refine": "Solving camera and world",
    "write": "Writing the take",
    "preview": "Drawing the preview",
}
"""The server's stages in plain words."""


def summary_of(take: Take) -> dict:
    """The protocol's `result.summary` of a take that comes from a file."""
    report = take.report
    seen = np.isfinite(take.joints2d[..., 0])
    people = [
        {
            "id": int(number),
            "frames": int(take.present(person).sum()),
            "confidence": float(take.confidence[person][seen[person]].mean()) if seen[person].any() else 0.0,
        }
        for person, number in enumerate(take.person_ids)
    ]
    return {
        "people": people,
        "detector": _text(report.get("detector"), "description"),
        "lens": _text(report.get("lens"), "note"),
        "motion": _text(report.get("motion"), "note"),
        "warnings": [str(warning) for warning in report.get("warnings", [])],
        "views": [{key: view[key] for key in ("path", "offset_s")} for view in report.get("views", ())],
    }


def _text(entry: object, key: str) -> str:
    return str(entry.get(key, "")) if isinstance(entry, dict) else ""


def headline(job: Job) -> str:
    """What a job does at the moment, in a few words."""
    match job.state:
        case JobState.STARTING:
            return "Starting the pose server"
        case JobState.CANCELLING:
            return "Stopping"
        case JobState.RUNNING:
            return STAGES.get(job.stage, job.stage.replace("_", " ").capitalize() or "Preparing")
        case JobState.DONE:
            return "Finished"
        case JobState.FAILED:
            return "Failed"
        case JobState.CANCELLED:
            return "Stopped; finished stages are kept"


def pace(job: Job) -> str:
    """Steps, frames per second and time left of the running stage; empty where there is nothing to tell."""
    if job.state is not JobState.RUNNING or job.total <= 1:
        return ""
    parts = [f"{job.done} of {job.total}"]
    if job.done >= job.total:  # a stage that was finished before has no speed
        return parts[0]
    if job.stage == "detect" and job.fps:
        parts.append(f"{job.fps:.1f} fps")
    if job.remaining_s is not None:
        parts.append(f"{clock(job.remaining_s)} left")
    return "  ·  ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
