"""Talking to one meter: associate, ask, release.

::

    async with open_session(MeterUrl.parse("dlms+tcp://127.0.0.1:4059"), config) as meter:
        energy = await meter.get(AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2))

Errors: what the line does is a ``TransportError``, what the meter refuses for security's sake a
``SecurityError``, an attribute or a method that it refuses a ``ServiceRefusedError``, and a meter
that breaks the standard is a ``RemoteProtocolError``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import (
    OpenAmiError,
    ProtocolError,
    RemoteProtocolError,
    SecurityError,
    TransportError,
    TransportTimeoutError,
)
from openami.dlms.client import (
    Agreement,
    Answered,
    ClientConfig,
    ClientEvent,
    Closed,
    DlmsClient,
    Failed,
    GetAttribute,
    GetList,
    InvokeMethod,
    Item,
    Notified,
    Opened,
    Progress,
    Request,
    SetAttribute,
    SetList,
)
from openami.dlms.results import result_name
from openami.dlms.wrapper import WrapperParameters
from openami.transport.connect import client_link, open_channel
from openami.transport.driver import Driver
from openami.transport.tcp import CONNECT_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from openami.dlms.cosem.security import InvocationCounters
    from openami.dlms.data import Data, Encodable
    from openami.dlms.hdlc import HdlcParameters
    from openami.dlms.link import ClientLink
    from openami.dlms.references import AttributeRef, MethodRef, Selection
    from openami.dlms.results import ActionResult, DataAccessResult
    from openami.transport.channel import Channel
    from openami.transport.url import MeterUrl

CLOSE_TIMEOUT_S: Final = 5.0
"""How long a meter may take over a farewell that changes nothing."""

_LINK_CODES: Final[Mapping[str, str]] = {
    "link.closed": "transport.closed",
    "link.disconnected": "transport.closed",
    "link.inactivity": "transport.closed",
    "link.refused": "transport.refused",
}


class ServiceRefusedError(ProtocolError):
    """The meter answered that it does not do this.

    Attributes:
        result: why, in the standard's own words; None for an exception-response.
    """

    code = "dlms.refused"

    def __init__(
        self, message: str, *, code: str, result: DataAccessResult | ActionResult | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.result = result


class DlmsSession:
    """One association with one meter; as a context manager it opens and closes.

    Requests made at the same time wait for each other. The channel stays open. Several sessions may
    have it in turns: each is paused while another has it.

    Args:
        channel: the line to the meter; nothing else may use it meanwhile.
        link: the client's end of the data link.
        config: how to associate.
        counters: keeps invocation counters over sessions.
        on_progress: told the octets of a long answer or request as they pass.
        on_notification: takes what the meter sends of its own accord, as it comes.
        close_timeout_s: how long to wait for the meter's farewell.
    """

    def __init__(
        self,
        channel: Channel,
        link: ClientLink,
        config: ClientConfig,
        *,
        counters: InvocationCounters | None = None,
        on_progress: Callable[[int], None] | None = None,
        on_notification: Callable[[Notified], None] | None = None,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        self.client = DlmsClient(
            link,
            config,
            random_octets=secrets.token_bytes,
            counters=counters,
            notify=on_notification or _ignore,
        )
        self.channel = channel
        self._driver: Driver[ClientEvent] = Driver(self.client, channel)
        self._lock = asyncio.Lock()
        self._on_progress = on_progress
        self._close_timeout_s = close_timeout_s
        self._closed: Closed | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def agreement(self) -> Agreement | None:
        """What the meter agreed to, once opened."""
        return self.client.agreement

    @property
    def invocation_counter(self) -> int:
        """The next of our own counters: to begin the next session with."""
        return self.client.invocation_counter

    async def open(self) -> Agreement:
        """Set link and association up.

        Raises:
            TransportError: nobody answers, or the line broke.
            SecurityError: the meter refuses us (``association.…``), or is not who it should be.
            RemoteProtocolError: it breaks the standard.
        """
        self._driver.start()
        self.client.open(now=self._driver.now())
        event = await self._next()
        if not isinstance(event, Opened):
            raise RemoteProtocolError(f"{self.channel.name}: an answer before the association")
        return event.agreement

    async def close(self) -> None:
        """Release the association and the link, as far as the line allows. May be called again."""
        try:
            if self._closed is None and not self.channel.closed:
                self.client.close(now=self._driver.now())
                with contextlib.suppress(OpenAmiError, TimeoutError):
                    async with asyncio.timeout(self._close_timeout_s):
                        while True:
                            await self._next()
        finally:  # also if we are cancelled: others want the channel
            self._driver.stop()

    @property
    def ready(self) -> bool:
        """Whether the association stands, as far as is known, and nothing is under way."""
        return self._closed is None and self.client.ready and not self.channel.closed

    def pause(self) -> None:
        """Leave the channel to others until ``resume``; nothing may be under way."""
        self._driver.pause()

    def resume(self) -> None:
        """Take the channel again; whether the meter still knows us, the next request tells."""
        self._driver.start()

    def drop(self) -> None:
        """End without a farewell: there is no time for it, or nobody to take it."""
        self._driver.stop()

    async def request(self, request: Request) -> Answered:
        """Ask for something, and return the answer, its items refused or not.

        Raises:
            ServiceRefusedError: the meter does not do this at all (``exception.…``), or the
                request does not fit (``pdu-too-long``); the association still stands.
            TransportError: the line broke, or the meter is silent.
            SecurityError: the answer is not protected as it must be.
            RemoteProtocolError: the meter breaks the standard.
        """
        async with self._lock:
            while self._closed is None and not self.client.ready:
                await self._next()  # the answer to a request whose caller was cancelled
            if self._closed is not None:
                raise self._error(self._closed)
            self.client.request(request, now=self._driver.now())
            event = await self._next()
            while isinstance(event, Answered | Failed) and event.request is not request:
                event = await self._next()  # an answer of the same kind as above, come since
        if isinstance(event, Failed):
            raise ServiceRefusedError(event.message, code=f"dlms.{event.code}")
        if not isinstance(event, Answered):
            raise RemoteProtocolError(f"{self.channel.name}: associated twice")
        return event

    async def get_raw(self, ref: AttributeRef, selection: Selection | None = None) -> bytes:
        """Return the octets of one attribute's Data, or of the part that ``selection`` names.

        Raises:
            ServiceRefusedError: it cannot be read; and see ``request``.
        """
        item = (await self.request(GetAttribute(ref, selection))).items[0]
        _require(item, f"reading {ref}")
        return item.raw or b"\x00"

    async def get(self, ref: AttributeRef, selection: Selection | None = None) -> Data:
        """Return one attribute, or the part of it that ``selection`` names.

        Raises:
            DecodeError: what came is no Data.
            ServiceRefusedError: it cannot be read; and see ``request``.
        """
        item = (await self.request(GetAttribute(ref, selection))).items[0]
        _require(item, f"reading {ref}")
        return item.data

    async def get_list(self, refs: Iterable[AttributeRef]) -> tuple[Item, ...]:
        """Return several attributes, each by itself refused or not; see ``request``."""
        return (await self.request(GetList.of(*refs))).items

    async def set(self, ref: AttributeRef, value: Encodable) -> None:
        """Write one attribute.

        Raises:
            ServiceRefusedError: it cannot be written; and see ``request``.
        """
        item = (await self.request(SetAttribute(ref, value))).items[0]
        _require(item, f"writing {ref}")

    async def set_list(self, values: Iterable[tuple[AttributeRef, Encodable]]) -> tuple[Item, ...]:
        """Write several attributes, each by itself refused or not; see ``request``."""
        items = tuple(SetAttribute(ref, value) for ref, value in values)
        return (await self.request(SetList(items))).items

    async def action(self, ref: MethodRef, parameter: Encodable | None = None) -> Data:
        """Invoke one method and return what it answers, null-data if nothing.

        Raises:
            ServiceRefusedError: it was not done; and see ``request``.
        """
        item = (await self.request(InvokeMethod(ref, parameter))).items[0]
        _require(item, f"invoking {ref}")
        return item.data

    async def _next(self) -> Opened | Answered | Failed:
        """Return the next event that answers something; what is over is raised."""
        self._driver.pump()
        while True:
            event = await self._driver.next_event()
            match event:
                case Progress(octets):
                    if self._on_progress is not None:
                        self._on_progress(octets)
                case Closed():
                    self._closed = event
                    raise self._error(event)
                case Opened() | Answered() | Failed():
                    return event

    def _error(self, closed: Closed) -> OpenAmiError:
        """Return the error for the end of an association."""
        message = f"{self.channel.name}: {closed.message or closed.code}"
        kind = closed.code.partition(".")[0]
        if closed.code in {"timeout", "link.timeout"}:
            return TransportTimeoutError(f"{self.channel.name}: the meter does not answer")
        if kind in {"link", "closed"}:
            error = self.channel.error
            code = error.code if error else _LINK_CODES.get(closed.code, "transport.closed")
            return TransportError(message, code=code)
        if kind in {"association", "security"}:
            return SecurityError(message, code=closed.code)
        return RemoteProtocolError(message, code=f"dlms.{closed.code}")


@asynccontextmanager
async def open_session(
    url: MeterUrl,
    config: ClientConfig,
    *,
    counters: InvocationCounters | None = None,
    on_progress: Callable[[int], None] | None = None,
    hdlc: HdlcParameters | None = None,
    wrapper: WrapperParameters | None = None,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> AsyncIterator[DlmsSession]:
    """Open the line to a meter and an association on it; both end with the context.

    Raises:
        OpenAmiError: see ``open_channel`` and ``DlmsSession.open``.
    """
    channel = await open_channel(url, timeout_s=connect_timeout_s)
    try:
        parameters = replace(wrapper or WrapperParameters(), pushes=config.pushes)
        link = client_link(url, hdlc=hdlc, wrapper=parameters)
        async with DlmsSession(
            channel, link, config, counters=counters, on_progress=on_progress
        ) as session:
            yield session
    finally:
        channel.close()


def _ignore(_: Notified) -> None:
    """Let a notification go that nobody asked for."""


def _require(item: Item, what: str) -> None:
    if not item.ok:
        reason = result_name(item.result)
        raise ServiceRefusedError(f"{what}: {reason}", code=f"dlms.{reason}", result=item.result)
