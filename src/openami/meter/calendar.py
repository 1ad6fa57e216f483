"""When scheduled actions are due, by the meter's local time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from openami.dlms.cosem import Execution, SingleActionSchedule


class ScheduleWatch:
    """Tells when a schedule's next execution has come; those missed without power are lost."""

    def __init__(self, schedule: SingleActionSchedule) -> None:
        self._schedule = schedule
        self._known: tuple[Execution, ...] = ()
        self._epoch = 0
        self._next: datetime | None = None

    def due(self, local: datetime, epoch: int) -> bool:
        """Tell whether an execution has come by ``local``; each is told once.

        Args:
            local: the local time, later at each call while ``epoch`` stays.
            epoch: changes when the clock was set.
        """
        schedule = self._schedule
        if schedule.executions != self._known or epoch != self._epoch:
            self._known, self._epoch = schedule.executions, epoch
            self._next = schedule.next_execution(local)
            return False
        if self._next is None or local < self._next:
            return False
        self._next = schedule.next_execution(local)
        return True
