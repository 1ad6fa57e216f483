"""What charts draw, with the same in words for who does not see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.clock import utc
from openami.fleet.ports import ReadingFilter
from openami.headend.readings import Span
from openami.web.console.filters import counted, duration, energy, thousands
from openami.web.console.values import EXPORTED, IMPORTED, LOAD_PROFILE, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from openami.headend.services import Services

HOUR: Final = 3600
RANGES: Final[Mapping[str, int]] = {"day": 86_400, "week": 7 * 86_400, "month": 31 * 86_400}

Row = tuple[int, float]  # the end of an interval, and the Wh in it


@dataclass(frozen=True, slots=True)
class Curve:
    """One channel of a chart; ``values`` stand beside the chart's times, None where one lacks."""

    label: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """Energies of intervals that are ``interval`` seconds long, named by their ends, in Wh."""

    start: int
    end: int
    interval: int
    times: Sequence[int]
    curves: Sequence[Curve]

    def jsonable(self, zone: ZoneInfo, scale: float = 1.0) -> dict[str, Any]:
        """Return it as the script of the pages takes it, each value times ``scale``."""
        return {
            "start": self.start,
            "end": self.end,
            "interval": self.interval,
            "time": self.times,
            "series": [
                [None if value is None else value * scale for value in curve.values]
                for curve in self.curves
            ],
            "words": self.words(zone),
        }

    def words(self, zone: ZoneInfo) -> str:
        """Return what there is to see, for a person who does not see it."""
        if not self.times:
            return "No readings in this range yet."
        last = utc(self.times[-1]).astimezone(zone)
        length = duration(self.interval)
        count = counted(len(self.times), "interval")
        said = [f"{count} of {length} up to {last:%Y-%m-%d %H:%M}."]
        said += [_curve_words(curve) for curve in self.curves if any(curve.values)]
        missing = sum(value is None for value in self.curves[0].values)
        return " ".join(
            [*said, f"Missing: {thousands(missing)}." if missing else "None is missing."]
        )


def meter_chart(services: Services, serial: str, length: int) -> Chart:
    """Return a meter's imported and exported energy of the last ``length`` seconds."""
    end = int(services.clock.now())
    start = end - length
    found: dict[str, list[Row]] = {IMPORTED: [], EXPORTED: []}
    which = ReadingFilter(serial, channels=tuple(found), profile=LOAD_PROFILE, start=start, end=end)
    after = None
    while True:
        table, after = services.readings.page(which, after=after)
        for row in seconds(table):
            found[row["channel"]].append((row["time"], _scaled(row["value"], row["scaler"])))
        if after is None:
            return build(start, end, services.readings.period, _labelled(found))


def fleet_chart(services: Services, length: int) -> Chart:
    """Return the imported energy of all meters in whole hours, the one that is not over last."""
    end = -(-int(services.clock.now()) // HOUR) * HOUR
    start = end - length
    rows = seconds(services.readings.hourly(IMPORTED, Span(start, end)))
    found = [(row["time"], _scaled(int(row["sum"] or 0), row["scaler"])) for row in rows]
    return build(start, end, HOUR, {"imported": found})


def build(start: int, end: int, interval: int, channels: Mapping[str, Iterable[Row]]) -> Chart:
    """Return a chart of some channels by their labels; what falls on the same time is added up."""
    sums: dict[str, dict[int, float]] = {}
    for label, rows in channels.items():
        column = sums.setdefault(label, {})
        for time, value in rows:
            column[time] = column.get(time, 0) + value
    times = sorted(set().union(*sums.values()))
    if times:
        # Every interval between the first and the last has a place: a gap is drawn as one.
        times = sorted({*times, *range(times[0], times[-1] + 1, interval)})
    curves = [Curve(label, [column.get(time) for time in times]) for label, column in sums.items()]
    return Chart(start, end, interval, times, curves)


def _labelled(found: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    return {"imported": found[IMPORTED], "exported": found[EXPORTED]}


def _scaled(value: int, scaler: int) -> float:
    return value * 10**scaler if scaler else value


def _curve_words(curve: Curve) -> str:
    known = [value for value in curve.values if value is not None]
    label = curve.label.capitalize()
    return f"{label} {energy(sum(known))}, at most {energy(max(known))} in one."
