from pathlib import Path

import pytest

from blender_vp3d.backend.job import Job, JobState


@pytest.fixture
def job():
    return Job(
        Path("/clips/dance.mp4"), Path("/takes/dance.vp3d"), {"people": "all", "end": None}, state=JobState.RUNNING
    )


def message(job, type_, **fields):
    return {"type": type_, "job": job.id, **fields}


def test_progress(job):
    job.handle(message(job, "progress", stage="detect", done=30, total=120, fps=9.5, remaining_s=None))
    assert (job.stage, job.done, job.total, job.fps, job.remaining_s) == ("detect", 30, 120, 9.5, None)
    assert job.fraction == 0.25


def test_fraction_of_an_unknown_total(job):
    job.handle(message(job, "progress", stage="load", done=3, total=0, fps=-1.0, remaining_s="soon"))
    assert (job.fraction, job.fps, job.remaining_s) == (0.0, None, None)


def test_messages_of_another_job_change_nothing(job):
    job.handle({"type": "progress", "job": "other", "stage": "x", "done": 1, "total": 1})
    job.handle({"type": "error", "job": "other", "message": "x", "hint": "", "details": "", "cancelled": False})
    assert (job.state, job.stage) == (JobState.RUNNING, "")


def test_nothing_changes_after_the_end(job):
    job.handle(message(job, "result", take="/takes/a.vp3d", summary={"people": []}))
    job.handle(message(job, "error", message="late", hint="", details="", cancelled=False))
    assert job.state is JobState.DONE
    assert job.take == Path("/takes/a.vp3d")
    assert not job.message


def test_error_and_its_report(job):
    job.handle(message(job, "error", message="No person.", hint="Try fine.", details="Trace", cancelled=False))
    assert job.state is JobState.FAILED
    report = job.report()
    assert all(part in report for part in ("No person.", "Try fine.", "Trace", "dance.mp4", "people all"))
    assert "/clips" not in report, "folders of the user are nobody's business"


def test_cancelled(job):
    job.handle(message(job, "error", message="Stopped.", hint="", details="", cancelled=True))
    assert job.state is JobState.CANCELLED
    assert not job.active
