"""Counts by difference, against a count of everything anew; reports late and again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet.campaigns.builders import campaign, said, sites

from openami.core.errors import RemoteProtocolError
from openami.fleet.campaigns.groups import GroupCount
from openami.fleet.campaigns.model import ERRORS, NOT_FETCHED, Areas, DeviceState, Group, StepKind
from openami.fleet.campaigns.plan import extended, make_plan
from openami.fleet.campaigns.progress import (
    MAX_ALL_CODES,
    MAX_CODES,
    OTHER,
    Progress,
    Report,
    StepFailed,
)

D = DeviceState
WHAT = campaign(
    groups=(
        Group("north", Areas(frozenset({"north"}))),
        Group("cell", Areas(frozenset({"south"}))),
    ),
    dynamic=True,
)
ROWS = 4
HASH = "firmware.hash"


def progress(devices: int = 10) -> Progress:
    where = sites(ROWS, devices=[devices] * ROWS)
    return Progress(make_plan(WHAT, where), where.devices, groups=2)


def test_a_report_moves_devices() -> None:
    kept = progress()
    assert len(kept) == ROWS
    assert kept.group_counts() == (GroupCount(20), GroupCount(20))
    counts = {D.VERIFIED: 3, D.CONFIRMED: 4, D.REVERTED: 1, D.FAILED: 1}
    assert kept.take(0, said(5, counts, {HASH: 1, "transport.timeout": 1}), now=7.0)
    assert kept.group_counts()[0] == GroupCount(20, ready=7, confirmed=4, errors=2)
    assert kept.group_counts()[0].settled == 6
    assert kept.counts(0) == {**counts, D.WAITING: 1}
    assert kept.group_states(0)[D.WAITING] == 11
    assert kept.group_codes(0) == {HASH: 1, "transport.timeout": 1}
    assert (kept.number(0), kept.heard(0), kept.heard(1)) == (5, 7.0, 0.0)
    assert kept.in_any(0, ERRORS) == 2


@pytest.mark.parametrize("number", [1, 4, 5])
def test_a_late_or_repeated_report_changes_nothing(number: int) -> None:
    kept = progress()
    kept.take(0, said(5, {D.VERIFIED: 3}), now=7.0)
    assert not kept.take(0, said(number, {D.CONFIRMED: 10}), now=8.0)
    assert kept.saved(0) == progress_of({D.VERIFIED: 3}, number=5).saved(0)


def progress_of(counts: dict[DeviceState, int], *, number: int) -> Progress:
    kept = progress()
    kept.take(0, said(number, counts), now=7.0)
    return kept


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: said(0, {}), "form"),
        (lambda: said(2**62 + 1, {}), "form"),
        (lambda: said(1, {D.WAITING: 1}), "form"),
        (lambda: said(1, {D.OFFERED: -1}), "count"),
        (lambda: said(1, {D.FAILED: 1}), "count"),
        (lambda: said(1, {D.FAILED: 1}, {HASH: 2}), "count"),
        (lambda: said(1, {}, {HASH: 0}), "count"),
        (lambda: said(1, {D.FAILED: 1}, {"Not a code": 1}), "form"),
        (lambda: said(1, {D.FAILED: 1}, {"a" * 65: 1}), "form"),
        (lambda: said(1, {D.FAILED: 40}, {f"a{n}": 1 for n in range(MAX_CODES + 2)}), "form"),
        (lambda: Report(1, {}, {}, StepFailed(StepKind.DOWNLOAD, 1, "")), "form"),
    ],
)
def test_a_report_that_can_not_be_is_refused(make: object, code: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        make()  # type: ignore[operator]  # each is a function
    assert caught.value.code == f"campaign.report.{code}"


def test_a_dcu_counts_no_more_devices_than_it_has() -> None:
    kept = progress()
    before = kept.saved(0)
    for counts in ({D.VERIFIED: 11}, {D.VERIFIED: 2**40}):
        with pytest.raises(RemoteProtocolError) as caught:
            kept.take(0, said(1, counts), now=1.0)
        assert caught.value.code == "campaign.report.count"
    assert kept.saved(0) == before


def test_codes_are_bounded() -> None:
    kept = progress(devices=1000)
    for number in range(MAX_ALL_CODES // 8 + 1):
        codes = {f"made-up.{number}.{part}": 1 for part in range(8)}
        kept.take(number % ROWS, said(number + 1, {D.FAILED: 8}, codes), now=1.0)
    assert kept.codes(0) == {OTHER: 8}
    assert set(kept.group_codes(0)) <= {OTHER, *kept.codes(2)}


def test_what_is_given_up_has_failed_until_the_dcu_says_otherwise() -> None:
    kept = progress()
    kept.offer(0)
    assert kept.counts(0) == {D.OFFERED: 10}
    assert kept.give_up(0, NOT_FETCHED, "transport.tls") == 10
    assert kept.give_up(0, NOT_FETCHED, "transport.tls") == 0
    assert kept.group_codes(0) == {"transport.tls": 10}
    kept.take(0, said(1, {D.DOWNLOADED: 10}), now=1.0)
    assert kept.group_codes(0) == {}
    assert kept.counts(0) == {D.DOWNLOADED: 10}


def test_devices_come_and_leave() -> None:
    kept = progress()
    kept.join(0, 2)
    kept.take(0, said(1, {D.FAILED: 2, D.CONFIRMED: 1}, {HASH: 1, "dlms.refused": 1}), now=1.0)
    assert kept.devices(0) == 12
    assert kept.leave(0, D.WAITING)
    assert kept.leave(0, D.FAILED, HASH)
    assert not kept.leave(0, D.FAILED, HASH)
    assert not kept.leave(0, D.VERIFIED)
    assert not kept.leave(0, D.REVERTED, "dlms.refused")
    assert kept.counts(0) == {D.WAITING: 8, D.CONFIRMED: 1, D.FAILED: 1}
    assert kept.group_codes(0) == {"dlms.refused": 1}
    assert kept.group_counts()[0].total == 20


def test_new_dcus_are_taken_in() -> None:
    where = sites(ROWS)
    plan = make_plan(WHAT, where)
    kept = Progress(plan, where.devices, groups=2)
    later = extended(plan, WHAT, where.extended(sites(3, dcu=[1, 2, 3], devices=[7, 8, 9])))
    kept.extend(later, np.array([7, 8, 9]))
    assert kept.group_counts() == (GroupCount(36), GroupCount(28))
    assert kept.take(6, said(1, {D.CONFIRMED: 9}), now=2.0)
    assert kept.having(later.rows(0), (D.CONFIRMED,)) == [6]


COUNTS = st.dictionaries(st.sampled_from([s for s in D if s is not D.WAITING]), st.integers(0, 3))
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, ROWS - 1), st.integers(1, 20), COUNTS),
        st.tuples(st.just("give up"), st.integers(0, ROWS - 1)),
        st.tuples(st.just("offer"), st.integers(0, ROWS - 1)),
        st.tuples(st.just("join"), st.integers(0, ROWS - 1), st.integers(0, 5)),
        st.tuples(st.just("leave"), st.integers(0, ROWS - 1), st.sampled_from(D)),
    ),
    max_size=40,
)


def act(kept: Progress, action: tuple) -> None:
    match action:
        case ("take", row, number, counts):
            errors = sum(counts.get(state, 0) for state in ERRORS)
            codes = {HASH: errors} if errors else {}
            if sum(counts.values()) <= kept.devices(row):
                kept.take(row, said(number, counts, codes), now=float(number))
        case ("give up", row):
            kept.give_up(row, NOT_FETCHED, "transport.timeout")
        case ("offer", row):
            kept.offer(row)
        case ("join", row, count):
            kept.join(row, count)
        case ("leave", row, state):
            kept.leave(row, state, HASH)


@given(ACTIONS)
def test_sums_by_difference_are_what_counting_anew_gives(actions: list[tuple]) -> None:
    kept = progress(devices=40)
    for action in actions:
        act(kept, action)
        if action[0] == "take":
            saved = kept.saved(action[1])
            act(kept, action)  # again
            assert kept.saved(action[1]) == saved
    for group in range(2):
        rows = [row for row in range(ROWS) if row % 2 == group]
        states = sum((Counter(kept.counts(row)) for row in rows), Counter())
        assert kept.group_states(group) == dict(states)
        codes = sum((Counter(kept.codes(row)) for row in rows), Counter())
        assert kept.group_codes(group) == dict(codes)
        assert sum(codes.values()) == sum(states[state] for state in ERRORS)
    again = progress(devices=40)
    for row in range(ROWS):
        again.restore(kept.saved(row))
    assert again.group_counts() == kept.group_counts()
    assert [again.saved(row) for row in range(ROWS)] == [kept.saved(row) for row in range(ROWS)]


@given(st.permutations(range(1, 8)))
def test_reports_may_come_in_any_order(order: list[int]) -> None:
    kept = progress()
    for number in order:
        kept.take(0, said(number, {D.CONFIRMED: number}), now=1.0)
    assert kept.counts(0) == {D.WAITING: 3, D.CONFIRMED: 7}


def test_a_dcu_in_no_group_counts_for_none() -> None:
    where = sites(2)
    north = campaign(groups=WHAT.groups[:1])
    kept = Progress(make_plan(north, where), where.devices, groups=1)
    assert kept.take(1, said(1, {D.FAILED: 10}, {HASH: 10}), now=1.0)
    assert kept.group_counts() == (GroupCount(10),)
    assert kept.group_codes(0) == {}
