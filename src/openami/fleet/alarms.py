"""Alarms: what a person must look at, until somebody says that it has been."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from openami.fleet.ports import Page


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """An alarm of the log.

    Args:
        id: given by the log.
        code: what is wrong, stable.
        subject: the device, as the registry names it; or ``group:NAME``, ``job:ID``, ``node:URI``.
        message: the same in words.
        raised: when, in UTC seconds.
        cleared: when somebody cleared it; None while it is open.
        cleared_by: who did.
    """

    id: int
    code: str
    subject: str
    message: str
    raised: float
    cleared: float | None = None
    cleared_by: str = ""


class AlarmStore(Protocol):
    """Keeps alarms."""

    def add(self, code: str, subject: str, message: str, *, when: float) -> RaisedAlarm | None:
        """Raise an alarm; None where the same one is open: it would tell nothing new."""
        ...

    def clear(self, alarm: int, *, who: str, when: float, why: str = "") -> RaisedAlarm:
        """Clear an alarm, with the audit entry; one that is cleared stays so. NotFoundError."""
        ...

    def list(
        self,
        *,
        subject: str | None = None,
        only_open: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RaisedAlarm]:
        """Return alarms, newest first."""
        ...

    def open_count(self) -> int: ...
