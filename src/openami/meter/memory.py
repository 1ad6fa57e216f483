"""A meter's memory that says when it cannot be written, and when it can again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import StoreError
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.metrology.memory import MeterCommit, MeterImage, MeterMemory

FIRST_PAUSE_S: Final = 60.0
LONGEST_PAUSE_S: Final = 3600.0
"""Meters try several times a second: a disk that is full must not fill the log's disk too."""

log = structlog.get_logger()


class WatchedMemory:
    """A ``MeterMemory`` whose failures are logged.

    A failure is told when it begins; while it lasts, after a minute and then after twice the time
    before, at most an hour; and so is its end. It is raised each time.

    Args:
        memory: the memory itself.
        now: tells seconds that never jump.
    """

    def __init__(self, memory: MeterMemory, *, now: Callable[[], float] = monotonic) -> None:
        self._memory = memory
        self._now = now
        self._failures = 0
        self._pause = FIRST_PAUSE_S
        self._tell_at = 0.0

    def load(self, meter: str) -> MeterImage | None:
        return self._memory.load(meter)

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        try:
            self._memory.commit(commits)
        except StoreError as error:
            self._failed(error)
            raise
        if self._failures:
            log.info("memory written again", failures=self._failures)
            self._failures = 0

    def _failed(self, error: StoreError) -> None:
        now = self._now()
        self._failures += 1
        if self._failures == 1:
            self._pause = FIRST_PAUSE_S
        elif now < self._tell_at:
            return
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
        self._tell_at = now + self._pause
        log.error(
            "memory not written", code=error.code, reason=error.message, failures=self._failures
        )
