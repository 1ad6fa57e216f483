"""All of a meter that must survive a power cut, apart from its rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import StoreError
from openami.metrology.clock import MeterClock
from openami.metrology.demand import Demand, Maximum
from openami.metrology.energy import Energy
from openami.metrology.phases import on_phases
from openami.metrology.zone import SwitchRule, Zone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.metrology.energy import Channel
    from openami.metrology.sources import Sample

VERSION: Final = 1

LONG_FAILURE: Final = 180
"""Seconds from which a power failure is a long one (EN 50160, 3 minutes)."""


@dataclass(slots=True)
class Counts:
    """How often something happened."""

    power_failures: int = 0
    long_power_failures: int = 0
    last_power_failure: int = 0
    """Seconds that the last long one took."""
    sags: list[int] = field(default_factory=lambda: [0, 0, 0])
    swells: list[int] = field(default_factory=lambda: [0, 0, 0])
    billings: int = 0
    tampers: int = 0
    clock_sets: int = 0
    settings: int = 0

    def power_failed(self, seconds: int) -> bool:
        """Count a power failure; tell whether it was a long one."""
        self.power_failures += 1
        long = seconds > LONG_FAILURE
        if long:
            self.long_power_failures += 1
            self.last_power_failure = seconds
        return long


@dataclass(slots=True)
class State:
    """The state of a ``MeterEngine``.

    Args:
        world: world microseconds up to which energy has been counted.
        clock: the meter's clock.
        zone: local time.
        energy: the counters.
        base: the counters at the last capture of the load profile.
        elapsed: microseconds since that capture, by the world.
        flags: status bits of the row that is being collected.
        rate: the rate in force.
        day: the local day that is under way.
        month: the local month that is under way: years times 12 plus months.
    """

    world: int
    clock: MeterClock
    zone: Zone
    energy: Energy = field(default_factory=Energy)
    base: Energy = field(default_factory=Energy)
    elapsed: int = 0
    flags: int = 0
    rate: int = 1
    day: int = 0
    month: int = 0
    daylight: bool = False
    clock_valid: bool = True
    connected: bool = True
    ready: bool = False
    """Disconnected, and a person may reconnect at the meter (class 70, state 2)."""
    alarms: int = 0
    errors: int = 0
    demand: Demand = field(default_factory=Demand)
    counts: Counts = field(default_factory=Counts)
    late: Energy = field(default_factory=Energy)
    """What the row that is being collected has of intervals before it: no demand of its own."""
    phases: tuple[Energy, ...] = ()
    """The counters of each of three phases; none of one, of which all is in ``energy``."""
    lasts: dict[int, int] = field(default_factory=dict)
    """The newest sequence number of each ring."""

    @property
    def demand_base(self) -> Energy:
        """The counters at the last capture, as if what came late had been in time."""
        pairs = zip(self.base.cells, self.late.cells, strict=True)
        return Energy(base + late for base, late in pairs)

    def add(self, sample: Sample, microseconds: int) -> None:
        """Count what flows for a time, in total and on each phase."""
        self.energy.add(sample, microseconds, self.rate)
        if self.phases:
            for energy, flow in zip(self.phases, on_phases(sample), strict=True):
                energy.add(flow, microseconds, self.rate)

    def count(self, rows: Sequence[Mapping[Channel, int]]) -> None:
        """Count nanojoules that somebody else has measured: in total, then of each phase."""
        for energy, amounts in zip((self.energy, *self.phases), rows, strict=True):
            energy.count(amounts, self.rate)

    def dump(self) -> dict[str, Any]:
        """Return the state as what JSON can hold."""
        return {
            "version": VERSION,
            "world": self.world,
            "clock": [self.clock.world, self.clock.meter, self.clock.ppb],
            "zone": asdict(self.zone),
            "energy": self.energy.cells,
            "base": self.base.cells,
            "late": self.late.cells,
            "phases": [energy.cells for energy in self.phases],
            "demand": [self.demand.last, [[m.watts, m.at] for m in self.demand.maximum]],
            "counts": asdict(self.counts),
            "lasts": {str(ring): last for ring, last in self.lasts.items()},
            **{name: getattr(self, name) for name in _PLAIN},
        }

    @classmethod
    def load(cls, data: Mapping[str, Any], phases: int = 1) -> Self:
        """Return the state that ``dump`` gave.

        A memory of a program that did not count by phase has each begin at zero.

        Args:
            data: what ``dump`` gave.
            phases: of the meter, 1 or 3.

        Raises:
            StoreError: it is not that, or of a version that this program does not know.
        """
        if data.get("version") != VERSION:
            raise StoreError("a meter's memory is of another version", code="memory.version")
        try:
            return cls._load(data, counters(phases))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError("a meter's memory is damaged", code="memory.damaged") from error

    @classmethod
    def _load(cls, data: Mapping[str, Any], none: tuple[Energy, ...]) -> Self:
        last, maximum = data["demand"]
        phases = tuple(map(Energy, data.get("phases", ()))) or none  # before 2026-11-22 none had
        if len(phases) != len(none):
            raise ValueError("of another number of phases")
        return cls(
            world=data["world"],
            clock=MeterClock(*data["clock"]),
            zone=_zone(data["zone"]),
            energy=Energy(data["energy"]),
            base=Energy(data["base"]),
            late=Energy(data.get("late", ())),  # before 2026-11-22 nothing was late
            phases=phases,
            demand=Demand.of(last, [Maximum(*pair) for pair in maximum]),
            counts=Counts(**data["counts"]),
            lasts={int(ring): last for ring, last in data["lasts"].items()},
            **{name: data[name] for name in _PLAIN},
        )


def counters(phases: int) -> tuple[Energy, ...]:
    """Return the counters of the phases of a new meter; none where one phase is all."""
    return tuple(Energy() for _ in range(phases)) if phases > 1 else ()


_PLAIN: Final = (
    "elapsed", "flags", "rate", "day", "month", "daylight", "clock_valid", "connected", "ready",
    "alarms", "errors",
)  # fmt: skip


def _zone(data: Mapping[str, Any]) -> Zone:
    rules = {
        name: None if data[name] is None else SwitchRule(**data[name]) for name in ("begin", "end")
    }
    return Zone(**{**data, **rules})
