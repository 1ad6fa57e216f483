"""A customer's readings as CSV: each interval or each day, with what is missing."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from io import StringIO
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError, NotFoundError
from openami.mdm.spans import Length, Span, day_of, midnight, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.datastructures import QueryParams

    from openami.fleet.customers import Tenancy
    from openami.headend.homes import Homes, Measured
    from openami.web.portal.words import Words

# A year with its leap day, and the day on which it is fetched.
MOST_DAYS: Final = 367
_HEAD: Final = ("start", "end", "imported_wh", "exported_wh", "intervals", "missing")


def asked(query: QueryParams, tenancy: Tenancy, words: Words, now: int) -> tuple[int, int]:
    """Return from when to when a file is asked for: ``from`` and ``to`` are days, both in it.

    Raises:
        NotFoundError: they are no days, too far apart, or no part of them is the customer's.
    """
    last = now if tenancy.ends is None else min(now, int(tenancy.ends) - 1)
    try:
        until = date.fromisoformat(query.get("to") or day_of(last, words.zone).isoformat())
        since = date.fromisoformat(query.get("from") or until.replace(day=1).isoformat())
        start = Span.holding(Length.DAY, since, words.zone).start
        end = Span.holding(Length.DAY, until, words.zone).end
    except (ValueError, ConfigError) as error:
        raise NotFoundError("there are no such days", code="request.unknown-path") from error
    begin, stop = tenancy.clip(start, min(end, now))
    if begin >= stop or (until - since).days >= MOST_DAYS:
        raise NotFoundError("this is not theirs", code="request.unknown-path")
    return begin, stop


def intervals(homes: Homes, tenancy: Tenancy, start: int, end: int, words: Words) -> str:
    """Return each interval, also those that are missing, as CSV. Blocks."""
    measured = homes.measured(tenancy, start, end)
    step = measured.interval_s
    first = start // step * step
    return _table(measured, list(range(first, end // step * step + 1, step)), words)


def days(homes: Homes, tenancy: Tenancy, start: int, end: int, words: Words) -> str:
    """Return each day, and how many of its intervals are missing, as CSV. Blocks."""
    zone = words.zone
    measured = homes.measured(tenancy, start, end)
    first, last = day_of(start, zone).toordinal(), day_of(end - 1, zone).toordinal()
    edges = [midnight(date.fromordinal(day), zone) for day in range(first, last + 2)]
    return _table(measured, edges, words)


FILES: Final[Mapping[str, Callable[[Homes, Tenancy, int, int, Words], str]]] = {
    "readings": intervals,
    "days": days,
}


def _table(measured: Measured, edges: Sequence[int], words: Words) -> str:
    """Return parts as CSV (RFC 4180): times and numbers alone, which no spreadsheet runs."""
    within, step = measured.within, measured.interval_s
    taken = parts(edges, measured.imported, within=within, interval_s=step)
    given = parts(edges, measured.exported, within=within, interval_s=step)

    def local(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, UTC).astimezone(words.zone).isoformat()

    return _csv(
        (
            local(one.start), local(one.end), "" if one.wh is None else one.wh,
            "" if other.wh is None else other.wh, one.present, one.missing,
        )
        for one, other in zip(taken, given, strict=True)
    )  # fmt: skip


def _csv(rows: Iterable[tuple[object, ...]]) -> str:
    sink = StringIO()
    writer = csv.writer(sink)
    writer.writerow(_HEAD)
    writer.writerows(rows)
    return sink.getvalue()
