"""Identity, parameters and states: the data objects of a meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.units import Unit
from openami.dlms.cosem import FOR_ALL, AccessError, DataObject, Register
from openami.dlms.data import octets
from openami.dlms.datatypes import DataType
from openami.dlms.datetime import CosemDateTime
from openami.dlms.results import DataAccessResult
from openami.metrology.events import Event, Ring
from openami.metrology.zone import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.dlms.cosem import CosemObject
    from openami.dlms.data import Data
    from openami.meter.objects.hooks import Hooks
    from openami.metrology.engine import MeterEngine

_U8: Final = DataType.UINT8
_U16: Final = DataType.UINT16
_U32: Final = DataType.UINT32
MAKER: Final = b"openami"
MESSAGE_OCTETS: Final = 160  # of a consumer message: what a display shows, as an SMS has
_MAX_CURRENT: Final = {1: 60, 3: 100}


def identity_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield who the meter is; every client may know."""
    who = hooks.config.identity
    firmware, signature = hooks.running.identifier.encode(), hooks.running.digest
    names = {
        "0.0.42.0.0.255": who.logical_device_name,
        "0.0.96.1.0.255": who.serial.encode(),
        "0.0.96.1.1.255": who.model.encode(),
        "0.0.96.1.2.255": MAKER,
        "0.0.96.1.3.255": str(who.system_title).encode(),
        "1.0.0.2.0.255": firmware,
        "1.0.0.2.8.255": signature,
        "1.1.0.2.0.255": firmware,
        "1.1.0.2.8.255": signature,
    }
    for name, value in names.items():
        yield DataObject(name, value, access=FOR_ALL)


def parameter_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield what the meter was made for."""
    config = hooks.engine.config
    registers = (
        ("1.0.0.6.0.255", config.grid.nominal // 1000, 0, Unit.V, _U16),
        ("1.0.0.6.1.255", 5, 0, Unit.A, _U16),
        ("1.0.0.6.2.255", config.grid.frequency // 100, 0, Unit.HZ, _U8),
        ("1.0.0.6.3.255", _MAX_CURRENT[config.phases], 0, Unit.A, _U16),
        ("1.0.0.8.0.255", config.period, 0, Unit.SECOND, _U32),
        ("1.0.0.8.4.255", config.period, 0, Unit.SECOND, _U32),
        ("1.0.0.8.5.255", DAY, 0, Unit.SECOND, _U32),
        ("1.0.12.31.0.255", config.grid.nominal * 9 // 1000, -1, Unit.V, _U16),
        ("1.0.12.35.0.255", config.grid.nominal * 11 // 1000, -1, Unit.V, _U16),
    )
    for name, value, scaler, unit, kind in registers:
        yield Register(name, value, scaler=scaler, unit=unit, kind=kind, access=hooks.access)
    plain = (("1.0.0.3.0.255", 1000), ("1.0.0.3.1.255", 1000), ("1.0.0.4.2.255", 1))
    for name, value in (*plain, ("1.0.0.4.3.255", 1)):
        yield DataObject(name, value, _U32, access=hooks.access)


def state_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield states and counts."""
    engine = hooks.engine
    state = engine.state
    numbers: tuple[tuple[str, Callable[[], int], DataType], ...] = (
        ("0.0.96.10.1.255", lambda: engine.row_status, _U8),
        ("0.0.96.10.2.255", lambda: engine.row_status, _U8),
        ("0.0.96.10.3.255", lambda: engine.row_status, _U8),
        ("0.0.96.14.0.255", lambda: state.rate, _U8),
        ("0.0.0.1.0.255", lambda: state.counts.billings, _U32),
        ("0.0.96.2.0.255", lambda: state.counts.settings, _U32),
        ("0.0.96.15.0.255", lambda: state.counts.tampers, _U32),
        ("0.0.96.15.1.255", lambda: state.counts.clock_sets, _U32),
        ("0.0.96.7.21.255", lambda: state.counts.power_failures, _U32),
        ("0.0.96.7.9.255", lambda: state.counts.long_power_failures, _U32),
        ("0.0.96.7.19.255", lambda: state.counts.last_power_failure, _U32),
        ("0.0.96.128.1.255", hooks.trial, _U8),
    )
    for name, value, kind in numbers:
        yield DataObject(name, value, kind, access=hooks.access)
    yield DataObject("0.0.0.1.2.255", lambda: octets(_last_billing(engine)), access=hooks.access)
    yield DataObject("0.0.96.128.0.255", lambda: hooks.refusal().encode(), access=hooks.access)
    yield from _alarm_objects(hooks)
    yield from _message_objects(hooks)


def _last_billing(engine: MeterEngine) -> bytes:
    times = engine.rows[Ring.BILLING].times
    return engine.stamp(times[-1]) if times else CosemDateTime().encode()


def _alarm_objects(hooks: Hooks) -> Iterator[CosemObject]:
    engine = hooks.engine
    state = engine.state

    def clear_errors(value: Data) -> None:
        state.errors &= value.integer()
        engine.record(Event.ERROR_CLEARED)

    def clear_alarms(value: Data) -> None:
        state.alarms &= value.integer()
        engine.record(Event.ALARM_CLEARED)

    yield DataObject(
        "0.0.97.97.0.255", lambda: state.errors, _U32, write=clear_errors, access=hooks.access
    )
    yield DataObject(
        "0.0.97.98.0.255", lambda: state.alarms, _U32, write=clear_alarms, access=hooks.access
    )
    yield DataObject("0.0.97.98.10.255", 0xFFFF_FFFF, _U32, access=hooks.access)


def _message_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield texts for the customer's display."""
    for number in (0, 1):
        yield _message(f"0.0.96.13.{number}.255", hooks)


def _message(name: str, hooks: Hooks) -> DataObject:
    shown = b""

    def write(value: Data) -> None:
        nonlocal shown
        if len(value.octets()) > MESSAGE_OCTETS:
            raise AccessError(DataAccessResult.OTHER_REASON, f"at most {MESSAGE_OCTETS} octets")
        shown = value.octets()

    return DataObject(name, lambda: shown, write=write, access=hooks.access)
