"""Who asks for another certificate before it may have one: refused, counted, told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.recent import Recent
from openami.headend.seldom import Seldom

if TYPE_CHECKING:
    from openami.headend.security.alarms import Alarms

log = structlog.get_logger(__name__)

HASTY: Final = 3
"""In a row until it is an alarm: one is a clock that is wrong, two a device that tries again."""
QUIET_S: Final = 60.0
"""Between two lines of the log about the same device."""
REMEMBERED: Final = 16_384
"""Devices whose refusals are remembered: a seventh of a country's, at two hundred octets each."""
RENEWALS: Final = "registration.renewals"


class Renewals:
    """Counts what devices are refused that renew too soon."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._lock = threading.Lock()
        self._hasty: Recent[str, int] = Recent(REMEMBERED)
        self._seldom = Seldom(QUIET_S, REMEMBERED)

    def refused(self, uid: str, *, wait: float, now: float) -> None:
        """Take that a device renews too soon; an alarm where it does so again and again. Blocks."""
        with self._lock:
            count = self._hasty[uid] = self._hasty.get(uid, 0) + 1
        if self._seldom.due(uid, now):
            log.warning("renews too soon", dcu=uid, code=RENEWALS, again_s=round(wait))
        if count >= HASTY:
            words = "it asks for certificate after certificate, sooner than it may"
            self._alarms.about_dcu(uid, RENEWALS, words)

    def renewed(self, uid: str) -> None:
        """Take that a device has renewed in its time."""
        with self._lock:
            self._hasty.pop(uid, None)
