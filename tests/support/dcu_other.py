"""Meters of another maker on a line: no serial number object, counters counted otherwise."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Any, Self

from tests.support.dlms_meter import (
    CLOCK_COLUMN,
    ENERGY_COLUMN,
    KEYS,
    NOON,
    SERVER_TITLE,
    make_meter,
)

from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.cosem import FOR_ALL, DataObject, MemoryProfile, ProfileGeneric
from openami.dlms.datetime import CosemDateTime
from openami.dlms.hdlc import HdlcServerLink
from openami.dlms.references import CaptureObject
from openami.dlms.server import DlmsServer
from openami.transport.medium import LineProfile, Medium
from openami.transport.multidrop import MultiDropLine, Station
from openami.transport.tcp import TcpServer, listen_tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.dcu_chain import Chain
    from tests.support.dlms_meter import Meter

    from openami.dlms.cosem import CosemObject

SERIAL = "OAM0000000000001"  # its logical device name
TITLE = DataObject("0.0.96.1.3.255", d.octets(str(SERVER_TITLE).encode()), access=FOR_ALL)
LOAD = "1.0.99.1.0.255"
PERIOD = 900
NEXT_NOON = NOON + 86_400 + 30


def column(class_id: int, name: str, attribute: int = 2) -> CaptureObject:
    return CaptureObject(class_id, Obis.parse(name), attribute)


def stamp(time: float) -> bytes:
    return d.octets(CosemDateTime.from_utc(time, -540).encode()).encode()


def other_meter(*extra: CosemObject, **options: Any) -> Meter:
    meter = make_meter(extra=(TITLE, *extra), **options)
    meter.wall.set(NEXT_NOON)
    return meter


class Rows(MemoryProfile):
    """A profile whose answers a test can bend.

    ``bend`` takes the number of the request and the rows, and returns those to send.
    """

    def __init__(self, bend: Callable[[int, list[bytes]], list[bytes]] | None = None) -> None:
        super().__init__(4000)
        self.bend = bend or (lambda _, rows: rows)
        self.asked: list[tuple[float | None, float | None]] = []

    def by_range(self, start: float | None, end: float | None, columns: Any) -> Iterable[bytes]:
        self.asked.append((start, end))
        return self.bend(len(self.asked), list(super().by_range(start, end, columns)))


def profile(name: str, source: Any, *columns: CaptureObject, **options: Any) -> ProfileGeneric:
    return ProfileGeneric(name, source, (CLOCK_COLUMN, *columns), deviation=lambda: -540, **options)


class OtherLine:
    """Some meters on one line."""

    def __init__(self, **meters: Meter) -> None:
        self.line = MultiDropLine(Medium(LineProfile(), random.Random(1)))
        for name, meter in meters.items():
            self.add(int(name.removeprefix("at")), meter)
        self._server: TcpServer | None = None
        self.port = 0

    def add(self, station: int, meter: Meter) -> None:
        link = HdlcServerLink(station)
        server = DlmsServer(meter.device, link, random_octets=secrets.token_bytes)
        self.line.add(Station(link, server))

    async def __aenter__(self) -> Self:
        self._server = await listen_tcp("127.0.0.1", 0, self.line.serve)
        self.port = self._server.port
        return self

    async def __aexit__(self, *_: object) -> None:
        self.line.close()
        if self._server is not None:
            await self._server.close()


def deliver(made: Chain) -> None:
    """Let the head-end have the keys of these meters, all the same."""
    made.headend.credentials[str(SERVER_TITLE)] = {
        "client": 1,
        "mechanism": "hls5-gmac",
        "guek": (KEYS.guek or b"").hex(),
        "gak": (KEYS.gak or b"").hex(),
    }


__all__ = ["ENERGY_COLUMN", "LOAD", "PERIOD", "SERIAL", "OtherLine", "Rows", "other_meter"]
