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
"""How often a server that does not come up is started for one job; then the user has to ask for it."""
CANCEL_SECONDS = 5.0
"""How long the server may take to honour a cancel before it is killed."""
SILENCE_SECONDS = 180.0
"""How long a server, which tells every few seconds how far it is, may say nothing before it counts as hung."""
IDLE_SECONDS = 300.0
"""How long a server waits for the next job before it ends, unless the preferences say otherwise."""
_LONGEST_PAUSE = 1.0
"""What counts at most as silence between two ticks, s: a render or a sleep of Blender is not the server's silence."""


class Session:
    """Runs one job at a time on one server. `tick` never waits; `close` waits a bounded time.

    Attributes:
        job: the latest job, None before the first.
        idle_seconds: how long a server waits for another job before it ends.
        longest_tick: s, the longest that a tick has taken.
    """

    def __init__(self, start_server: Callable[[Environment], Server] = Server) -> None:
        self.job: Job | None = None
        self.server: Server | None = None
        self.idle_seconds = IDLE_SECONDS
        self.longest_tick = 0.0
        self._start_server = start_server
        self._environment: Environment
        self._ending: list[Server] = []
        self._attempts = 0
        self._may_start_at = 0.0
        self._cancel_until = 0.0
        self._ticked_at = 0.0
        self._silence = 0.0

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
        elif job and job.state is JobState.RUNNING and self.server:
            job.state = JobState.CANCELLING
            self._cancel_until = time.monotonic() + CANCEL_SECONDS
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
        messages = server.poll()
        self._silence = 0.0 if messages else self._silence + min(now - self._ticked_at, _LONGEST_PAUSE)
        self._ticked_at = now
        if job is None:
            return
        for message in messages:
            job.handle(message)
        if job.state is JobState.STARTING and server.phase is Phase.READY:
            job.state = JobState.RUNNING
            self._silence = 0.0
            what = {"video": str(job.video), "take": str(job.take), "options": job.options}
            server.send("start", job=job.id, idle_s=self.idle_seconds, **what)
        elif job.state is JobState.CANCELLING and now > self._cancel_until:
            job.state = JobState.CANCELLED
            self._retire(at_once=True)
        elif job.state is JobState.RUNNING and self._silence > SILENCE_SECONDS:
            server.kill()
            raise ServerError("The pose server does not answer any more.", details=server.log_tail())

    def _lost(self, error: ServerError) -> None:
        self._retire()
        job = self.running
        if job is None:
            logger.info("the idle server is gone: %s", error.message)
            return
        logger.warning("server lost: %s", error.message)
        job.lost = True
        if job.state is JobState.CANCELLING:
            job.state = JobState.CANCELLED
        elif job.stage:
            hint = "Try again: what was finished is kept, and the capture goes on from there."
            job.fail(error.message, hint, error.details)
        elif error.lasting or self._attempts >= ATTEMPTS:
            tried = "" if error.lasting else f"It was started {self._attempts} times. "
            job.fail(error.message, tried + error.hint, error.details, error.remedy)
        else:
            job.state = JobState.STARTING

    def _retire(self, at_once: bool = False) -> None:
        if self.server is None:
            return
        if at_once:
            self.server.kill()
        else:
            self.server.begin_stop()
        self._ending.append(self.server)
        self.server = None
