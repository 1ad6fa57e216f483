"""What moves groups on, one condition at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fleet.campaigns.builders import campaign

from openami.fleet.campaigns.groups import (
    ACTIVE,
    BEGUN,
    CONDITIONS,
    ERRORS_REACHED,
    OUT_OF_REACH,
    TRANSITIONS,
    GroupCount,
    GroupRun,
    GroupState,
    GroupStep,
    advance,
    excused,
)
from openami.fleet.campaigns.model import Group, Rest, Share, Step, Thresholds

G = GroupState
THRESHOLDS = Thresholds(success=9_000, error=1_000, least=1)
PAIR = (
    Group("canary", Share(1), THRESHOLDS, soak_s=50, canary=True),
    Group("rest", Rest(), THRESHOLDS, soak_s=50),
)
WHAT = campaign(groups=PAIR, activation=Step(not_before=100.0))
TOTAL = GroupCount(total=20)


def go(
    *groups: GroupRun, counts: tuple[GroupCount, ...], now: float = 0.0, **changes: object
) -> tuple[GroupState, ...]:
    moved, _ = advance(replace(WHAT, **changes), groups, counts, now=now)  # type: ignore[arg-type]  # by the caller
    return tuple(group.state for group in moved)


def test_every_state_has_its_conditions_and_every_condition_its_row() -> None:
    assert set(CONDITIONS) == set(G)
    for state, rows in CONDITIONS.items():
        for step, _ in rows:
            assert (state, step) in TRANSITIONS
    assert {state for state, step in TRANSITIONS if step is GroupStep.FAIL} == BEGUN
    assert ACTIVE < BEGUN


@pytest.mark.parametrize(
    ("state", "count", "now", "expected"),
    [
        (G.WAITING, GroupCount(), 0, G.SUCCEEDED),
        (G.WAITING, TOTAL, 0, G.DOWNLOADING),
        (G.DOWNLOADING, GroupCount(20, ready=17), 0, G.DOWNLOADING),
        (G.DOWNLOADING, GroupCount(20, ready=18), 0, G.DOWNLOADED),
        (G.DOWNLOADED, GroupCount(20, ready=20), 99, G.DOWNLOADED),
        (G.DOWNLOADED, GroupCount(20, ready=20), 100, G.ACTIVATING),
        (G.ACTIVATING, GroupCount(20, ready=20, confirmed=17), 100, G.ACTIVATING),
        (G.ACTIVATING, GroupCount(20, ready=20, confirmed=18), 100, G.SOAKING),
        (G.SOAKING, GroupCount(20, 20, 20), 49, G.SOAKING),
        (G.SOAKING, GroupCount(20, 20, 20), 50, G.SUCCEEDED),
        (G.FAILED, GroupCount(20, 20, 20), 1000, G.FAILED),
        *((state, GroupCount(20, errors=2), 0, G.FAILED) for state in sorted(BEGUN)),
        (G.WAITING, GroupCount(20, errors=2), 0, G.DOWNLOADING),
    ],
)
def test_a_group_moves_when_its_condition_holds(
    state: GroupState, count: GroupCount, now: float, expected: GroupState
) -> None:
    only = replace(WHAT, groups=PAIR[:1])
    moved, _ = advance(only, (GroupRun(state),), (count,), now=now)
    assert moved[0].state is expected


def test_a_group_waits_for_the_one_before_it() -> None:
    counts = (TOTAL, TOTAL)
    for state in G:
        expected = G.DOWNLOADING if state is G.SUCCEEDED else G.WAITING
        assert go(GroupRun(state), GroupRun(), counts=counts)[1] is expected


def test_downloads_may_go_ahead_and_activation_does_not() -> None:
    full = GroupCount(20, ready=20)
    for state in (G.DOWNLOADED, G.SOAKING):
        got = go(GroupRun(state, since=100), GroupRun(), counts=(full, full), ahead=True)
        assert got == (state, G.DOWNLOADED)
        got = go(GroupRun(state, 100), GroupRun(), counts=(full, GroupCount()), ahead=True)
        assert got == (state, G.WAITING)
    assert go(
        GroupRun(G.SUCCEEDED), GroupRun(G.DOWNLOADED), counts=(full, full), ahead=True, now=100.0
    ) == (G.SUCCEEDED, G.ACTIVATING)


def test_a_failure_is_all_that_happens() -> None:
    bad, good = GroupCount(20, errors=2), GroupCount(20, ready=20)
    groups = (GroupRun(G.SUCCEEDED), GroupRun(G.DOWNLOADING))
    assert go(*groups, counts=(bad, good)) == (G.FAILED, G.DOWNLOADING)
    assert go(*groups, counts=(bad, bad)) == (G.FAILED, G.FAILED)


def test_who_can_not_succeed_any_more_has_failed() -> None:
    patient = Thresholds(success=9_000, error=5_000)
    only = replace(WHAT, groups=(replace(PAIR[0], thresholds=patient),))
    for errors, expected in ((2, G.DOWNLOADING), (3, G.FAILED)):
        count = GroupCount(20, errors=errors)
        moved, _ = advance(only, (GroupRun(G.DOWNLOADING),), (count,), now=0)
        assert moved[0].state is expected
    assert moved[0].cause == OUT_OF_REACH


def test_accepted_failures_count_no_more() -> None:
    count = GroupCount(20, errors=3)
    (failed,), _ = advance(
        replace(WHAT, groups=PAIR[:1]), (GroupRun(G.SOAKING),), (count,), now=7.0
    )
    assert (failed.cause, failed.since, failed.was) == (ERRORS_REACHED, 7.0, G.SOAKING)
    back = excused(failed, count, now=9.0)
    assert back == GroupRun(G.SOAKING, 9.0, excused=3)
    assert excused(back, count, now=10.0) is back
    assert go(back, counts=(GroupCount(20, errors=4),), groups=PAIR[:1]) == (G.SOAKING,)
    assert go(back, counts=(GroupCount(20, errors=5),), groups=PAIR[:1]) == (G.FAILED,)
    # Some of what had failed has come good after all.
    assert go(back, counts=(GroupCount(20, errors=1),), groups=PAIR[:1]) == (G.SOAKING,)
    everything = GroupRun(G.ACTIVATING, excused=20)
    assert go(everything, counts=(GroupCount(20, errors=20),), groups=PAIR[:1]) == (G.SOAKING,)
