"""Reading a profile from the command line: what it captures, which rows, and as what."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.cli.names import parse_time
from openami.cli.registers import VALUES_SCALED, scalers
from openami.core.clock import isoformat
from openami.core.errors import ConfigError, DecodeError
from openami.core.obis import Obis
from openami.core.units import symbol
from openami.dlms.columns import decode_profile
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import (
    AttributeRef,
    CaptureObject,
    EntrySelection,
    RangeSelection,
)
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from openami.dlms.references import Selection
    from openami.transport.session import DlmsSession

PROFILE: Final = 7
BUFFER: Final = 2
CAPTURE_OBJECTS: Final = 3
PERIOD: Final = 4
CLOCK: Final = 8
LAST_ENTRY: Final = 0xFFFFFFFF  # a double-long-unsigned (Blue Book, entry_descriptor)
_ENTRIES: Final = re.compile(r"([0-9]{1,10})(?::([0-9]{0,10}))?")
LAST_TIME: Final = 4102444800  # 2100-01-01, for a range without an end


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of which profile."""

    obis: Obis
    selection: Selection | None
    deviation: int | None = None

    @classmethod
    def of(
        cls,
        profile: str,
        *,
        start: str | None,
        end: str | None,
        entries: str | None,
        deviation: int | None,
    ) -> Self:
        """Return what the options say.

        Raises:
            ConfigError: an option has a wrong value, or two do not go together.
        """
        try:
            obis = Obis.parse(profile)
        except ValueError as error:
            raise ConfigError(str(error), code="config.name") from error
        first, last = parse_time(start), parse_time(end)
        if entries is not None:
            if first is not None or last is not None:
                raise ConfigError("--entries does not go with --from and --to")
            return cls(obis, _entries(entries), deviation)
        if first is None and last is None:
            return cls(obis, None, deviation)
        if first is not None and last is not None and first > last:
            raise ConfigError("--from is after --to")
        begin = CosemDateTime.from_utc(0.0 if first is None else first, 0)
        until = CosemDateTime.from_utc(LAST_TIME if last is None else last, 0)
        return cls(obis, RangeSelection.of_times(begin, until), deviation)


def _entries(text: str) -> EntrySelection:
    match = _ENTRIES.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if not 1 <= first <= (last or LAST_ENTRY) or last > LAST_ENTRY:
        raise ConfigError("--entries is FIRST:LAST counted from 1, such as 1:96")
    return EntrySelection(first, last)


async def read_profile(session: DlmsSession, wanted: Wanted) -> list[dict[str, Any]]:
    """Return rows as mappings from a column's name to its value, ready to print or be JSON.

    Raises:
        OpenAmiError: see ``DlmsSession.request``; DecodeError if the buffer is none.
    """
    captured = [
        CaptureObject.of(item)
        for item in (await session.get(_ref(wanted.obis, CAPTURE_OBJECTS))).items()
    ]
    known = await scalers(
        session, [AttributeRef(c.class_id, c.obis, c.attribute) for c in captured]
    )
    period = await _period(session, wanted.obis)
    raw = await session.get_raw(_ref(wanted.obis, BUFFER), wanted.selection)
    clocks = {i for i, c in enumerate(captured) if (c.class_id, c.attribute) == (CLOCK, BUFFER)}
    try:
        found = decode_profile(
            raw, default_deviation=wanted.deviation, period=period, clocks=clocks
        )
    except DecodeError as error:
        raise DecodeError(
            f"{session.channel.name}: buffer of {wanted.obis}: {error.reason}",
            offset=error.offset,
            code=error.code,
        ) from error
    if found.rows and len(found.columns) != len(captured):
        raise DecodeError(
            f"{session.channel.name}: {wanted.obis} captures {len(captured)} values and its rows"
            f" have {len(found.columns)}",
            code="profile.columns",
        )
    units = [_scaler_unit(column, known) for column in captured]
    names = _names(captured, units)
    columns = [_column(*pair) for pair in zip(found.columns, units, strict=False)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


async def _period(session: DlmsSession, profile: Obis) -> int | None:
    """Return the capture period, which clocks without a value are reckoned by, if it is told."""
    try:
        return (await session.get(_ref(profile, PERIOD))).integer() or None
    except ServiceRefusedError:
        return None


def _ref(obis: Obis, attribute: int) -> AttributeRef:
    return AttributeRef(PROFILE, obis, attribute)


def _scaler_unit(
    column: CaptureObject, known: Mapping[Obis, tuple[int, int]]
) -> tuple[int, int] | None:
    scaled = column.attribute in VALUES_SCALED.get(column.class_id, frozenset())
    return known.get(column.obis) if scaled else None


def _names(captured: Sequence[CaptureObject], units: Sequence[tuple[int, int] | None]) -> list[str]:
    """Return a name for each column, no two alike."""
    names: list[str] = []
    for column, unit in zip(captured, units, strict=True):
        name = plain = _name(column, unit)
        while name in names:
            name = f"{plain} ({sum(n.startswith(plain) for n in names) + 1})"
        names.append(name)
    return names


def _name(column: CaptureObject, scaler_unit: tuple[int, int] | None) -> str:
    if (column.class_id, column.attribute) == (CLOCK, BUFFER):
        return "clock"
    attribute = "" if column.attribute == BUFFER else f"/{column.attribute}"
    element = f"#{column.index}" if column.index else ""
    unit = f" [{symbol(scaler_unit[1])}]" if scaler_unit else ""
    return f"{column.obis}{attribute}{element}{unit}"


def _column(values: np.ndarray[Any, Any], scaler_unit: tuple[int, int] | None) -> Sequence[Any]:
    if np.issubdtype(values.dtype, np.datetime64):
        return [
            None if np.isnat(moment) else isoformat(int(moment.astype("datetime64[s]").astype(int)))
            for moment in values
        ]
    scaler = scaler_unit[0] if scaler_unit else 0
    return [_cell(value, scaler) for value in values.tolist()]


def _cell(value: Any, scaler: int) -> Any:
    """Return a captured value in its unit, exact, as one that JSON has."""
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not scaler or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return Decimal(str(value)).scaleb(scaler)
