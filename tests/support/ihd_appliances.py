"""The appliances of a home with a clock that is told, and an event for them."""

from collections.abc import Mapping
from decimal import Decimal

from openami.core.clock import ManualClock
from openami.dlms.cosem.said import Event, EventKind, Interval, Payload
from openami.ihd.appliance_rules import Kind
from openami.ihd.appliances import Appliances, Registration, Situation

AT = 1_720_000_000
AIR = Registration("Living room", Kind.AIR_CONDITIONER, 1800, 400)
CAR = Registration("Garage", Kind.CHARGER, 7000, 1400)


class Kept:
    def __init__(self) -> None:
        self.records: dict[str, str] = {}

    def appliances(self) -> Mapping[str, str]:
        return dict(self.records)

    def keep_appliance(self, appliance: str, record: str) -> None:
        self.records[appliance] = record

    def forget_appliance(self, appliance: str) -> None:
        self.records.pop(appliance, None)


class Trusting(Appliances):
    """Those of a household that allows each as soon as it is there."""

    def register(self, asked: Registration) -> tuple[str, str]:
        name, token = super().register(asked)
        self.change(name, allow=True)
        return name, token


class Home:
    def __init__(self, *, trusting: bool = True) -> None:
        self.store, self.clock, self.at = Kept(), ManualClock(AT), 0.0
        self.kind = Trusting if trusting else Appliances
        self.begin()

    def begin(self) -> None:
        self.appliances = self.kind(self.store, self.clock, tick=lambda: self.at)

    def add(self, asked: Registration) -> str:
        self.at += 60
        name, token = self.appliances.register(asked)
        self.appliances.authenticate(name, token)
        self.appliances.report(name, 0.0, "")
        return name

    def mode(self, name: str) -> tuple[str, int | None]:
        (found,) = [one for one in self.appliances.states() if one["id"] == name]
        return found["mode"], found["limit_w"]

    def look(self, *events: Event, **known: object) -> None:
        self.at += 1
        self.appliances.update(Situation(self.clock.now(), events, **known))  # type: ignore[arg-type] # of the test


def shed(level: int, *, limit: str | None = None, seconds: int = 600) -> Event:
    payloads = [Payload("SIMPLE", Decimal(level))]
    if limit is not None:
        payloads.append(Payload("IMPORT_CAPACITY_LIMIT", Decimal(limit)))
    return Event(
        id="e1",
        version=1,
        program="p",
        kind=EventKind.SHED,
        priority=1,
        optional=True,
        currency="KRW",
        texts={"en": "less"},
        intervals=(Interval(0, AT, seconds, tuple(payloads)),),
    )
