"""The life of events and orders, and what becomes of events at meters."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.demand import START, event

from openami.core.errors import ConflictError
from openami.fleet.demand.machine import LIVE, OVER, TRANSITIONS, Act, EventState, due, moved
from openami.fleet.demand.standing import Answer, News, Standing, What
from openami.fleet.demand.supply import OrderState, SupplyOrder, Wanted

ORDER = SupplyOrder("o1", "M1", Wanted.CONNECTED, "ann", "moved in", 5.0, 100.0)


@given(st.sampled_from(EventState), st.sampled_from(Act))
def test_an_event_moves_by_its_table_alone(state: EventState, act: Act) -> None:
    if (state, act) in TRANSITIONS:
        assert state not in OVER
        assert moved(state, act) is TRANSITIONS[state, act]
    else:
        with pytest.raises(ConflictError) as caught:
            moved(state, act)
        assert caught.value.code == "demand.transition"


def test_every_live_event_can_be_cancelled_and_ends_with_time() -> None:
    for state in LIVE:
        assert moved(state, Act.CANCEL) is EventState.CANCELLED
        assert moved(state, Act.COMPLETE) is EventState.COMPLETED


@pytest.mark.parametrize(
    ("state", "now", "act"),
    [
        (EventState.DRAFT, START + 9000, None), (EventState.SCHEDULED, START - 1, None),
        (EventState.SCHEDULED, START, Act.BEGIN), (EventState.ACTIVE, START + 3629, None),
        (EventState.ACTIVE, START + 3630, Act.COMPLETE),
        (EventState.SCHEDULED, START + 9000, Act.COMPLETE),
        (EventState.CANCELLED, START + 9000, None),
    ],
)  # fmt: skip
def test_time_begins_and_completes(state: EventState, now: int, act: Act | None) -> None:
    assert due(event(random_s=30), state, now) is act


NEWS = (
    News(What.DELIVERED, 10.0),
    News(What.LIMITED, 20.0),
    News(What.OPTED_OUT, 30.0),
    News(What.ACCEPTED, 35.0, who="kim"),
    News(What.RESTORED, 40.0),
)


def told(*news: News) -> Standing:
    standing = Standing()
    for one in news:
        standing = standing.after(one)
    return standing


def test_news_are_the_same_in_any_order_and_however_often() -> None:
    last = told(*NEWS)
    assert (last.answer, last.answered, last.who) == (Answer.ACCEPTED, 35.0, "kim")
    assert (last.delivered, last.limited, last.restored, last.acknowledged) == (10, 20, 40, 30)
    assert all(told(*order) == last for order in permutations(NEWS))
    for one in NEWS:
        assert last.after(one) is last
    assert last.after(News(What.SUPPLY, 50.0)) is last


def test_to_have_seen_it_is_no_answer_to_what_was_answered() -> None:
    seen = told(News(What.ACKNOWLEDGED, 5.0))
    assert (seen.answer, seen.acknowledged) == (Answer.ACKNOWLEDGED, 5.0)
    out = seen.after(News(What.OPTED_OUT, 4.0))
    assert (out.answer, out.acknowledged, out.opted_out) == (Answer.OPTED_OUT, 4.0, True)
    assert out.after(News(What.ACKNOWLEDGED, 9.0)) is out
    again = out.after(News(What.ACKNOWLEDGED, 3.0))
    assert (again.answer, again.acknowledged) == (Answer.OPTED_OUT, 3.0)
    assert not again.after(News(What.ACCEPTED, 9.0)).opted_out
    assert out.after(News(What.OPTED_OUT, 9.0)) is out
    # Whoever moves in and says the same has said it themselves.
    other = out.after(News(What.OPTED_OUT, 9.0, who="lee"))
    assert (other.answered, other.who, other.opted_out) == (9.0, "lee", True)


def test_of_answers_the_last_one_given_holds_however_near_they_are() -> None:
    accepted, declined = News(What.ACCEPTED, 10.0), News(What.OPTED_OUT, 9.9)
    for order in ((accepted, declined), (declined, accepted)):
        standing = Standing()
        for news in order:
            standing = standing.after(news)
        assert (standing.answer, standing.answered) == (Answer.ACCEPTED, 10.0)
        assert standing.acknowledged == 9.9


def test_what_was_refused_may_be_delivered_later_and_not_the_reverse() -> None:
    refused = told(News(What.REFUSED, 5.0, "response.full", "no room"))
    assert (refused.code, refused.reason) == ("response.full", "no room")
    assert refused.after(News(What.REFUSED, 4.0, "older")) is refused
    assert refused.after(News(What.REFUSED, 6.0, "newer")).code == "newer"
    delivered = refused.after(News(What.DELIVERED, 7.0))
    assert (delivered.refused, delivered.code, delivered.reason) == (None, None, "")
    assert delivered.after(News(What.REFUSED, 8.0, "late")) is delivered


def test_an_order_is_done_or_failed_by_what_was_found() -> None:
    assert ORDER.reported("connected", "", 9.0).state is OrderState.DONE
    failed = ORDER.reported("ready", "wants its button", 9.0)
    assert (failed.state, failed.found, failed.ended) == (OrderState.FAILED, "ready", 9.0)
    assert ORDER.reported(None, "no answer", 9.0).state is OrderState.FAILED
    assert failed.reported("connected", "", 10.0) is failed
    assert ORDER.expired(99.0) is ORDER
    gone = ORDER.expired(100.0)
    assert (gone.state, gone.ended) == (OrderState.EXPIRED, 100.0)
    assert gone.expired(200.0) is gone
