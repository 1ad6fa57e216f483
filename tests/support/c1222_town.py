"""Whole meters that speak C12.22 on real sockets, in the test's loop and in a time of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openami.c1222.native import NativeAddress, Transport
from openami.c1222.titles import ApTitle
from openami.fleet.shipment import Shipment, ShippedC1222
from openami.meter.c1222.station import MeterStation, Registrar, StationConfig
from openami.meter.device import Meter
from openami.meter.identity import generate_identity, seeded
from openami.meter.settings import MeterConfig
from openami.metrology.memory import VolatileMemory
from openami.metrology.sources import ConstantSource, Sample
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.core.clock import Clock

HEADEND = ApTitle.parse(".123.4")


class TownMeter:
    """One meter; its memory outlives a restart."""

    def __init__(self, number: int, clock: Clock, *, watts: int = 1000, phases: int = 1) -> None:
        made = generate_identity(number, seeded(f"town-{number}"), phases=phases)
        seeds = seeded(f"c1222-{number}")
        self.identity = made.with_c1222(seeds)
        self.clock = clock
        self.source = ConstantSource(Sample(watts * 1000, 250_000))
        self.memory = VolatileMemory()
        self.offset = 0.0
        self.meter = self._make()

    def _make(self) -> Meter:
        config = MeterConfig(self.identity)
        now = self.now
        return Meter(config, memory=self.memory, source=self.source, clock=now)

    def now(self) -> float:
        return self.clock.now()

    @property
    def serial(self) -> str:
        return self.identity.serial

    @property
    def title(self) -> str:
        return self.material.title

    @property
    def material(self) -> ShippedC1222:
        assert self.identity.c1222 is not None
        return self.identity.c1222

    def shipment(self) -> bytes:
        return Shipment((self.identity.shipped(),)).encode()

    def with_key(self, key: bytes) -> TownMeter:
        """Take another key than the shipment says."""
        self.identity = replace(self.identity, c1222=replace(self.material, keys={2: key}))
        self.meter = self._make()
        return self

    def restart(self) -> None:
        self.meter.commit()
        self.meter = self._make()

    @asynccontextmanager
    async def online(
        self, headend: str, *, udp: bool = False, listen: bool = True, **options: Any
    ) -> AsyncIterator[tuple[MeterStation, Endpoint]]:
        """Run the meter's station, registered with a head-end, while the block lasts."""
        host, _, port = headend.rpartition(":")
        kind = Transport.UDP if udp else Transport.TCP
        registrar = Registrar(NativeAddress.of(host.strip("[]"), int(port), kind), HEADEND)
        wall = SystemClock()
        station = MeterStation(
            self.meter,
            StationConfig(self.material, registrar=registrar, **options),
            chance=lambda: 0.0,
        )
        where = (("127.0.0.1", 0),) if listen else ()
        async with Endpoint(station, EndpointConfig(listen=where), clock=wall) as endpoint:
            native = endpoint.listening[0].encode() if listen else b""
            station.start(now=wall.now(), native=native)
            endpoint.wake()
            yield station, endpoint
