"""The one server and the one job of this Blender: started, watched, cancelled and ended through `Session`."""

import logging
import time
from collections.abc import Callable

from .client import Phase, Server, ServerError
from .environment import Environment
from .job import Job, JobState

logger = logging.getLogger(__name__)

RESPAWN_SECONDS = 5.0
"""Least time between two starts of the server, so that a broken one never makes the machine spin."""
ATTEMPTS = 2
"""How often a server that does not come up is started for one job."""
CANCEL_SECONDS = 5.0
"""How long the server may take to honour a cancel before it is killed."""
IDLE_SECONDS = 120.0
"""How long a server waits for the next job before it is ended to give its memory back."""


class Session:
    """Runs one job at a time on one server. `tick` never waits; `close` waits a bounded time.

    Attributes:
        job: the latest job, None before the first.
        longest_tick: s, the longest that a tick has taken.
    """

    def __init__(self, start_server: Callable[[Environment], Server] = Server) -> None:
        self.job: Job | None = None
        self.server: Server | None = None
        self.longest_tick = 0.0
        self._start_server = start_server
        self._environment: Environment
        self._ending: list[Server] = []
        self._attempts = 0
        self._may_start_at = 0.0
        self._deadline = 0.0  # of a cancel or of idleness

    @property
    def running(self) -> Job | None:
        """The job that runs, if one does."""
        return self.job if self.job and self.job.active else None

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self.running is not None

    def start(self, job: Job, environment: Environment) -> None:
        """Begin a job; raises RuntimeError while another one runs."""
        if self.busy:
            raise RuntimeError("a job is running")
        if self.server and self.server.environment != environment:
            self._retire()
        self.job, self._environment, self._attempts = job, environment, 0

    def cancel(self) -> None:
        """Ask the running job to stop. Its finished stages stay cached."""
        job = self.running
        if job and job.state is JobState.STARTING:
            job.state = JobState.CANCELLED
            self._deadline = time.monotonic() + IDLE_SECONDS
        elif job and job.state is JobState.RUNNING and self.server:
            job.state = JobState.CANCELLING
            self._deadline = time.monotonic() + CANCEL_SECONDS
            self.server.send("cancel", job=job.id)

    def tick(self) -> bool:
        """Advance everything without waiting. True while there is something left to watch."""
        began = time.perf_counter()
        try:
            self._advance()
        except Exception as error:  # a timer that raises is dropped by Blender, and the job would hang for ever
            logger.exception("the session failed")
            self._retire(at_once=True)
            if self.running:
                self.running.fail("Something unexpected happened in the add-on.", "Copy the report.", repr(error))
        self.longest_tick = max(self.longest_tick, time.perf_counter() - began)
        return self.busy or self.server is not None or bool(self._ending)

    def close(self) -> None:
        """End the job and the server, and wait for it, at most a few seconds."""
        if self.running:
            self.running.state = JobState.CANCELLED
        self._retire()
        for server in self._ending:
            server.stop()
        self._ending.clear()

    def _advance(self) -> None:
        for server in self._ending:
            server.poll()
        self._ending = [server for server in self._ending if server.phase is not Phase.GONE]
        try:
            self._watch()
        except ServerError as error:
            self._lost(error)

    def _watch(self) -> None:
        now, server, job = time.monotonic(), self.server, self.running
        if server is None:
            if job and now >= self._may_start_at:
                self._may_start_at = now + RESPAWN_SECONDS
                self._attempts += 1
                self.server = self._start_server(self._environment)
            return
        for message in server.poll():
            if job:
                job.handle(message)
        if job is None:
            if now > self._deadline:
                self._retire()
        elif not job.active:
            self._deadline = now + IDLE_SECONDS
        elif job.state is JobState.STARTING and server.phase is Phase.READY:
            job.state = JobState.RUNNING
            server.send("start", job=job.id, video=str(job.video), take=str(job.take), options=job.options)
        elif job.state is JobState.CANCELLING and now > self._deadline:
            job.state = JobState.CANCELLED
            self._retire(at_once=True)

    def _lost(self, error: ServerError) -> None:
        logger.warning("server lost: %s", error.message)
        self._retire()
        job = self.running
        if job is None:
            return
        if job.state is JobState.CANCELLING:
            job.state = JobState.CANCELLED
        elif job.state is JobState.RUNNING:
            hint = "Press Capture again: what was finished is kept, and it goes on from there."
            job.fail(error.message, hint, error.details)
        elif self._attempts >= ATTEMPTS:
            job.fail(error.message, error.hint, error.details)

    def _retire(self, at_once: bool = False) -> None:
        if self.server is None:
            return
        if at_once:
            self.server.kill()
        else:
            self.server.begin_stop()
        self._ending.append(self.server)
        self.server = None
