"""Reports of DCUs: what each says of itself and of the meters on its line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.fleet.devices import Contact, DeviceKind, LifecycleState, Sighting, device_id
from openami.headend.bus import LiveEvent, Topic
from openami.headend.registry import device_news

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.devices import Device
    from openami.fleet.ports import DeviceStore
    from openami.headend.bus import Bus
    from openami.headend.credentials import Credentials
    from openami.headend.management.watch import AlarmBell
    from openami.headend.ownership import Ownership

WHO: Final = "head-end"
TITLE: Final = "meter.title"
"""What a DCU says of a meter that answers with another system title than is listed for it."""
STRANGERS: Final = 16
"""Of one report that alarms are raised about: where more have other titles, the list is wrong, and
that is seen by these."""

# What happens by itself once a device works: no operator need confirm what the readings show.
ONWARD: Final[Mapping[LifecycleState, LifecycleState]] = {
    LifecycleState.MANUFACTURED: LifecycleState.REGISTERED,
    LifecycleState.REGISTERED: LifecycleState.COMMISSIONED,
    LifecycleState.COMMISSIONED: LifecycleState.IN_SERVICE,
}


@dataclass(frozen=True, slots=True)
class DcuFigures:
    """What a DCU last said of itself."""

    received: float
    version: str = ""
    uptime_s: float = 0.0
    spool_batches: int = 0
    spool_octets: int = 0
    spool_full: bool = False
    refused_batches: int = 0
    frames: int = 0
    errors: int = 0
    line_up: bool | None = None
    line_conflicts: Mapping[str, str] = field(default_factory=dict)


class Reports:
    """Takes reports. The figures of DCUs are kept in memory: the next report brings them again."""

    def __init__(
        self,
        devices: DeviceStore,
        ownership: Ownership,
        credentials: Credentials,
        *,
        bus: Bus,
        clock: Clock,
        alarms: AlarmBell,
    ) -> None:
        self._devices = devices
        self._ownership = ownership
        self._credentials = credentials
        self._bus = bus
        self._clock = clock
        self._alarms = alarms
        self._figures: dict[str, DcuFigures] = {}
        self._watchers: list[Callable[[str, Sequence[Device]], None]] = []

    def on_seen(self, watcher: Callable[[str, Sequence[Device]], None]) -> None:
        """Have ``watcher`` called, in any thread, with a DCU and the devices of each report."""
        self._watchers.append(watcher)

    def take(
        self, dcu: str, figures: DcuFigures, meters: Sequence[Sighting]
    ) -> tuple[float, frozenset[str]]:
        """Bring the registry up to date with a report.

        Meters that belong to another DCU are passed over: a report takes no meter away.

        Returns:
            The time, and the serial numbers that were passed over.
        """
        now = self._clock.now()
        # What a DCU gives are reports: its health goes by them as a meter's does by readings.
        itself = Sighting(
            DeviceKind.DCU, dcu, firmware=figures.version, contact=Contact.OK, last_read=now
        )
        with self._ownership.deciding:
            found = self._ownership.sort(dcu, [meter.serial for meter in meters])
            told = [replace(one, dcu=dcu) for one in meters if one.serial not in found.foreign]
            seen = self._devices.sight([itself, *told], now=now)
            if found.unknown:
                self._ownership.forget(dcu)
        self._figures[dcu] = replace(figures, received=now)
        self._onward(seen, now)
        self._alarm(told)
        for watcher in self._watchers:
            watcher(dcu, seen)
        self._bus.publish(_news(dcu, seen, now))
        return now, found.foreign

    def figures(self, dcu: str) -> DcuFigures | None:
        """Return what a DCU said of itself since this process began."""
        return self._figures.get(dcu)

    def _alarm(self, told: Sequence[Sighting]) -> None:
        """Raise alarms about meters that may be others than those that were listed."""
        faults = [(one.serial, one.fault) for one in told if one.fault and one.fault.code == TITLE]
        for serial, fault in faults[:STRANGERS]:
            words = f"another meter may have its number, and is not read: {fault.message}"
            self._alarms.about(device_id(DeviceKind.METER, serial), TITLE, words)

    def _onward(self, seen: Sequence[Device], now: float) -> None:
        """Move devices that work to "in service", step by step, if they may be."""
        found = [device.id for device in seen if self._may_work(device)]
        if not found:
            return
        why = "it works: its DCU reads it"
        for device in self._devices.advance(found, ONWARD, who=WHO, when=now, why=why):
            self._bus.publish(device_news(device, now))

    def _may_work(self, device: Device) -> bool:
        if device.contact is not Contact.OK or device.state not in ONWARD:
            return False
        # A meter that nobody expected: an operator decides.
        return device.kind is not DeviceKind.METER or self._credentials.known(device.serial)


def _news(dcu: str, seen: Sequence[Device], now: float) -> LiveEvent:
    meters = [device for device in seen if device.kind is DeviceKind.METER]
    data = {"meters": len(meters), "contact": Counter(m.contact.value for m in meters)}
    serials = frozenset(meter.serial for meter in meters)
    return LiveEvent(Topic.REPORT, dcu, now, data, dcu=dcu, meters=serials)
