"""What the page of a home shows of its energy: a day, week, month or year beside the one before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConfigError, NotFoundError
from openami.mdm.spans import Length, Part, Span, day_of, gaps, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import QueryParams

    from openami.fleet.customers import Tenancy
    from openami.headend.homes import Homes, Measured
    from openami.mdm.carbon import Factor
    from openami.web.portal.words import Words

# Of what is compared so much is there, or else the comparison would be one of gaps.
ENOUGH: Final = 0.9
# A DCU reads each quarter of an hour and uploads soon; what is older than this is late.
LATE_S: Final = 3 * 3600
GAPS_SHOWN: Final = 5
# Nearer than this two figures are as good as the same.
ALIKE: Final = 0.005


@dataclass(frozen=True, slots=True)
class Looked:
    """What was measured in a span and in the one before, as far as it is the customer's."""

    span: Span
    measured: Measured
    within: tuple[int, int]
    now: int

    def parts(self, *, exported: bool = False) -> list[Part]:
        """Return the parts of the span."""
        energies = self.measured.exported if exported else self.measured.imported
        return self._parts(self.span, self.within, energies)

    def before(self) -> list[Part]:
        """Return the parts of the span before, all of it that is theirs."""
        earlier = self.span.before
        within = (max(earlier.start, self.measured.within[0]), earlier.end)
        return self._parts(earlier, within, self.measured.imported)

    def compared(self) -> tuple[int, int] | None:
        """Return the energy of the span so far and of as much of the one before; None: unknown."""
        earlier, (begin, until) = self.span.before, self.within
        whole = until >= self.span.end
        same = earlier.end if whole else min(earlier.start + until - self.span.start, earlier.end)
        if (
            begin > self.span.start
            or self.measured.within[0] > earlier.start
            or same <= begin - (self.span.start - earlier.start)
        ):
            return None
        now, then = self._total((begin, until)), self._total((earlier.start, same))
        return None if now is None or then is None else (now, then)

    def _total(self, within: tuple[int, int]) -> int | None:
        found = self.measured.imported.within(*within)
        expected = (within[1] - within[0]) / self.measured.interval_s
        return found.total if expected and len(found.ends) >= ENOUGH * expected else None

    def _parts(self, span: Span, within: tuple[int, int], energies: Any) -> list[Part]:
        return parts(span.edges(), energies, within=within, interval_s=self.measured.interval_s)


def asked(query: QueryParams, tenancy: Tenancy, words: Words, now: int) -> Span:
    """Return the span that a page is asked for: today if none is named.

    Raises:
        NotFoundError: no part of it is the customer's, or all of it is to come.
    """
    last = now if tenancy.ends is None else min(now, int(tenancy.ends) - 1)
    try:
        length = Length(query.get("by", Length.DAY))
        text = query.get("on")
        day = date.fromisoformat(text) if text else day_of(last, words.zone)
        span = Span.holding(length, day, words.zone)
    except (ValueError, ConfigError) as error:
        raise NotFoundError("there is no such day", code="request.unknown-path") from error
    if not reachable(span, tenancy, now):
        raise NotFoundError("this is not theirs", code="request.unknown-path")
    return span


def reachable(span: Span, tenancy: Tenancy, now: int) -> bool:
    """Whether any of a span is the customer's and not to come."""
    begin, end = tenancy.clip(span.start, min(span.end, now))
    return begin < end


def look(homes: Homes, tenancy: Tenancy, span: Span) -> Looked:
    """Return what was measured in a span and the one before. Blocks."""
    measured = homes.measured(tenancy, span.before.start, span.end)
    begin, until = tenancy.clip(span.start, min(span.end, homes.now()))
    if until < span.end and (tenancy.ends is None or until < tenancy.ends):
        # It goes on: what is not there yet is late, and not missing.
        until = max(begin, min(until, measured.newest or begin))
    return Looked(span, measured, (begin, until), homes.now())


def view(seen: Looked, tenancy: Tenancy, words: Words, factor: Factor | None) -> dict[str, Any]:
    """Return what the page shows of it."""
    used, given, before = seen.parts(), seen.parts(exported=True), seen.before()
    gives = seen.measured.gives
    total = sum(part.wh or 0 for part in used)
    known = any(part.wh is not None for part in used)
    return {
        "span": seen.span,
        "title": words.span(seen.span),
        "lengths": list(Length),
        "earlier": _onward(seen.span.before, tenancy, seen.now),
        "later": _onward(seen.span.after, tenancy, seen.now),
        "known": known,
        "total": total,
        "given": sum(part.wh or 0 for part in given) if gives else None,
        "carbon": _carbon(total, factor, words) if factor and known else None,
        "compared": _compared(seen, words),
        "missing": sum(part.missing for part in used),
        "gaps": _gaps(seen, words),
        "chart": json.dumps(_chart(seen.span, words, used, given, before, gives=gives)),
        "rows": _rows(seen.span, words, used, given, before),
        "partial": seen.within[0] > seen.span.start or tenancy.ends is not None,
    }  # fmt: skip


def _carbon(wh: int, factor: Factor, words: Words) -> dict[str, str]:
    grams = factor.g_per_kwh
    return {
        "kg": words.carbon(wh, float(grams)),
        "note": words.texts("energy.carbon_note", grams=f"{grams:f}"),
        "source": words.texts("bill.source", source=factor.source),
    }


def _onward(span: Span, tenancy: Tenancy, now: int) -> str | None:
    return span.first.isoformat() if reachable(span, tenancy, now) else None


def _compared(seen: Looked, words: Words) -> dict[str, str]:
    before = words.texts(f"energy.before_{seen.span.length}")
    found = seen.compared()
    if found is None or not found[1]:
        return {"kind": "none", "words": words.texts("energy.no_before", before=before)}
    change = found[0] / found[1] - 1
    kind = "same" if abs(change) < ALIKE else "less" if change < 0 else "more"
    values = {"before": before} if kind == "same" else {
        "before": before, "percent": words.percent(change)}  # fmt: skip
    said = words.texts(f"energy.{kind}", **values)
    if seen.within[1] < seen.span.end:
        said += f" ({words.texts('energy.until_now')})"
    return {"kind": kind, "words": said}


def _gaps(seen: Looked, words: Words) -> dict[str, Any]:
    found = gaps(seen.measured.imported, within=seen.within, interval_s=seen.measured.interval_s)
    shown = [
        words.texts("energy.gap", **words.moments(begin, end)) for begin, end in found[:GAPS_SHOWN]
    ]
    return {"shown": shown, "more": max(len(found) - GAPS_SHOWN, 0)}


def _nearly_whole(part: Part) -> bool:
    return part.present >= ENOUGH * part.expected


def _kwh(part: Part | None) -> float | None:
    return None if part is None or part.wh is None else part.wh / 1000


def _chart(
    span: Span,
    words: Words,
    used: Sequence[Part],
    given: Sequence[Part],
    before: Sequence[Part],
    *,
    gives: bool,
) -> dict[str, Any]:
    """Return the chart as the script takes it; a bar of which readings are missing stands apart."""
    texts = words.texts
    called = [words.part(span, part.start, part.end) for part in used]
    earlier = [_kwh(part) if _nearly_whole(part) else None for part in before[: len(used)]]
    whole = [None if part.missing else _kwh(part) for part in used]
    partly = [_kwh(part) if part.missing else None for part in used]
    series = [
        {"name": texts("energy.used"), "kind": "used", "values": whole},
        {"name": texts("energy.partly"), "kind": "partly", "values": partly},
    ]
    if gives:
        values = [None if part.wh is None else -part.wh / 1000 for part in given]
        series.append({"name": texts("energy.given"), "kind": "given", "values": values})
    if any(value is not None for value in earlier):
        padded = earlier + [None] * (len(used) - len(earlier))
        name = texts(f"energy.before_{span.length}")
        series.append({"name": name[:1].upper() + name[1:], "kind": "before", "values": padded})
    return {
        "labels": [short for short, _ in called],
        "names": [long for _, long in called],
        "series": [each for each in series if any(value is not None for value in each["values"])],
        "hint": texts("energy.hint"),
    }


def _rows(
    span: Span,
    words: Words,
    used: Sequence[Part],
    given: Sequence[Part],
    before: Sequence[Part],
) -> list[dict[str, Any]]:
    """Return the same as a table."""
    earlier = [*before, *[None] * len(used)]
    return [
        {
            "name": words.part(span, part.start, part.end)[1],
            "used": words.kwh(part.wh),
            "given": words.kwh(given[place].wh),
            "before": words.kwh(None if (then := earlier[place]) is None else then.wh),
            "present": part.present,
            "expected": part.expected,
        }
        for place, part in enumerate(used)
    ]
