"""Events, notices and answers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from openami.core.errors import ConflictError, NotFoundError
from openami.dlms.cosem.response import (
    Answer,
    Comparison,
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    Said,
)
from openami.ihd.billing import price_now
from openami.ihd.saying import MOST_PAST, Told, comparison_shown, events_shown, notices_shown
from openami.ihd.screen import priced

NOW = 1_790_000_000


def event(name: str = "dr-1", start: int = NOW - 600, **fields: Any) -> Event:
    limit = Payload("IMPORT_CAPACITY_LIMIT", Decimal("2.5"))
    parts = (
        Interval(0, start, 1200, (Payload("SIMPLE", Decimal(1)),)),
        Interval(1, start + 1200, 1200, (Payload("SIMPLE", Decimal(2)), limit)),
    )
    made = Event(name, 1, "peaks", EventKind.SHED, parts, optional=True, texts={"en": "Less"})
    return replace(made, **fields)


def told(*events: Event, notices: tuple[Notice, ...] = ()) -> Told:
    return Told().heard(Said(3, events, notices), NOW)


def test_an_event_is_shown_with_the_interval_now_or_next() -> None:
    (shown,) = events_shown(told(event()), NOW)
    assert (shown["state"], shown["level"], shown["limit_w"]) == ("active", 1, None)
    (shown,) = events_shown(told(event()), NOW + 1000)
    assert (shown["level"], shown["limit_w"], shown["price"]) == (2, 2500, None)
    (shown,) = events_shown(told(event(start=NOW + 60)), NOW)
    assert (shown["state"], shown["answer"]) == ("upcoming", None)
    assert shown["begins"] < shown["ends"]
    (shown,) = events_shown(told(event()), NOW + 10_000)
    assert shown["state"] == "over"


def test_an_event_that_the_meter_has_no_more_was_cancelled_or_is_over() -> None:
    later = told(event("a"), event("b", NOW - 9000)).heard(Said(4), NOW + 60)
    assert {each["id"]: each["state"] for each in events_shown(later, NOW + 60)} == {
        "a": "cancelled",
        "b": "over",
    }
    assert later.events == ()
    assert events_shown(later, NOW + 200_000) == []
    again = later.heard(Said(5, (event("a"),)), NOW + 90)
    assert [each["state"] for each in events_shown(again, NOW + 90)] == ["active", "over"]


def test_of_past_events_only_so_many_are_kept() -> None:
    found = Told()
    for number in range(MOST_PAST + 5):
        found = found.heard(Said(number, (event(f"e{number}"),)), NOW)
    assert len(found.heard(Said(99), NOW).past) == MOST_PAST


def test_answers_are_checked() -> None:
    found = told(event(), event("firm", optional=False))
    assert found.answered("dr-1", Answer.OPTED_OUT, NOW).choices() == {"dr-1": Answer.OPTED_OUT}
    assert found.answered("firm", Answer.ACCEPTED, NOW).choices() == {"firm": Answer.ACCEPTED}
    with pytest.raises(NotFoundError) as unknown:
        found.answered("other", Answer.ACCEPTED, NOW)
    with pytest.raises(ConflictError) as firm:
        found.answered("firm", Answer.OPTED_OUT, NOW)
    with pytest.raises(ConflictError) as over:
        found.answered("dr-1", Answer.ACCEPTED, NOW + 10_000)
    with pytest.raises(ConflictError) as answered:
        found.answered("dr-1", Answer.OPTED_OUT, NOW).answered("dr-1", Answer.ACKNOWLEDGED, NOW)
    assert [each.value.code for each in (unknown, firm, over, answered)] == [
        "home.event",
        "home.event-firm",
        "home.event-over",
        "home.event-answered",
    ]


def test_an_answer_given_elsewhere_is_shown() -> None:
    elsewhere = told(event(opted_out=True))
    assert events_shown(elsewhere, NOW)[0]["answer"] == "opted-out"
    said = Said(3, (event(),), choices={"dr-1": Answer.ACCEPTED})
    assert events_shown(Told().heard(said, NOW), NOW)[0]["answer"] == "accepted"


def test_notices_are_shown_in_their_time_and_remembered_as_read() -> None:
    notices = (
        Notice("n1", NOW - 60, "message", NOW + 60, {"ko": "안녕"}),
        Notice("n2", NOW - 50, "bill", NOW + 60),
        Notice("n3", NOW + 10, "outage", NOW + 60),
    )
    found = told(notices=notices).has_read("n1")
    assert [(each["id"], each["read"]) for each in notices_shown(found, NOW)] == [
        ("n2", False),
        ("n1", True),
    ]
    with pytest.raises(NotFoundError):
        found.has_read("n9")


def test_the_comparison_is_shown() -> None:
    found = Told().heard(Said(1, comparison=Comparison(0, 86_400, 12, 5000, 3000, 4000)), NOW)
    assert comparison_shown(found) == {
        "start": "1970-01-01T00:00:00Z",
        "end": "1970-01-02T00:00:00Z",
        "homes": 12,
        "mean_wh": 5000,
        "best_wh": 3000,
        "own_wh": 4000,
    }
    assert comparison_shown(Told()) is None


def test_all_of_it_is_kept_and_what_is_no_such_text_is_nothing() -> None:
    notice = Notice("n1", NOW - 60, "message", NOW + 60, {"ko": "안녕"})
    found = told(event(), event("b"), notices=(notice,)).heard(
        Said(4, (event("b"),), (notice,), choices={"b": Answer.ACCEPTED}), NOW
    )
    found = found.answered("b", Answer.OPTED_OUT, NOW).has_read("n1")
    assert Told.of(found.text()) == found
    assert Told.of(None) == Told.of("no JSON") == Told.of('{"said": "ff"}') == Told()


def test_a_notice_is_shown_from_its_time_until_its_end() -> None:
    held = told(notices=(Notice("n1", NOW, "message", NOW + 60, {"en": "Hello"}),))
    times = (NOW - 1, NOW, NOW + 59, NOW + 60)
    assert [len(notices_shown(held, at)) for at in times] == [0, 1, 1, 0]


def test_the_price_is_of_the_gravest_event_that_the_household_is_not_out_of() -> None:
    def dear(name: str, price: int, priority: int) -> Event:
        part = Interval(0, NOW - 60, 600, (Payload("PRICE", Decimal(price)),))
        return event(name, kind=EventKind.PRICE, priority=priority, intervals=(part,))

    def per_kwh(told_: Told) -> str | None:
        found = price_now(None, priced(told_), NOW)
        return None if found is None else found["per_kwh"]

    both = told(dear("a", 300, 3), dear("b", 500, 1))
    assert per_kwh(both) == "500"
    out = both.answered("b", Answer.OPTED_OUT, NOW)
    assert per_kwh(out) == "300"
    assert per_kwh(out.answered("a", Answer.OPTED_OUT, NOW)) is None
    assert per_kwh(both.answered("b", Answer.ACCEPTED, NOW)) == "500"
