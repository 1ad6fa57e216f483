"""What each kind of appliance does when, and how a limit is shared."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.dlms.cosem.said import Answer, Event, EventKind, Interval, Payload
from openami.ihd.appliance_rules import (
    FREE,
    LEAD_S,
    PREPARE_S,
    Can,
    Claim,
    Kind,
    Mode,
    Order,
    Traits,
    Why,
    Wish,
    home_limit,
    share,
    wanted,
    wishes,
)

AT = 1_720_000_000
AIR = Traits(Kind.AIR_CONDITIONER, 1800, 400)
WATER = Traits(Kind.WATER_HEATER, 2000, 500)
CAR = Traits(Kind.CHARGER, 7000, 1400)
OTHER = Traits(Kind.OTHER, 1000)


def event(*payloads: tuple[str, str], optional: bool = True, name: str = "e1") -> Event:
    told = tuple(Payload(kind, Decimal(value)) for kind, value in payloads)
    return Event(
        id=name,
        version=1,
        program="p",
        kind=EventKind.SHED,
        priority=0,
        optional=optional,
        currency="KRW",
        texts={"en": "less, please"},
        intervals=(Interval(0, AT, 600, told),),
    )


def level(number: int) -> Wish:
    return Wish("e1", AT, AT + 600, number)


@pytest.mark.parametrize(
    ("traits", "orders"),
    [
        (AIR, ((Mode.REDUCE, None), (Mode.REDUCE, 900), (Mode.OFF, None))),
        (WATER, ((Mode.REDUCE, None), (Mode.OFF, None), (Mode.OFF, None))),
        (CAR, ((Mode.REDUCE, 3500), (Mode.OFF, None), (Mode.OFF, None))),
        (OTHER, ((Mode.NORMAL, None), (Mode.REDUCE, 500), (Mode.OFF, None))),
    ],
)
def test_each_kind_at_each_level(
    traits: Traits, orders: tuple[tuple[Mode, int | None], ...]
) -> None:
    for number, (mode, limit) in enumerate(orders, start=1):
        order = wanted(traits, [level(number)], AT)
        assert (order.mode, order.limit_w) == (mode, limit)
        if mode is not Mode.NORMAL:
            assert (order.until, order.event, order.why) == (AT + 600, "e1", Why.EVENT)
    for now in (AT - PREPARE_S - 1, AT + 600):
        assert wanted(traits, [level(3)], now) == FREE


@pytest.mark.parametrize(
    ("can", "number", "expected"),
    [
        ({Can.REDUCE}, 3, (Mode.REDUCE, 1400)),
        ({Can.SHIFT}, 1, (Mode.OFF, None)),
        ({Can.OFF}, 1, (Mode.NORMAL, None)),
        ({Can.OFF}, 2, (Mode.OFF, None)),
        (set(), 3, (Mode.NORMAL, None)),
    ],
)
def test_who_cannot_do_it_does_the_next_best(
    can: set[Can], number: int, expected: tuple[Mode, int | None]
) -> None:
    order = wanted(Traits(Kind.CHARGER, 7000, 1400, frozenset(can)), [level(number)], AT)
    assert (order.mode, order.limit_w) == expected


def test_a_water_heater_is_told_an_hour_ahead() -> None:
    order = wanted(WATER, [level(2)], AT - PREPARE_S)
    assert order == Order(until=AT, event="e1", prepare=True, why=Why.EVENT)
    assert wanted(CAR, [level(2)], AT - 60) == FREE
    assert wanted(WATER, [Wish("e1", AT, AT + 60, 0)], AT - 60) == FREE
    assert wanted(WATER, [Wish("e1", AT, AT + 60, 0, 2000)], AT - 60).prepare
    rigid = Traits(Kind.WATER_HEATER, 2000, 500, frozenset({Can.OFF}))
    assert wanted(rigid, [level(2)], AT - 60) == FREE


def test_the_strongest_of_several_wishes_counts() -> None:
    asked = [level(1), Wish("e2", AT - 60, AT + 60, 3), Wish("e3", AT, AT + 9, 2)]
    assert wanted(AIR, asked, AT).event == "e2"


def test_payloads_become_levels_and_limits() -> None:
    asked = [event(("SIMPLE", "2"), ("IMPORT_CAPACITY_LIMIT", "3.5"))]
    assert wishes(asked, {}) == (Wish("e1", AT, AT + 600, 2, 3500),)
    assert wishes([event(("SIMPLE", "9"))], {})[0].level == 3


@pytest.mark.parametrize(("price", "expected"), [("149", 0), ("150", 1), ("299", 1), ("300", 2)])
def test_a_price_counts_by_the_usual_one(price: str, expected: int) -> None:
    (wish,) = wishes([event(("PRICE", price))], {}, Decimal(100))
    assert wish.level == expected
    assert (wish.why is Why.PRICE) == (expected > 0)
    assert wishes([event(("PRICE", price))], {}) == (Wish("e1", AT, AT + 600),)
    assert wishes([event(("PRICE", price))], {}, Decimal(0)) == (Wish("e1", AT, AT + 600),)


def test_opting_out_releases_all_but_not_of_what_is_not_optional() -> None:
    told = {"e1": Answer.OPTED_OUT}
    assert wishes([event(("SIMPLE", "3"))], told) == ()
    assert wishes([event(("SIMPLE", "3"), optional=False)], told) != ()
    assert wishes([event(("SIMPLE", "3"))], {"e1": Answer.ACCEPTED}) != ()


def test_the_smallest_limit_holds_a_little_before_it_begins() -> None:
    small, large = (
        Wish(name, AT, AT + 600, 0, watts) for name, watts in (("s", 2000), ("l", 3000))
    )
    assert home_limit([large, small, level(3)], AT - LEAD_S) == small
    assert home_limit([large, small], AT - LEAD_S - 1) is None
    assert home_limit([small], AT + 600) is None


def test_a_limit_is_given_to_what_can_wait_least() -> None:
    limit = Wish("e1", AT, AT + 600, 0, 4000)
    claims = [Claim(CAR), Claim(WATER), Claim(AIR)]
    car, water, air = share(3800, claims, limit)
    assert air == FREE
    assert water == FREE
    assert car == Order(Mode.OFF, None, AT + 600, "e1", why=Why.LIMIT)
    car, water, air = share(5350, claims, limit)
    assert (air, water) == (FREE, FREE)
    assert car == Order(Mode.REDUCE, 1500, AT + 600, "e1", why=Why.LIMIT)
    car, water, air = share(-500, claims, None)
    assert [each.mode for each in (car, water, air)] == [Mode.OFF] * 3
    assert air.until is None


def test_who_draws_less_leaves_the_rest_to_others() -> None:
    idle, cools = Claim(WATER, FREE, 0.0), Claim(AIR, FREE, 450.2)
    car, water, air = share(3800, [Claim(CAR, FREE, 0.0), idle, cools], None)
    assert (water, air) == (FREE, FREE)
    assert car == Order(Mode.REDUCE, 3300, why=Why.LIMIT)
    car, water, air = share(3800, [Claim(CAR), Claim(WATER, FREE, 2000.0), cools], None)
    assert (water, air) == (FREE, FREE)
    assert car == Order(Mode.OFF, why=Why.LIMIT)
    car, water, air = share(1700, [Claim(CAR), idle, cools], None)
    assert air == Order(Mode.REDUCE, 1700, why=Why.LIMIT)  # it could draw more any moment
    assert (water.mode, car.mode) == (Mode.OFF, Mode.OFF)


def test_who_can_only_reduce_keeps_the_least() -> None:
    rigid = Traits(Kind.OTHER, 1000, 300, frozenset({Can.REDUCE}))
    assert share(0, [Claim(rigid)], None) == [Order(Mode.REDUCE, 300, why=Why.LIMIT)]
    fixed = Traits(Kind.OTHER, 1000, 300, frozenset())
    assert share(0, [Claim(fixed)], None) == [FREE]


@given(
    st.integers(-5000, 20_000),
    st.lists(st.sampled_from([AIR, WATER, CAR, OTHER]), max_size=6),
    st.integers(0, 3),
)
def test_what_is_given_away_is_never_more_than_there_is(
    budget: int, homes: list[Traits], number: int
) -> None:
    claims = [
        Claim(traits, wanted(traits, [level(number)] if number else [], AT)) for traits in homes
    ]
    orders = share(budget, claims, None)
    given_away = 0
    for claim, order in zip(claims, orders, strict=True):
        if order.mode is Mode.OFF:
            continue
        given_away += claim.traits.rated_w if order.limit_w is None else order.limit_w
        assert claim.order.mode is not Mode.OFF
    assert given_away <= max(0, budget)
