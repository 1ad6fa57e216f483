"""Programs, events and notices within their bounds, and as they are kept."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.demand import LEVEL, LIMIT, PRICE, PROGRAM, START, event

from openami.fleet.demand.codec import (
    event_json,
    notice_json,
    program_json,
    read_event,
    read_notice,
    read_program,
    told_event,
    told_notice,
)
from openami.fleet.demand.model import (
    MAX_INTERVALS,
    MAX_RANDOM_S,
    MAX_SPAN_S,
    MAX_TARGETS,
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    PayloadType,
    Target,
    TargetKind,
    put_off,
)

NOTICE = Notice("n1", "bill", START, START + 60, {"en": "Ready"})
METERS = Target(TargetKind.METER, frozenset({"M1"}))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (PayloadType.SIMPLE, "4"), (PayloadType.SIMPLE, "-1"), (PayloadType.SIMPLE, "1.5"),
        (PayloadType.PRICE, "NaN"), (PayloadType.PRICE, "1e7"), (PayloadType.PRICE, "0.0000001"),
        (PayloadType.IMPORT_CAPACITY_LIMIT, "-0.1"),
        (PayloadType.IMPORT_CAPACITY_LIMIT, "1000.1"),
    ],
)  # fmt: skip
def test_values_have_bounds(type_: PayloadType, value: str) -> None:
    with pytest.raises(ValueError, match=r"SIMPLE|PRICE|LIMIT"):
        Payload(type_, Decimal(value))


def following(count: int, length: int = 60) -> tuple[Interval, ...]:
    return tuple(Interval(n, START + n * length, length, (LEVEL,)) for n in range(count))


GAP = (Interval(0, START, 60, (LEVEL,)), Interval(1, START + 61, 60, (LEVEL,)))
TWINS = (Interval(0, START, 60, (LEVEL,)), Interval(0, START + 60, 60, (LEVEL,)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": -1}, {"priority": 256}, {"random_s": MAX_RANDOM_S + 1}, {"currency": "won"},
        {"texts": {"fr": "moins"}}, {"texts": {"en": "x" * 201}}, {"texts": {"en": "a\nb"}},
        {"intervals": ()}, {"intervals": following(MAX_INTERVALS + 1)}, {"intervals": GAP},
        {"intervals": TWINS}, {"intervals": following(2, MAX_SPAN_S // 2 + 1)},
        {"targets": (METERS, METERS)}, {"kind": EventKind.PRICE}, {"name": "x" * 65}, {"id": ""},
    ],
)  # fmt: skip
def test_events_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        replace(event(), **wrong)


def test_the_rest_has_bounds() -> None:
    many = Target(TargetKind.METER, frozenset(map(str, range(MAX_TARGETS + 1))))
    for make in (
        lambda: Interval(0, START, 59, (LEVEL,)),
        lambda: Interval(0, START, 60, ()),
        lambda: Interval(0, START, 60, (LEVEL, LEVEL)),
        lambda: Target(TargetKind.METER, frozenset()),
        lambda: Target(TargetKind.METER, frozenset({""})),
        lambda: replace(event(), targets=(many,)),
        lambda: replace(PROGRAM, name=""),
        lambda: replace(PROGRAM, description="x" * 201),
        lambda: replace(PROGRAM, payloads=frozenset()),
        lambda: replace(NOTICE, kind="advert"),
        lambda: replace(NOTICE, until=START),
        lambda: replace(NOTICE, until=START + 93 * 86_400),
        lambda: replace(NOTICE, texts={}),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            make()


def test_an_event_knows_its_ends_and_what_it_limits() -> None:
    one = event(random_s=60)
    assert (one.start, one.end, one.over) == (START, START + 3600, START + 3660)
    assert not one.limits
    assert event(kind=EventKind.EMERGENCY).limits
    assert one.intervals[0].value(PayloadType.SIMPLE) == 2
    assert one.intervals[0].value(PayloadType.PRICE) is None
    assert event().for_meter("M1") == event()


SERIALS = st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True)


@given(SERIALS, st.integers(0, MAX_RANDOM_S))
def test_a_start_is_put_off_within_bounds_and_the_same_each_time(serial: str, most: int) -> None:
    delay = put_off("e1", serial, most)
    assert 0 <= delay <= most
    assert put_off("e1", serial, most) == delay
    moved = event(random_s=most).for_meter(serial)
    assert [each.start for each in moved.intervals] == [START + delay, START + 1800 + delay]
    assert moved.end <= event(random_s=most).over


def test_starts_are_spread_and_nobody_is_always_the_last() -> None:
    delays = [put_off("e1", f"M{n}", 599) for n in range(6000)]
    quarters = [sum(low <= delay < low + 150 for delay in delays) for low in range(0, 600, 150)]
    assert all(1300 < count < 1700 for count in quarters)
    assert put_off("e2", "M1", 599) != put_off("e1", "M1", 599)


def test_what_is_kept_comes_back() -> None:
    some = replace(
        event(random_s=30, priority=3, optional=False),
        intervals=(Interval(4, START, 900, (LEVEL, LIMIT)), Interval(2, START + 900, 60, (PRICE, LEVEL))),
        targets=(METERS, Target(TargetKind.REGION, frozenset({"Seoul", "Busan"}))),
        version=3,
    )  # fmt: skip
    assert read_event(some.id, 3, event_json(some)) == some
    program = replace(PROGRAM, created=4.0, binding=True, targets=(METERS,))
    assert read_program("p1", "summer", 4.0, program_json(program)) == program
    notice = replace(NOTICE, targets=(METERS,))
    assert read_notice("n1", "bill", START, START + 60, notice_json(notice)) == notice


def test_a_dcu_is_told_what_the_contract_says() -> None:
    one = event(kind=EventKind.EMERGENCY)
    told = told_event(one, "safety", opted_out=True)
    assert told["program"] == "safety"
    assert told["opted_out"]
    assert "targets" not in told
    assert told["intervals"][1] == {
        "id": 1, "start": "2026-05-30T00:43:20Z", "duration_s": 1800,
        "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "value": "2.5"}],
    }  # fmt: skip
    assert told_notice(NOTICE) == {
        "id": "n1", "at": "2026-05-30T00:13:20Z", "kind": "bill",
        "until": "2026-05-30T00:14:20Z", "texts": {"en": "Ready"},
    }  # fmt: skip
    assert isinstance(one, Event)
