"""On-demand reads between the head-end that asks and the line that answers.

A job lives in memory: if the DCU restarts, the head-end offers it again when its lease is over.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from openami.core.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.dcu.headend import Work

# A head-end offers some at a time; more open ones than this are left for the next offer.
MAX_OPEN: Final = 256
# Answers kept to be given again if the head-end did not hear them.
MAX_CLOSED: Final = 256
# Nobody waits longer at a screen; the head-end gives up after five minutes by itself.
MAX_AGE_S: Final = 240.0


class JobState(StrEnum):
    """What the head-end is told of a job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Update:
    """What to tell the head-end of a job."""

    state: JobState
    progress: float = 0.0
    results: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    code: str | None = None
    message: str = ""

    def body(self) -> dict[str, Any]:
        """Return it as the head-end wants it."""
        error = {"code": self.code, "message": self.message} if self.code else None
        return {
            "state": self.state.value,
            "progress": self.progress,
            "results": list(self.results),
            "error": error,
        }


class JobBoard:
    """The open jobs, and what is to be told of them.

    Args:
        now: a clock that only goes on.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: dict[str, tuple[Work, float]] = {}
        self._closed: Recent[str, Update] = Recent(MAX_CLOSED)
        self._told: OrderedDict[str, Update] = OrderedDict()
        self.news = asyncio.Event()
        """Set when there is something to tell."""

    def __len__(self) -> int:
        return len(self._open)

    def offer(self, work: Work) -> bool:
        """Take a job; False: it is known already, or there are too many."""
        if work.id in self._closed:
            self._tell(work.id, self._closed[work.id])
            return False
        if work.id in self._open or len(self._open) >= MAX_OPEN:
            return False
        self._open[work.id] = (work, self._now())
        return True

    def get(self, job: str) -> Work | None:
        """Return an open job."""
        found = self._open.get(job)
        return found[0] if found else None

    def running(self, job: str, progress: float, results: Sequence[dict[str, Any]] = ()) -> None:
        """Tell that a job is under way."""
        if job in self._open:
            self._tell(job, Update(JobState.RUNNING, progress, tuple(results)))

    def done(self, job: str, results: Sequence[dict[str, Any]]) -> None:
        """Tell that a job is finished."""
        self._close(job, Update(JobState.DONE, 1.0, tuple(results)))

    def failed(self, job: str, code: str, message: str) -> None:
        """Tell that a job could not be done."""
        self._close(job, Update(JobState.FAILED, code=code, message=message))

    def overdue(self) -> list[str]:
        """Return the open jobs that waited too long."""
        oldest = self._now() - MAX_AGE_S
        return [job for job, (_, since) in self._open.items() if since < oldest]

    def take_update(self) -> tuple[str, Update] | None:
        """Return the oldest thing to tell, of each job only the latest."""
        if not self._told:
            self.news.clear()
            return None
        return self._told.popitem(last=False)

    def give_back(self, job: str, update: Update) -> None:
        """Keep what could not be told, unless there is something later to tell."""
        self._told.setdefault(job, update)

    def _close(self, job: str, update: Update) -> None:
        if self._open.pop(job, None) is None:
            return
        self._closed[job] = update
        self._tell(job, update)

    def _tell(self, job: str, update: Update) -> None:
        self._told[job] = update
        self.news.set()
