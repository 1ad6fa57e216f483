"""What is said to households: in the response object, or in the message of another maker's meter.

An answer is kept for the head-end before the meter is told to forget it, and what is said is known
by the meter's own revision: whoever was ended in between says it again, which changes nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.obis import Obis
from openami.dcu.demand.state import Held
from openami.dlms import data as d
from openami.dlms.cosem.response import RESPONSE_OBIS, Answer, Given
from openami.dlms.cosem.said import choices_of
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import DataAccessResult
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from openami.dcu.demand.orders import MeterOrders
    from openami.dcu.demand.state import MeterState
    from openami.dcu.demand.talk import Talk
    from openami.dlms.client import Item
    from openami.dlms.cosem.response import Event

CLASS: Final = 8193
REVISION: Final = AttributeRef(CLASS, RESPONSE_OBIS, 2)
ANSWERS: Final = AttributeRef(CLASS, RESPONSE_OBIS, 6)
CHOICES: Final = AttributeRef(CLASS, RESPONSE_OBIS, 7)
REPLACE: Final = MethodRef(CLASS, RESPONSE_OBIS, 1)
FORGET: Final = MethodRef(CLASS, RESPONSE_OBIS, 3)
MESSAGE: Final = AttributeRef(1, Obis.parse("0.0.96.13.0.255"), 2)
MESSAGE_OCTETS: Final = 160
"""Of a consumer message: as an SMS has; displays of other makers show no more."""

_SAID: Final = "said"
_CHOSEN: Final = frozenset({Answer.ACCEPTED, Answer.OPTED_OUT})

log = structlog.get_logger("dcu.demand")


def digest(data: d.Data) -> str:
    """Return what tells one value from another."""
    return hashlib.sha256(data.encode()).hexdigest()[:16]


def held_of(orders: MeterOrders) -> dict[str, Held]:
    """Return what is to stand in a meter."""
    events = {
        f"event/{one.id}": Held(digest=digest(one.data()), end=one.end) for one in orders.events
    }
    notices = {
        f"notice/{one.id}": Held(digest=digest(one.data()), end=one.until) for one in orders.notices
    }
    return {**events, **notices}


def compared(orders: MeterOrders) -> str:
    """Return the digest of a comparison; empty without one."""
    return "" if orders.comparison is None else digest(orders.comparison.data())


def stale(orders: MeterOrders, state: MeterState, now: float) -> bool:
    """Tell whether something else is to be said than stands in the meter.

    What is over may stay there until there is something else to say.
    """
    if state.plain is not None:
        return message_of(orders, now) != state.message and not _refused(orders, state)
    wanted = held_of(orders)
    unlike = any(state.held.get(name) != held for name, held in wanted.items())
    left = any(held.end > now for name, held in state.held.items() if name not in wanted)
    differs = unlike or left or compared(orders) != state.comparison
    return differs and not _refused(orders, state)


def _refused(orders: MeterOrders, state: MeterState) -> bool:
    return state.refused.get(_SAID) == digest(orders.said(0).data())


async def carry_answers(talk: Talk) -> int | None:
    """Take what the household answered; return the revision of what is said there.

    None: the meter has no response object.
    """
    if talk.state.plain is not None and talk.state.plain == talk.firmware:
        return None
    items = await _ask(talk)
    if items is None:
        await talk.keep(plain=talk.firmware, revision=None, held={})
        return None
    revision, answers, choices = (item.data for item in items)
    await _take(talk, Given.list_of(answers), _chosen(choices_of(choices)))
    limit = talk.state.limit
    if limit is not None and revision.integer() < (talk.state.revision or 0):
        await talk.keep(limit=limit.but(written=False))  # the meter has lost its memory
    return revision.integer()


async def _ask(talk: Talk) -> tuple[Item, ...] | None:
    try:
        items = await talk.session.get_list((REVISION, ANSWERS, CHOICES))
    except ServiceRefusedError as error:  # some refuse the whole list for one unknown object
        log.info("no response object", meter=talk.serial, code=error.code)
        return None
    if any(item.result is DataAccessResult.TEMPORARY_FAILURE for item in items):
        raise ServiceRefusedError("not now", code="dlms.temporary-failure")
    return items if all(item.ok for item in items) else None


async def _take(talk: Talk, given: tuple[Given, ...], chosen: dict[str, str]) -> None:
    state = talk.state
    latest = max((one.number for one in given), default=0)
    # A meter that lost its memory counts anew.
    last = state.answer if latest >= state.answer else 0
    told = [
        talk.report(one.answer.value, event=one.event, at=one.at)
        for one in given
        if one.number > last
    ]
    changes: dict[str, Any] = {"choices": chosen, "plain": None}
    if given:
        changes["answer"] = latest
    await talk.keep(*told, **changes)
    if given:
        await talk.session.action(FORGET, d.u32(latest))


async def carry_words(talk: Talk, revision: int | None) -> None:
    """Say what is to be said; ``revision`` as ``carry_answers`` returned it."""
    if revision is None:
        await _show(talk)
        return
    state, orders = talk.state, talk.orders
    lost = state.held and revision != state.revision
    if not lost and not stale(orders, state, talk.now):
        return
    said = orders.said(revision + 1)
    try:
        await talk.session.action(REPLACE, said.data())
    except ServiceRefusedError as error:
        await _untold(talk, error)
        return
    held = held_of(orders)
    told = [
        talk.report("delivered", event=event.id)
        for event in orders.events
        if state.held.get(f"event/{event.id}") != held[f"event/{event.id}"]
    ]
    refused = {name: code for name, code in state.refused.items() if name != _SAID}
    # What was chosen elsewhere is a choice of the meter from now on.
    chosen = _chosen(choices_of(await talk.session.get(CHOICES)))
    await talk.keep(
        *told, revision=said.revision, held=held, comparison=compared(orders), refused=refused,
        choices=chosen,
    )  # fmt: skip


def _chosen(choices: Iterable[tuple[str, Answer]]) -> dict[str, str]:
    return {event: answer.value for event, answer in choices if answer in _CHOSEN}


async def _untold(talk: Talk, error: ServiceRefusedError) -> None:
    """Tell once of what the meter does not take."""
    told = [
        talk.report("refused", event=event.id, code=error.code, reason=error.message)
        for event in talk.orders.events
        if f"event/{event.id}" not in talk.state.held
    ]
    refused = {**talk.state.refused, _SAID: digest(talk.orders.said(0).data())}
    await talk.keep(*told, refused=refused)


# Meters of other makers.


def message_of(orders: MeterOrders, now: float) -> str:
    """Return what a meter shows that has one message: of the event under way or next, or a notice.

    An empty text clears what is there.
    """
    event = event_shown(orders, now)
    if event is not None:
        return _fit(_text(event.texts) or f"{event.program}: {event.kind.value}")
    notice = next((one for one in orders.notices if now < one.until), None)
    return "" if notice is None else _fit(_text(notice.texts))


def event_shown(orders: MeterOrders, now: float) -> Event | None:
    """Return the event that a message is about: the one that is over first of those to come."""
    coming = [one for one in orders.events if now < one.end and not one.opted_out]
    return min(coming, key=lambda one: (max(one.start, now), one.priority), default=None)


def _text(texts: Any) -> str:
    return texts.get("en") or next(iter(texts.values()), "")


def _fit(text: str) -> str:
    return text.encode()[:MESSAGE_OCTETS].decode(errors="ignore")


async def _show(talk: Talk) -> None:
    if not stale(talk.orders, talk.state, talk.now):
        return
    text = message_of(talk.orders, talk.now)
    try:
        await talk.session.set(MESSAGE, d.octets(text.encode()))
    except ServiceRefusedError as error:
        await _untold(talk, error)
        return
    event = event_shown(talk.orders, talk.now)
    told, held = [], dict(talk.state.held)
    if event is not None:
        one = held_of(talk.orders)[f"event/{event.id}"]
        if held.get(f"event/{event.id}") != one:
            words = "no response object: a message and the limiter alone"
            told = [talk.report("delivered", event=event.id, code="demand.message", reason=words)]
        held[f"event/{event.id}"] = one
    held = {name: one for name, one in held.items() if one.end > talk.now}
    await talk.keep(*told, message=text, held=held)
