"""The clock object over the engine's clock and zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.dlms.cosem import (
    FOR_ALL,
    AccessError,
    ActionError,
    Clock,
    Daylight,
)
from openami.dlms.cosem.base import LOCAL
from openami.dlms.datetime import ANY, ANY_YEAR, ClockStatus, CosemDateTime
from openami.dlms.results import ActionResult, DataAccessResult
from openami.metrology.clock import SECOND
from openami.metrology.zone import LAST, SECOND_LAST, SwitchRule, Zone

if TYPE_CHECKING:
    from openami.dlms.cosem import Context
    from openami.dlms.data import Data, Encodable
    from openami.metrology.engine import MeterEngine

EARLIEST: Final = 946_684_800  # 2000-01-01: no meter of ours was made before
LATEST: Final = 4_102_444_800  # 2100-01-01: calendars of meters end there

_ZONE_ATTRIBUTES: Final = frozenset({3, 5, 6, 7, 8})
_FIELDS: Final = ("zone", "begin", "end", "deviation", "enabled")


class EngineClock:
    """The engine's clock as the port of the clock object."""

    def __init__(self, engine: MeterEngine) -> None:
        self._engine = engine

    def now(self) -> float:
        return self._engine.time / SECOND

    def set(self, now: float, /) -> None:
        if not EARLIEST <= now < LATEST:
            raise AccessError(DataAccessResult.OTHER_REASON, "a time from 2000 to 2099 wanted")
        self._engine.set_clock(now)


def pattern_of(rule: SwitchRule | None) -> CosemDateTime:
    """Return a switch of daylight saving as the clock object shows it."""
    if rule is None:
        return CosemDateTime()
    return CosemDateTime(
        month=rule.month,
        day=rule.day,
        weekday=rule.weekday or ANY,
        hour=rule.hour,
        minute=rule.minute,
        second=0,
        hundredths=0,
    )


def rule_of(pattern: CosemDateTime) -> SwitchRule | None:
    """Return the switch that a client wrote; None if it names no month.

    Raises:
        ValueError: it is not a rule for every year, or no moment of a year.
    """
    if pattern.month == ANY:
        return None
    if pattern.year != ANY_YEAR or pattern.second not in {0, ANY}:
        raise ValueError("a rule for every year, to the minute, wanted")
    known = pattern.day in {LAST, SECOND_LAST} or pattern.day <= 31
    return SwitchRule(
        month=pattern.month,
        day=pattern.day if known else 1,
        weekday=0 if pattern.weekday == ANY else pattern.weekday,
        hour=0 if pattern.hour == ANY else pattern.hour,
        minute=0 if pattern.minute == ANY else pattern.minute,
    )


class MeterClock(Clock):
    """Class 8 whose zone is the engine's: rows are stamped by what clients write here."""

    def __init__(self, engine: MeterEngine) -> None:
        zone = engine.state.zone
        daylight = Daylight(
            begin=pattern_of(zone.begin),
            end=pattern_of(zone.end),
            deviation=zone.dst_minutes,
            enabled=zone.enabled and zone.begin is not None,
        )
        super().__init__(
            "0.0.1.0.0.255",
            EngineClock(engine),
            zone=-zone.minutes,
            daylight=daylight,
            status=lambda: 0 if engine.state.clock_valid else ClockStatus.INVALID,
            period=lambda: engine.config.period,
            access=FOR_ALL,
        )
        self._engine = engine

    def write(self, index: int, value: Data, context: Context = LOCAL) -> None:
        before = [getattr(self, name) for name in _FIELDS]
        super().write(index, value, context)
        if index in _ZONE_ATTRIBUTES:
            try:
                self._engine.set_zone(self._zone())
            except ValueError as error:
                for name, old in zip(_FIELDS, before, strict=True):
                    setattr(self, name, old)
                raise AccessError(DataAccessResult.OTHER_REASON, str(error)) from None

    def _zone(self) -> Zone:
        begin, end = rule_of(self.begin), rule_of(self.end)
        return Zone(-self.zone, begin, end, self.deviation, enabled=self.enabled)

    def invoke(
        self, index: int, parameter: Data | None = None, context: Context = LOCAL
    ) -> Encodable | None:
        try:
            return super().invoke(index, parameter, context)
        except AccessError as error:
            raise ActionError(ActionResult(error.result), error.message) from None
