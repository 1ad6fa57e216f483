"""Clock (Blue Book 4.5.1): local time with summer time over the meter's clock in UTC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from openami.dlms.cosem.access import FOR_ALL, AccessTable
from openami.dlms.cosem.base import (
    AccessError,
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
)
from openami.dlms.cosem.daylight import Daylight
from openami.dlms.cosem.fields import boolean, date_time, number
from openami.dlms.data import Data, DataType, Encodable, octets
from openami.dlms.datetime import NO_STATUS, ClockStatus, CosemDateTime
from openami.dlms.results import ActionResult, DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.core.obis import Obis

# Blue Book 4.5.1.3.6: shift_time takes -900 to 900 seconds.
MAX_SHIFT: Final = 900
QUARTER: Final = 900
MINUTE: Final = 60


class WallClock(Protocol):
    """The meter's clock, in seconds since 1970-01-01T00:00:00Z."""

    def now(self) -> float:
        """Return the time."""
        ...

    def set(self, now: float, /) -> None:
        """Set the time."""


class Clock(CosemObject):
    """Class 8: the meter's local date and time.

    Args:
        obis: the logical name.
        wall: the clock that it shows and sets; ``ManualClock`` fits.
        zone: local normal time to UTC in minutes; Korea is -540.
        daylight: begin and end of summer time, its deviation and whether there is any; its zone
            is not used.
        status: returns the ``ClockStatus`` bits but DST.
        period: returns the measuring period in seconds, for method 2.
        base: what drives the clock: 1 internal crystal, 2 and 3 mains, 4 GPS, 5 radio.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 8

    def __init__(
        self,
        obis: Obis | str,
        wall: WallClock,
        *,
        zone: int = 0,
        daylight: Daylight | None = None,
        status: Callable[[], int] | None = None,
        period: Callable[[], int] | None = None,
        base: int = 1,
        access: AccessTable = FOR_ALL,
    ) -> None:
        super().__init__(obis, access=access)
        rules = daylight or Daylight()
        self.wall = wall
        self.zone = zone
        self.begin = rules.begin
        self.end = rules.end
        self.deviation = rules.deviation
        self.enabled = rules.enabled
        self.base = base
        self._status = status or (lambda: 0)
        self._period = period or (lambda: QUARTER)
        self._preset: tuple[float, float, float] | None = None

    @property
    def daylight(self) -> Daylight:
        """The rules as they stand."""
        return Daylight(self.zone, self.begin, self.end, self.deviation, enabled=self.enabled)

    def local(self, utc: float) -> CosemDateTime:
        """Return the local time of ``utc``, with deviation and status."""
        rules = self.daylight
        return CosemDateTime.from_utc(
            utc, rules.minutes(utc), dst=rules.active(utc), status=self._status()
        )

    def minutes(self, utc: float | None = None) -> int:
        """Return local time to UTC in minutes, at ``utc`` or now."""
        return self.daylight.minutes(self.wall.now() if utc is None else utc)

    def moment(self, time: CosemDateTime) -> float:
        """Return UTC seconds of a local time; without a deviation by the rules of this clock.

        Raises:
            ValueError: it is not one moment.
        """
        if time.status != NO_STATUS and time.status & ClockStatus.DST:
            return time.timestamp(self.zone - self.deviation)
        first = time.timestamp(self.zone)
        return time.timestamp(self.minutes(first))

    def get_time(self, _: Context) -> Encodable:
        return octets(self.local(self.wall.now()).encode())

    def set_time(self, value: Data, _: Context) -> None:
        try:
            utc = self.moment(value.datetime())
        except ValueError as error:
            raise AccessError(DataAccessResult.OTHER_REASON, str(error)) from None
        self.wall.set(utc)

    def get_status(self, _: Context) -> Encodable:
        utc = self.wall.now()
        summer = ClockStatus.DST if self.daylight.active(utc) else 0
        return Data(DataType.UINT8, int(self._status() | summer))

    def adjust(self, seconds: int) -> None:
        """Set the clock to the nearest whole multiple of ``seconds``."""
        self.wall.set(float(math.floor(self.wall.now() / seconds + 0.5) * seconds))

    def shift_time(self, parameter: Data | None, _: Context) -> None:
        seconds = 0 if parameter is None else parameter.integer()
        if abs(seconds) > MAX_SHIFT:
            raise ActionError(ActionResult.OTHER_REASON, "-900 to 900 seconds")
        self.wall.set(self.wall.now() + seconds)

    def preset_adjusting_time(self, parameter: Data | None, _: Context) -> None:
        items = () if parameter is None else parameter.items(3)
        try:
            preset, first, last = (self.moment(item.datetime()) for item in items)
        except ValueError as error:
            raise ActionError(ActionResult.OTHER_REASON, str(error)) from None
        self._preset = preset, first, last

    def adjust_to_preset_time(self, _: Data | None, __: Context) -> None:
        now = self.wall.now()
        if self._preset is None or not self._preset[1] <= now <= self._preset[2]:
            raise ActionError(ActionResult.OTHER_REASON, "no preset time is valid now")
        self.wall.set(self._preset[0])
        self._preset = None

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("time", get_time, set_time, (DataType.OCTETS, DataType.DATETIME)),
        3: number("time_zone", DataType.INT16, "zone", low=-840, high=840),
        4: Attribute("status", get_status),
        5: date_time("daylight_savings_begin", "begin"),
        6: date_time("daylight_savings_end", "end"),
        7: number("daylight_savings_deviation", DataType.INT8, "deviation", low=-120, high=120),
        8: boolean("daylight_savings_enabled", "enabled"),
        9: number("clock_base", DataType.ENUM, "base", writable=False),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("adjust_to_quarter", lambda o, _, __: o.adjust(QUARTER)),
        2: Method("adjust_to_measuring_period", lambda o, _, __: o.adjust(o.measuring_period())),
        3: Method("adjust_to_minute", lambda o, _, __: o.adjust(MINUTE)),
        4: Method("adjust_to_preset_time", adjust_to_preset_time),
        5: Method("preset_adjusting_time", preset_adjusting_time, (DataType.STRUCTURE,)),
        6: Method("shift_time", shift_time, (DataType.INT16,)),
    }

    def measuring_period(self) -> int:
        """Return the measuring period in seconds, at least 1."""
        return max(1, self._period())
