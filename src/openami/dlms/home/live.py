"""What a meter tells its displays each second: the body of its DataNotification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms.data import Data, DataType, Encodable, array, null, structure, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE_OBIS: Final = Obis.parse("0.0.96.52.0.255")
"""The data object whose value is what is pushed, for who has to ask for it."""

MAX_PHASES: Final = 3

_KINDS: Final[Mapping[str, DataType]] = {
    "at": DataType.UINT32,
    "voltage": DataType.ARRAY,
    "current": DataType.ARRAY,
    "active": DataType.INT32,
    "reactive": DataType.INT32,
    "apparent": DataType.UINT32,
    "factor": DataType.INT16,
    "frequency": DataType.UINT16,
    "imported": DataType.UINT64,
    "exported": DataType.UINT64,
    "rate": DataType.UINT8,
    "supply": DataType.ENUM,
    "limit": DataType.UINT32,
    "emergency": DataType.BOOLEAN,
    "status": DataType.UINT8,
    "revision": DataType.UINT32,
}
"""The elements in their order."""


@dataclass(frozen=True, slots=True)
class Live:
    """What flows now.

    Args:
        at: UTC seconds of the meter's clock.
        voltage: mV of each phase.
        current: mA of each phase.
        active: mW of all phases, positive when imported.
        reactive: mvar of all phases.
        apparent: mVA of all phases.
        factor: power factor in thousandths, signed as ``active``.
        frequency: hundredths of a hertz.
        imported: Wh of the register 1.0.1.8.0.255.
        exported: Wh of the register 1.0.2.8.0.255.
        rate: the tariff rate in force; 0: none.
        supply: control_state of the disconnect control (class 70).
        limit: W, threshold_active of the limiter (class 71); None: there is no limit.
        emergency: emergency_profile_active of the limiter.
        status: the status bits that a row of the load profile would have now.
        revision: of what the utility says: events, notices, comparison.
    """

    at: int
    voltage: tuple[int, ...]
    current: tuple[int, ...]
    active: int
    reactive: int
    apparent: int
    factor: int
    frequency: int
    imported: int
    exported: int
    rate: int
    supply: int
    limit: int | None
    emergency: bool
    status: int
    revision: int

    def data(self) -> Encodable:
        """Return the structure that is pushed."""
        return structure(*(_item(kind, getattr(self, name)) for name, kind in _KINDS.items()))

    @classmethod
    def of(cls, data: Data) -> Self:
        """Read what ``data`` returned.

        Raises:
            DecodeError: it is something else.
        """
        if data.type is not DataType.STRUCTURE:
            raise DecodeError(f"a structure wanted, {type_name(data.type)} found")
        items = zip(_KINDS.items(), data.items(len(_KINDS)), strict=True)
        found = cls(**{name: _value(name, kind, item) for (name, kind), item in items})
        if len(found.voltage) != len(found.current):
            raise DecodeError("voltages and currents of as many phases wanted")
        return found


def _item(kind: DataType, value: Any) -> Data:
    if kind is DataType.ARRAY:
        return array(*(Data(DataType.UINT32, each) for each in value))
    return null() if value is None else Data(kind, value)


def _value(name: str, kind: DataType, item: Data) -> Any:
    if name == "limit" and item.type is DataType.NULL:
        return None
    if item.type is not kind:
        raise DecodeError(f"{name}: {type_name(kind)} wanted, {type_name(item.type)} found")
    return _phases(name, item) if kind is DataType.ARRAY else item.value


def _phases(name: str, item: Data) -> tuple[int, ...]:
    items = item.items()
    if not 1 <= len(items) <= MAX_PHASES or any(each.type is not DataType.UINT32 for each in items):
        raise DecodeError(f"{name}: 1 to {MAX_PHASES} numbers wanted")
    return tuple(each.value for each in items)
