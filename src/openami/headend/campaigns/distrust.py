"""Operators are called to a DCU that does not believe the repository or a package of it.

It may be an attack on the way to that DCU, or its clock, or keys; a campaign alone would try again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns.machine import CampaignState
from openami.fleet.campaigns.why import Situation, explain
from openami.fleet.devices import DeviceKind, device_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.headend.security.alarms import Alarms

ALARM: Final = "release.untrusted"
CODES: Final = ("firmware.trust.", "firmware.package.")
"""How codes begin of what was fetched and is not believed."""


class Distrust:
    """The alarms about such DCUs, until their next download goes well. Calls block."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._lock = threading.Lock()
        self._open: set[str] | None = None  # subjects, so that few downloads are looked up

    def failed(self, dcu: str, code: str) -> None:
        """Take note that a step of a campaign has failed at a DCU."""
        if not code.startswith(CODES):
            return
        words = explain(code, Situation(CampaignState.RUNNING, 0.0))
        self._alarms.about_dcu(dcu, ALARM, f"{code}: {words.cause}; {words.step}")
        with self._lock:
            self._known().add(device_id(DeviceKind.DCU, dcu))

    def fetched(self, dcu: str) -> None:
        """Take note that a download of a DCU went well."""
        subject = device_id(DeviceKind.DCU, dcu)
        with self._lock:
            known = subject in self._known()
        if known:
            self._alarms.settle(subject, ALARM, why="its next download went well")
            with self._lock:
                self._known().discard(subject)

    def _known(self) -> set[str]:
        if self._open is None:
            self._open = set(self._stored())
        return self._open

    def _stored(self) -> Iterator[str]:
        after: str | None = None
        while True:
            page = self._alarms.list(only_open=True, after=after, limit=1000)
            yield from (alarm.subject for alarm in page.items if alarm.code == ALARM)
            after = page.next
            if after is None:
                return
