"""A display's association with its meter: what is pushed, read and answered."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError, TransportError, TransportTimeoutError
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.apdu.notification import DataNotification
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.cosem.response import ANSWERS, RESPONSE_OBIS, Response, Said
from openami.dlms.cosem.security import KeptCounters
from openami.dlms.data import decode_data, enum, structure, visible
from openami.dlms.home import LIVE_OBIS, Live
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.security import BOTH
from openami.transport.home.energy import LOAD_PROFILE, read_energy
from openami.transport.home.way import way_to
from openami.transport.session import DlmsSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from openami.core.clock import Clock
    from openami.dlms.client import Notified
    from openami.dlms.cosem.response import Answer
    from openami.transport.home.energy import IntervalEnergy
    from openami.transport.home.paired import Paired
    from openami.transport.home.target import HomeTarget
    from openami.transport.home.way import HomeWay

RESERVE: Final = 256
"""Invocation counters reserved at once: a display asks a few times an hour."""

SILENCE_S: Final = 15.0
"""Seconds without a push after which the meter is held to be gone: it pushes each second."""

EVERY_S: Final = 30.0
"""Seconds between two readings where nothing is pushed: a line that a street shares."""

_ANSWER: Final = 2
_RECONNECT: Final = 4


class HomeLink:
    """One association of a display; as a context manager it opens and closes.

    Requests made at the same time wait for each other.

    Args:
        target: where the meter is.
        paired: keys and counter.
        clock: the world's.
        keep_counter: keeps the counter that a next link begins with, before those below are used;
            what it raises ends the link.
        way: how the meter is reached; by default as ``target`` says.

    Attributes:
        serial: the meter's serial number.
        period: seconds of an interval of the load profile, once open.
        heard_at: when the newest push came, by the clock; None: none came yet.
        refused: how many pushes were refused: not ciphered, or nothing that a meter pushes.
    """

    def __init__(
        self,
        target: HomeTarget,
        paired: Paired,
        *,
        clock: Clock,
        keep_counter: Callable[[int], None],
        way: HomeWay | None = None,
    ) -> None:
        self.serial = paired.serial
        self.period = 0
        self.heard_at: float | None = None
        self.refused = 0
        self._paired = paired
        self._way = way or way_to(target)
        self._clock = clock
        self._limit = paired.counter
        self._keep_counter = keep_counter
        self._stack = AsyncExitStack()
        self._session: DlmsSession
        self._pushes = True
        self._newest: Live | None = None
        self._wake = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open it.

        Raises:
            TransportError: the meter cannot be reached.
            SecurityError: it does not know this display any more (``association.…``), or is not
                the meter that it was paired with.
            RemoteProtocolError: it breaks the standard.
        """
        async with AsyncExitStack() as stack:
            line = await self._way.open(self._paired.client)
            stack.callback(line.channel.close)
            self._pushes = line.pushes
            config = self._config(line.answer_s)
            counters = KeptCounters(self._limit, keep=self._keep, reserve=RESERVE)
            session = DlmsSession(
                line.channel,
                line.link,
                config,
                counters=counters,
                on_notification=self._notified,
            )
            self._session = await stack.enter_async_context(session)
            self.period = (await session.get(AttributeRef(7, LOAD_PROFILE, 4))).integer()
            watch = asyncio.create_task(line.channel.wait_closed())
            watch.add_done_callback(lambda _: self._wake.set())
            stack.callback(watch.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _config(self, timeout: float) -> ClientConfig:
        paired = self._paired
        return ClientConfig(
            mechanism=Mechanism.HLS_GMAC,
            keys=paired.keys,
            title=paired.title,
            security=SecurityLevel.BOTH,
            server_title=paired.meter_title,
            timeout=timeout,
            pushes=self._pushes,
        )

    def _keep(self, limit: int, _: int) -> None:
        if limit != self._limit:
            self._keep_counter(limit)
            self._limit = limit

    # What flows.

    def _notified(self, event: Notified) -> None:
        found, live = event.notification, None
        if isinstance(found, DataNotification) and event.control.covers(BOTH):
            with suppress(DecodeError):
                live = Live.of(decode_data(found.body.encode()))
        if live is None:
            self.refused += 1
            return
        self._newest, self.heard_at = live, self._clock.now()
        self._wake.set()

    async def lives(self, every_s: float = EVERY_S) -> AsyncIterator[Live]:
        """Give what flows: each push as it comes, of several that wait the newest.

        Args:
            every_s: where the meter does not push, seconds between two readings.

        Raises:
            TransportError: the line broke, or nothing came for ``SILENCE_S``.
            OpenAmiError: see ``DlmsSession.request``.
        """
        while True:
            if self._pushes:
                yield await self._pushed()
            else:
                yield Live.of(await self._session.get(AttributeRef(1, LIVE_OBIS, 2)))
                await asyncio.sleep(every_s)

    async def _pushed(self) -> Live:
        name = self._session.channel.name
        while (newest := self._newest) is None:
            if self._session.channel.closed:
                raise self._session.channel.error or TransportError(
                    f"{name}: closed", code="transport.closed"
                )
            self._wake.clear()
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._wake.wait()
            except TimeoutError as error:
                raise TransportTimeoutError(f"{name}: the meter pushes nothing") from error
        self._newest = None
        return newest

    # What is read and said.

    async def energy(self, start: int, end: int) -> IntervalEnergy:
        """Return the intervals of the load profile that end from ``start`` to ``end``.

        Args:
            start: UTC seconds.
            end: UTC seconds, included.

        Raises:
            OpenAmiError: see ``DlmsSession.request``; DecodeError if it is no load profile.
        """
        return await read_energy(self._session, start, end)

    async def said(self) -> Said:
        """Return what the utility says: events, notices, a comparison.

        Raises:
            OpenAmiError: see ``DlmsSession.request``; DecodeError if it is something else.
        """
        refs = [AttributeRef(Response.CLASS_ID, RESPONSE_OBIS, index) for index in _SAID]
        items = [await self._session.get(ref) for ref in refs]
        return Said.of_items(*items)

    async def answer(self, event: str, answer: Answer) -> None:
        """Answer an event.

        Raises:
            ServiceRefusedError: it is over, or one may not opt out; see ``DlmsSession.request``.
        """
        value = structure(visible(event), enum(ANSWERS.index(answer)))
        await self._session.action(MethodRef(Response.CLASS_ID, RESPONSE_OBIS, _ANSWER), value)

    async def reconnect(self) -> None:
        """Reconnect the supply, as a person at the meter does.

        Raises:
            ServiceRefusedError: the meter is not ready for that; see ``DlmsSession.request``.
        """
        await self._session.action(MethodRef(Response.CLASS_ID, RESPONSE_OBIS, _RECONNECT))


_SAID: Final = (2, 3, 4, 5, 7)
