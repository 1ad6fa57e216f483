"""The figures of the overview."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from openami.fleet.devices import Contact, DeviceKind, Health, ReadSchedule, health

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.core.clock import Clock
    from openami.fleet.devices import Device
    from openami.fleet.ports import DeviceStore, EventStore, FleetCounts, ReadingStore, StoreCounts
    from openami.headend.reports import DcuFigures, Reports

T = TypeVar("T")

HOUR: Final = 3600
DAY: Final = 24 * HOUR
CHANNEL: Final = "1.0.1.29.0.255"  # active energy imported in the interval: every meter has it
PROFILE: Final = "1.0.99.1.0.255"  # single reads of the same channel are no intervals
PERIOD_S: Final = 900
FRESH_S: Final = 2.0  # many screens ask for the same figures; counting a lake takes its time


@dataclass(frozen=True, slots=True)
class ReadRate:
    """How many intervals of a stretch of time are stored, of how many that should be."""

    stored: int
    expected: int

    @property
    def share(self) -> float:
        """0 to 1; 1 if nothing was to be expected."""
        return min(1.0, self.stored / self.expected) if self.expected else 1.0


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the whole fleet at ``time``.

    ``hour`` and ``day`` are the read rates of the last whole hour and of the 24 before it ended.
    """

    time: float
    meters: FleetCounts
    dcus: FleetCounts
    hour: ReadRate
    day: ReadRate
    store: StoreCounts
    events_day: int


@dataclass(frozen=True, slots=True)
class DcuOverview:
    """The state of one DCU and its meters; ``figures`` is what it last said of itself."""

    device: Device
    meters: FleetCounts
    figures: DcuFigures | None


class Statistics:
    """Counts, and remembers for a moment what it counted."""

    def __init__(
        self,
        devices: DeviceStore,
        readings: ReadingStore,
        events: EventStore,
        reports: Reports,
        *,
        clock: Clock,
        wall: Clock,
        schedule: ReadSchedule,
    ) -> None:
        self._devices = devices
        self._readings = readings
        self._events = events
        self._reports = reports
        self._clock = clock
        self._schedule = schedule
        self._overview = Fresh(self._count, wall)

    @property
    def schedule(self) -> ReadSchedule:
        """How often readings are expected."""
        return self._schedule

    def overview(self) -> Overview:
        """Return the figures of the fleet, at most some seconds old."""
        return self._overview.get()

    def contacts(self) -> dict[Contact, int]:
        """Return how many meters there are by what their DCU last said of them."""
        return {Contact(name): n for name, n in self.overview().meters.by_contact.items()}

    def newest(self) -> int | None:
        """Return the time of the newest stored reading."""
        return self.overview().store.newest

    def dcu(self, device: Device) -> DcuOverview:
        """Return the figures of one DCU."""
        meters = self._devices.counts(
            DeviceKind.METER, schedule=self._schedule, now=self._clock.now(), dcu=device.serial
        )
        return DcuOverview(device, meters, self._reports.figures(device.serial))

    def health(self, device: Device, now: float | None = None) -> Health:
        """Return how well a device is in contact: a meter by readings, a DCU by its reports."""
        return health(
            device.last_read,
            schedule=self._schedule,
            now=self._clock.now() if now is None else now,
            first_seen=device.first_seen,
        )

    def device_counts(self) -> dict[tuple[str, str], int]:
        """Return the devices by kind and state."""
        now = self._clock.now()
        return {
            (kind.value, state): count
            for kind in (DeviceKind.DCU, DeviceKind.METER)
            for state, count in self._devices.counts(
                kind, schedule=self._schedule, now=now
            ).by_state.items()
        }

    def _count(self) -> Overview:
        now = self._clock.now()
        meters = self._devices.counts(DeviceKind.METER, schedule=self._schedule, now=now)
        whole = int(now) // HOUR * HOUR
        hour, day = self._stored(whole - HOUR, whole), self._stored(whole - DAY, whole)
        return Overview(
            time=now,
            meters=meters,
            dcus=self._devices.counts(DeviceKind.DCU, schedule=self._schedule, now=now),
            hour=ReadRate(hour, meters.total * (HOUR // PERIOD_S)),
            day=ReadRate(day, meters.total * (DAY // PERIOD_S)),
            store=self._readings.counts(),
            events_day=self._events.count(since=int(now) - DAY),
        )

    def _stored(self, start: int, end: int) -> int:
        table = self._readings.hourly(CHANNEL, profile=PROFILE, start=start, end=end)
        return sum(count for count in table["count"].to_pylist() if count)


class Fresh(Generic[T]):
    """A value that is made again when it is asked for and no longer fresh; one maker at a time."""

    def __init__(self, make: Callable[[], T], clock: Clock, *, for_s: float = FRESH_S) -> None:
        self._make = make
        self._clock = clock
        self._for = for_s
        self._lock = threading.Lock()
        self._made: tuple[float, T] | None = None

    def get(self) -> T:
        """Return the value."""
        with self._lock:
            now = self._clock.now()
            if self._made is None or not 0 <= now - self._made[0] < self._for:
                self._made = (now, self._make())
            return self._made[1]
