"""Programs, events and meters for tests of demand response."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from openami.fleet.customers import Customer
from openami.fleet.demand.model import (
    Event,
    EventKind,
    Interval,
    Payload,
    PayloadType,
    Program,
)
from openami.fleet.devices import Device, DeviceKind, Sighting

if TYPE_CHECKING:
    from openami.fleet.ports import DeviceStore

START = 1_780_100_000
PROGRAM = Program("p1", "summer")
LIMIT = Payload(PayloadType.IMPORT_CAPACITY_LIMIT, Decimal("2.5"))
LEVEL = Payload(PayloadType.SIMPLE, Decimal(2))
PRICE = Payload(PayloadType.PRICE, Decimal("310.5"))
PAYLOADS = {
    EventKind.PRICE: (PRICE,),
    EventKind.SHED: (LEVEL,),
    EventKind.EMERGENCY: (LIMIT,),
}


def event(id_: str = "e1", **changes: Any) -> Event:
    """Return an event of an hour in two intervals."""
    start = changes.pop("start", START)
    kind = changes.setdefault("kind", EventKind.SHED)
    payloads = changes.pop("payloads", PAYLOADS[kind])
    fields: dict[str, Any] = {
        "program": PROGRAM.id,
        "name": f"event {id_}",
        "intervals": (
            Interval(0, start, 1800, payloads),
            Interval(1, start + 1800, 1800, payloads),
        ),
        "texts": {"en": "Please use less", "ko": "사용을 줄여 주세요"},
        **changes,
    }
    return Event(id_, **fields)


def street(
    devices: DeviceStore, dcu: str, meters: int, *, region: str = "", own: str = ""
) -> list[str]:
    """Register a DCU in a region, with meters that have another, or none of their own."""
    devices.sight([Sighting(DeviceKind.DCU, dcu)], now=1.0)
    devices.describe(f"dcu-{dcu}", who="test", when=1.0, region=region)
    serials = [f"{dcu}-{number}" for number in range(1, meters + 1)]
    for serial in serials:
        device = Device(DeviceKind.METER, serial, dcu=dcu, region=own)
        devices.add(device, who="test", when=1.0)
    return serials


def moved_out(customers: Any, now: float, *meters: str) -> None:
    """Let the household of some meters have moved in an hour ago, and out now."""
    customers.add(Customer("kim@example.org", "kr-residential-low"), who="ann")
    for meter in meters:
        theirs = customers.assign("kim@example.org", meter, starts=now - 3600, who="ann", when=1.0)
        customers.end(theirs.id, ends=now, who="ann", when=1.0)
