"""Who is given a step next: budgets, rests, leases, restarts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fleet.campaigns.builders import campaign, sites

from openami.fleet.campaigns.allowance import Allowance, Full
from openami.fleet.campaigns.dispatch import LINK_REST_S, Grant, Place, Queue
from openami.fleet.campaigns.model import Budget, Group, Retry
from openami.fleet.campaigns.plan import extended, make_plan

RETRY = Retry(attempts=2, first_s=10, most_s=40, lease_s=100, longest_s=250)
WHAT = campaign(groups=(Group("all"),), dynamic=True)


def queue(
    count: int = 8,
    allowance: Allowance | None = None,
    *,
    jitter_s: float = 0.0,
    carries: bool = True,
    opened: bool = True,
    **budget: Any,
) -> Queue:
    where = sites(count)
    made = Queue(
        where,
        make_plan(WHAT, where),
        allowance or Allowance(),
        budget=Budget(**budget),
        retry=RETRY,
        jitter_s=jitter_s,
        carries=carries,
    )
    if opened:
        made.open(make_plan(WHAT, where).order.tolist())
    return made


def rows(grants: list[Grant]) -> list[int]:
    return [grant.row for grant in grants]


def test_everybody_is_given_the_step_once_in_order() -> None:
    one = queue()
    order = make_plan(WHAT, sites(8)).order.tolist()
    grants = one.give(5.0, most=5) + one.give(5.0, most=5)
    assert rows(grants) == order
    assert {grant.attempt for grant in grants} == {1}
    assert {grant.until for grant in grants} == {105.0}
    assert one.give(5.0, most=5) == []
    one.open(order, again=True)  # nobody waits twice
    assert one.give(5.0, most=5) == []


@pytest.mark.parametrize(
    ("budget", "most", "full"),
    [
        ({}, 8, None),
        ({"jobs": 3}, 3, Full.HEAD_END),
        ({"rate": 3500}, 3, Full.HEAD_END),
        ({"segment_jobs": 2}, 4, Full.SEGMENT),
        ({"segment_rate": 1999}, 2, Full.SEGMENT),
        ({"rate": 300}, 1, Full.HEAD_END),
        ({"link_rate": 500, "rate": 3500}, 7, Full.HEAD_END),
    ],
)
def test_no_more_is_given_than_the_budgets_allow(
    budget: dict[str, Any], most: int, full: Full | None
) -> None:
    allowance = Allowance()
    one = queue(allowance=allowance, **budget)
    grants = one.give(0.0, most=100)
    assert len(grants) == most
    assert allowance.total.jobs == most
    assert allowance.total.rate == sum(grant.rate for grant in grants)
    waiting = next((row for row in range(8) if one.place(row) is Place.QUEUED), None)
    assert (waiting is None) is (full is None)
    if waiting is not None:
        assert one.is_full(waiting) is (full is Full.SEGMENT)
    # As one ends, one more begins: in the same segment, if that was full.
    ended = grants[0].row
    assert one.settle(ended)
    more = one.give(1.0, most=100)
    assert len(more) == (0 if full is None else 1)
    if full is Full.SEGMENT:
        assert one.segment(more[0].row) == one.segment(ended)


def test_who_comes_to_a_full_segment_waits_there() -> None:
    one = queue(6, segment_jobs=1)
    first, _ = one.give(0.0, most=9)
    one.fail(first.row, 1, "transport.tls", 1.0)
    (second,) = one.give(1.0, most=9)
    assert one.segment(second.row) == one.segment(first.row)
    assert one.give(50.0, most=9) == []
    assert one.place(first.row) is Place.QUEUED
    assert one.is_full(first.row)


def test_a_full_segment_holds_up_no_other() -> None:
    one = queue(segment_jobs=1)
    first, second = one.give(0.0, most=9)
    one.settle(second.row)
    (third,) = one.give(1.0, most=9)
    assert one.segment(third.row) == one.segment(second.row) != one.segment(first.row)


def test_a_failed_attempt_rests_longer_each_time_and_is_given_up() -> None:
    one = queue(1)
    (grant,) = one.give(0.0, most=1)
    assert not one.fail(0, grant.attempt + 1, "transport.tls", 5.0)
    assert one.fail(0, grant.attempt, "transport.tls", 5.0)
    assert not one.fail(0, grant.attempt, "transport.tls", 5.0)
    assert one.place(0) is Place.RESTING
    due = one.next_timer()
    assert due is not None
    assert 15.0 <= due <= 25.0
    assert one.give(due - 0.1, most=1) == []
    (again,) = one.give(due, most=1)
    assert again.attempt == 2
    assert one.fail(0, 2, "transport.full", due)
    assert one.place(0) is Place.SPENT
    assert one.code(0) == "transport.full"
    assert one.give(1e9, most=1) == []
    one.open([0], again=True)
    assert one.place(0) is Place.SPENT
    assert one.settle(0)  # it has done it after all
    assert not one.settle(0)
    assert one.code(0) is None


def test_who_is_silent_is_tried_again_for_ever() -> None:
    allowance = Allowance()
    one = queue(1, allowance)
    now, gaps = 0.0, []
    for attempt in range(1, 6):
        (grant,) = one.give(now, most=1)
        assert grant.attempt == attempt
        assert one.give(grant.until - 1, most=1) == []
        assert allowance.total.jobs == 1
        assert one.give(grant.until, most=1) == []
        assert (allowance.total.jobs, allowance.links) == (0, {})
        due = one.next_timer()
        assert due is not None
        gaps.append(due - grant.until)
        now = due
    for gap, least in zip(gaps, (10, 20, 40, 40, 40), strict=True):
        assert least <= gap <= 2 * least


def test_a_word_renews_the_lease_but_not_for_ever() -> None:
    one = queue(1)
    one.give(0.0, most=1)
    for now in (90.0, 180.0, 249.0):
        one.heard(0, now)
        assert one.give(now, most=1) == []
        assert one.place(0) is Place.GIVEN
    one.give(250.0, most=1)
    assert one.place(0) is Place.RESTING
    one.heard(0, 251.0)
    assert one.place(0) is Place.RESTING


def test_a_lease_of_what_is_done_means_nothing() -> None:
    one = queue(1)
    (grant,) = one.give(0.0, most=1)
    one.settle(0)
    assert one.give(grant.until, most=1) == []
    assert one.place(0) is Place.DONE
    assert one.next_timer() is None


def test_who_settles_while_it_waits_is_passed_over() -> None:
    one = queue(2, segment_jobs=1)
    order = make_plan(WHAT, sites(2)).order.tolist()
    assert one.settle(order[0])
    assert rows(one.give(0.0, most=9)) == order[1:]
    lone = queue(1)
    lone.settle(0)
    assert lone.give(0.0, most=1) == []
    lone.open([0], again=True)
    assert [grant.attempt for grant in lone.give(0.0, most=9)] == [1]


def test_a_dcu_has_one_download_of_all_campaigns() -> None:
    allowance = Allowance()
    one, other = queue(1, allowance), queue(1, allowance)
    assert len(one.give(0.0, most=1)) == 1
    assert other.give(0.0, most=1) == []
    assert other.place(0) is Place.RESTING
    one.settle(0)
    assert len(other.give(LINK_REST_S, most=1)) == 1


def test_room_that_another_campaign_frees_is_used() -> None:
    allowance = Allowance()
    one = queue(2, allowance, segment_jobs=1)
    where = sites(2, dcu=[1, 2])
    other = Queue(
        where,
        make_plan(WHAT, where),
        allowance,
        budget=Budget(segment_jobs=1),
        retry=RETRY,
        jitter_s=0.0,
        carries=True,
    )
    other.open([0, 1])
    assert len(one.give(0.0, most=9)) == 2
    assert other.give(0.0, most=9) == []
    one.settle(1)
    assert rows(other.give(1.0, most=9)) == [1]


def test_what_is_given_begins_within_the_jitter() -> None:
    begins = [grant.begin for grant in queue(200, jitter_s=60.0).give(100.0, most=200)]
    assert all(100.0 <= begin < 160.0 for begin in begins)
    assert len({round(begin) for begin in begins}) > 40
    again = [grant.begin for grant in queue(200, jitter_s=60.0).give(100.0, most=200)]
    assert again == begins


def test_a_step_that_carries_nothing_takes_no_rate() -> None:
    grants = queue(carries=False, jobs=3).give(0.0, most=9)
    assert [grant.rate for grant in grants] == [0, 0, 0]


def test_everything_is_taken_back() -> None:
    allowance = Allowance()
    one = queue(allowance=allowance, jobs=4)
    grants = one.give(0.0, most=9)
    one.fail(grants[0].row, 1, "transport.tls", 1.0)
    one.settle(grants[1].row)
    one.recall()
    places = {one.place(row) for row in range(8)}
    assert places == {Place.IDLE, Place.DONE}
    assert (allowance.total.jobs, allowance.total.rate, allowance.links) == (0, 0, {})
    assert one.give(1e6, most=9) == []
    assert one.next_timer() is None
    allowance.retake(1, 7, 1)
    allowance.give_back(1)
    assert 7 not in one._freed  # nothing is kept for who is through
    assert not one.fail(grants[2].row, 1, "transport.tls", 2.0)


def test_after_a_restart_it_goes_on() -> None:
    one = queue(jobs=4)
    grants = one.give(0.0, most=9)
    one.fail(grants[0].row, 1, "transport.tls", 1.0)
    one.settle(grants[1].row)
    one.fail(grants[2].row, 1, "transport.tls", 1.0)
    (again,) = one.give(50.0, most=1)[:1]
    one.fail(again.row, again.attempt, "transport.full", 51.0)
    kept = [one.saved(row) for row in range(8)]
    allowance = Allowance()
    other = queue(allowance=allowance, opened=False, jobs=4)
    for position in kept:
        other.restore(position)
    assert [other.saved(row) for row in range(8)] == kept
    given = [p for p in kept if p.place is Place.GIVEN]
    assert allowance.total.jobs == len(given)
    assert other.give(51.0, most=9) == one.give(51.0, most=9)
    assert other.give(500.0, most=9) == one.give(500.0, most=9)


def test_new_dcus_wait_behind() -> None:
    where = sites(2)
    plan = make_plan(WHAT, where)
    one = queue(2)
    more = where.extended(sites(2, dcu=[1, 2]))
    one.extend(more, extended(plan, WHAT, more))
    one.open([2, 3])
    assert rows(one.give(0.0, most=9)) == [*plan.order.tolist(), 2, 3]
