"""The sessions of all devices: which message belongs to which, and who may begin a new one.

A device has one session at a time. A first message opens another beside it, which takes the first
one's place as soon as the device has proved in it who it is, and not before: whoever cannot prove
that ends nobody's session.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import OpenAmiError, RemoteProtocolError, SecurityError
from openami.core.recent import Recent
from openami.headend.errors import BusyError
from openami.headend.groups import Grouped
from openami.headend.management.talk import Received, Talk
from openami.omadm.limits import DEFAULT_LIMITS
from openami.omadm.messages.codec import decode_message
from openami.omadm.session.budget import Budget
from openami.omadm.session.events import End

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from openami.fleet.accounts import AccountStore
    from openami.headend.management.accounts import Accounts
    from openami.headend.management.ports import Asked, Planner
    from openami.headend.management.talk import Question
    from openami.headend.management.watch import Watch
    from openami.headend.metrics import Metrics
    from openami.omadm.session.events import Order, Outgoing

log = structlog.get_logger(__name__)

MESSAGE_OCTETS: Final = 65_536
"""Of one message: the MaxMsgSize that a session announces."""
HELD_OCTETS: Final = 256 * 2**20
"""Of what devices send in parts, for all of them: 256 of the largest objects (1 MiB) at a time, or
the whole trees of thousands; the rest is told 413 and asked again."""
LARGE_OCTETS: Final = 16_384
"""From here on what a device tells in a session is taken apart from others: it may be a tree of
more than a hundred meters, which is read and written for as long as the sessions of dozens."""
TOGETHER: Final = 64
"""Questions that are answered together: others who write to the database wait for them, some tens
of milliseconds."""
LONGEST_S: Final = 3600.0
"""Of one session: four of the largest objects (1 MiB) over the slowest mobile line, a quarter of an
hour each at 9.6 kbit/s. Then the device is told to stop."""
REPEAT_S: Final = 120.0
"""How long the last answer of a session is kept: as long as a device sends a message again."""
REPEATS: Final = 16_384
"""Last answers that are kept: those of half a minute at the rate of a country, 1 KiB each."""
_ANEW: Final = "the device has begun another session"
_LIMITS: Final = replace(DEFAULT_LIMITS, octets=MESSAGE_OCTETS)


@dataclass(slots=True)
class _Device:
    """The sessions of one device, and who is dealing with them."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    current: Talk | None = None
    fresh: Talk | None = None

    @property
    def talks(self) -> tuple[Talk, ...]:
        return tuple(talk for talk in (self.fresh, self.current) if talk is not None)

    def remove(self, talk: Talk) -> None:
        if self.fresh is talk:
            self.fresh = None
        if self.current is talk:
            self.current = None


@dataclass(frozen=True, slots=True)
class _Last:
    digest: bytes
    answer: Outgoing
    at: float


class Sessions:
    """Answers the messages of devices.

    Args:
        store: has the log, whose numbers go on.
        accounts: of the devices.
        planner: has their orders.
        watch: learns who breaks the rules.
        metrics: counts sessions.
        most: sessions at a time; more are told to come back.
        idle: seconds that a device may be silent in a session.
    """

    def __init__(
        self,
        store: AccountStore,
        accounts: Accounts,
        planner: Planner,
        *,
        watch: Watch,
        metrics: Metrics,
        most: int,
        idle: float,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._planner = planner
        self._plans: Grouped[Asked, Sequence[Order]] = Grouped(
            planner.together, "dm plans", most=TOGETHER
        )
        self._large: Grouped[Asked, Sequence[Order]] = Grouped(
            planner.together, "dm large plans", most=1
        )
        self._budget = Budget(HELD_OCTETS)
        self._watch = watch
        self._metrics = metrics
        self._most = most
        self._idle = idle
        self._devices: dict[str, _Device] = {}
        self._lasts: Recent[str, _Last] = Recent(REPEATS)
        self._lost: Recent[str, int | None] = Recent(REPEATS)
        self._number: int | None = None
        self._stopping = False

    async def handle(
        self, uid: str, body: bytes, content_type: str, hmac: str | None, *, now: float
    ) -> Outgoing:
        """Return the answer to a device's message; what it says is durable by then.

        Args:
            uid: of the device, by its certificate.
            body: the message.
            content_type: its media type.
            hmac: the header ``x-syncml-hmac``.
            now: UTC seconds.

        Raises:
            RemoteProtocolError: no message, or none that has a place in a session of this device.
            SecurityError: ``dm.unknown``, ``dm.suspended``; ``omadm.auth.downgrade``.
            BusyError: there are too many sessions, or the head-end is stopping.
            StoreError: the device may send the same message again.
        """
        if self._stopping:
            raise BusyError("the head-end is stopping", retry_after=5.0, code="busy.stopping")
        try:
            message = decode_message(body, content_type, limits=_LIMITS)
            received = Received(body, content_type, hmac, message, now)
            async with self._alone(uid) as device:
                return await self._answer(uid, device, received)
        except (RemoteProtocolError, SecurityError) as error:
            if self._watch.refused(uid, error, now=now):
                await asyncio.to_thread(self._watch.raise_for, uid, error)
            raise

    async def pass_time(self, now: float) -> None:
        """End the sessions of devices that have gone silent; forget last answers."""
        for uid, device in list(self._devices.items()):
            if device.lock.locked():  # just now it is anything but silent
                continue
            if any(talk.timer <= now or talk.began + LONGEST_S <= now for talk in device.talks):
                async with self._alone(uid):
                    await self._end_late(device, now)
        while self._lasts and next(iter(self._lasts.values())).at + REPEAT_S <= now:
            self._lasts.popitem(last=False)

    async def stop(self, now: float) -> None:
        """Take no more messages, and end every session."""
        self._stopping = True
        for uid in list(self._devices):
            async with self._alone(uid) as device:
                for talk in device.talks:
                    await self._leave(device, talk, now, End.ABORTED, "the head-end has stopped")
        await self._plans.stop()
        await self._large.stop()

    def busy(self, uid: str) -> bool:
        """Tell whether a device is in a session."""
        return uid in self._devices

    def resynchronise(self, uid: str) -> None:
        """Note that a device has lost the nonces, as it says of a notification."""
        self._lost[uid] = None

    def lost_nonces(self, uid: str, number: int) -> bool:
        """Tell whether a device has lost the nonces, and is asked for a session by that number.

        That session begins with the nonces of ends that have lost theirs, and no other does.
        """
        if uid not in self._lost:
            return False
        self._lost[uid] = number
        return True

    def count(self) -> int:
        """Return how many devices are in a session."""
        return len(self._devices)

    @asynccontextmanager
    async def _alone(self, uid: str) -> AsyncIterator[_Device]:
        """Give the block a device for itself."""
        device = self._devices.setdefault(uid, _Device())
        device.users += 1
        try:
            async with device.lock:
                yield device
        finally:
            device.users -= 1
            if not device.users and not device.talks:
                self._devices.pop(uid, None)

    async def _answer(self, uid: str, device: _Device, received: Received) -> Outgoing:
        last = self._lasts.get(uid)
        if last is not None and last.digest == received.digest:
            return last.answer
        session = received.message.header.session_id
        known = (t for t in device.talks if t.session_id == session and t.knows(received))
        talk = next(known, None) or await self._open(uid, received)
        try:
            talk.take(received)
        except RemoteProtocolError as error:
            if talk.closed:
                await self._leave(device, talk, received.now, End.REFUSED, error.message)
            raise
        await self._place(device, talk, received.now)
        await self._judge(talk, received.now)
        try:
            answer = await talk.answer(received.now)
        finally:
            if talk.over:
                self._forget(device, talk)
        if talk.over:
            self._lasts[uid] = _Last(received.digest, answer, received.now)
        return answer

    async def _open(self, uid: str, received: Received) -> Talk:
        """Return a new session for a first message."""
        if received.message.header.msg_id != 1:
            raise RemoteProtocolError(
                "there is no such session of this device here", code="omadm.session.unknown"
            )
        if len(self._devices) > self._most:
            raise BusyError("too many sessions", retry_after=10.0, code="busy.sessions")
        managed = await self._accounts.read(uid)
        if self._is_lost(uid, received):
            managed = replace(managed, account=managed.account.resynchronised())
        if self._number is None:
            latest = (await asyncio.to_thread(self._store.sessions, limit=1)).items
            self._number = self._number or (latest[0].id if latest else 0)
        # In the order of their beginning, as long as the clock goes on. No other process gives such
        # numbers: one has the state folder (its lake is locked), and with it the vault, without
        # which no account here can be opened.
        self._number = max(self._number + 1, int(received.now * 1e6))
        return Talk(
            self._number,
            managed,
            received,
            self._accounts,
            self._planner,
            ask=partial(self._ask, uid),
            budget=self._budget,
            idle=self._idle,
        )

    async def _ask(self, uid: str, question: Question, octets: int) -> Sequence[Order]:
        """Ask the planner; who has told a large tree keeps only others with such waiting."""
        return await (self._large if octets > LARGE_OCTETS else self._plans).do((uid, question))

    def _is_lost(self, uid: str, received: Received) -> bool:
        """Tell whether a message opens the session that was asked for with nonces lost."""
        number = self._lost.get(uid)
        session = received.message.header.session_id
        return number is not None and session == f"{number:X}" and received.notified

    async def _place(self, device: _Device, talk: Talk, now: float) -> None:
        """Give a session its place: beside the current one, or instead of it."""
        if talk is device.current:
            return
        if device.fresh is not None and device.fresh is not talk:
            await self._leave(device, device.fresh, now, End.ABORTED, _ANEW)
        device.fresh = talk
        if not talk.proved:
            return
        if device.current is not None:
            await self._leave(device, device.current, now, End.ABORTED, _ANEW)
        device.current, device.fresh = talk, None

    async def _judge(self, talk: Talk, now: float) -> None:
        """Look at the proofs that a message has brought."""
        failures, talk.failures = talk.failures, []
        if self._watch.failed(talk.uid, failures, now=now):
            await asyncio.to_thread(self._watch.raise_wrong, talk.uid)
        if talk.proved:
            self._watch.proved(talk.uid)
            self._lost.pop(talk.uid, None)

    async def _end_late(self, device: _Device, now: float) -> None:
        for talk in device.talks:
            if talk.timer <= now:
                await self._leave(device, talk, now, End.TIMEOUT, "the device has gone silent")
            elif talk.began + LONGEST_S <= now:
                talk.abort()

    async def _leave(self, device: _Device, talk: Talk, now: float, end: End, why: str) -> None:
        """End a session from this side; it is over even if that can not be written down."""
        try:
            await talk.leave(now, end, why)
        except OpenAmiError as error:
            log.warning("a session's end is not in the log", dcu=talk.uid, code=error.code)
        except Exception:
            log.exception("a session's end is not in the log", dcu=talk.uid)
        self._forget(device, talk)

    def _forget(self, device: _Device, talk: Talk) -> None:
        device.remove(talk)
        self._metrics.dm_session(talk.end)
