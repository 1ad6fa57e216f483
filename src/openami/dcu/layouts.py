"""How a meter's profiles are made: read once, kept, and read again when it may have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dcu.known import Column, Layout
from openami.dlms.references import AttributeRef, CaptureObject
from openami.dlms.results import DataAccessResult, result_name
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.dlms.client import Item
    from openami.dlms.data import Data
    from openami.transport.session import DlmsSession

# A profile is reconfigured rarely and by an operator: a day late is soon enough, and what no
# longer fits its layout is noticed at once.
MAX_AGE_S: Final = 86_400.0

PROFILE: Final = 7
CLOCK: Final = 8
DATA: Final = 1
# Class and attribute of what counts something → the attribute that says what.
SCALERS: Final[Mapping[tuple[int, int], int]] = {(3, 2): 3, (4, 2): 3, (5, 2): 4, (5, 3): 4}
# Class and attribute of capture and start times.
MOMENTS: Final = frozenset({(4, 5), (5, 6), (5, 7)})

_BUFFER, _COLUMNS, _PERIOD, _SORT = 2, 3, 4, 5
_LIFO: Final = 2
# Blue Book: a profile's row is a structure; 64 columns are more than any meter captures.
_COLUMNS_MOST: Final = 64


def is_clock(column: Column) -> bool:
    """Whether the column is the meter's clock."""
    return column.class_id == CLOCK and column.attribute == 2


def is_moment(column: Column) -> bool:
    """Whether the column is a date-time: the clock, or when a demand was at its highest."""
    return is_clock(column) or (column.class_id, column.attribute) in MOMENTS


def is_status(column: Column) -> bool:
    """Whether the column is a profile status (Blue Book 6.2.1: 0.b.96.10.e.255)."""
    groups = Obis.parse(column.obis).groups
    return column.class_id == DATA and groups[2:4] == (96, 10)


def is_event_code(column: Column) -> bool:
    """Whether the column is an event code (Blue Book 6.2.1: 0.b.96.11.e.255)."""
    groups = Obis.parse(column.obis).groups
    return column.class_id == DATA and groups[2:4] == (96, 11)


def is_reading(column: Column) -> bool:
    """Whether the column is a number of a unit."""
    return (column.class_id, column.attribute) in SCALERS


async def read_layout(session: DlmsSession, profile: str, *, now: float) -> Layout | None:
    """Return the layout of a profile; None if the meter does not have it.

    Raises:
        ServiceRefusedError: the meter can not say now.
        DecodeError: what the meter says is no layout.
        OpenAmiError: see ``DlmsSession.request``.
    """
    name = Obis.parse(profile)
    refs = [AttributeRef(PROFILE, name, attribute) for attribute in (_COLUMNS, _PERIOD, _SORT)]
    columns, period, sort = _settled(await session.get_list(refs))
    if not columns.ok:
        return None
    captured = _captured(columns.data)
    scalers = await _scalers(session, captured)
    return Layout(
        columns=tuple(
            Column(
                class_id=item.class_id,
                obis=str(item.obis),
                attribute=item.attribute,
                index=item.index,
                scaler=scalers.get(item, (None, None))[0],
                unit=scalers.get(item, (None, None))[1],
            )
            for item in captured
        ),
        period=_integer(period, 0),
        newest_first=_integer(sort, 1) == _LIFO,
        read_at=now,
    )


def _settled(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return answers that will be the same tomorrow.

    Raises:
        ServiceRefusedError: one of them says that it can not be told now; a layout is kept for
            long, so nothing is concluded from that.
    """
    for item in items:
        if item.result is DataAccessResult.TEMPORARY_FAILURE:
            reason = result_name(item.result)
            raise ServiceRefusedError(
                f"reading a layout: {reason}", code=f"dlms.{reason}", result=item.result
            )
    return items


def _captured(data: Data) -> tuple[CaptureObject, ...]:
    items = data.items()
    if not 0 < len(items) <= _COLUMNS_MOST:
        raise DecodeError(f"a profile of {len(items)} columns")
    return tuple(map(CaptureObject.of, items))


async def _scalers(
    session: DlmsSession, captured: Sequence[CaptureObject]
) -> dict[CaptureObject, tuple[int, int]]:
    """Return scaler and unit of the columns that have some."""
    wanted = [item for item in captured if (item.class_id, item.attribute) in SCALERS]
    refs = {
        item: AttributeRef(item.class_id, item.obis, SCALERS[item.class_id, item.attribute])
        for item in wanted
    }
    distinct = tuple(dict.fromkeys(refs.values()))
    items = _settled(await session.get_list(distinct)) if distinct else ()
    answers = dict(zip(distinct, items, strict=True))
    return {item: scaler_unit(answers[ref]) for item, ref in refs.items()}


def scaler_unit(item: Item) -> tuple[int, int]:
    """Return the scaler and unit in an answer; 0 and "count" if the meter refuses it.

    Raises:
        DecodeError: it is something else.
    """
    if not item.ok:
        return 0, Unit.COUNT
    scaler, unit = item.data.items(2)
    found = scaler.integer(), unit.integer()
    if not (-128 <= found[0] <= 127 and 0 <= found[1] <= 255):
        raise DecodeError("a scaler and a unit of one octet each wanted")
    return found


def _integer(item: Item, default: int) -> int:
    return item.data.integer() if item.ok else default
