"""What the utility says to a household, both ways, and its object's rules."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, StoreError
from openami.dlms import data as d
from openami.dlms.cosem import ActionError
from openami.dlms.cosem.response import (
    ANSWERS,
    LIMIT,
    MAX_ANSWERS,
    PRICE,
    Answer,
    Comparison,
    Event,
    EventKind,
    Given,
    Interval,
    Notice,
    Payload,
    Response,
    Said,
    Standing,
    profile_id,
)
from openami.dlms.cosem.said import MAX_EVENTS, choices_data, choices_of
from openami.dlms.data import decode_data
from openami.dlms.results import ActionResult

REPLACE, ANSWER, FORGET, RECONNECT = 1, 2, 3, 4
NOW = 1_000_000


def interval(number: int = 0, start: int = NOW, **more: Any) -> Interval:
    payloads = (Payload(LIMIT, Decimal("1.50")), Payload(PRICE, Decimal("-0.25")))
    return Interval(number, start, 600, **{"payloads": payloads, **more})


def event(name: str = "e1", **more: Any) -> Event:
    values: dict[str, Any] = {
        "version": 3,
        "program": "summer peak",
        "kind": EventKind.SHED,
        "intervals": (interval(), interval(1, NOW + 600)),
        "priority": 2,
        "optional": True,
        "currency": "KRW",
        "texts": {"en": "Less, please", "ko": "절전"},
    }
    return Event(name, **{**values, **more})


SAID = Said(
    7,
    (event(), event("e2", kind=EventKind.EMERGENCY, optional=False, opted_out=True, texts={})),
    (Notice("n1", NOW, "bill", NOW + 60, {"ko": "청구"}),),
    Comparison(NOW, NOW + 86_400, 12, 8_000, 5_000, 7_500),
)


def parameter(name: str, answer: Answer) -> d.Data:
    return d.structure(d.visible(name), d.enum(ANSWERS.index(answer)))


def made(now: float = NOW, **more: Any) -> Response:
    item = Response(now=lambda: now, **more)
    item.invoke(REPLACE, SAID.data())
    return item


def denied(item: Response, method: int, value: d.Data | None = None) -> ActionResult:
    with pytest.raises(ActionError) as raised:
        item.invoke(method, value)
    return raised.value.result


# -- values --------------------------------------------------------------------------------------


def test_all_that_is_said_goes_both_ways() -> None:
    octets = SAID.data().encode()
    assert Said.of(decode_data(octets)) == SAID
    bare = Said(1, comparison=replace(SAID.comparison or Comparison(0, 0, 0, 0, 0), own_wh=None))
    assert Said.of(decode_data(bare.data().encode())) == bare
    assert Said.of(decode_data(Said().data().encode())) == Said()
    choices = {"e1": Answer.OPTED_OUT}
    assert Said.of_items(*SAID.items(), choices_data(choices)) == replace(SAID, choices=choices)
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Said.of(decode_data(octets[:size]))


@given(st.binary(max_size=60))
def test_whatever_comes_is_said_or_refused(octets: bytes) -> None:
    for of in (Said.of, Event.of, Notice.of, Comparison.of, Interval.of, Standing.of, Given.of):
        try:
            of(decode_data(octets))
        except DecodeError:
            continue


def children(data: d.Data) -> list[d.Data]:
    return list(data.items()) if isinstance(data.value, tuple) else []


def bent(data: d.Data, other: d.Data) -> list[d.Data]:
    """Return a value with each of its parts, at any depth, in turn replaced by another."""
    found = [other]
    for place, child in enumerate(children(data)):
        for one in bent(child, other):
            items = children(data)
            items[place] = one
            found.append(d.Data(data.type, tuple(items)))
    return found


@pytest.mark.parametrize("other", [d.octets(b"\xff"), d.i64(-1), d.array(), d.null(), d.enum(99)])
def test_one_wrong_part_is_a_decode_error_or_still_a_value(other: d.Data) -> None:
    for wrong in bent(SAID.data(), other):
        try:
            assert isinstance(Said.of(wrong), Said)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("214.6", "214.6"), ("1E+3", "1E+3"), ("-0.000000001", "-1E-9")],
)
def test_numbers_keep_their_places(value: str, text: str) -> None:
    there = interval(payloads=(Payload("PRICE", Decimal(value)),))
    back = Interval.of(there.data()).payload(PRICE)
    assert back == Decimal(text)
    assert back is not None
    assert back.as_tuple().exponent == Decimal(value).as_tuple().exponent


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E-10", "1E+10", str(2**63)])
def test_numbers_have_bounds(value: str) -> None:
    with pytest.raises(ValueError, match="value"):
        interval(payloads=(Payload("PRICE", Decimal(value)),))


@pytest.mark.parametrize(
    "bad",
    [
        lambda: event(""),
        lambda: event("e 1"),
        lambda: event("x" * 37),
        lambda: event(version=-1),
        lambda: event(program=""),
        lambda: event(priority=70_000),
        lambda: event(currency="won"),
        lambda: event(texts={"EN": "x"}),
        lambda: event(texts={"en": "x" * 201}),
        lambda: event(texts=dict.fromkeys(("aa", "bb", "cc", "dd", "ee"), "x")),
        lambda: event(intervals=()),
        lambda: event(intervals=(interval(), interval(1, NOW + 599))),
        lambda: event(intervals=tuple(interval(n, NOW + 600 * n) for n in range(49))),
        lambda: interval(-1),
        lambda: interval(start=2**32),
        lambda: Interval(0, NOW, 0),
        lambda: interval(payloads=(Payload("A", Decimal(1)),) * 5),
        lambda: interval(payloads=(Payload("", Decimal(1)),)),
        lambda: Notice("n", -1, "bill", NOW),
        lambda: Notice("n", NOW, "a bill", NOW),
        lambda: Notice("n", NOW, "bill", 2**32),
        lambda: Comparison(0, 0, -1, 0, 0),
        lambda: Comparison(0, 0, 0, 0, 2**64),
        lambda: Said(-1),
        lambda: Said(1, (event(), event())),
        lambda: Said(1, tuple(event(f"e{n}") for n in range(17))),
    ],
)
def test_what_breaks_a_bound_is_not_made(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        bad()


def test_what_would_break_a_bound_is_not_decoded() -> None:
    row = d.structure(d.visible("A"), d.i64(1), d.i8(10))
    wide = d.structure(d.u16(0), d.u32(0), d.u32(1), d.array(row))
    with pytest.raises(DecodeError, match="scaler"):
        Interval.of(wide)
    with pytest.raises(DecodeError, match="at most"):
        dict(choices_of(d.array(*(parameter("e1", Answer.ACCEPTED),) * (MAX_EVENTS + 1))))
    given = Given(1, "e1", Answer.ACCEPTED, NOW).data()
    with pytest.raises(DecodeError, match="at most"):
        Given.list_of(d.array(*(given,) * (MAX_ANSWERS + 1)))


def test_an_event_knows_its_intervals() -> None:
    one = event()
    assert (one.start, one.end) == (NOW, NOW + 1200)
    assert [one.interval(at) for at in (0, NOW, NOW + 599.5, NOW + 600, NOW + 1200)] == [
        one.intervals[0], one.intervals[0], one.intervals[0], one.intervals[1], None,
    ]  # fmt: skip
    assert one.intervals[0].payload("SIMPLE") is None
    assert SAID.event("e2") is SAID.events[1]
    assert SAID.event("e3") is None


def test_profiles_have_ids_of_sixteen_bits_that_are_never_0() -> None:
    found = {profile_id(f"e{n}") for n in range(2000)}
    assert len(found) > 1900
    assert all(1 <= one <= 0xFFFF for one in found)


# -- the object ----------------------------------------------------------------------------------


def test_what_is_said_is_read_back() -> None:
    item = made()
    assert Said.of_items(*(item.read(i) for i in (2, 3, 4, 5, 7))) == SAID  # type: ignore[arg-type]  # Data all of them
    assert item.read(6) == d.array()


def test_only_a_higher_revision_takes_the_place_of_what_was_said() -> None:
    item = made()
    assert denied(item, REPLACE, SAID.data()) is ActionResult.OTHER_REASON
    assert denied(item, REPLACE) is ActionResult.TYPE_UNMATCHED
    item.invoke(REPLACE, Said(8).data())
    assert item.said == Said(8)


def test_more_than_a_memory_holds_is_refused() -> None:
    payloads = tuple(Payload("X" * 64, Decimal(n)) for n in range(4))
    rows = tuple(interval(n, NOW + 600 * n, payloads=payloads) for n in range(48))
    item = Response()
    long = Said(1, (event(intervals=rows), event("e2", intervals=rows)))
    assert denied(item, REPLACE, long.data()) is ActionResult.OTHER_REASON


def test_an_answer_waits_until_it_is_forgotten_and_the_choice_stays() -> None:
    item = made()
    item.invoke(ANSWER, parameter("e1", Answer.ACKNOWLEDGED))
    item.invoke(ANSWER, parameter("e1", Answer.OPTED_OUT))
    item.invoke(ANSWER, parameter("e1", Answer.OPTED_OUT))
    item.invoke(ANSWER, parameter("e1", Answer.ACKNOWLEDGED))
    waiting = Given.list_of(item.read(6))  # type: ignore[arg-type]  # Data
    assert [(one.number, one.answer, one.at) for one in waiting] == [
        (1, Answer.ACKNOWLEDGED, NOW), (2, Answer.OPTED_OUT, NOW),
    ]  # fmt: skip
    assert item.standing.opted_out() == {"e1"}, "e2 is not optional, whoever opted out of it"
    item.invoke(FORGET, d.u32(1))
    assert [one.number for one in item.standing.answers] == [2]
    item.invoke(FORGET, d.u32(9))
    assert not item.standing.answers
    item.invoke(ANSWER, parameter("e1", Answer.ACCEPTED))
    assert item.standing.answers[0].number == 3
    assert item.said.choices["e1"] is Answer.ACCEPTED


def test_who_must_take_part_cannot_opt_out() -> None:
    item = made()
    assert denied(item, ANSWER, parameter("e2", Answer.OPTED_OUT)) is ActionResult.READ_WRITE_DENIED
    assert denied(item, ANSWER, parameter("e3", Answer.ACCEPTED)) is ActionResult.OBJECT_UNAVAILABLE
    assert denied(item, ANSWER, d.structure(d.visible("e1"), d.enum(3))) is (
        ActionResult.TYPE_UNMATCHED
    )
    late = made(NOW + 1200)
    assert denied(late, ANSWER, parameter("e1", Answer.ACCEPTED)) is ActionResult.OTHER_REASON
    late.invoke(ANSWER, parameter("e1", Answer.ACKNOWLEDGED))


def test_what_was_chosen_elsewhere_counts_from_when_it_is_heard() -> None:
    item = made()
    item.invoke(ANSWER, parameter("e1", Answer.ACCEPTED))
    item.invoke(REPLACE, Said(8, (event(opted_out=True), event("e3"))).data())
    assert item.said.choices == {"e1": Answer.OPTED_OUT}
    item.invoke(REPLACE, Said(9, (event(opted_out=True, version=4),)).data())
    assert item.said.choices == {"e1": Answer.OPTED_OUT}
    item.invoke(ANSWER, parameter("e1", Answer.ACCEPTED))
    item.invoke(REPLACE, Said(10, (event(opted_out=True, version=5),)).data())
    assert item.said.choices == {"e1": Answer.ACCEPTED}, "its own choice is later"
    item.invoke(REPLACE, Said(11, (event(),)).data())
    assert item.said.choices == {"e1": Answer.ACCEPTED}
    item.invoke(ANSWER, parameter("e1", Answer.OPTED_OUT))
    item.invoke(REPLACE, Said(12, (event(optional=False),)).data())
    assert item.standing.opted_out() == frozenset()
    item.invoke(REPLACE, Said(13).data())
    assert item.said.choices == {}


def test_answers_that_a_later_one_has_overtaken_make_room() -> None:
    item = made()
    for turn in range(MAX_ANSWERS + 10):
        choice = Answer.OPTED_OUT if turn % 2 else Answer.ACCEPTED
        item.invoke(ANSWER, parameter("e1", choice))
    assert len(item.standing.answers) <= MAX_ANSWERS
    assert item.standing.answers[-1].number == MAX_ANSWERS + 10


def test_where_there_is_no_room_an_answer_is_refused() -> None:
    waiting = tuple(Given(n, f"x{n}", Answer.ACCEPTED, NOW) for n in range(1, MAX_ANSWERS + 1))
    full = Standing(SAID, waiting, MAX_ANSWERS)
    item = Response(standing=full)
    assert denied(item, ANSWER, parameter("e1", Answer.OPTED_OUT)) is (
        ActionResult.TEMPORARY_FAILURE
    )
    assert item.standing == full
    assert Standing.of(decode_data(full.data().encode())) == full


def test_what_cannot_be_kept_does_not_count() -> None:
    def fail(_: Standing) -> None:
        raise StoreError("no room")

    item = Response(standing=Standing(SAID), keep=fail)
    with pytest.raises(StoreError):
        item.invoke(ANSWER, parameter("e1", Answer.OPTED_OUT))
    assert item.standing == Standing(SAID)
    item.invoke(FORGET, d.u32(4))  # nothing changes, nothing is kept


def test_reconnecting_is_done_where_the_supply_is_ready() -> None:
    assert denied(Response(), RECONNECT) is ActionResult.OTHER_REASON
    Response(reconnect=lambda: True).invoke(RECONNECT)
