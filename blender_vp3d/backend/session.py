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
        self._environment: Environment | None = None
        self._ending: list[Server] = []
        self._attempts = 0
        self._may_start_at = 0.0
        self._deadline = 0.0  # of a cancel or of idleness

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self.job is not None and self.job.active

    def start(self, job: Job, environment: Environment) -> None:
        """Begin a job; raises RuntimeError while another one runs."""
        if self.busy:
            raise RuntimeError("a job is running")
        if self.server and self.server.environment != environment:
            self._retire()
        self.job, self._environment, self._attempts = job, environment, 0

    def cancel(self) -> None:
        """Ask the running job to stop. Its finished stages stay cached."""
        if not self.busy or self.job.state is JobState.CANCELLING:
            return
        if self.job.state is JobState.STARTING:
            self.job.state = JobState.CANCELLED
            self._deadline = time.monotonic() + IDLE_SECONDS
            return
        self.job.state = JobState.CANCELLING
        self._deadline = time.monotonic() + CANCEL_SECONDS
        self.server.send("cancel", job=self.job.id)

    def tick(self) -> bool:
        """Advance everything without waiting. True while there is something left to watch."""
        began = time.perf_counter()
        try:
            self._advance()
        except Exception as error:  # a timer that raises is dropped by Blender, and the job would hang for ever
            logger.exception("the session failed")
            self._retire(at_once=True)
            if self.busy:
                self.job.fail("Something unexpected happened in the add-on.", "Copy the report.", repr(error))
        self.longest_tick = max(self.longest_tick, time.perf_counter() - began)
        return self.busy or self.server is not None or bool(self._ending)

    def close(self) -> None:
        """End the job and the server, and wait for it, at most a few seconds."""
        if self.busy:
            self.job.state = JobState.CANCELLED
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
        now = time.monotonic()
        if self.server is None:
            if self.busy and now >= self._may_start_at:
                self._may_start_at = now + RESPAWN_SECONDS
                self._attempts += 1
                self.server = self._start_server(self._environment)
            return
        was_busy = self.busy
        for message in self.server.poll():
            self.job.handle(message)
        if self.busy and self.job.state is JobState.STARTING and self.server.phase is Phase.READY:
            self.job.state = JobState.RUNNING
            self.server.send(
                "start",
                job=self.job.id,
                video=str(self.job.video),
                take=str(self.job.take),
                options=self.job.options,
            )
        elif self.busy and self.job.state is JobState.CANCELLING and now > self._deadline:
            self.job.state = JobState.CANCELLED
            self._retire(at_once=True)
        elif was_busy and not self.busy:
            self._deadline = now + IDLE_SECONDS
        elif not self.busy and now > self._deadline:
            self._retire()

    def _lost(self, error: ServerError) -> None:
        logger.warning("server lost: %s", error.message)
        if self.server:
            self._retire()
        if not self.busy:
            return
        if self.job.state is JobState.CANCELLING:
            self.job.state = JobState.CANCELLED
        elif self.job.state is JobState.RUNNING:
            hint = "Press Capture again: what was finished is kept, and it goes on from there."
            self.job.fail(error.message, hint, error.details)
        elif self._attempts >= ATTEMPTS:
            self.job.fail(error.message, error.hint, error.details)

    def _retire(self, at_once: bool = False) -> None:
        if self.server is None:
            return
        if at_once:
            self.server.kill()
        else:
            self.server.begin_stop()
        self._ending.append(self.server)
        self.server = None
