"""Whom events are for, and which holds where they overlap."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from tests.support.demand import LEVEL, LIMIT, PRICE, START, event

from openami.fleet.demand.model import (
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    PayloadType,
    Target,
    TargetKind,
    names_of,
)
from openami.fleet.demand.told import (
    AHEAD_S,
    MOST_EVENTS,
    MOST_NOTICES,
    Site,
    events_for,
    in_force,
    is_for,
    notices_for,
)

HERE = Site("M1", "Seoul", frozenset({"north"}))
NAMES = st.sampled_from(["M1", "M2", "Seoul", "Busan", "north", "south"])
TARGETS = st.builds(
    Target, st.sampled_from(TargetKind), st.frozensets(NAMES, min_size=1, max_size=3)
)
SOME = st.lists(TARGETS, max_size=3, unique_by=lambda target: target.kind).map(tuple)


@given(SOME, SOME)
def test_targets_are_a_union(one: tuple[Target, ...], other: tuple[Target, ...]) -> None:
    if one and other:
        assert is_for((*one, *other), HERE) == (is_for(one, HERE) or is_for(other, HERE))
    assert is_for((), HERE)


def test_each_kind_of_target_names_by_what_it_is() -> None:
    for kind, name in (
        (TargetKind.METER, "M1"), (TargetKind.REGION, "Seoul"), (TargetKind.GROUP, "north"),
    ):  # fmt: skip
        assert is_for((Target(kind, frozenset({name, "x"})),), HERE)
        assert not is_for((Target(kind, frozenset({"x"})),), HERE)
    assert not is_for((Target(TargetKind.REGION, frozenset({"x"})),), Site("M1", ""))


def test_names_are_those_of_a_kind() -> None:
    targets = (
        Target(TargetKind.METER, frozenset({"M1", "M2"})),
        Target(TargetKind.REGION, frozenset({"Seoul"})),
    )
    assert names_of(targets, TargetKind.METER) == {"M1", "M2"}
    assert names_of(targets, TargetKind.GROUP) == frozenset()


def test_a_meter_is_told_what_is_near_and_not_over() -> None:
    at = START
    events = [
        event("over", start=at - 3600), event("now", start=at - 3599), event("next", start=at + 60),
        event("far", start=at + AHEAD_S),
        event("else", targets=(Target(TargetKind.METER, frozenset({"M2"})),)),
    ]  # fmt: skip
    assert [one.id for one in events_for(events, HERE, at)] == ["now", "next"]
    many = [event(f"e{n:02}", start=at + 60 * n) for n in range(20, 0, -1)]
    found = events_for(many, HERE, at)
    assert [one.id for one in found] == [f"e{n:02}" for n in range(1, MOST_EVENTS + 1)]


def test_the_newest_notices_are_shown() -> None:
    many = [Notice(f"n{n}", "bill", START + n, START + 99, {"en": "x"}) for n in range(20)]
    found = notices_for(many, HERE, START + 50)
    assert [one.id for one in found] == [f"n{n}" for n in range(19, 19 - MOST_NOTICES, -1)]
    assert list(notices_for(many, HERE, START + 99)) == []
    assert [one.id for one in notices_for(many, HERE, START)] == ["n0"]


def test_the_stronger_of_two_events_holds() -> None:
    weak = event("weak", priority=9)
    strong = event("strong", priority=1, payloads=(Payload(PayloadType.SIMPLE, Decimal(3)),))
    price = event("price", kind=EventKind.PRICE, priority=50)
    emergency = event("dark", kind=EventKind.EMERGENCY, priority=9, payloads=(LIMIT, LEVEL))
    held = in_force([weak, strong, price], START + 60)
    assert held[PayloadType.SIMPLE][0].id == "strong"
    assert held[PayloadType.PRICE][0].id == "price"  # a price and a level hold both
    assert in_force([weak, emergency], START)[PayloadType.SIMPLE][0].id == "dark"
    early = event("early", priority=9, start=START - 60)
    assert in_force([weak, early], START)[PayloadType.SIMPLE][0].id == "early"
    assert in_force([weak], START - 1) == {}
    assert in_force([weak], START + 3600) == {}


def test_who_opted_out_is_left_alone_where_that_is_allowed() -> None:
    asked, forced = event("asked", priority=1), replace(event("forced"), optional=False)
    out = frozenset({"asked", "forced"})
    held = in_force([asked, forced], START, opted_out=out)
    assert held[PayloadType.SIMPLE][0].id == "forced"


EVENTS = st.builds(
    lambda n, kind, start, length, priority, optional: Event(
        f"e{n}", "p1", "x", kind,
        (Interval(0, START + start, length, (PRICE, LEVEL, LIMIT)),),
        priority=priority, optional=optional,
    ),
    st.integers(0, 999), st.sampled_from(EventKind), st.integers(0, 600), st.integers(60, 600),
    st.integers(0, 3), st.booleans(),
)  # fmt: skip
LISTS = st.lists(EVENTS, max_size=8, unique_by=lambda one: one.id)


@given(LISTS, st.integers(0, 1300), st.randoms(use_true_random=False))
def test_what_holds_is_the_strongest_of_what_is_on_in_any_order(
    events: list[Event], after: int, random: object
) -> None:
    now = START + after
    held = in_force(events, now)
    on = [one for one in events if one.start <= now < one.end]
    assert bool(held) == bool(on)
    if on:
        best = min(one.priority for one in on)
        assert {one.priority for one, _ in held.values()} == {best}
        assert len({one.id for one, _ in held.values()}) == 1
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert in_force(shuffled, now) == held
