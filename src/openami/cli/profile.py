"""Reading a profile from the command line: what it captures, which rows, and as what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.cli.names import parse_time
from openami.cli.registers import SCALER_UNIT, scalers
from openami.core.clock import isoformat
from openami.core.errors import ConfigError, DecodeError
from openami.core.obis import Obis
from openami.core.units import Quantity, symbol
from openami.dlms.columns import decode_profile
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import (
    AttributeRef,
    CaptureObject,
    EntrySelection,
    RangeSelection,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    period = (await session.get(_ref(wanted.obis, PERIOD))).integer()
    raw = await session.get_raw(_ref(wanted.obis, BUFFER), wanted.selection)
    clocks = {i for i, c in enumerate(captured) if (c.class_id, c.attribute) == (CLOCK, BUFFER)}
    try:
        found = decode_profile(
            raw, default_deviation=wanted.deviation, period=period or None, clocks=clocks
        )
    except DecodeError as error:
        raise DecodeError(
            f"{session.channel.name}: buffer of {wanted.obis}: {error.reason}",
            offset=error.offset,
            code=error.code,
        ) from error
    names = [_name(column, known) for column in captured]
    columns = [
        _column(values, known.get(column.obis) if column.class_id in SCALER_UNIT else None)
        for column, values in zip(captured, found.columns, strict=False)
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _ref(obis: Obis, attribute: int) -> AttributeRef:
    return AttributeRef(PROFILE, obis, attribute)


def _name(column: CaptureObject, known: dict[Obis, tuple[int, int]]) -> str:
    if column.class_id == CLOCK:
        return "clock"
    unit = f" [{symbol(known[column.obis][1])}]" if column.obis in known else ""
    attribute = "" if column.attribute == BUFFER else f"/{column.attribute}"
    return f"{column.obis}{attribute}{unit}"


def _column(values: np.ndarray[Any, Any], scaler_unit: tuple[int, int] | None) -> Sequence[Any]:
    if np.issubdtype(values.dtype, np.datetime64):
        return [
            None if np.isnat(moment) else isoformat(int(moment.astype("datetime64[s]").astype(int)))
            for moment in values
        ]
    convert = _converter(values, scaler_unit)
    return [convert(value) for value in values.tolist()]


def _converter(
    values: np.ndarray[Any, Any], scaler_unit: tuple[int, int] | None
) -> Callable[[Any], Any]:
    if scaler_unit is not None and np.issubdtype(values.dtype, np.integer):
        scaler, unit = scaler_unit
        if scaler != 0:
            return lambda value: float(Quantity(value, scaler, unit).decimal())
    return lambda value: value.hex().upper() if isinstance(value, bytes) else value
