"""One session with one device: its machine, its orders, its nonces, its transcript.

Whatever fails on the way to an answer (a store, the planner) leaves what is to be done to the
device's next try: it sends the same message again, and the work goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from openami.core.errors import SecurityError
from openami.fleet.accounts import NonceUpdate
from openami.headend.management.accounts import Kept
from openami.headend.management.transcript import Transcript
from openami.omadm.auth import RESYNC_NONCE
from openami.omadm.codes import AlertCode
from openami.omadm.messages.model import Alert
from openami.omadm.session.events import (
    NO_ANSWER,
    AlertReceived,
    Authenticated,
    AuthenticationFailed,
    DeviceInfoReceived,
    End,
    Event,
    NonceChanged,
    OrderDone,
    SessionEnded,
)
from openami.omadm.session.numbering import digest_of
from openami.omadm.session.server import ServerConfig, ServerSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from openami.headend.management.accounts import Accounts, ManagedAccount
    from openami.headend.management.ports import Planner
    from openami.omadm.messages.model import Message
    from openami.omadm.session.budget import Budget
    from openami.omadm.session.events import Order, Outgoing

    Question = Callable[[], Sequence[Order]]

NONCE: Final = 16  # octets, as the standard has it (OMA-TS-DM_Security 1.2, 5.3.2)
_new_nonce: Final = partial(secrets.token_bytes, NONCE)


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a device, as it came; its digest tells it from every other."""

    body: bytes = field(repr=False)
    content_type: str
    hmac: str | None = field(repr=False)
    message: Message = field(repr=False)
    now: float
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest_of(self.body, self.hmac))

    @property
    def notified(self) -> bool:
        """Whether it opens a session that the server has asked for."""
        return any(
            isinstance(command, Alert) and command.data == AlertCode.SERVER_INITIATED
            for command in self.message.commands
        )


class Talk:
    """One session.

    Args:
        number: in the log.
        managed: the device's account.
        first: its first message.
        accounts: keeps nonces and the log.
        planner: has the orders.
        ask: calls the planner, in a thread; it is told how many octets have come in the session.
        budget: for what devices send, of all sessions.
        idle: seconds that the device may be silent.

    Attributes:
        session_id: as the device writes it.
        failures: proofs that were wrong or missing, since this was last looked at.
        proved: the device has proved who it is.
    """

    def __init__(
        self,
        number: int,
        managed: ManagedAccount,
        first: Received,
        accounts: Accounts,
        planner: Planner,
        *,
        ask: Callable[[Question, int], Awaitable[Sequence[Order]]],
        budget: Budget,
        idle: float,
    ) -> None:
        self.number = number
        self.uid = managed.record.uid
        self.began = first.now
        self.session_id = first.message.header.session_id
        self._idle = idle
        self._touched = first.now
        self.failures: list[int] = []
        self.proved = False
        self._digest = managed.record.digest
        self._accounts, self._planner, self._ask = accounts, planner, ask
        self._session = ServerSession(
            managed.account,
            ServerConfig(managed.server_url, idle_timeout=idle),
            nonces=_new_nonce,
            budget=budget,
        )
        self._transcript = Transcript(
            number, self.uid, self.session_id, notified=first.notified, now=first.now
        )
        self._account = self._kept = managed.account
        self._begun = self._logged = False
        self._events: list[Event] = []
        # What the planner is asked, and how many events that tells of.
        self._asked: tuple[asyncio.Future[Sequence[Order]], int] | None = None
        self._end: SessionEnded | None = None
        self._orders = self._octets = 0
        # Of what was said while the nonces were lost, the log keeps the messages.
        self._told = managed.account.server_nonce == RESYNC_NONCE
        self._first = self._last = b""
        self._answer: Outgoing | None = None

    @property
    def closed(self) -> bool:
        """Nothing more will be sent."""
        return self._session.closed

    @property
    def end(self) -> str:
        """Why it is over."""
        return "" if self._end is None else self._end.end.value

    @property
    def over(self) -> bool:
        """Nothing more is to be done."""
        return self._session.closed and self._logged

    @property
    def timer(self) -> float:
        """When the device has been silent for too long."""
        return self._touched + self._idle

    def knows(self, received: Received) -> bool:
        """Whether a message with this session's id is this session's.

        A first message that is another than this session's own is that of a device which has begun
        anew, and does not remember that it had begun.
        """
        another = received.message.header.msg_id == 1
        return not another or received.digest in {self._first, self._last}

    def take(self, received: Received) -> None:
        """Take a message; ``RemoteProtocolError`` leaves all as it was."""
        r = received
        session = self._session
        if session.take(r.body, r.content_type, r.hmac, r.now, message=r.message, digest=r.digest):
            self._touched = r.now
            self._octets += len(r.body)
            self._last = r.digest
            self._first = self._first or self._last
            self._transcript.add(r.body, r.content_type, sent=False, now=r.now)
        self._collect()

    async def answer(self, now: float) -> Outgoing:
        """Return the answer to what was taken, once all that it says is durable.

        Raises:
            StoreError: it is not.
            SecurityError: ``dm.suspended``, the account was taken away in the meantime.
        """
        await self._consult(now)
        outgoing = self._session.answer()
        if outgoing is not self._answer:
            self._answer = outgoing
            media = str(outgoing.content_type)
            self._transcript.add(outgoing.body, media, sent=True, now=now)
        self._collect()
        await self._settle(now)
        return outgoing

    async def leave(self, now: float, end: End, why: str) -> None:
        """End it from this side, for good."""
        closed = self._session.closed
        self._session.handle_timer(math.inf)
        self._collect()
        if not closed and self._end is not None:
            self._end = replace(self._end, end=end, message=why)
        await self._settle(now, kept_anyway=True)

    def abort(self) -> None:
        """Have the next answer say that it is over."""
        self._session.abort()

    # What has happened.

    def _collect(self) -> None:
        while (event := self._session.next_event()) is not None:
            match event:
                case NonceChanged(account):
                    self._account = account
                case AuthenticationFailed(status):
                    self.failures.append(status)
                    self._told = True
                case SessionEnded():
                    self._end = event
                case Authenticated():
                    self.proved = True
                    self._events.append(event)
                case _:
                    self._told |= isinstance(event, AlertReceived)
                    self._events.append(event)

    async def _consult(self, now: float) -> None:
        """Tell the planner what has happened, and take its orders."""
        while self._events or self._asked is not None:
            if self._asked is None:
                events, over = tuple(self._events), self._session.closed
                told = partial(self._tell, events, now, over=over)
                self._asked = asyncio.ensure_future(self._ask(told, self._octets)), len(events)
            question, count = self._asked
            # Who waits may be cancelled, and the question is not: what it has had planned counts as
            # sent, so that the device's next try must come upon these orders and no others.
            await asyncio.wait([question])
            self._asked = None
            orders = question.result()
            del self._events[:count]
            self._take(orders)

    def _take(self, orders: Sequence[Order]) -> None:
        if self._session.closed:  # meanwhile: there is nobody left to do them
            self._events += _never(orders)
            return
        for order in orders:
            self._session.order(order)
        self._orders += len(orders)

    def _tell(self, events: Sequence[Event], now: float, *, over: bool) -> Sequence[Order]:
        planner, uid = self._planner, self.uid
        told = [event.values for event in events if isinstance(event, DeviceInfoReceived)]
        alerts = [event.alert for event in events if isinstance(event, AlertReceived)]
        if told or alerts:
            info = {uri: value for values in told for uri, value in values}
            planner.told(uid, info or None, alerts, now=now)
        results = [event for event in events if isinstance(event, OrderDone)]
        orders: list[Order] = []
        if results:
            orders += planner.done(uid, results, session=self.number, now=now)
        if not over:
            if Authenticated() in events:
                orders += planner.plan(uid, now=now)
            return orders
        if orders:  # there is nobody left to do them
            planner.done(uid, _never(orders), session=self.number, now=now)
        return ()

    async def _settle(self, now: float, *, kept_anyway: bool = False) -> None:
        """Make durable what has changed; at the end, tell the planner and write the log."""
        over = self._session.closed and not self._logged
        if over:
            await self._consult(now)
            if self.proved and self._end is not None:
                self._planner.ended(self.uid, self._end, session=self.number, now=now)
        nonces = self._nonces()
        logged = None
        if over and self._end is not None:
            logged = self._transcript.close(
                self._end, orders=self._orders, now=now, told=self._told
            )
        if nonces is None and logged is None:
            return
        account = self._account
        stands = await self._accounts.keep(Kept(nonces, logged))
        self._kept = account
        self._begun |= self.proved
        self._logged |= logged is not None
        if not stands and not kept_anyway:
            if self._end is not None:
                self._end = replace(self._end, end=End.REFUSED)
            await self.leave(now, End.ABORTED, "the account was suspended or replaced")
            raise SecurityError(f"the account of {self.uid} is suspended", code="dm.suspended")

    def _nonces(self) -> NonceUpdate | None:
        fresh = self.proved and not self._begun
        if self._account == self._kept and not fresh:
            return None
        return NonceUpdate(
            self.uid,
            self._digest,
            self._account.client_nonce,
            self._account.server_nonce,
            self.began if fresh else None,
        )


def _never(orders: Sequence[Order]) -> list[OrderDone]:
    """Return that orders were not sent."""
    return [OrderDone(order.id, NO_ANSWER, sent=False) for order in orders]
