"""Alarms: raised by the services, told to who watches, cleared by a person or when they settle."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.recent import Recent
from openami.fleet.devices import DeviceKind, device_id
from openami.headend.bus import LiveEvent, Topic

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.alarms import AlarmStore, RaisedAlarm
    from openami.fleet.ports import Page
    from openami.headend.bus import Bus

log = structlog.get_logger(__name__)

REMEMBERED_S: Final = 60.0
"""How long an open alarm is not asked for again. One that is cleared in the moment in which it is
raised again may be remembered as open, and cannot be raised anew for so long."""
REMEMBERED: Final = 16_384
"""Alarms that are remembered: as many as devices whose refusals are counted."""

SELF: Final = "head-end"
"""Who clears an alarm whose cause is over."""


class Alarms:
    """The log of alarms."""

    def __init__(self, store: AlarmStore, *, bus: Bus, wall: Clock) -> None:
        self._store = store
        self._bus = bus
        self._wall = wall
        self._lock = threading.Lock()
        self._open: Recent[tuple[str, str], float] = Recent(REMEMBERED)  # when it was found so

    def about_dcu(self, uid: str, code: str, message: str) -> None:
        """Raise an alarm about a DCU; nothing happens while the same one is open. Blocks."""
        self._raise(device_id(DeviceKind.DCU, uid), code, message, uid)

    def about(self, subject: str, code: str, message: str) -> None:
        """Raise an alarm about what is no DCU: ``meter-SERIAL``, ``group:NAME``. Blocks."""
        self._raise(subject, code, message, None)

    def _raise(self, subject: str, code: str, message: str, dcu: str | None) -> None:
        now = self._wall.now()
        if self._is_remembered((code, subject), now):
            return
        raised = self._store.add(code, subject, message, when=now)
        self._remember((code, subject), now)
        if raised is None:
            return
        log.warning("alarm", code=code, subject=subject, message=message)
        told = {"code": code, "message": message}
        self._bus.publish(LiveEvent(Topic.ALARM, subject, now, told, dcu=dcu))

    def _is_remembered(self, what: tuple[str, str], now: float) -> bool:
        with self._lock:
            found = self._open.get(what)
        return found is not None and 0 <= now - found < REMEMBERED_S

    def _remember(self, what: tuple[str, str], now: float) -> None:
        with self._lock:
            self._open[what] = now

    def clear(self, alarm: int, *, who: str, why: str = "") -> RaisedAlarm:
        """Clear an alarm; one that is cleared stays so, the next of its kind is raised at once.

        Raises:
            NotFoundError: there is none.
        """
        cleared = self._store.clear(alarm, who=who, when=self._wall.now(), why=why)
        with self._lock:
            self._open.pop((cleared.code, cleared.subject), None)
        return cleared

    def settle(self, subject: str, code: str, *, why: str) -> None:
        """Clear an alarm whose cause the head-end sees to be over, if it is open. Blocks."""
        for alarm in self._store.list(subject=subject, only_open=True).items:
            if alarm.code == code:
                self.clear(alarm.id, who=SELF, why=why)

    def list(
        self,
        *,
        subject: str | None = None,
        only_open: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RaisedAlarm]:
        """Return alarms, newest first."""
        return self._store.list(subject=subject, only_open=only_open, after=after, limit=limit)

    def open_count(self) -> int:
        """Return how many are open."""
        return self._store.open_count()
