"""Data, register, extended register and demand register (Blue Book 4.3.1 to 4.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from openami.core.units import Unit
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import (
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
)
from openami.dlms.cosem.fields import Bound, encodable, number, resolve, scaler_unit
from openami.dlms.data import Data, DataType, Encodable
from openami.dlms.results import ActionResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.core.obis import Obis

_SCALER_UNIT = "scaler_unit"


class _Valued(CosemObject):
    """An object whose attribute 2 is a value of any type, kept here or asked of the meter."""

    def __init__(
        self,
        obis: Obis | str,
        value: Bound,
        kind: DataType,
        *,
        write: Callable[[Data], None] | None = None,
        writable: bool = False,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.value = value
        self.kind = kind
        self._write = write
        if not (writable or write):
            self.read_only = frozenset({2})

    def get_value(self, _: Context) -> Encodable:
        return encodable(resolve(self.value), self.kind)

    def set_value(self, value: Data, _: Context) -> None:
        if self._write is None:
            self.value = value
        else:
            self._write(value)


_VALUE = Attribute("value", _Valued.get_value, _Valued.set_value)


class DataObject(_Valued):
    """Class 1: one value.

    Args:
        obis: the logical name.
        value: the value, or a callable that returns it; Python values become ``kind``.
        kind: the type of values that are not Data already.
        write: takes a written value (and may raise ``AccessError``); without it a written value
            is kept in ``value``.
        writable: whether the value can be written when there is no ``write``.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 1
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {2: _VALUE}

    def __init__(
        self,
        obis: Obis | str,
        value: Bound,
        kind: DataType = DataType.OCTETS,
        *,
        write: Callable[[Data], None] | None = None,
        writable: bool = False,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, value, kind, write=write, writable=writable, access=access)


class Register(_Valued):
    """Class 3: a value with a scaler and a unit.

    Args:
        obis: the logical name.
        value: the register's reading or a callable that returns it.
        scaler: the power of ten.
        unit: the unit's code.
        kind: the type of readings that are not Data already.
        reset: sets the register to its default; without it the method is denied.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 3
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: _VALUE,
        3: Attribute(_SCALER_UNIT, lambda o, _: scaler_unit(o.scaler, o.unit)),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {1: Method("reset", lambda o, _, c: o.reset(c))}

    def __init__(
        self,
        obis: Obis | str,
        value: Bound,
        *,
        scaler: int = 0,
        unit: Unit = Unit.WH,
        kind: DataType = DataType.UINT32,
        reset: Callable[[], None] | None = None,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, value, kind, access=access)
        self.scaler = scaler
        self.unit = unit
        self._reset = reset

    def reset(self, _: Context) -> None:
        if self._reset is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED)
        self._reset()


class ExtendedRegister(Register):
    """Class 4: a register with a status and the time of its capture.

    Args:
        obis: the logical name.
        value: the reading or a callable that returns it.
        status: the status, of ``status_kind``.
        capture_time: when the value was captured, a ``CosemDateTime``.
        status_kind: the type of a status that is not Data already.
        scaler: the power of ten.
        unit: the unit's code.
        kind: the type of readings that are not Data already.
        reset: sets the register to its default.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 4
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        **Register.ATTRIBUTES,
        4: Attribute("status", lambda o, _: encodable(resolve(o.status), o.status_kind)),
        5: Attribute(
            "capture_time", lambda o, _: encodable(resolve(o.capture_time), DataType.OCTETS)
        ),
    }

    def __init__(
        self,
        obis: Obis | str,
        value: Bound,
        *,
        status: Bound = None,
        capture_time: Bound = None,
        status_kind: DataType = DataType.UINT8,
        scaler: int = 0,
        unit: Unit = Unit.WH,
        kind: DataType = DataType.UINT32,
        reset: Callable[[], None] | None = None,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(
            obis, value, scaler=scaler, unit=unit, kind=kind, reset=reset, access=access
        )
        self.status = status
        self.capture_time = capture_time
        self.status_kind = status_kind


class DemandRegister(CosemObject):
    """Class 5: the average of a quantity over periods.

    Args:
        obis: the logical name.
        current: current_average_value, or a callable that returns it.
        last: last_average_value, or a callable that returns it.
        scaler: the power of ten.
        unit: the unit's code.
        status: the status, of ``status_kind``.
        capture_time: when the last average was made, a ``CosemDateTime``.
        start_time: when the current period began, a ``CosemDateTime``.
        period: seconds between two successive updates of the last average.
        periods: how many periods make one sliding average.
        kind: the type of averages that are not Data already.
        status_kind: the type of a status that is not Data already.
        reset: clears both averages and restarts the period.
        next_period: ends the current period now.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 5
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("current_average_value", lambda o, _: encodable(resolve(o.current), o.kind)),
        3: Attribute("last_average_value", lambda o, _: encodable(resolve(o.last), o.kind)),
        4: Attribute(_SCALER_UNIT, lambda o, _: scaler_unit(o.scaler, o.unit)),
        5: Attribute("status", lambda o, _: encodable(resolve(o.status), o.status_kind)),
        6: Attribute(
            "capture_time", lambda o, _: encodable(resolve(o.capture_time), DataType.OCTETS)
        ),
        7: Attribute(
            "start_time_current", lambda o, _: encodable(resolve(o.start_time), DataType.OCTETS)
        ),
        8: number("period", DataType.UINT32, "period", low=1),
        9: number("number_of_periods", DataType.UINT16, "periods", low=1),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("reset", lambda o, _, __: o.call(o.on_reset)),
        2: Method("next_period", lambda o, _, __: o.call(o.on_next_period)),
    }

    def __init__(
        self,
        obis: Obis | str,
        current: Bound,
        last: Bound,
        *,
        scaler: int = 0,
        unit: Unit = Unit.W,
        status: Bound = None,
        capture_time: Bound = None,
        start_time: Bound = None,
        period: int = 900,
        periods: int = 1,
        kind: DataType = DataType.UINT32,
        status_kind: DataType = DataType.UINT8,
        reset: Callable[[], None] | None = None,
        next_period: Callable[[], None] | None = None,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.current = current
        self.last = last
        self.scaler = scaler
        self.unit = unit
        self.status = status
        self.capture_time = capture_time
        self.start_time = start_time
        self.period = period
        self.periods = periods
        self.kind = kind
        self.status_kind = status_kind
        self.on_reset = reset
        self.on_next_period = next_period

    def call(self, action: Callable[[], None] | None) -> None:
        """Do what the meter bound to a method; denied if it bound nothing."""
        if action is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED)
        action()
