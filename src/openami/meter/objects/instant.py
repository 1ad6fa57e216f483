"""What flows now: power, voltage, current, power factor, frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from openami.core.units import Unit
from openami.dlms.cosem import DataObject, Register
from openami.dlms.datatypes import DataType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.dlms.cosem import CosemObject
    from openami.meter.objects.hooks import Hooks
    from openami.metrology.instant import Instant, Phase

T = TypeVar("T")

_MILLI: Final = 1000
_U16_MAX: Final = 0xFFFF
_FUNDAMENTAL: Final = 1
_DISTORTION: Final = 124
"""Value group E of harmonics (Blue Book, 7.5.3.3): the first, and all but the first."""

_TENTH: Final = 100  # of a degree, in thousandths
_CURRENT_ANGLES: Final = (4, 15, 26)
_VOLTAGE_ANGLES: Final = (0, 1, 2)
"""Value group E of angles (Blue Book, 7.5.3.4): each current to its voltage, each voltage to L1."""


@dataclass(frozen=True, slots=True)
class _Shown(Generic[T]):
    """How one quantity is shown: value group C (20 more for each phase), value, unit, scaler, E."""

    group: int
    value: Callable[[T], int]
    unit: Unit
    scaler: int = 0
    kind: DataType = DataType.UINT32
    element: int = 0


def _whole(milli: int) -> int:
    """Return a positive value in whole units, 0 for a negative one."""
    return max(milli, 0) // _MILLI


_POWERS: Final[tuple[_Shown[Phase | Instant], ...]] = (
    _Shown(1, lambda at: _whole(at.active), Unit.W),
    _Shown(2, lambda at: _whole(-at.active), Unit.W),
    _Shown(3, lambda at: _whole(at.reactive), Unit.VAR),
    _Shown(4, lambda at: _whole(-at.reactive), Unit.VAR),
    _Shown(9, lambda at: at.apparent // _MILLI if at.active >= 0 else 0, Unit.VA),
    _Shown(10, lambda at: at.apparent // _MILLI if at.active < 0 else 0, Unit.VA),
    _Shown(13, lambda at: at.factor, Unit.COUNT, -3, DataType.INT16),
    _Shown(15, lambda at: abs(at.fundamental) // _MILLI, Unit.W, element=_FUNDAMENTAL),
    _Shown(11, lambda at: at.current_thd, Unit.PERCENT, -2, DataType.UINT16, _DISTORTION),
    _Shown(12, lambda at: at.voltage_thd, Unit.PERCENT, -2, DataType.UINT16, _DISTORTION),
)
"""In total and in each phase."""

_TOTALS: Final[tuple[_Shown[Instant], ...]] = (
    _Shown(14, lambda at: at.frequency, Unit.HZ, -2, DataType.UINT16),
    _Shown(16, lambda at: _whole(at.active) - _whole(-at.active), Unit.W, 0, DataType.INT32),
    _Shown(91, lambda at: min(at.neutral // 10, _U16_MAX), Unit.A, -2, DataType.UINT16),
)

_PHASES: Final[tuple[_Shown[Phase], ...]] = (
    _Shown(11, lambda at: min(at.current // 10, _U16_MAX), Unit.A, -2, DataType.UINT16),
    _Shown(12, lambda at: min(at.voltage // 100, _U16_MAX), Unit.V, -1, DataType.UINT16),
)


def instant_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield registers of the whole and of each phase."""
    engine = hooks.engine
    for whole in _POWERS:
        yield _register(hooks, whole, 0, engine.instant)
    for total in _TOTALS:
        yield _register(hooks, total, 0, engine.instant)
    for place in range(engine.config.phases):
        yield from _phase_objects(hooks, place)


def _register(hooks: Hooks, shown: _Shown[T], first: int, at: Callable[[], T]) -> Register:
    return Register(
        f"1.0.{first + shown.group}.7.{shown.element}.255",
        lambda: shown.value(at()),
        scaler=shown.scaler,
        unit=shown.unit,
        kind=shown.kind,
        access=hooks.access,
    )


def _phase_objects(hooks: Hooks, place: int) -> Iterator[CosemObject]:
    engine, first = hooks.engine, 20 * (place + 1)

    def phase() -> Phase:
        return engine.instant().phases[place]

    for power in _POWERS:
        yield _register(hooks, power, first, phase)
    for shown in _PHASES:
        yield _register(hooks, shown, first, phase)
    current = _angle(_CURRENT_ANGLES[place], lambda at: at.phases[place].angle)
    yield _register(hooks, current, 0, engine.instant)
    if place:
        voltage = _angle(_VOLTAGE_ANGLES[place], lambda at: at.turn(place))
        yield _register(hooks, voltage, 0, engine.instant)
    counts = engine.state.counts
    yield _count(hooks, f"1.0.{first + 12}.32.0.255", counts.sags, place)
    yield _count(hooks, f"1.0.{first + 12}.36.0.255", counts.swells, place)


def _angle(element: int, value: Callable[[Instant], int]) -> _Shown[Instant]:
    """Return how an angle is shown: tenths of a degree that it lags, -180.0 to 180.0."""
    return _Shown(
        81, lambda at: round(value(at) / _TENTH), Unit.DEGREE, -1, DataType.INT16, element
    )


def _count(hooks: Hooks, name: str, counts: list[int], place: int) -> DataObject:
    return DataObject(name, lambda: counts[place], DataType.UINT32, access=hooks.access)
