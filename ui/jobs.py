"""Long work in one thread: queued, watched from any number of places, stopped by id. Knows no Gradio.

A job outlives the page that started it: whoever knows its id, or its owner, finds it again.
"""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from animateanywhere.cancel import CancelToken
from ui.outcomes import Outcome, attempt

State = Literal["waiting", "running", "done", "failed", "stopped"]
_KEPT_JOBS = 200
_PAUSE_S = 0.1
"""Between two views of one job: a page that is told of every step of a small model falls behind."""


@dataclass(frozen=True)
class Step:
    """What a job says about itself: `done` of `total` in this phase."""

    phase: str
    done: int
    total: int
    remaining_s: float | None = None


@dataclass(frozen=True)
class JobView:
    """A job at one moment. `message` is one line for a person, `result` what the work returned."""

    job_id: str
    kind: str
    state: State
    step: Step | None
    elapsed_s: float
    jobs_before: int
    message: str
    result: object | None
    about: object | None = None
    """What the work is for, as whoever submitted it put it."""

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "stopped")


Work = Callable[[Callable[[Step], None], CancelToken], object]
"""Takes a function to report steps to and a token to ask between steps; returns the job's result."""


@dataclass(eq=False)
class _Job:
    job_id: str
    owner: str
    kind: str
    work: Work
    about: object | None = None
    cancel: CancelToken = field(default_factory=CancelToken)
    state: State = "waiting"
    step: Step | None = None
    started: float = 0.0
    ended: float = 0.0
    message: str = ""
    result: object | None = None


class JobRunner:
    """One worker thread, so that two jobs never share the processor or the GPU. Safe to use from any thread."""

    def __init__(self, log_file: Path):
        """Tracebacks of unexpected errors are appended to `log_file`; people read only where it lies."""
        self._log_file = log_file
        self._jobs: dict[str, _Job] = {}  # oldest first
        self._changed = threading.Condition()
        self._queue: queue.Queue[_Job | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Work, owner: str, kind: str, about: object | None = None) -> str:
        """Queue `work` and return its job id. `about`: what it is for, handed on in its views."""
        job = _Job(uuid.uuid4().hex, owner, kind, work, about)
        with self._changed:
            self._jobs[job.job_id] = job
            self._forget_old_jobs()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work_through, name="jobs", daemon=True)
                self._thread.start()
        self._queue.put(job)
        return job.job_id

    def view(self, job_id: str) -> JobView | None:
        """How the job stands; None if there is no such job (any more)."""
        with self._changed:
            job = self._jobs.get(job_id)
            return None if job is None else self._view(job)

    def watch(self, job_id: str, every_s: float = 0.5) -> Iterator[JobView]:
        """Yield a view when the job has changed, and at least every `every_s` seconds, until one is `finished`.

        Steps that follow each other faster than a person can read are left out; how the job ended never is.
        """
        while True:
            with self._changed:
                job = self._jobs.get(job_id)
                if job is None:
                    return
                seen = self._view(job)
            yield seen
            if seen.finished:
                return
            with self._changed:
                self._wait_for_news(job, seen, every_s)

    def _wait_for_news(self, job: _Job, seen: JobView, at_most_s: float) -> None:
        self._changed.wait_for(lambda: self._view(job).finished, _PAUSE_S)
        self._changed.wait_for(lambda: (job.state, job.step) != (seen.state, seen.step), max(0.0, at_most_s - _PAUSE_S))

    def stop(self, job_id: str) -> None:
        """Ask a job to end: at once if it waits, at its next step if it runs. Nothing happens to a finished one."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None:
                return
            job.cancel.cancel()
            if job.state == "waiting":
                self._end(job, "stopped", "Stopped before it began.")

    def unfinished(self, owner: str, kind: str) -> str | None:
        """Id of the newest job of this owner and kind that still waits or runs."""
        found = [job for job in self._of(owner, kind) if job.state in ("waiting", "running")]
        return found[-1].job_id if found else None

    def results(self, owner: str, kind: str) -> list[object]:
        """Results of this owner's finished jobs of this kind, newest first."""
        return [job.result for job in reversed(self._of(owner, kind)) if job.state == "done"]

    def close(self) -> None:
        """Stop every job and wait for the worker's current step to end."""
        with self._changed:
            ids = list(self._jobs)
        for job_id in ids:
            self.stop(job_id)
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _of(self, owner: str, kind: str) -> list[_Job]:
        with self._changed:
            return [job for job in self._jobs.values() if (job.owner, job.kind) == (owner, kind)]

    def _view(self, job: _Job) -> JobView:
        now = job.ended or time.monotonic()
        others = [other for other in self._jobs.values() if other.state in ("waiting", "running")]
        before = others.index(job) if job.state == "waiting" else 0
        elapsed = now - job.started if job.started else 0.0
        return JobView(job.job_id, job.kind, job.state, job.step, elapsed, before, job.message, job.result, job.about)

    def _work_through(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._changed:
                if job.state != "waiting":
                    continue
                job.state, job.started = "running", time.monotonic()
                self._changed.notify_all()
            outcome = self._run(job)
            with self._changed:
                job.result = outcome.result
                self._end(job, outcome.state, outcome.message)

    def _run(self, job: _Job) -> Outcome:
        def report(step: Step) -> None:
            with self._changed:
                job.step = step
                self._changed.notify_all()

        return attempt(lambda: job.work(report, job.cancel), self._log_file)

    def _end(self, job: _Job, state: State, message: str) -> None:
        job.state, job.message, job.ended = state, message, time.monotonic()
        job.work = None  # what it holds (pictures, paths) can go
        self._changed.notify_all()

    def _forget_old_jobs(self) -> None:
        old = [job for job in self._jobs.values() if job.state not in ("waiting", "running")]
        for job in old[: max(0, len(self._jobs) - _KEPT_JOBS)]:
            del self._jobs[job.job_id]
