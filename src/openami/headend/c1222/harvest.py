"""What a meter's tables hold, as readings and events: octets in, tables out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.c1222.tables import TimeFormat, layout
from openami.core.errors import DecodeError
from openami.headend.c1222.eventcodes import named
from openami.headend.c1222.models import CLOCK, EVENTS, REGISTERS
from openami.headend.c1222.quantities import exact, scaled
from openami.mdm.readings import (
    INSTANT,
    MAX_TIME,
    MIN_TIME,
    ChannelValues,
    events_table,
    join,
    profile_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from openami.c1222.tables import ProfileColumns
    from openami.headend.c1222.models import LogLayout, Model
    from openami.headend.c1222.quantities import Quantity

LOAD_PROFILE: Final = "1.0.99.1.0.255"
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a meter's clock shows no zone
_QUARTER: Final = 900
_AGAIN: Final = 32
"""Entries of a log that are read again with those that are new."""
# Status bits of a row (AMR profile status), by the status of an interval for all channels.
_NOT_VALID: Final = 0x04
_SKIPPED: Final = 4  # the status of a channel that has no interval there
_STATUS: Final = ((0x1, 0x08), (0x2, 0x80), (0x4, 0x20), (0x8, 0x20))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a meter's clock shows.

    Attributes:
        moment: in seconds UTC.
        zone: seconds that its times are ahead of UTC.
        valid: whether it shows a time at all.
        local: what it shows, as it shows it.
    """

    moment: float
    zone: int
    valid: bool
    local: datetime | None


def shown(model: Model, octets: bytes, *, now: float) -> Shown:
    """Return what ST-52 shows.

    A clock that does not say that it shows UTC shows local time: how far that is from ours, to
    the nearest quarter of an hour, is its zone.
    """
    values = model.tables.decode(CLOCK, octets)
    local = values["CLOCK_CALENDAR"]
    if local is None:
        return Shown(now, 0, valid=False, local=None)
    seconds = (local - _EPOCH).total_seconds()
    counted = model.tables.formats.time in {TimeFormat.MINUTES, TimeFormat.SECONDS}
    if counted or values["TIME_DATE_QUAL"]["GMT"]:
        return Shown(seconds, 0, valid=True, local=local)
    zone = round((seconds - now) / _QUARTER) * _QUARTER
    return Shown(seconds - zone, zone, valid=True, local=local)


def local(moment: float) -> datetime:
    """Return a moment in seconds as a meter's clock shows it, whole seconds."""
    return _EPOCH + timedelta(seconds=int(moment))


def registers(
    model: Model, meter: str, octets: bytes, *, at: int
) -> tuple[pa.Table, dict[str, tuple[int, int, int]]]:
    """Return the registers of ST-23 as readings, and by OBIS as value, scaler and unit."""
    found = dict(_registers(model, model.tables.decode(REGISTERS, octets)))
    if not MIN_TIME <= at <= MAX_TIME:
        return join([]), found
    time, status = np.array([at]), np.zeros(1, np.uint8)
    channels = [
        ChannelValues(name, scaler, unit, np.array([value]))
        for name, (value, scaler, unit) in found.items()
    ]
    table = profile_table(meter, INSTANT, time=time, status=status, channels=channels)
    return table, found


def _registers(
    model: Model, values: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[int, int, int]]]:
    blocks = (values["TOT_DATA_BLOCK"], *values["TIER_DATA_BLOCK"])
    for tier, block in enumerate(blocks):
        for quantity, value in zip(model.summations, block["SUMMATIONS"], strict=False):
            number = exact(value)
            if quantity is not None and number is not None:
                scaler = quantity.scaler + number[1]
                yield quantity.register(tier), (number[0], scaler, quantity.unit)
    for quantity, demand in zip(model.demands, blocks[0]["DEMANDS"], strict=False):
        number = exact(demand["DEMAND"][0]) if demand["DEMAND"] else None
        if quantity is not None and number is not None:
            yield quantity.demand, (number[0], quantity.scaler + number[1], quantity.flow)


def intervals(
    model: Model, meter: str, blocks: bytes, status: Mapping[str, Any], *, zone: int, after: int
) -> pa.Table:
    """Return intervals that end after ``after`` as readings.

    Args:
        model: of the meter.
        meter: its serial number.
        blocks: octets of blocks, the oldest first.
        status: of the set, for these blocks.
        zone: seconds that the meter's times are ahead of UTC.
        after: seconds UTC.
    """
    assert model.profile is not None
    count = len(blocks) // model.profile.block_size
    found = replace(model.profile, blocks=count).decode(blocks, status)
    known = ~np.isnat(found.ends)
    times = np.where(known, found.ends, np.datetime64(0, "s")).astype(np.int64) - zone
    good = known & (times > after) & (times >= MIN_TIME) & (times <= MAX_TIME)
    if found.status is None:  # nobody says why: what is not valid was not measured
        good &= found.valid
    rows = _row_status(found)
    tables = []
    for number, quantity in enumerate(model.channels):
        if quantity is not None:
            numeric, channel = _column(found, number, quantity)
            some = np.flatnonzero(good & numeric)
            one = replace(channel, values=channel.values[some])
            tables.append(
                profile_table(
                    meter, LOAD_PROFILE, time=times[some], status=rows[some], channels=[one]
                )
            )
    return join(tables)


def _column(
    found: ProfileColumns, number: int, quantity: Quantity
) -> tuple[npt.NDArray[np.bool_], ChannelValues]:
    """Return a channel's values, and which of them are any."""
    scalar, divisor = int(found.scalars[number]), int(found.divisors[number])
    values, numeric, exponent = scaled(found.values[number], scalar, divisor)
    if found.status is not None:
        # A stretch without an interval stays a gap, which is looked for.
        numeric = numeric & (found.status[number] != _SKIPPED)
    scaler = quantity.scaler + exponent
    return numeric, ChannelValues(quantity.interval, scaler, quantity.unit, values)


def _row_status(found: ProfileColumns) -> npt.NDArray[np.uint8]:
    status = np.where(found.valid, 0, _NOT_VALID).astype(np.uint8)
    if found.common is not None:
        for theirs, ours in _STATUS:
            status |= np.where(found.common & theirs, ours, 0).astype(np.uint8)
    return status


def log_head(log: LogLayout, octets: bytes) -> dict[str, Any]:
    """Return what a log says of itself."""
    values: dict[str, Any] = layout.decode(log.head, octets)
    valid, last = values["NBR_VALID_ENTRIES"], values["LAST_ENTRY_ELEMENT"]
    if valid > log.entries or (valid and last >= log.entries):
        raise DecodeError(f"{log.table}: entry {last} of {log.entries}")
    return values


def entries_wanted(
    log: LogLayout, head: Mapping[str, Any], *, known: int | None, most: int
) -> tuple[list[tuple[int, int]], int]:
    """Return which elements to read next, as first and count, the oldest first.

    Sequence numbers count up for ever: one that is less than what is known is of another log.

    Args:
        log: how it is made.
        head: what it says of itself.
        known: the sequence number of the last entry that is stored.
        most: entries at once.

    Returns:
        The elements, and the sequence number of the last of them.
    """
    valid, last = head["NBR_VALID_ENTRIES"], head["LAST_ENTRY_ELEMENT"]
    newest = head["LAST_ENTRY_SEQ_NBR"]
    if newest == known:
        return [], newest
    # A meter that sorts its log puts one in before others when its clock was set back.
    fresh = valid if known is None or newest < known else min(valid, newest - known + _AGAIN)
    count = min(fresh, most)
    later = fresh - count
    return runs((last - later) % max(log.entries, 1), count, log.entries), newest - later


def runs(last: int, count: int, size: int) -> list[tuple[int, int]]:
    """Return the last ``count`` elements of a ring that ends at ``last``, as first and count."""
    if not count:
        return []
    first = (last - count + 1) % size
    head = min(count, size - first)
    return [(first, head)] + ([(0, count - head)] if count > head else [])


def events(model: Model, meter: str, parts: Sequence[bytes], *, zone: int) -> pa.Table:
    """Return entries of the event log, in order, as events.

    One that happened several times in a second is counted within it: the same entry is the same
    event, whenever it is read.
    """
    assert model.log is not None
    size, whole = model.log.entry.size, b"".join(parts)
    seen: Counter[tuple[str, int, int]] = Counter()
    rows = []
    for at in range(0, len(whole) - size + 1, size):
        row = _event(model, layout.decode(model.log.entry, whole[at : at + size]), zone)
        if row is not None:
            name = (row["log"], row["time"], row["code"])
            rows.append({"meter": meter, "ordinal": seen[name], **row})
            seen[name] += 1
    return events_table(rows)


def _event(model: Model, entry: Mapping[str, Any], zone: int) -> dict[str, Any] | None:
    assert model.log is not None
    is_event = model.log.table == EVENTS
    when = entry.get("EVENT_TIME" if is_event else "HISTORY_TIME")
    if when is None:
        return None
    time = int((when - timedelta(seconds=zone) - _EPOCH).total_seconds())
    if not MIN_TIME <= time <= MAX_TIME:
        return None
    code = entry["EVENT_CODE" if is_event else "HISTORY_CODE"]
    log, number, detail = named(model.maker, code["NUMBER"], own=code["MANUFACTURER"])
    return {"log": log, "time": time, "code": number, "detail": detail}
