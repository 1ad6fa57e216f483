"""Alarms: raised by the services, told to who watches, cleared by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from openami.fleet.devices import DeviceKind, device_id
from openami.headend.bus import LiveEvent, Topic

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.alarms import AlarmStore, RaisedAlarm
    from openami.fleet.ports import Page
    from openami.headend.bus import Bus

log = structlog.get_logger(__name__)


class Alarms:
    """The log of alarms."""

    def __init__(self, store: AlarmStore, *, bus: Bus, wall: Clock) -> None:
        self._store = store
        self._bus = bus
        self._wall = wall

    def about_dcu(self, uid: str, code: str, message: str) -> None:
        """Raise an alarm about a DCU; nothing happens while the same one is open. Blocks."""
        self._raise(device_id(DeviceKind.DCU, uid), code, message, uid)

    def about(self, subject: str, code: str, message: str) -> None:
        """Raise an alarm about what is no device: ``group:NAME``, ``job:ID``. Blocks."""
        self._raise(subject, code, message, None)

    def _raise(self, subject: str, code: str, message: str, dcu: str | None) -> None:
        now = self._wall.now()
        if self._store.add(code, subject, message, when=now) is None:
            return
        log.warning("alarm", code=code, subject=subject, message=message)
        told = {"code": code, "message": message}
        self._bus.publish(LiveEvent(Topic.ALARM, subject, now, told, dcu=dcu))

    def clear(self, alarm: int, *, who: str, why: str = "") -> RaisedAlarm:
        """Clear an alarm; one that is cleared stays so. NotFoundError."""
        return self._store.clear(alarm, who=who, when=self._wall.now(), why=why)

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
