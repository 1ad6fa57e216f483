"""What the utility says to a home: messages, and events to take part in or not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import NotFoundError, StoreError
from openami.fleet.demand.model import PayloadType
from openami.fleet.demand.standing import Answer
from openami.fleet.demand.told import in_force
from openami.headend.demand.views import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from openami.fleet.customers import Tenancy
    from openami.fleet.demand.model import Event
    from openami.headend.demand.facade import Demand
    from openami.headend.demand.views import MeterEvent
    from openami.headend.services import Services
    from openami.web.portal.words import Words

ANSWERS: Final[Mapping[str, Answer]] = {
    "accept": Answer.ACCEPTED,
    "opt-out": Answer.OPTED_OUT,
}
EVENTS: Final = 16
OPEN: Final = frozenset({Phase.UPCOMING, Phase.ACTIVE})


def events_of(demand: Demand, tenancy: Tenancy, now: float) -> Sequence[MeterEvent]:
    """Return the events of a meter that are its customer's. Blocks.

    One that is under way when they move in is theirs, too; what was said to it before is not.
    """
    if not tenancy.covers(now):
        return ()
    mine = (one for one in demand.for_meter(tenancy.meter) if _theirs(one, tenancy))
    return tuple(_said_by_them(one, tenancy) for one in mine)[:EVENTS]


def _theirs(one: MeterEvent, tenancy: Tenancy) -> bool:
    before = one.event.start < tenancy.starts
    cancelled = one.phase is Phase.CANCELLED  # perhaps before they came: nothing to them
    return one.event.end > tenancy.starts and not (before and cancelled)


def _said_by_them(one: MeterEvent, tenancy: Tenancy) -> MeterEvent:
    answered = one.standing.answered
    if answered is None or answered >= tenancy.starts:
        return one
    return replace(one, standing=replace(one.standing, answer=None, answered=None, who=""))


def price_of(demand: Demand, tenancy: Tenancy, words: Words, now: float) -> dict[str, str] | None:
    """Return the price that an event sets now, as the page shows it; None: none does. Blocks."""
    mine = events_of(demand, tenancy, now)
    out = frozenset(one.event.id for one in mine if one.standing.opted_out)
    active = [one.event for one in mine if one.phase is Phase.ACTIVE]
    found = in_force(active, now, opted_out=out).get(PayloadType.PRICE)
    value = None if found is None else found[1].value(PayloadType.PRICE)
    if found is None or value is None:
        return None
    return {"rate": _amount(value, found[0], words), "why": words.texts("energy.price_event")}


def answer(services: Services, tenancy: Tenancy, event: str, said: str, *, who: str) -> None:
    """Take an answer to an event. Blocks.

    Raises:
        NotFoundError: the event is not theirs, or there is no such answer.
        ConflictError: ``demand.over``, ``demand.not-optional``.
    """
    theirs = {one.event.id for one in events_of(services.demand, tenancy, services.clock.now())}
    if event not in theirs or said not in ANSWERS:
        raise NotFoundError("there is no such event", code="request.unknown-path")
    services.demand.answer(tenancy.meter, event, ANSWERS[said], who=who)


def news(
    services: Services, tenancy: Tenancy, words: Words, *, who: str, shown: int = EVENTS
) -> dict[str, Any]:
    """Return what a page shows of it, and tell that ``who`` has seen it. Blocks.

    Args:
        services: of the head-end.
        tenancy: whose home it is.
        words: says it.
        who: looks at it.
        shown: so many events, to come or under way, are on the page.
    """
    now = services.clock.now()
    if not tenancy.covers(now):
        return {"notices": [], "events": [], "open": 0}
    notices = [
        {
            "kind": notice.kind,
            "at": words.moment(notice.at),
            "text": said(notice.texts, words),
        }
        for notice in services.demand.notices_for(tenancy.meter)
        if notice.at >= tenancy.starts
    ]
    found = events_of(services.demand, tenancy, now)
    _seen([one for one in found if one.phase in OPEN][:shown], services.demand, tenancy, who)
    events = [_event(one, words, now) for one in found]
    waiting = sum(event["open"] for event in events)
    return {"notices": notices, "events": events, "open": waiting + len(notices)}


def _seen(events: Sequence[MeterEvent], demand: Demand, tenancy: Tenancy, who: str) -> None:
    """Tell of events that nobody at the meter had seen so far that somebody has.

    A page is worth more than that: it is there without it, and the next one tells.
    """
    for one in events:
        if one.standing.acknowledged is None:
            with suppress(StoreError):  # over by now; the disk is full
                demand.answer(tenancy.meter, one.event.id, Answer.ACKNOWLEDGED, who=who)


def said(texts: Mapping[str, str], words: Words) -> str:
    """Return what is said in the reader's language, else in any."""
    return texts.get(words.texts.language) or next(iter(texts.values()), "")


def _event(one: MeterEvent, words: Words, now: float) -> dict[str, Any]:
    event = one.event
    return {
        "id": event.id,
        "kind": event.kind.value,
        "phase": one.phase.value,
        "open": one.phase in OPEN,
        **words.moments(event.start, event.end),
        "text": said(event.texts, words) or event.name,
        "values": _values(event, words, now),
        "answer": None if one.standing.answer is None else one.standing.answer.value,
        "optional": event.optional,
    }


def _values(event: Event, words: Words, now: float) -> list[str]:
    """Return what holds now, or in the part of the event that is next."""
    part = next((each for each in event.intervals if each.end > now), event.intervals[-1])
    says: Mapping[PayloadType, tuple[str, Mapping[str, Any]]] = {
        payload.type: _SAYS[payload.type](payload.value, event, words) for payload in part.payloads
    }
    return [words.texts(key, **values) for key, values in says.values()]


def _price(value: Decimal, event: Event, words: Words) -> tuple[str, Mapping[str, Any]]:
    return "news.price_value", {"price": _amount(value, event, words)}


def _amount(value: Decimal, event: Event, words: Words) -> str:
    form = words.texts.of(f"money.{event.currency}", "{amount} " + event.currency)
    return form.format(amount=words.number(value))


def _limit(value: Decimal, event: Event, words: Words) -> tuple[str, Mapping[str, Any]]:
    del event
    return "news.limit_value", {"kw": words.number(value)}


def _level(value: Decimal, event: Event, words: Words) -> tuple[str, Mapping[str, Any]]:
    del event
    return "news.level_value", {"level": words.number(value)}


_SAYS: Final = {
    PayloadType.PRICE: _price,
    PayloadType.IMPORT_CAPACITY_LIMIT: _limit,
    PayloadType.SIMPLE: _level,
}
