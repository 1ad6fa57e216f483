"""Profiles and event logs over the engine's rings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from openami.core.obis import Obis
from openami.dlms.cosem import (
    ActionError,
    DataObject,
    ProfileGeneric,
    SortMethod,
    encode_row,
)
from openami.dlms.datatypes import DataType
from openami.dlms.references import CLOCK_COLUMN, CaptureObject
from openami.dlms.results import ActionResult
from openami.metrology.capture import INTERVAL_CHANNELS, REGISTERS
from openami.metrology.events import Ring
from openami.metrology.rows import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from openami.dlms.cosem import Columns, CosemObject
    from openami.meter.objects.hooks import Hooks
    from openami.metrology.engine import MeterEngine

_FAR: Final = 1 << 40  # seconds, either way: beyond every clock

DAY: Final = 86_400
_EVENT_LOGS: Final = (
    (Ring.STANDARD_LOG, 0),
    (Ring.FRAUD_LOG, 1),
    (Ring.DISCONNECT_LOG, 2),
    (Ring.COMMUNICATION_LOG, 4),
    (Ring.QUALITY_LOG, 5),
    (Ring.SECURITY_LOG, 6),
    (Ring.POWER_LOG, 7),
    (Ring.CLOCK_LOG, 8),
)


class RingSource:
    """One ring as the source of a profile.

    Args:
        engine: the engine that captures.
        ring: the ring.
        on_capture: captures a row at once; without it the method is denied.
    """

    def __init__(
        self, engine: MeterEngine, ring: Ring, on_capture: Callable[[], None] | None = None
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._on_capture = on_capture

    @property
    def capacity(self) -> int:
        """How many rows the ring keeps."""
        return self._engine.rows[self._ring].capacity

    def entries_in_use(self) -> int:
        return len(self._engine.rows[self._ring])

    def by_range(self, start: float | None, end: float | None, columns: Columns) -> Iterable[bytes]:
        first = -_FAR if start is None else math.ceil(start)
        last = _FAR if end is None else math.floor(end)
        return _chosen(self._engine.rows[self._ring].between(first, last), columns)

    def by_entry(self, first: int, last: int, columns: Columns) -> Iterable[bytes]:
        if last < first:
            return ()
        return _chosen(self._engine.rows[self._ring].entries(first, last), columns)

    def capture(self) -> None:
        if self._on_capture is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "rows are captured by time")
        self._on_capture()

    def reset(self) -> None:
        self._engine.clear(self._ring)


def _chosen(rows: list[bytes], columns: Columns) -> Iterable[bytes]:
    return rows if columns is None else [encode_row(cells(row), columns) for row in rows]


def _column(class_id: int, name: str, attribute: int = 2) -> CaptureObject:
    return CaptureObject(class_id, Obis.parse(name), attribute)


LOAD_PROFILE_COLUMNS: Final = (
    CLOCK_COLUMN,
    _column(1, "0.0.96.10.1.255"),
    *(_column(3, f"1.0.{channel.value}.29.0.255") for channel in INTERVAL_CHANNELS),
)
_REGISTER_COLUMNS: Final = tuple(
    _column(3, f"1.0.{channel.value}.8.{rate}.255") for channel, rate in REGISTERS
)
DAILY_COLUMNS: Final = (CLOCK_COLUMN, _column(1, "0.0.96.10.2.255"), *_REGISTER_COLUMNS)
BILLING_COLUMNS: Final = (
    CLOCK_COLUMN,
    _column(1, "0.0.96.10.3.255"),
    *_REGISTER_COLUMNS,
    _column(4, "1.0.1.6.0.255"),
    _column(4, "1.0.1.6.0.255", 5),
)


def profile_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield the load profile, the daily and the billing profile, and the event logs."""
    period = hooks.engine.config.period
    load = RingSource(hooks.engine, Ring.LOAD_PROFILE)
    yield _profile(hooks, "1.0.99.1.0.255", load, LOAD_PROFILE_COLUMNS, period)
    daily = RingSource(hooks.engine, Ring.DAILY)
    yield _profile(hooks, "1.0.99.2.0.255", daily, DAILY_COLUMNS, DAY)
    billing = RingSource(hooks.engine, Ring.BILLING, hooks.engine.close_billing)
    yield _profile(hooks, "0.0.98.1.0.255", billing, BILLING_COLUMNS)
    for ring, number in _EVENT_LOGS:
        code = _column(1, f"0.0.96.11.{number}.255")
        log = RingSource(hooks.engine, ring)
        yield _profile(hooks, f"0.0.99.98.{number}.255", log, (CLOCK_COLUMN, code))
        yield DataObject(code.obis, _last(hooks, ring), DataType.UINT8, access=hooks.access)
    failures = (CLOCK_COLUMN, _column(1, "0.0.96.7.19.255"))
    failed = RingSource(hooks.engine, Ring.POWER_FAILURE_LOG)
    yield _profile(hooks, "1.0.99.97.0.255", failed, failures)


def _last(hooks: Hooks, ring: Ring) -> Callable[[], int]:
    """Return what gives the code of the log's newest event, 0 for none."""

    def code() -> int:
        newest = hooks.engine.rows[ring].entries(len(hooks.engine.rows[ring]))
        return newest[0][-1] if newest else 0

    return code


def _profile(
    hooks: Hooks,
    name: str,
    source: RingSource,
    columns: tuple[CaptureObject, ...],
    period: int = 0,
) -> ProfileGeneric:
    engine = hooks.engine
    return ProfileGeneric(
        name,
        source,
        columns,
        period=period,
        entries=source.capacity,
        deviation=lambda: -engine.state.zone.offset(engine.seconds) // 60,
        sort=SortMethod.FIFO,
        access=hooks.access,
    )
