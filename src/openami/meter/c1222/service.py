"""The meter's station on its sockets."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from openami.c1222.codes import SecurityMode
from openami.c1222.titles import ApTitle
from openami.core.errors import ConfigError
from openami.meter.c1222.station import MeterStation, Registrar, StationConfig
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.c1222.places import native_address
from openami.transport.c1222.url import Carrier, NodeUrl
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.core.clock import Clock
    from openami.meter.device import Meter

REGISTRAR_TITLE: Final = ".123.4"
"""The head-end's until somebody names another."""
CONNECTIONS: Final = 16
"""TCP clients at once: its head-end, a tool or two of its fitter, and some that have died."""
PARTING_S: Final = 2.0
"""Real seconds for which a meter that stops waits until its registrar knows."""
_RESOLUTION: Final = 1 << 53

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class C1222Settings:
    """How a meter speaks C12.22.

    Args:
        listen: where, TCP and UDP; port 0 for any free one.
        register: with whom it registers, if with anybody.
        least: messages that are protected less are not looked at.
        sockets: what its sockets bear, and their side of TLS and DTLS.
        lines: serial devices on which it speaks C12.18.
        number: its own on these lines, if several devices share them: then it speaks C12.21.
        clock: tells the time of messages, whatever the meter's own clock shows.
    """

    listen: tuple[tuple[str, int], ...]
    register: NodeUrl | None = None
    least: SecurityMode = SecurityMode.CLEAR
    sockets: EndpointConfig = EndpointConfig(connections=CONNECTIONS)  # noqa: RUF009 - it is frozen
    lines: tuple[str, ...] = ()
    number: int = 0
    clock: Clock = field(default_factory=SystemClock)


class C1222Service:
    """A meter's station while its endpoint is open.

    Attributes:
        station: the station.
        endpoint: its sockets.
    """

    def __init__(self, station: MeterStation, endpoint: Endpoint, clock: Clock) -> None:
        self.station = station
        self.endpoint = endpoint
        self._clock = clock

    def look(self) -> None:
        """Have the station look at its meter, which has lived on."""
        self.station.look(now=self._clock.now())
        self.endpoint.wake()

    def start(self) -> None:
        """Register."""
        found = self.endpoint.listening
        reachable = found and not found[0].host.is_unspecified
        native = found[0].encode() if reachable else b""
        self.station.start(now=self._clock.now(), native=native)
        self.endpoint.wake()

    async def stop(self) -> None:
        """Deregister."""
        self.station.leave(now=self._clock.now())
        self.endpoint.wake()
        if self.station.leaving:
            rest = asyncio.Event()
            self.station.rested = rest.set
            with suppress(TimeoutError):
                await asyncio.wait_for(rest.wait(), PARTING_S)
        self.station.give_back()


@asynccontextmanager
async def serving(meter: Meter, settings: C1222Settings) -> AsyncIterator[C1222Service]:
    """Let a meter speak C12.22 while the block lasts.

    Raises:
        ConfigError: ``config.c1222``, the meter has no title and no keys for that, or registers
            over a transport that it does not have.
        TransportError: an address can not be listened on, or is that of no registrar.
    """
    station = MeterStation(meter, await _config(meter, settings), chance=_chance)
    config = replace(settings.sockets, listen=settings.listen)
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(Endpoint(station, config, clock=settings.clock))
        stack.enter_context(meter.management.watched(endpoint.wake))
        service = C1222Service(station, endpoint, settings.clock)
        stack.push_async_callback(service.stop)
        service.start()
        yield service


async def _config(meter: Meter, settings: C1222Settings) -> StationConfig:
    material = meter.config.identity.c1222
    if material is None:
        raise ConfigError(
            f"meter {meter.serial} has no ApTitle and no keys of C12.22", code="config.c1222"
        )
    if not meter.c1222.ids:  # new, or without a memory: what was used before nobody knows
        meter.c1222.ids = secrets.randbits(32)
    url = settings.register
    registrar = None if url is None else await _registrar(url, settings.sockets)
    return StationConfig(material, settings.least, registrar)


async def _registrar(url: NodeUrl, sockets: EndpointConfig) -> Registrar:
    inside = {Carrier.TLS: sockets.dial_tls, Carrier.DTLS: sockets.dial_dtls}
    if url.carrier is Carrier.SERIAL or inside.get(url.carrier, sockets) is None:
        raise ConfigError(f"a meter does not register over {url.carrier}", code="config.c1222")
    title = url.node or ApTitle.parse(REGISTRAR_TITLE)
    return Registrar(await native_address(url), title)


def _chance() -> float:
    return secrets.randbelow(_RESOLUTION) / _RESOLUTION
