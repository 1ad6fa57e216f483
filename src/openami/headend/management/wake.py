"""Waking devices: notifications to those for whom there is something to do.

A notification has no answer but the session that it asks for. One that brings none is sent again,
later and later; after some, the device is left to come by itself. A device that says that a
notification is not this server's has lost the nonce: the next one has that of an end that has
(OMA-TS-DM_Security 1.2, 5.3.3), and so has the session. The digest has the best hash that the
account accepts. One that accepts passwords alone (basic) has none: its device comes by itself.

Devices that took nothing last time have a lane of their own: however many of them are dead, they
hold up nobody who answers. Nobody waits for a lane either: what is under way is looked at again in
the next round, a second later.

A dead device has its place for the five seconds of its time-out and up to the next round. With the
places below, 120,000 that die together are found out by the quick lane in four minutes (500 a
second), once; the silent lane goes through them in twelve (170 a second), each a few times and at
longer and longer intervals; meanwhile the quick lane has 500 places a second for those that live,
as many as one core serves the sessions of that follow.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.backoff import backoff
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

QUICK: Final = 3000
"""Notifications on their way at a time to devices that are thought to live."""
SILENT: Final = 1000
"""The same to those that took nothing last time."""
SHARE: Final = 4
"""Notifications have one of so many of the file descriptors that the process may have: the others
are for the devices that come."""
A_ROUND: Final = 500
"""Devices whose notifications begin in one round of a lane."""
ANSWER_S: Final = 5.0
"""For a device to take a notification: a slow mobile line twice there and back."""
BUSY_S: Final = 5.0
"""When a device that is in a session just now is thought of again."""
_SESSIONS: Final = 0xFFFF
_NAMES: Final = {False: "quick", True: "silent"}
_TAKEN: Final = range(200, 300)
_REFUSED: Final = frozenset({401, 403})


class Outcome(StrEnum):
    """What became of a notification; ``UNMADE``: the account accepts nothing to make it with."""

    SENT = "sent"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNMADE = "unmade"


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
        return now + backoff(failures, first=self.first_s, most=self.most_s)


@dataclass(frozen=True, slots=True)
class _Flight:
    record: AccountRecord
    task: asyncio.Task[WakeUp]


@dataclass(slots=True)
class _Lane:
    """Notifications under way, by device."""

    silent: bool
    places: int
    flights: dict[str, _Flight] = field(default_factory=dict)

    def landed(self) -> list[_Flight]:
        """Take out those that are over."""
        over = [flight for flight in self.flights.values() if flight.task.done()]
        for flight in over:
            del self.flights[flight.record.uid]
        return over


class Wake:
    """Sends notifications.

    Args:
        store: has who is to be woken.
        accounts: of the devices.
        sessions: that devices are in.
        patience: with those that do not come.
        metrics: counts notifications.
        wall: the time.
        descriptors: that the process may have.
    """

    def __init__(
        self,
        store: AccountStore,
        accounts: Accounts,
        sessions: Sessions,
        *,
        patience: Patience,
        metrics: Metrics,
        wall: Clock,
        descriptors: int,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._patience = patience
        self._metrics = metrics
        self._wall = wall
        share = min(1.0, descriptors / SHARE / (QUICK + SILENT))
        self._lanes = (_Lane(False, int(QUICK * share)), _Lane(True, int(SILENT * share)))
        self._woken: list[WakeUp] = []
        metrics.watch_wakes({_NAMES[lane.silent]: lane.flights.__len__ for lane in self._lanes})

    async def round(self) -> None:
        """Note what became of notifications, and send those whose time has come."""
        flights = [flight for lane in self._lanes for flight in lane.landed()]
        problems = [flight.task.exception() for flight in flights]
        self._woken += [
            flight.task.result()
            for flight, problem in zip(flights, problems, strict=True)
            if problem is None
        ]
        await self._note()
        for lane in self._lanes:
            await self._fill(lane)
        # What one stumbles over must not have the others notified again and again.
        for problem in problems:
            if problem is not None:
                raise problem

    async def stop(self) -> None:
        """Give up what is under way; whoever it was for is woken after the next start."""
        flights = [flight for lane in self._lanes for flight in lane.flights.values()]
        for flight in flights:
            flight.task.cancel()
        ends = await asyncio.gather(*(one.task for one in flights), return_exceptions=True)
        self._woken += [
            end if isinstance(end, WakeUp) else _given_up(flight.record)
            for flight, end in zip(flights, ends, strict=True)
        ]
        for lane in self._lanes:
            lane.flights.clear()
        try:
            await self._note()
        except OpenAmiError as error:
            log.warning("notifications are not noted", code=error.code)

    async def _note(self) -> None:
        # What could not be kept is tried again: else the same would be sent again.
        if self._woken:
            await asyncio.to_thread(self._store.woken, self._woken)
            self._woken = []

    async def _fill(self, lane: _Lane) -> None:
        """Begin what a lane has places for."""
        room = min(lane.places - len(lane.flights), A_ROUND)
        if room <= 0:
            return
        now, limit = self._wall.now(), len(lane.flights) + room  # those under way are due as well
        due = await asyncio.to_thread(self._store.due, now=now, silent=lane.silent, limit=limit)
        for record in [record for record in due if record.uid not in lane.flights][:room]:
            task = asyncio.create_task(self._attempt(record), name=f"wake {record.uid}")
            lane.flights[record.uid] = _Flight(record, task)

    def reach(self, uid: str, url: str) -> None:
        """Note where a device takes notifications. Blocks."""
        record = self._store.accounts([uid]).get(uid)
        if record is not None and record.wake_url != url:
            self._store.reach(uid, url)

    async def _attempt(self, record: AccountRecord) -> WakeUp:
        uid, was = record.uid, record.wake_due or 0.0
        if self._sessions.busy(uid):
            later = self._wall.now() + BUSY_S
            return WakeUp(uid, was, later, record.wake_failures, record.wake_session)
        number = _following(record)
        outcome = await self._send(record, number)
        self._metrics.dm_wake(outcome.value)
        if outcome is Outcome.UNMADE:
            return WakeUp(uid, was, None, 0, record.wake_session)
        failures = record.wake_failures + 1
        due = self._patience.next(failures, self._wall.now())
        if due is None:
            log.info("a device did not wake", dcu=uid, notifications=failures, last=outcome.value)
        return WakeUp(uid, was, due, failures, number, outcome is Outcome.UNREACHABLE)

    async def _send(self, record: AccountRecord, number: int) -> Outcome:
        uid = record.uid
        try:
            account = (await self._accounts.read(uid)).account
            hashes = account.policy.hashes()
            if not hashes:
                return Outcome.UNMADE
            lost = self._sessions.lost_nonces(uid, number)
            nonce = RESYNC_NONCE if lost else account.server_nonce
            notification = Notification(account.server_id, number)
            body = notification.build(account.server.password, nonce, hashes[0])
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


def _following(record: AccountRecord) -> int:
    return record.wake_session % _SESSIONS + 1


def _given_up(record: AccountRecord) -> WakeUp:
    """Return what is kept of an attempt without an end: its number may be with the device."""
    was = record.wake_due or 0.0
    return WakeUp(
        record.uid, was, was, record.wake_failures, _following(record), record.wake_silent
    )


def wake_url(host: str, port: int) -> str:
    """Return where a device at an address takes notifications."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/wake"
