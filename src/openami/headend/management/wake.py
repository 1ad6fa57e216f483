"""Waking devices: notifications to those for whom there is something to do.

A notification has no answer but the session that it asks for. One that brings none is sent again,
later and later; after some, the device is left to come by itself. A device that says that a
notification is not this server's has lost the nonce: the next one has that of an end that has
(OMA-TS-DM_Security 1.2, 5.3.3), and so has the session.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import OpenAmiError, RemoteProtocolError, TransportError
from openami.fleet.accounts import WakeUp
from openami.omadm.auth import RESYNC_NONCE
from openami.omadm.notification import CONTENT_TYPE, Notification
from openami.transport.post import post_once

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.accounts import AccountRecord, AccountStore
    from openami.headend.management.accounts import Accounts
    from openami.headend.management.sessions import Sessions
    from openami.headend.metrics import Metrics

log = structlog.get_logger(__name__)

AT_ONCE: Final = 64
"""Notifications on their way at a time: devices that are off take all of their seconds."""
ROUND: Final = 256
"""Devices that are looked up together."""
ANSWER_S: Final = 5.0
"""For a device to take a notification: a slow mobile line twice there and back."""
BUSY_S: Final = 5.0
"""When a device that is in a session just now is thought of again."""
_SESSIONS: Final = 0xFFFF
_TAKEN: Final = range(200, 300)
_REFUSED: Final = frozenset({401, 403})


class Outcome(StrEnum):
    """What became of a notification."""

    SENT = "sent"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a device is sent notifications, and how soon again."""

    first_s: float
    most_s: float
    attempts: int

    def next(self, failures: int, now: float) -> float | None:
        """Return when the next one goes out, ``failures`` having been in vain; None: never."""
        if failures >= self.attempts:
            return None
        return now + min(self.first_s * 2.0 ** (failures - 1), self.most_s)


class Wake:
    """Sends notifications."""

    def __init__(
        self,
        store: AccountStore,
        accounts: Accounts,
        sessions: Sessions,
        *,
        patience: Patience,
        metrics: Metrics,
        wall: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._patience = patience
        self._metrics = metrics
        self._wall = wall
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def round(self) -> None:
        """Wake every device whose time has come."""
        while True:
            now = self._wall.now()
            due = await asyncio.to_thread(self._store.due, now=now, limit=ROUND)
            tried = (self._attempt(record) for record in due)
            attempts = await asyncio.gather(*tried, return_exceptions=True)
            woken = [attempt for attempt in attempts if isinstance(attempt, WakeUp)]
            await asyncio.to_thread(self._store.woken, woken, before=now)
            # What one stumbles over must not have the others notified again and again.
            for problem in attempts:
                if isinstance(problem, BaseException):
                    raise problem
            if len(due) < ROUND:
                return

    def reach(self, uid: str, url: str) -> None:
        """Note where a device takes notifications. Blocks."""
        record = self._store.accounts([uid]).get(uid)
        if record is not None and record.wake_url != url:
            self._store.reach(uid, url)

    async def _attempt(self, record: AccountRecord) -> WakeUp:
        now, uid = self._wall.now(), record.uid
        if self._sessions.busy(uid):
            return WakeUp(uid, now + BUSY_S, record.wake_failures, record.wake_session)
        number = record.wake_session % _SESSIONS + 1
        async with self._slots:
            outcome = await self._send(record, number)
        self._metrics.dm_wake(outcome.value)
        failures = record.wake_failures + 1
        due = self._patience.next(failures, self._wall.now())
        if due is None:
            log.info("a device did not wake", dcu=uid, notifications=failures, last=outcome.value)
        return WakeUp(uid, due, failures, number)

    async def _send(self, record: AccountRecord, number: int) -> Outcome:
        uid = record.uid
        try:
            account = (await self._accounts.read(uid)).account
            lost = self._sessions.lost_nonces(uid, number)
            nonce = RESYNC_NONCE if lost else account.server_nonce
            body = Notification(account.server_id, number).build(account.server.password, nonce)
            url = record.wake_url or ""
            status = await post_once(url, body, CONTENT_TYPE, within=ANSWER_S)
        except (TransportError, RemoteProtocolError):
            return Outcome.UNREACHABLE
        except OpenAmiError as error:
            log.warning("no notification was made", dcu=uid, code=error.code)
            return Outcome.UNREACHABLE
        if status in _REFUSED:
            self._sessions.resynchronise(uid)
            return Outcome.REFUSED
        return Outcome.SENT if status in _TAKEN else Outcome.UNREACHABLE


def wake_url(host: str, port: int) -> str:
    """Return where a device at an address takes notifications."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/wake"
