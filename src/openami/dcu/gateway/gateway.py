"""The gateway: displays come in over TCP, and take turns on the line with everything else.

::

    display ── wrapper, E6 ──► connection ──► queue ──► passage ── HDLC ──► meter
            ◄── wrapper, E7 ──             ◄──        ◄──

What passes is ciphered by the customer's keys, which the DCU does not have. A connection has one
request under way; what cannot be carried is answered by an exception-response, and whoever does
not keep to the protocol is hung up on.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import DecodeError, OpenAmiError
from openami.dcu.gateway.allowance import Allowance, Limits
from openami.dcu.gateway.passage import Passage
from openami.dcu.modem import LineLostError
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.acse import Aare, AssociationResult
from openami.dlms.apdu.common import Tag
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.gateway import MAX_ADDRESS, OVERHEAD, Prefixed
from openami.dlms.server import MANAGEMENT_DEVICE
from openami.dlms.wrapper import Packet, WrapperParameters
from openami.dlms.wrapper.packet import PacketReader
from openami.transport.clock import monotonic
from openami.transport.tcp import TcpChannel, TcpServer, listen_tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dcu.modem import Modem
    from openami.dcu.roster import Station
    from openami.transport.channel import Channel

CONNECTIONS: Final = 256
"""Displays at a time: one for each meter of a large line."""

OF_ADDRESS: Final = 16
"""Connections from one address: a router with some homes behind it."""

REQUEST_OCTETS: Final = 2048
"""Of the longest APDU that is carried to a meter: displays ask, and do not write."""

IDLE_S: Final = 180.0
"""How long a display may be silent, half a request included: six times as long as between looks."""

QUEUE_S: Final = 45.0
"""How long a request waits for the line: a visit of metering takes less, unless it goes badly."""

EXCHANGE_S: Final = 20.0
"""How long one request may hold the line: a frame repeated three times, or 15,000 octets at 9,600
baud."""

TURN_S: Final = 5.0
"""For so long displays have the line before metering is asked again, the last request included
only with its beginning."""

LINGER_S: Final = 0.25
"""How long the line waits for what a display asks next: an association takes three requests."""

SILENT_S: Final = 30.0
"""How long a meter that did not answer is not asked again for a display."""

HELD_S: Final = 60.0
"""For so long a client's place at a meter is one connection's: after what it asked last if the
meter has let it in, else after it came. Pairing takes a second or two, and who has no keys cannot
sit in the place of who has."""

SLOW_S: Final = 0.5
"""How long a refusal takes."""

MEDDLED: Final = 2
"""Requests that a display may send before it has the answer to the first: none needs to."""

PUBLIC: Final = 16
HOME: Final = range(0x30, 0x34)
"""Clients that may come in: the public one, with which a display is paired, and displays."""

log = structlog.get_logger("dcu.gateway")

_NOT_POSSIBLE: Final = ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE
).encode()
_AARE: Final = bytes([Tag.AARE])
_TOO_LONG: Final = ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.PDU_TOO_LONG
).encode()


def _lets_in(answer: bytes) -> bool:
    """Tell whether a meter lets a display in: it had the keys, and a counter above all before."""
    if answer[:1] != _AARE:
        return False
    try:
        found = decode_apdu(answer)
    except DecodeError:
        return False
    return isinstance(found, Aare) and found.result is AssociationResult.ACCEPTED


class _RefusedError(Exception):
    """A request is not carried; ``answer`` says so to the display."""

    def __init__(self, why: str, answer: bytes = _NOT_POSSIBLE, *, over: bool = False) -> None:
        super().__init__(why)
        self.answer = answer
        self.over = over


@dataclass(eq=False, slots=True)
class _Request:
    serial: str
    client: int
    apdu: bytes = field(repr=False)
    channel: Channel
    answer: asyncio.Future[bytes]


@dataclass(eq=False, slots=True)
class _Place:
    """A client's place at a meter: whose it is, since when, and the way to it."""

    owner: Channel
    held_from: float
    known: bool = False
    passage: Passage | None = None


class Gateway:
    """Carries requests of displays to their meters.

    Args:
        limits: of what displays may have.
        slow_s: how long a refusal takes: who sends nonsense keeps nobody busy.
        tick: seconds that never run backwards.

    Attributes:
        nudge: called when somebody waits; whoever has the line sets it.
        known: tells of a serial number whether its meter is on the line; set as ``nudge``.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        slow_s: float = SLOW_S,
        tick: Callable[[], float] = monotonic,
    ) -> None:
        self._slow_s = slow_s
        self._tick = tick
        self._allowance = Allowance(limits or Limits(), tick())
        self._waiting: deque[_Request] = deque()
        self._came = asyncio.Event()
        self._places: dict[tuple[str, int], _Place] = {}
        self._silent: dict[str, float] = {}
        self._hosts: Counter[str] = Counter()
        self.nudge: Callable[[], None] = lambda: None
        self.known: Callable[[str], bool] = lambda _: False

    async def listen(self, host: str, port: int) -> TcpServer:
        """Take displays at an address; close what is returned.

        Raises:
            TransportError: it cannot be listened at.
        """
        server = await listen_tcp(host, port, self._serve, max_connections=CONNECTIONS)
        log.info("displays can come in", host=server.host, port=server.port)
        return server

    # A display's connection

    async def _serve(self, channel: Channel) -> None:
        host = channel.peer[0] if isinstance(channel, TcpChannel) else ""
        if self._hosts[host] >= OF_ADDRESS:
            return
        self._hosts[host] += 1
        try:
            await self._converse(channel)
        except (DecodeError, TimeoutError) as error:
            log.debug("a display is hung up on", peer=channel.name, why=str(error) or "silence")
        finally:
            self._hosts -= Counter([host])  # and forgets who has none left
            self._leave(channel)

    async def _converse(self, channel: Channel) -> None:
        """Answer one request after another, until the display goes or is to go."""
        most = REQUEST_OCTETS * 2 + OVERHEAD + MAX_ADDRESS
        reader = PacketReader(WrapperParameters(max_apdu=most))
        while True:
            packets: list[Packet] = []
            async with asyncio.timeout(IDLE_S):
                while not packets:
                    piece = await channel.read()
                    if not piece:
                        return
                    packets = reader.feed(piece)
            if len(packets) > MEDDLED:
                raise DecodeError("more requests than one at a time")
            for packet in packets:
                if not await self._answer(channel, packet):
                    return

    async def _answer(self, channel: Channel, packet: Packet) -> bool:
        """Answer a request; tell whether the connection goes on."""
        asked = Prefixed.decode(packet.apdu)
        if asked.response:
            raise DecodeError("a response where a request was wanted", offset=0)
        goes_on = True
        try:
            answer = await self._carried(channel, packet, asked)
        except _RefusedError as refusal:
            log.info("not carried", peer=channel.name, client=packet.source, why=str(refusal))
            answer, goes_on = refusal.answer, not refusal.over
            await asyncio.sleep(self._slow_s)
        said = Prefixed(response=True, address=asked.address, apdu=answer, network=asked.network)
        channel.write(Packet(packet.destination, packet.source, said.encode()).encode())
        async with asyncio.timeout(IDLE_S):
            await channel.drain()
        return goes_on

    async def _carried(self, channel: Channel, packet: Packet, asked: Prefixed) -> bytes:
        serial = asked.address.decode("ascii", "replace")
        self._check(packet, asked, serial)
        place = self._take_place(channel, serial, packet.source)
        if not self._allowance.admits(serial, self._tick(), known=place.known):
            raise _RefusedError("it has had what is its due for now")
        answer = asyncio.get_running_loop().create_future()
        request = _Request(serial, packet.source, asked.apdu, channel, answer)
        self._waiting.append(request)
        self._came.set()
        self.nudge()
        try:
            async with asyncio.timeout(QUEUE_S + EXCHANGE_S):
                found: bytes = await answer
                return found
        except TimeoutError:
            raise _RefusedError("the line was not free in time") from None
        finally:
            if request in self._waiting:
                self._waiting.remove(request)

    def _check(self, packet: Packet, asked: Prefixed, serial: str) -> None:
        if asked.network or not self.known(serial):
            raise _RefusedError("no such meter is on this line")
        if packet.source != PUBLIC and packet.source not in HOME:
            raise _RefusedError("not a client of a home")
        if packet.destination != MANAGEMENT_DEVICE:
            raise _RefusedError("displays talk to the management device alone")
        if len(asked.apdu) > REQUEST_OCTETS:
            raise _RefusedError("the request is too long", _TOO_LONG)
        if self._tick() < self._silent.get(serial, 0.0):
            raise _RefusedError("the meter is silent")

    def _take_place(self, channel: Channel, serial: str, client: int) -> _Place:
        """Let one connection at a time be a meter's client: another would end its association."""
        key, tick = (serial, client), self._tick()
        place = self._places.get(key)
        if place is not None and place.owner is not channel:
            if tick - place.held_from < HELD_S:
                raise _RefusedError("another display is this client now")
            self._drop(key)
            place = None
        if place is None:
            place = self._places[key] = _Place(channel, tick)
        if place.known:
            place.held_from = tick
        return place

    def _leave(self, channel: Channel) -> None:
        """Forget a connection that has ended."""
        for key in [key for key, place in self._places.items() if place.owner is channel]:
            self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        place = self._places.pop(key, None)
        if place is not None and place.passage is not None:
            place.passage.drop()

    # The line

    @property
    def waiting(self) -> bool:
        """Whether anybody wants the line."""
        return bool(self._waiting)

    async def use(self, modem: Modem, station: Callable[[str], Station | None]) -> None:
        """Carry what waits, for some seconds; the line is nobody else's meanwhile.

        Args:
            modem: the line.
            station: finds a meter by its serial number.
        """
        ends = self._tick() + TURN_S
        while self._tick() < ends and (request := await self._next()) is not None:
            await self._carry(request, modem, station(request.serial))

    async def _next(self) -> _Request | None:
        """Return the oldest request; a display's next one is waited for only for a moment."""
        if not self._waiting:
            self._came.clear()
            try:
                async with asyncio.timeout(LINGER_S):
                    await self._came.wait()
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None

    async def _carry(self, request: _Request, modem: Modem, station: Station | None) -> None:
        if request.answer.done() or request.channel.closed:
            return
        place = self._places.get((request.serial, request.client))
        if station is None or place is None or place.owner is not request.channel:
            request.answer.set_exception(_RefusedError("the meter is not here any more", over=True))
            return
        began = self._tick()
        try:
            async with asyncio.timeout(EXCHANGE_S):
                found = await self._passage(place, modem, station, request.client).exchange(
                    request.apdu
                )
        except (OpenAmiError, TimeoutError) as error:
            if modem.up:
                self._silent[request.serial] = self._tick() + SILENT_S
            self._lost(request, str(error) or "the meter took too long")
        else:
            place.known |= request.client in HOME and _lets_in(found)
            if not request.answer.done():
                request.answer.set_result(found)
        finally:
            self._allowance.spend(request.serial, self._tick() - began, self._tick())

    def _passage(self, place: _Place, modem: Modem, station: Station, client: int) -> Passage:
        passage, address = place.passage, station.meter.address
        if passage is None:
            passage = place.passage = Passage(modem, address, client)
        elif passage.modem is not modem or passage.address != address:
            raise LineLostError("the line is another since then")
        return passage

    def _lost(self, request: _Request, why: str) -> None:
        """Take that the association of a display with its meter is over."""
        self._drop((request.serial, request.client))
        if not request.answer.done():
            request.answer.set_exception(_RefusedError(why, over=True))
