"""What a DCU makes of events without a line: which limit holds, what is due, what is kept."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_demand import event, notice, supply

from openami.core.clock import ScaledClock
from openami.core.errors import DecodeError
from openami.dcu.demand.desk import AGAIN_S, ANSWERS_S, LOOK_S, NEAR_S, Errand, Pace, errand_of
from openami.dcu.demand.displays import LONGEST_S
from openami.dcu.demand.orders import NOTHING, Wanted, meter_orders
from openami.dcu.demand.plan import LimitSpan, limit_span
from openami.dcu.demand.saying import held_of, message_of
from openami.dcu.demand.state import FRESH, Denied, Limited, MeterState, Switched
from openami.dlms.cosem.response import LIMIT, Event, EventKind, Interval, Payload
from openami.store.demand import Changes, Demand

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000_000


def limited(name: str, start: int, *kilowatts: str | None, **more: Any) -> Event:
    """Return an event of quarters of an hour with a limit each."""
    intervals = tuple(
        Interval(
            n, NOW + start + 900 * n, 900, (Payload(LIMIT, Decimal(kw)),) if kw is not None else ()
        )
        for n, kw in enumerate(kilowatts)
    )
    values = {"kind": EventKind.SHED, "optional": True, **more}
    return Event(name, 1, "peak", intervals=intervals, **values)


def span(name: str, watts: int, start: int, end: int, *, urgent: bool = False) -> LimitSpan:
    return LimitSpan(name, 1, watts, NOW + start, NOW + end, urgent)


@pytest.mark.parametrize(
    ("events", "now", "wanted"),
    [
        ([], 0, None),
        ([limited("a", 0, None)], 0, None),
        ([limited("a", 60, "1.5")], 0, span("a", 1500, 60, 960)),
        ([limited("a", 60, "1.5")], 960, None),
        ([limited("a", 0, "1", "1", "2")], 0, span("a", 1000, 0, 1800)),
        ([limited("a", 0, "1", "1", "2")], 1000, span("a", 1000, 900, 1800)),
        ([limited("a", 0, "1", None, "1")], 0, span("a", 1000, 0, 900)),
        ([limited("a", 0, "0.0009")], 0, span("a", 0, 0, 900)),
        ([limited("a", 0, "-1")], 0, span("a", 0, 0, 900)),
        ([limited("a", 0, "3", "3"), limited("b", 900, "1")], 0, span("a", 3000, 0, 1800)),
        (
            [limited("a", 0, "3", "3", priority=1), limited("b", 450, "1")],
            0,
            span("a", 3000, 0, 450),
        ),
        (
            [limited("a", 0, "3", "3", priority=1), limited("b", 450, "1")],
            450,
            span("b", 1000, 450, 1350),
        ),
        (
            [limited("a", 0, "3"), limited("b", 0, "5", kind=EventKind.EMERGENCY, optional=False)],
            0,
            span("b", 5000, 0, 900, urgent=True),
        ),
        ([limited("a", 0, "3", opted_out=True)], 0, None),
        ([limited("a", 0, "3", opted_out=True, optional=False)], 0, span("a", 3000, 0, 900)),
        ([limited("out", 0, "3"), limited("z", 900, "2")], 0, span("z", 2000, 900, 1800)),
        ([limited("no", 0, "3"), limited("z", 900, "2")], 0, span("z", 2000, 900, 1800)),
    ],
)
def test_one_limit_holds_at_a_time(events: list[Event], now: int, wanted: LimitSpan | None) -> None:
    found = limit_span(events, NOW + now, opted_out={"out"}, refused=lambda s: s.event == "no")
    assert found == wanted


# -- what is due ---------------------------------------------------------------------------------


def orders(**body: Any) -> Any:
    found = meter_orders({"events": [], "notices": [], **body})
    assert not found.bad
    return found


def done(body: Any, **changes: Any) -> MeterState:
    """Return the state of a meter to which all was said."""
    return FRESH.but(**{"revision": 1, "held": held_of(body), "talked": float(NOW), **changes})


def limit(start: int, end: int, **changes: Any) -> Limited:
    values = {"event": "e1", "version": 1, "watts": 1000, "written": True, **changes}
    return Limited(start=NOW + start, end=NOW + end, **values)


def test_nothing_wanted_is_nothing_to_do() -> None:
    assert errand_of(NOTHING, FRESH, NOW) is None
    assert errand_of(NOTHING, done(orders(notices=[notice("n", NOW - 86_400)])), NOW) is None


def test_an_emergency_and_an_order_are_urgent_and_words_are_not() -> None:
    emergency = orders(events=[event("e1", NOW + 600)])
    assert errand_of(emergency, FRESH, NOW) == Errand(NOW, urgent=True)
    assert errand_of(orders(notices=[notice("n", NOW)]), FRESH, NOW) == Errand(NOW, urgent=False)
    shed = orders(events=[event("e1", NOW + 600, kind="shed")])
    assert errand_of(shed, FRESH, NOW) == Errand(NOW, urgent=False)
    order = orders(supply=supply("o1", "connected", NOW + 60))
    assert errand_of(order, FRESH, NOW) == Errand(NOW, urgent=True)
    assert errand_of(order, done(order, supply=Switched(order="o1", done=True)), NOW) is None


def test_displays_that_a_meter_does_not_forget_are_tried_ever_less_often() -> None:
    body = orders(forget={"order": "f1"})
    assert errand_of(body, FRESH, NOW) == Errand(NOW, urgent=False)
    denied = FRESH.but(denied=Denied(order="f1", tries=3, again=NOW + 240.0))
    assert errand_of(body, denied, NOW) == Errand(NOW + 240, urgent=False)
    assert errand_of(body, denied, NOW - 9e6) == Errand(NOW - 9e6 + LONGEST_S, urgent=False)
    another = orders(forget={"order": "f2"})
    assert errand_of(another, denied, NOW) == Errand(NOW, urgent=False), "of who moved out next"
    assert errand_of(body, FRESH.but(forgotten="f1"), NOW) is None


def test_a_limit_is_looked_at_when_it_begins_and_when_it_ends() -> None:
    body = orders(events=[event("e1", NOW + 600)])
    state = done(body, limit=limit(600, 4200))
    assert errand_of(body, state, NOW) == Errand(NOW + 600 + LOOK_S, urgent=False)
    looked = state.but(limit=limit(600, 4200, looked=NOW + 612.0))
    assert errand_of(body, looked, NOW + 612) == Errand(NOW + 612 + AGAIN_S, urgent=False)
    active = state.but(limit=limit(600, 4200, active=True, looked=NOW + 612.0))
    assert errand_of(body, active, NOW + 700) == Errand(NOW + 4200 + LOOK_S, urgent=False)
    assert errand_of(NOTHING, active, NOW + 700) == Errand(NOW + 700, urgent=True), "cancelled"
    assert errand_of(NOTHING, active, NOW + 4200) == Errand(NOW + 4200 + LOOK_S, urgent=False)
    unsure = state.but(limit=limit(600, 4200, written=False))
    assert errand_of(body, unsure, NOW) == Errand(NOW, urgent=True)


def test_answers_are_fetched_while_a_household_may_opt_out() -> None:
    body = orders(events=[event("e1", NOW + 600, kind="price", limit=None)])
    assert errand_of(body, done(body), NOW) == Errand(NOW + ANSWERS_S, urgent=False)
    assert errand_of(body, done(body), NOW + 4200) is None
    ahead = orders(events=[event("e1", NOW + 86_400, kind="price", limit=None)])
    near = Errand(NOW + 86_400 - NEAR_S, urgent=False)
    assert errand_of(ahead, done(ahead), NOW) == near
    back = done(body, talked=NOW + 9e6)
    assert errand_of(body, back, NOW) == Errand(NOW + ANSWERS_S, urgent=False), "set back"
    fast = Pace.of(ScaledClock(lambda: 0.0, start=NOW, factor=600.0))
    assert fast == Pace(again=1200.0, answers=3000.0)


def test_the_message_of_another_makers_meter_is_of_what_comes_first() -> None:
    body = orders(
        events=[event("e1", NOW + 600), event("e2", NOW + 9000, texts={}, kind="price")],
        notices=[notice("n", NOW, texts={"ko": "가" * 100})],
    )
    assert message_of(body, NOW) == "Use less, please."
    assert message_of(body, NOW + 4200) == "summer: price"
    assert message_of(body, NOW + 12_600) == "가" * 53, "160 octets, and no half letter"
    assert message_of(body, NOW + 90_000) == ""
    plain = done(body, plain="fw", message="Use less, please.", limit=limit(600, 4200, active=True))
    assert errand_of(body, plain, NOW + 700) == Errand(NOW + 4200, urgent=False)


# -- what comes, and what is kept ----------------------------------------------------------------


def test_what_a_meter_has_no_room_for_is_left_out_and_named() -> None:
    many = [event(f"e{n}", NOW + 9000 - n, *(300.0,) * 4) for n in range(20)]
    found = meter_orders({"events": many, "notices": [notice(f"n{n}", NOW) for n in range(300)]})
    assert [one.id for one in found.events][:2] == ["e19", "e18"]
    assert len(found.events) == 16
    assert {name for name, _ in found.bad} == {"e0", "e1", "e2", "e3"}
    assert len(found.notices) <= 16
    long = [event(f"e{n}", NOW, *(300.0,) * 48) for n in range(10)]
    fewer = meter_orders({"events": long, "notices": [notice("n", NOW)]})
    assert 0 < len(fewer.events) < 10
    assert fewer.notices == ()
    assert len(fewer.bad) == 10 - len(fewer.events)


@pytest.mark.parametrize(
    "body",
    [
        {"events": 5, "notices": None},
        {"events": [5, None, [], {"id": 7}]},
        {"comparison": 5, "supply": []},
        {"supply": {"order": "o", "wanted": "dark"}},
        {"notices": [{"id": "x" * 99, "at": "noon", "kind": "bill", "until": "late"}]},
    ],
)
def test_nonsense_costs_only_itself(body: dict[str, Any]) -> None:
    found = meter_orders({**body, "events": [*_list(body), event("e1", NOW)]})
    assert [one.id for one in found.events] == ["e1"]
    assert all(name is None or len(name) <= 36 for name, _ in found.bad)


def _list(body: dict[str, Any]) -> list[Any]:
    listed = body.get("events")
    return listed if isinstance(listed, list) else []


def test_an_order_says_what_until_when() -> None:
    found = meter_orders({"supply": supply("o1", "ready", NOW)}).supply
    assert found is not None
    assert (found.order, found.wanted, found.until) == ("o1", Wanted.READY, float(NOW))


def test_a_state_is_read_as_it_was_written() -> None:
    state = done(orders(events=[event("e1", NOW)]), limit=limit(0, 60), plain="")
    assert MeterState.decode(state.encode()) == state
    with pytest.raises(DecodeError):
        MeterState.decode(b"{")


def test_reports_are_numbered_on_over_restarts_and_above_what_others_know(tmp_path: Path) -> None:
    store = Demand(tmp_path / "demand.sqlite", number=100)
    assert store.revision() is None
    store.want(7, {"m1": b"x"})
    store.keep(Changes({"m1": b"s"}, [b"a", b"b"]))
    store.close()
    store = Demand(tmp_path / "demand.sqlite", number=900)
    assert (store.revision(), store.wanted(), store.meters()) == (7, {"m1": b"x"}, {"m1": b"s"})
    assert store.reports(9) == [(101, b"a"), (102, b"b")]
    assert store.reports(1) == [(101, b"a")]
    store.told(101)
    store.number_above(50)
    assert store.reports(9) == [(102, b"b")]
    store.number_above(1000)
    store.keep(Changes({"m1": None}, [b"c"]))
    assert store.reports(9) == [(1001, b"b"), (1002, b"c")]
    assert store.meters() == {}
    store.want(8, {})
    assert (store.revision(), store.wanted(), store.number()) == (8, {}, 1002)
    store.close()
