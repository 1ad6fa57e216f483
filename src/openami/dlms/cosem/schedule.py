"""Single action schedule (Blue Book 4.5.7) and when it runs next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final, Self

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import AccessError, Attribute, Context, CosemObject
from openami.dlms.cosem.fields import number
from openami.dlms.data import Data, DataType, Encodable, array, octets, structure
from openami.dlms.datetime import ANY, CosemDate, CosemTime
from openami.dlms.references import obis_of
from openami.dlms.results import DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# A 29 February can be 8 years away (1896 to 1904, 2096 to 2104).
HORIZON_DAYS: Final = 8 * 366 + 1
# A day has 96 quarters; a list that is longer has another object to be in.
MAX_EXECUTIONS: Final = 96


class ScheduleType(IntEnum):
    """Attribute 3: how many execution times there are, and whether dates may have wildcards."""

    ONE = 1
    SAME_TIME = 2
    SAME_TIME_WILDCARDS = 3
    TIMES = 4
    TIMES_WILDCARDS = 5


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution_time: every day that ``date`` matches, at ``time``."""

    time: CosemTime
    date: CosemDate

    def encode(self) -> Data:
        return structure(octets(self.time.encode()), octets(self.date.encode()))

    @classmethod
    def decode(cls, value: Data) -> Self:
        """Read an execution_time_date.

        Raises:
            DecodeError: it is none, or its time names no second.
        """
        time, date = value.items(2)
        found = cls(CosemTime.decode(time.octets()), CosemDate.decode(date.octets()))
        if found.seconds is None:
            raise DecodeError("an execution time without wildcards wanted")
        return found

    @property
    def seconds(self) -> int | None:
        """Seconds since midnight; None if the time has wildcards or is none."""
        second = 0 if self.time.second == ANY else self.time.second
        if self.time.hour > 23 or self.time.minute > 59 or second > 59:
            return None
        return self.time.hour * 3600 + self.time.minute * 60 + second


def next_execution(executions: Iterable[Execution], after: datetime) -> datetime | None:
    """Return the first local time after ``after`` that an execution names.

    None if there is none within eight years.
    """
    return min(
        (found for execution in executions if (found := _next(execution, after))), default=None
    )


def _next(execution: Execution, after: datetime) -> datetime | None:
    seconds = execution.seconds
    if seconds is None:
        return None
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for days in range(HORIZON_DAYS):
        day = midnight + timedelta(days=days)
        moment = day + timedelta(seconds=seconds)
        if moment > after and execution.date.matches(day.date()):
            return moment
    return None


@dataclass(frozen=True, slots=True)
class ScriptRef:
    """A script of a script table: what a schedule or a limiter executes."""

    table: Obis
    selector: int

    def encode(self) -> Data:
        return structure(octets(self.table.raw), Data(DataType.UINT16, self.selector))

    @classmethod
    def decode(cls, value: Data) -> Self:
        """Read a script reference; raises ``DecodeError`` if it is none."""
        table, selector = value.items(2)
        return cls(obis_of(table), selector.integer())


NO_SCRIPT: Final = ScriptRef(Obis(bytes(6)), 0)


class SingleActionSchedule(CosemObject):
    """Class 22: a script and when it is executed.

    Args:
        obis: the logical name.
        script: what is executed.
        executions: when.
        kind: attribute 3.
        on_change: called when the script or the times were written.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 22

    def __init__(
        self,
        obis: Obis | str,
        *,
        script: ScriptRef = NO_SCRIPT,
        executions: Iterable[Execution] = (),
        kind: ScheduleType = ScheduleType.ONE,
        on_change: Callable[[], None] | None = None,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.script = script
        self.executions = tuple(executions)
        self.kind: int = kind
        self._on_change = on_change or (lambda: None)

    def next_execution(self, after: datetime) -> datetime | None:
        """Return the first local time after ``after`` at which the script is executed."""
        return next_execution(self.executions, after)

    def set_script(self, value: Data, _: Context) -> None:
        self.script = ScriptRef.decode(value)
        self._on_change()

    def get_executions(self, _: Context) -> Encodable:
        return array(*(execution.encode() for execution in self.executions))

    def set_executions(self, value: Data, _: Context) -> None:
        items = value.items()
        if len(items) > MAX_EXECUTIONS:
            raise AccessError(DataAccessResult.OTHER_REASON, f"at most {MAX_EXECUTIONS} times")
        self.executions = tuple(Execution.decode(item) for item in items)
        self._on_change()

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute(
            "executed_script", lambda o, _: o.script.encode(), set_script, (DataType.STRUCTURE,)
        ),
        3: number("type", DataType.ENUM, "kind", low=1, high=5),
        4: Attribute("execution_time", get_executions, set_executions, (DataType.ARRAY,)),
    }
