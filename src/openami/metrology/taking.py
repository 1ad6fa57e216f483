"""Management's side of a measuring part that is apart: its reports become the meter's energy.

A report has running totals, so what was counted is exact whatever was lost on the way. What is not
known is when it was counted: a difference is given out evenly over the time in which the part was
measuring, through the ends of intervals, days and rates. No maximum demand has a lump in it.

- Management was off: the rows of the time are made when it is back, and marked ``SPREAD``.
- The part was off, too, and has begun anew: that time is an outage like any other.
- The part was silent while management ran: rows were made without it, marked ``DATA_NOT_VALID``.
  What it had counted goes into the row under way, marked ``SPREAD``, and makes no demand.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import RemoteProtocolError, StoreError
from openami.metrology.adc.registers import CHANNELS, PER_MICRO_WH, rows_of
from openami.metrology.clock import SECOND, micros
from openami.metrology.events import Alarm, Event, RowStatus
from openami.metrology.instant import Instant, Known, Phase
from openami.metrology.link.ends import EnergyFollower
from openami.metrology.showing import sample_of
from openami.metrology.sources import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.metrology.energy import Channel
    from openami.metrology.engine import MeterEngine
    from openami.metrology.link.messages import Report, Totals

LATE_S: Final = 10
"""Seconds between two reports from which rows on both sides of an end of an interval are marked:
less moves no more than the accuracy of the clock does (see ``engine.SYNCHRONISED``)."""

MOST: Final = 277_778
"""Micro-watt-hours of a millisecond: a megawatt, more than ten times what three phases of 100 A
are. A total that moved faster is no measurement, and would be in the register for ever."""

_ALLOWED: Final = 60_000  # milliseconds more than were measured: totals are told a little later
_MILLI: Final = 1000
_JITTER: Final = 2 * SECOND  # that a part's clock and a report's way make of no outage


@dataclass(frozen=True, slots=True)
class Taken:
    """What management must not forget of its measuring part.

    Args:
        part: its number.
        life: how often it had begun.
        ran: milliseconds that it had measured.
        world: the world's microsecond up to which its energy was taken.
        totals: of the last report that was taken.
        aside: the meter had its energy from a source since then, and counts anew from the next
            report on.
    """

    part: int
    life: int
    ran: int
    world: int
    totals: Totals
    aside: bool = False

    @classmethod
    def of(cls, report: Report, world: int) -> Self:
        """Return what is taken with a report."""
        return cls(report.part, report.life, report.ran, world, report.totals)

    def dump(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return asdict(self)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """Return what ``dump`` gave.

        Raises:
            StoreError: it is not that.
        """
        try:
            totals = tuple(tuple(map(int, row)) for row in data["totals"])
            return cls(**{**data, "totals": totals})
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError("a meter's memory is damaged", code="memory.damaged") from error


class _Flow:
    """Energy that was counted from ``begin`` to ``end``, but for a time without power.

    Its rows are those of a report: the total, and each phase where there are three.
    """

    def __init__(
        self, rows: Sequence[Mapping[Channel, int]], begin: int, end: int, outage: tuple[int, int]
    ) -> None:
        self._rows = rows
        self._given: Sequence[Mapping[Channel, int]] = [dict.fromkeys(row, 0) for row in rows]
        self._begin, self._end = begin, end
        self.outage = outage

    def until(self, world: int) -> list[dict[Channel, int]]:
        """Return the nanojoules of each row up to a moment that were not given yet."""
        measured, whole = self._measured(world), self._measured(self._end)
        due = [
            {
                channel: amount if world >= self._end else amount * measured // max(whole, 1)
                for channel, amount in row.items()
            }
            for row in self._rows
        ]
        moved = [
            {channel: row[channel] - amount for channel, amount in given.items()}
            for row, given in zip(due, self._given, strict=True)
        ]
        self._given = due
        return moved

    def _measured(self, world: int) -> int:
        off, on = self.outage
        return max(0, min(world, off) - self._begin) + max(0, world - max(on, self._begin))


class Taking:
    """Takes one meter's reports.

    Args:
        kept: what the meter's memory holds; None: it never had a measuring part.
        accept: number of a part that may take the place of another.
    """

    def __init__(self, kept: Taken | None = None, accept: int | None = None) -> None:
        self.kept = kept
        self.refused: int | None = None
        """Number of the part that is refused; None: none is."""
        self.reason = ""
        """The code of why: ``metrology.backwards``, or ``metrology.phases``."""
        self._accept = accept
        self._silent = False

    def take(self, engine: MeterEngine, report: Report, now: float) -> None:
        """Count what a report adds, up to the world's second ``now``."""
        target = micros(now)
        if target < engine.state.world:
            engine.rewind(target)
        if len(report.totals) != rows_of(engine.config.phases):
            self._refuse(engine, report, now, "metrology.phases")
            return
        try:
            moved = self._moved(report)
        except RemoteProtocolError as error:
            if report.part != self._accept:
                self._refuse(engine, report, now, error.code)
                return
            engine.record(Event.MEASURING_PART_EXCHANGED)
            moved = None
        self.refused = None
        if moved is None:
            engine.count(target)
        else:
            self._count(engine, self._flow(report, moved, target), target)
        if self._silent or engine.state.alarms & Alarm.MEASUREMENT_ERROR:
            engine.state.alarms &= ~Alarm.MEASUREMENT_ERROR
            engine.record(Event.MEASUREMENT_RESTORED)
            self._silent = False
        engine.show(sample_of(report))
        self.kept = Taken.of(report, target)

    def wait(self, engine: MeterEngine, now: float) -> None:
        """Let the clock go on between two reports, but no interval end."""
        target = min(micros(now), engine.due - 1)
        if target > engine.state.world:
            engine.count(target)

    def silent(self, engine: MeterEngine, now: float) -> None:
        """Let time pass without the part: registers stand, rows say that nothing is known."""
        target = micros(now)
        if target < engine.state.world:
            engine.rewind(target)
        engine.count(target, standing=RowStatus.DATA_NOT_VALID)
        if not self._silent:
            self._silent = True
            engine.state.alarms |= Alarm.MEASUREMENT_ERROR
            engine.record(Event.MEASUREMENT_ERROR)
            blank(engine)

    def _moved(self, report: Report) -> Totals | None:
        """Return what each total moved on; None: counting begins with this report.

        Raises:
            RemoteProtocolError: ``metrology.backwards``: it is another part, or a total went
                back or jumped.
        """
        kept = self.kept
        if kept is None:
            return None
        if report.part != kept.part or report.life < kept.life or report.ran < kept.ran:
            raise RemoteProtocolError("another measuring part", code="metrology.backwards")
        moved = EnergyFollower(kept.totals).take(report.totals)
        if max(map(max, moved)) > MOST * (report.ran - kept.ran + _ALLOWED):
            raise RemoteProtocolError("a total jumped", code="metrology.backwards")
        return None if kept.aside else moved

    def _refuse(self, engine: MeterEngine, report: Report, now: float, reason: str) -> None:
        if self.refused != report.part:
            self.refused, self.reason = report.part, reason
            engine.tamper(Event.MEASURING_PART_EXCHANGED)
        self.silent(engine, now)

    def _flow(self, report: Report, moved: Totals, target: int) -> _Flow:
        kept = self.kept
        assert kept is not None  # something has moved
        rows = [
            {channel: units * PER_MICRO_WH for channel, units in zip(CHANNELS, row, strict=True)}
            for row in moved
        ]
        begin = min(kept.world, target)
        ran, at = (report.ran - kept.ran) * _MILLI, report.at * _MILLI
        outage = target, target
        if report.life != kept.life and target - begin - ran > _JITTER:
            on = max(begin, target - at)
            outage = min(on, begin + max(0, ran - at)), on
        return _Flow(rows, begin, target, outage)

    def _count(self, engine: MeterEngine, flow: _Flow, target: int) -> None:
        state, kept = engine.state, self.kept
        assert kept is not None  # there is a flow
        captured = state.world - state.elapsed
        if kept.world < captured:
            late = flow.until(captured)
            state.count(late)
            state.late.count(late[0], state.rate)
            state.flags |= RowStatus.SPREAD
        elif self._silent:
            state.flags &= ~RowStatus.DATA_NOT_VALID  # all of it is in this row

        def give(stop: int) -> None:
            state.count(flow.until(stop))

        long = target - kept.world > LATE_S * SECOND
        off, on = flow.outage
        if state.world < off < on:
            engine.count(off, give, standing=self._mark(engine, off, long=long))
        if state.world < on and off < on:
            engine.power_up(on / SECOND)
        engine.count(target, give, standing=self._mark(engine, target, long=long))

    @staticmethod
    def _mark(engine: MeterEngine, target: int, *, long: bool) -> int:
        return RowStatus.SPREAD if long and target > engine.due else 0


def is_older(report: Report, than: Report | Taken) -> bool:
    """Tell whether a report was overtaken: the part has told of the same life since."""
    return (report.part, report.life) == (than.part, than.life) and report.ran < than.ran


def blank(engine: MeterEngine) -> None:
    """Let a meter show nothing, where nobody measures."""
    known = Known(0, 1000, 0, 0, 0, 0, 0)
    phases = (Phase(0, 0, 0, 0, known),) * engine.config.phases
    engine.show(Sample(shown=Instant(phases, 0, 0, 0)))
