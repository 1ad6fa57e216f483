"""What the pages say of demand response: what is asked of whom, who is how far, what it brought."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openami.fleet.demand.machine import LIVE, EventState
from openami.fleet.demand.model import EventKind, PayloadType, TargetKind, names_of
from openami.fleet.demand.standing import Answer, What
from openami.headend.demand.unreached import Why
from openami.headend.demand.views import Phase
from openami.web.console.campaign_views import Piece
from openami.web.console.filters import THIN, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from openami.fleet.demand.model import Event, Interval, Targets
    from openami.fleet.demand.records import EventRecord
    from openami.fleet.demand.standing import Counts, Standing
    from openami.headend.demand.results import Results

S = EventState
# label and tone
STATES: Final[Mapping[EventState, tuple[str, str]]] = {
    S.DRAFT: ("draft", "idle"),
    S.SCHEDULED: ("scheduled", "accent"),
    S.ACTIVE: ("active", "good"),
    S.COMPLETED: ("over", "idle"),
    S.CANCELLED: ("cancelled", "warn"),
}
PHASES: Final[Mapping[Phase, tuple[str, str]]] = {
    Phase.UPCOMING: ("upcoming", "accent"),
    Phase.ACTIVE: ("active", "good"),
    Phase.OVER: ("over", "idle"),
    Phase.CANCELLED: ("cancelled", "warn"),
}
KINDS: Final[Mapping[EventKind, tuple[str, str]]] = {
    EventKind.PRICE: ("price", "accent"),
    EventKind.SHED: ("use less", "warn"),
    EventKind.EMERGENCY: ("emergency", "bad"),
}
FILTERS: Final[Mapping[What, str]] = {
    What.DELIVERED: "delivered",
    What.ACKNOWLEDGED: "acknowledged",
    What.ACCEPTED: "accepted",
    What.OPTED_OUT: "opted out",
    What.LIMITED: "limited",
    What.RESTORED: "limit taken off",
    What.REFUSED: "refused",
}
SILENT: Final = "silent"
"""The filter for meters of which nothing was heard."""
UNREACHED: Final[Mapping[Why, str]] = {
    Why.HEAD_END: "the head-end reads it itself; such meters are told nothing",
    Why.NO_DCU: "no DCU looks after it",
    Why.NOT_ASKED: "its DCU has not asked since the event was sent",
    Why.NOT_TOLD: "its DCU has the event; nothing was heard of the meter",
    Why.EARLY: "it is early: DCUs are told eight days ahead",
    Why.OVER: "nothing was heard of it while the event was on",
}
LEVELS: Final = ("as usual", "a little less", "much less", "only what must run")
TEXTS: Final = Path(__file__).resolve().parent.parent / "ihd" / "static" / "texts"


# --- words ---------------------------------------------------------------------------------------


def payload_words(type_: PayloadType, value: Decimal, currency: str) -> str:
    """Return what one value asks."""
    if type_ is PayloadType.SIMPLE:
        return f"level {int(value)}, {LEVELS[int(value)]}"
    if type_ is PayloadType.PRICE:
        return f"{number(value)}{THIN}{currency}/kWh"
    return f"at most {number(value)}{THIN}kW"


def interval_words(interval: Interval, currency: str) -> str:
    """Return what an interval asks."""
    return "; ".join(payload_words(one.type, one.value, currency) for one in interval.payloads)


def asks(event: Event) -> str:
    """Return what an event asks, in a few words."""
    said = list(dict.fromkeys(interval_words(one, event.currency) for one in event.intervals))
    return said[0] if len(said) == 1 else f"{said[0]} … {said[-1]}"


def whom(targets: Targets) -> str:
    """Return whom targets name."""
    parts = []
    for kind, (one, many) in _TARGETS.items():
        names = sorted(names_of(targets, kind))
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            parts.append(f"{one if len(names) == 1 else many} {', '.join(names[:5])}{more}")
    return "; ".join(parts) or "every meter"


_TARGETS: Final = {
    TargetKind.GROUP: ("group", "groups"),
    TargetKind.REGION: ("region", "regions"),
    TargetKind.METER: ("meter", "meters"),
}


# --- how far -------------------------------------------------------------------------------------


def pieces(counts: Counts) -> tuple[Piece, ...]:
    """Return the parts of a bar of meters: each is in the one that says most of it."""
    seen = max(0, counts.acknowledged - counts.accepted - counts.opted_out)
    told = max(0, counts.delivered - counts.acknowledged)
    parts = {
        "accepted": ("accepted", counts.accepted),
        "acknowledged": ("acknowledged", seen),
        "delivered": ("delivered", told),
        "opted-out": ("opted out", counts.opted_out),
        "refused": ("refused", counts.refused),
    }
    silent = counts.meters - sum(count for _, count in parts.values())
    parts["silent"] = ("not reached", max(0, silent))
    total, start, found = sum(count for _, count in parts.values()) or 1, 0.0, []
    for key, (label, count) in parts.items():
        share = 100 * count / total
        if count:
            found.append(Piece(key, label, count, start, share))
        start += share
    return tuple(found)


def standing_words(standing: Standing) -> tuple[str, str]:
    """Return label and tone of how an event stands at a meter."""
    if standing.answer is not None:
        return _ANSWERS[standing.answer]
    if standing.refused is not None:
        return "refused", "bad"
    return ("delivered", "accent") if standing.delivered is not None else ("not reached", "idle")


_ANSWERS: Final[Mapping[Answer, tuple[str, str]]] = {
    Answer.ACKNOWLEDGED: ("acknowledged", "accent"),
    Answer.ACCEPTED: ("accepted", "good"),
    Answer.OPTED_OUT: ("opted out", "warn"),
}


# --- what it brought -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sums:
    """What the meters of a page have brought together; ``share`` is of their baseline."""

    meters: int
    of: int
    baseline: float
    used: float

    @property
    def saved(self) -> float:
        """In Wh; less than 0 where more was used."""
        return self.baseline - self.used

    @property
    def share(self) -> str:
        """Percent of the baseline, with its sign."""
        if not self.baseline:
            return "–"
        return f"{100 * self.saved / self.baseline:+.1f}{THIN}%".replace("-", "−")


def sums(found: Results) -> Sums:
    """Return the sums of the meters that have a baseline."""
    known = [one.saved for one in found.meters if one.saved.baseline is not None]
    return Sums(
        len(known),
        len(found.meters),
        sum(one.baseline or 0.0 for one in known),
        sum(one.used for one in known),
    )


# --- what a display shows ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Display:
    """What a display says of an event, in one language."""

    language: str
    kind: str
    text: str
    wants: Sequence[str]
    answers: Sequence[str]


def display(event: Event, language: str) -> Display:
    """Return what a display shows of an event's first interval."""
    words = _texts(language)
    first, wants = event.intervals[0], []
    price = first.value(PayloadType.PRICE)
    if price is not None:
        wants.append(f"{number(price)}{THIN}{event.currency}/kWh")
    limit = first.value(PayloadType.IMPORT_CAPACITY_LIMIT)
    if limit is not None:
        wants.append(words["event.limit"].format(limit=f"{number(limit)}{THIN}kW"))
    level = int(first.value(PayloadType.SIMPLE) or 0)
    if level:
        wants.append(words[f"event.level{level}"])
    asked = event.optional and event.kind is not EventKind.EMERGENCY
    answers = [words["event.optout"], words["event.accept"]] if asked else []
    return Display(
        language,
        words[f"event.{event.kind.value}"],
        event.texts.get(language) or next(iter(event.texts.values()), ""),
        wants,
        answers or [words["event.must"]],
    )


@cache
def _texts(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((TEXTS / f"{language}.json").read_text(encoding="utf-8"))
    return found


def live(record: EventRecord) -> bool:
    """Say whether an event is under way, so that it can be cancelled and its page moves."""
    return record.state in LIVE
