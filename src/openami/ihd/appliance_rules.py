"""What each kind of appliance does at each level of demand response, and how a limit is shared.

Pure rules. The level is OpenADR's ``SIMPLE``: 0 normal, 1 moderate, 2 high, 3 special.

===============  ====================  ======================  =========
kind             1                     2                       3
===============  ====================  ======================  =========
air-conditioner  set back              set back, half power    off
water-heater     comfort minimum only  off                     off
charger          half power            off                     off
other            normal                half power              off
===============  ====================  ======================  =========

An appliance that cannot do what its kind does here does the next best that it can. A water heater
that can shift is told an hour ahead to store heat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.dlms.cosem.said import LIMIT, PRICE, SIMPLE, Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.dlms.cosem.said import Event, Interval


class Kind(StrEnum):
    """What an appliance is."""

    AIR_CONDITIONER = "air-conditioner"
    WATER_HEATER = "water-heater"
    CHARGER = "charger"
    OTHER = "other"


class Can(StrEnum):
    """What an appliance lets others do with it."""

    OFF = "off"
    REDUCE = "reduce"
    SHIFT = "shift"


class Mode(StrEnum):
    """How an appliance shall run."""

    NORMAL = "normal"
    REDUCE = "reduce"
    OFF = "off"


class Why(StrEnum):
    """What an order comes from."""

    EVENT = "event"
    PRICE = "price"
    LIMIT = "limit"
    HOUSEHOLD = "household"


@dataclass(frozen=True, slots=True)
class Order:
    """What an appliance is told.

    Attributes:
        mode: how it shall run.
        limit_w: what it may draw at most; None: as much as it likes.
        until: UTC seconds at which this ends if nothing else is said; None: not known.
        event: the event that it comes from.
        prepare: an event comes for which it shall store what it can, now.
        why: what it comes from; None: nothing is wanted of it.
    """

    mode: Mode = Mode.NORMAL
    limit_w: int | None = None
    until: int | None = None
    event: str | None = None
    prepare: bool = False
    why: Why | None = None


FREE: Final = Order()


@dataclass(frozen=True, slots=True)
class Traits:
    """What the rules know of an appliance.

    Attributes:
        kind: what it is.
        rated_w: what it draws at most.
        least_w: what it draws at least when it runs at all.
        can: what may be done with it.
    """

    kind: Kind
    rated_w: int
    least_w: int = 0
    can: frozenset[Can] = frozenset(Can)

    @property
    def stops(self) -> bool:
        """Whether it may be off for a while."""
        return not self.can.isdisjoint({Can.OFF, Can.SHIFT})


@dataclass(frozen=True, slots=True)
class Wish:
    """What the utility wants in one interval of an event: a level, a limit of the home, or both."""

    event: str
    begins: int
    ends: int
    level: int = 0
    limit_w: int | None = None
    why: Why = Why.EVENT


@dataclass(frozen=True, slots=True)
class _Stage:
    mode: Mode
    percent: int | None = None


_NORMAL: Final = _Stage(Mode.NORMAL)
_GENTLE: Final = _Stage(Mode.REDUCE)
_HALF: Final = _Stage(Mode.REDUCE, 50)
_OFF: Final = _Stage(Mode.OFF)

STAGES: Final[Mapping[Kind, tuple[_Stage, ...]]] = {
    Kind.AIR_CONDITIONER: (_NORMAL, _GENTLE, _HALF, _OFF),
    Kind.WATER_HEATER: (_NORMAL, _GENTLE, _OFF, _OFF),
    Kind.CHARGER: (_NORMAL, _HALF, _OFF, _OFF),
    Kind.OTHER: (_NORMAL, _NORMAL, _HALF, _OFF),
}
HIGHEST: Final = 3

TURNS: Final = (Kind.OTHER, Kind.AIR_CONDITIONER, Kind.WATER_HEATER, Kind.CHARGER)
"""Who gets of a limit first: what can wait longest is last."""

PREPARES: Final = frozenset({Kind.WATER_HEATER})
PREPARE_S: Final = 3600
"""How long before an event heat is stored: 100 litres take that for ten kelvins."""

LEAD_S: Final = 30
"""How long before a limit the appliances keep to it: a poll and a compressor's stop."""

DEARER: Final = Decimal("1.5")
MUCH_DEARER: Final = Decimal(3)
"""A price that is so many times the usual one counts as level 1, and as level 2. A price alone
never switches off what has to be on: that is level 3."""

STEP_W: Final = 100
"""Limits of single appliances are rounded down to it: else each look would make another."""


def wishes(
    events: Iterable[Event], answers: Mapping[str, Answer], usual: Decimal | None = None
) -> tuple[Wish, ...]:
    """Return what the utility wants, interval by interval.

    Optional events that the household has opted out of are left out, all at once.

    Args:
        events: as the meter has them.
        answers: of the household, by event.
        usual: the price per kWh without events, by the tariff; None: prices tell nothing.
    """
    return tuple(
        _wish(event.id, interval, usual)
        for event in events
        if not (event.optional and answers.get(event.id) is Answer.OPTED_OUT)
        for interval in event.intervals
    )


def _wish(event: str, interval: Interval, usual: Decimal | None) -> Wish:
    wish = Wish(event, interval.start, interval.start + interval.duration)
    for payload in interval.payloads:
        if payload.type == SIMPLE:
            level = max(wish.level, min(HIGHEST, max(0, int(payload.value))))
            wish = replace(wish, level=level, why=Why.EVENT)
        elif payload.type == LIMIT:
            wish = replace(wish, limit_w=max(0, int(payload.value * 1000)))
        elif payload.type == PRICE and usual is not None and usual > 0:
            level = (payload.value >= usual * DEARER) + (payload.value >= usual * MUCH_DEARER)
            if level > wish.level:
                wish = replace(wish, level=level, why=Why.PRICE)
    return wish


def wanted(traits: Traits, asked: Iterable[Wish], now: float) -> Order:
    """Return what an appliance shall do at ``now``, a home's limit apart."""
    asked = tuple(asked)
    active = [wish for wish in asked if wish.begins <= now < wish.ends and wish.level]
    if active:
        strongest = max(active, key=lambda wish: (wish.level, wish.ends))
        order = _fitting(traits, STAGES[traits.kind][strongest.level])
        if order.mode is Mode.NORMAL:
            return FREE
        return replace(order, until=strongest.ends, event=strongest.event, why=strongest.why)
    if traits.kind in PREPARES and Can.SHIFT in traits.can:
        for wish in sorted(asked, key=lambda wish: wish.begins):
            if now < wish.begins <= now + PREPARE_S and (wish.level or wish.limit_w is not None):
                return Order(until=wish.begins, event=wish.event, prepare=True, why=wish.why)
    return FREE


def _fitting(traits: Traits, stage: _Stage) -> Order:
    """Return a stage as far as an appliance can do it."""
    if stage.mode is Mode.OFF and traits.stops:
        return Order(Mode.OFF)
    if stage.mode is Mode.NORMAL:
        return FREE
    if Can.REDUCE in traits.can:
        percent = 0 if stage.mode is Mode.OFF else stage.percent
        return Order(Mode.REDUCE, None if percent is None else _part(traits, percent))
    return Order(Mode.OFF) if Can.SHIFT in traits.can else FREE


def _part(traits: Traits, percent: int) -> int:
    return max(traits.least_w, traits.rated_w * percent // 100)


def home_limit(asked: Iterable[Wish], now: float) -> Wish | None:
    """Return the smallest limit that a home has by its events at ``now``, or will have at once."""
    limits = [
        wish
        for wish in asked
        if wish.limit_w is not None and wish.begins - LEAD_S <= now < wish.ends
    ]
    return min(limits, key=lambda wish: wish.limit_w or 0, default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an appliance may want of a limit.

    Attributes:
        traits: of the appliance.
        order: what it shall do without the limit.
        draws_w: what it draws now.
    """

    traits: Traits
    order: Order = FREE
    draws_w: float = math.inf

    @property
    def most_w(self) -> int:
        """What it may draw by its order."""
        if self.order.mode is Mode.OFF:
            return 0
        return self.traits.rated_w if self.order.limit_w is None else self.order.limit_w


def share(budget_w: int, claims: Sequence[Claim], limit: Wish | None) -> list[Order]:
    """Share what a home may draw among its appliances; the orders are in the order of the claims.

    Who comes first by ``TURNS`` keeps its order if all that it may draw is left, but only what it
    draws is taken off for the next; else it is reduced to what is left, or off. An appliance that
    can do neither keeps its order.

    Args:
        budget_w: what the appliances may draw together.
        claims: each appliance, and what it shall do without the limit.
        limit: the event's interval that the limit comes from; None: it is not an event's.
    """
    orders = [claim.order for claim in claims]
    left = max(0, budget_w)
    turns = sorted(range(len(claims)), key=lambda p: (TURNS.index(claims[p].traits.kind), p))
    for place in turns:
        claim = claims[place]
        if claim.most_w <= left or not claim.traits.can:
            left = max(0, left - math.ceil(max(0.0, min(claim.most_w, claim.draws_w))))
            continue
        orders[place] = told = _squeezed(claim.traits, left, limit)
        left = max(0, left - (told.limit_w or 0))
    return orders


def _squeezed(traits: Traits, left: int, limit: Wish | None) -> Order:
    until, event = (None, None) if limit is None else (limit.ends, limit.event)
    room = left // STEP_W * STEP_W
    reduces = Can.REDUCE in traits.can
    if reduces and room >= max(traits.least_w, STEP_W):
        return Order(Mode.REDUCE, room, until, event, why=Why.LIMIT)
    if traits.stops:
        return Order(Mode.OFF, None, until, event, why=Why.LIMIT)
    return Order(Mode.REDUCE, traits.least_w, until, event, why=Why.LIMIT)
