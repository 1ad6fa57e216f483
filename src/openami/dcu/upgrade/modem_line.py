"""The meters of a line, talked to over its modem: implements ``MeterLine``."""

from __future__ import annotations

import asyncio
import hashlib
import math
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import structlog

from openami.core.errors import (
    LocalProtocolError,
    NotFoundError,
    OpenAmiError,
    StoreError,
    TransportError,
)
from openami.dcu.discovery import number_of
from openami.dcu.known import FARTHEST, MeterCounters
from openami.dcu.modem import LineLostError
from openami.dcu.upgrade import class18
from openami.dcu.upgrade.associations import Associations
from openami.dcu.upgrade.line import Taken
from openami.dcu.upgrade.sizes import Framing, broadcast_frame, costs
from openami.dlms import data as d
from openami.dlms.client import GetAttribute, broadcast_action
from openami.dlms.results import ActionResult
from openami.dlms.security import Keys
from openami.fleet.upgrade import (
    Accepted,
    Activate,
    Bits,
    Busy,
    Initiate,
    Look,
    Poll,
    Polled,
    Refused,
    Silent,
    Verify,
)
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from openami.core.clock import Clock
    from openami.dcu.headend import BroadcastCredentials
    from openami.dcu.modem import Modem
    from openami.dcu.roster import Station
    from openami.dcu.settings import DcuSettings
    from openami.dcu.upgrade.associations import Opener
    from openami.dcu.upgrade.line import ImageReader
    from openami.dlms.client import InvokeMethod, Item
    from openami.fleet.upgrade import Answer, Blocks, Costs, Order, Send, Step
    from openami.store.spool import Spool
    from openami.transport.session import DlmsSession

T = TypeVar("T")

log = structlog.get_logger("dcu.upgrade")


class ModemLine:
    """See ``openami.dcu.upgrade.line.MeterLine``.

    Args:
        settings: of the DCU.
        modem: the line.
        credentials: what opens a station; where nothing does, why (``Roster.credentials``).
        spool: where the counters of broadcasts are kept.
        clock: the DCU's.
    """

    def __init__(
        self,
        settings: DcuSettings,
        modem: Modem,
        credentials: Opener,
        *,
        spool: Spool,
        clock: Clock,
    ) -> None:
        self._modem = modem
        self._credentials = credentials
        self._spool = spool
        self._clock = clock
        self._associations = Associations(modem, credentials)
        self._framing = Framing(
            settings.frame_octets,
            settings.window,
            settings.address_octets,
            settings.logical_device,
            settings.line_rate,
        )
        self._key: BroadcastCredentials | None = None
        self._counters: dict[BroadcastCredentials, MeterCounters] = {}
        self._lock = threading.Lock()
        self._heard: Counter[BroadcastCredentials] = Counter()

    # What is known of the line.

    def tune(self, stations: Iterable[Station]) -> frozenset[str]:
        keys = {station.meter.serial: self._hears(station) for station in stations}
        common = Counter(key for key in keys.values() if key is not None).most_common(1)
        self._key = common[0][0] if common else None
        return frozenset(serial for serial, key in keys.items() if key is None or key != self._key)

    def costs(self, block_size: int) -> Costs:
        found = costs(self._framing, block_size)
        return found if self._key is not None else replace(found, broadcast=math.inf)

    def _hears(self, station: Station) -> BroadcastCredentials | None:
        found, _ = self._credentials(station)
        return None if found is None else found.broadcast

    # One meter.

    async def do(self, station: Station, step: Step, order: Order) -> Answer:
        match step:
            case Look():
                return await self._look(station)
            case Initiate():
                return await self._asked(station, lambda session: _initiate(session, step))
            case Verify():
                return await self._invoke(station, class18.VERIFY)
            case Poll():
                return await self._asked(station, _poll)
            case Activate():
                return await self._activate(station)
        raise LocalProtocolError(f"{type(step).__name__} is nothing to be done for {order.id}")

    async def bits(self, station: Station, order: Order) -> Bits | Silent | Busy | Refused:  # noqa: ARG002 - the port's signature
        return await self._asked(station, _bits)

    async def send(self, station: Station, order: Order, turn: Send, image: ImageReader) -> Taken:
        taken: list[int] = []

        async def feed(session: DlmsSession) -> None:
            for number in turn.numbers[len(taken) :]:
                request = _block(order, turn.block_size, number, image)
                await session.action(request.ref, request.parameter)
                taken.append(number)

        end = await self._asked(station, feed)
        return Taken(tuple(taken), end)

    async def release(self, station: Station | None = None) -> None:
        if station is None:
            await self._associations.release_all()
        else:
            await self._associations.release(station.meter.serial)

    async def _look(self, station: Station) -> Answer:
        found = await self._asked(station, _read_all)
        if not isinstance(found, tuple):
            return found
        heard, key = number_of(found[class18.LOOKED_AT.index(class18.HEARD)]), self._hears(station)
        if heard is not None and key is not None and heard < FARTHEST:
            self._heard[key] = max(self._heard[key], heard)
        return class18.looked(found)

    async def _activate(self, station: Station) -> Answer:
        answer = await self._invoke(station, class18.ACTIVATE, again=False)
        if not isinstance(answer, Refused):  # it restarts, and knows nobody then
            self._associations.forget(station.meter.serial)
        return answer

    async def _invoke(
        self, station: Station, request: InvokeMethod, *, again: bool = True
    ) -> Answer:
        async def invoke(session: DlmsSession) -> Accepted:
            await session.action(request.ref, request.parameter)
            return Accepted()

        return await self._asked(station, invoke, again=again)

    async def _asked(
        self,
        station: Station,
        work: Callable[[DlmsSession], Awaitable[T]],
        *,
        again: bool = True,
    ) -> T | Silent | Busy | Refused:
        """Do something with a meter; what it makes impossible is a value."""
        try:
            return await self._associations.ask(station, work, again=again)
        except StoreError as error:
            if isinstance(error, NotFoundError):  # credentials that the head-end has not given yet
                return Busy()
            raise
        except ServiceRefusedError as error:
            return Busy() if error.result == ActionResult.TEMPORARY_FAILURE else _refused(error)
        except OpenAmiError as error:
            if not self._modem.up:
                raise LineLostError(error.message) from error
            log.info("not done", meter=station.meter.serial, code=error.code, why=error.message)
            return Silent() if isinstance(error, TransportError) else _refused(error)

    # All of them.

    async def broadcast(self, order: Order, turn: Blocks, image: ImageReader) -> None:
        key = self._key
        if key is None:
            raise LocalProtocolError("no meter of this line hears what is said to all")
        counters = await asyncio.to_thread(self._prepared, key)
        keys = Keys(gbek=key.gbek, gak=key.gak)
        for number in turn.numbers:
            apdu = broadcast_action(
                _block(order, turn.block_size, number, image),
                keys,
                title=self._modem.title,
                counter=counters.take(),
            )
            frame = broadcast_frame(apdu, self._framing.all_stations, key.client)
            await self._modem.say(frame)

    def _prepared(self, key: BroadcastCredentials) -> MeterCounters:
        """Return counters above all that any meter has heard; blocks.

        Where nothing is remembered they go on from the clock: a counter a second was not used up.
        """
        with self._lock:  # a call that was given up leaves its thread behind
            return self._above(key)

    def _above(self, key: BroadcastCredentials) -> MeterCounters:
        if key not in self._counters:
            name = hashlib.sha256(key.gbek + key.gak).digest()[:8].hex()
            found = MeterCounters(self._spool, f"broadcast-{name}")
            if not found.next:
                found.resume(int(self._clock.now()))
            self._counters[key] = found
        counters = self._counters[key]
        counters.resume(self._heard[key] + 1)
        counters.prepare()
        return counters


def _refused(error: OpenAmiError) -> Refused:
    return Refused(error.message)


def _block(order: Order, size: int, number: int, image: ImageReader) -> InvokeMethod:
    offset = number * size
    return class18.block(number, image.read(offset, min(size, order.size - offset)))


async def _read_all(session: DlmsSession) -> tuple[Item, ...]:
    """Read everything in one request, or one by one where a meter does not do that."""
    try:
        return await session.get_list(class18.LOOKED_AT)
    except ServiceRefusedError as error:
        if error.result is not None:
            raise
    items: list[Item] = []
    for ref in class18.LOOKED_AT:
        items += (await session.request(GetAttribute(ref))).items
    return tuple(items)


async def _initiate(session: DlmsSession, step: Initiate) -> Accepted:
    if step.enable:
        await session.set(class18.ENABLED, d.boolean(value=True))
    request = class18.initiate(step.identifier, step.size)
    await session.action(request.ref, request.parameter)
    return Accepted()


async def _bits(session: DlmsSession) -> Bits | Busy | Refused:
    found = await session.request(GetAttribute(class18.BITMAP))
    return class18.bitmap(found.items[0])


async def _poll(session: DlmsSession) -> Polled:
    return Polled((await session.get(class18.STATUS)).integer())
