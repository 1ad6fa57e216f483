"""What a campaign would do, against sums that are made by hand."""

from __future__ import annotations

from datetime import UTC
from math import inf
from typing import Any

import numpy as np
import pytest
from tests.fleet.campaigns.builders import OTHERS, campaign, sites

from openami.fleet.campaigns.dryrun import DryRun, Excluded, Load, download_seconds, dry_run
from openami.fleet.campaigns.model import Areas, Budget, Group, Rest, Share, Step
from openami.fleet.campaigns.plan import make_plan
from openami.fleet.campaigns.sites import Census, Sites, judge
from openami.fleet.campaigns.windows import Window

LOAD = Load(octets=10_000, line_octets=1_000, activation_s=100.0)
ONE = (Group("all", Rest(), soak_s=7.0),)
HALVES = (Group("a", Share(5000), soak_s=50.0), Group("b", Rest()))


def would(where: Sites, **changes: Any) -> DryRun:
    what = campaign(**{"groups": ONE, **changes})
    return dry_run(what, where, make_plan(what, where), LOAD, now=0.0, tz=UTC)


@pytest.mark.parametrize(
    ("budget", "seconds", "bound"),
    [
        (Budget(), 20, "link"),  # 10 s of the link, 10 s of the line
        (Budget(rate=2_000), 100 + 20, "head-end rate"),
        (Budget(jobs=4), 50 + 20, "head-end jobs"),
        (Budget(segment_rate=1_000), 100 + 20, "segment rate"),
        (Budget(segment_jobs=5), 20 + 20, "segment jobs"),
        (Budget(jobs=20), 20, "link"),
        (Budget(link_rate=500), 30, "link"),
        (Budget(rate=500), 400 + 30, "head-end rate"),
    ],
)
def test_the_narrowest_budget_decides(budget: Budget, seconds: float, bound: str) -> None:
    where = sites(20)
    assert download_seconds(budget, where, np.arange(20), LOAD) == (seconds, bound)


def test_a_dcu_upgrades_itself_without_its_line() -> None:
    where = sites(1, line_rate=[0])
    assert download_seconds(Budget(), where, np.arange(1), LOAD) == (10.0, "link")
    assert download_seconds(Budget(), where, np.arange(0), LOAD) == (0.0, "link")


def test_groups_follow_each_other() -> None:
    run = would(sites(20), groups=HALVES, jitter_s=5.0, activations=4)
    one, two = run.groups
    assert (one.dcus, one.devices, one.begins, one.downloaded) == (10, 100, 0.0, 25.0)
    assert one.activated == 25 + 3 * 105  # waves of four
    assert one.ends == two.begins == one.activated + 50
    assert run.ends == two.begins + 25 + 3 * 105
    assert (run.dcus, run.devices, run.in_time) == (20, 200, True)


def test_downloads_go_ahead() -> None:
    one, two = would(sites(20), groups=HALVES, ahead=True).groups
    assert (two.begins, two.downloaded) == (20.0, 40.0)
    assert two.activated == one.ends + 100


def test_time_passes_within_windows() -> None:
    night = Step(windows=(Window(60, 61),), not_before=100.0)
    run = would(sites(20), budget=Budget(jobs=4), download=night)
    assert (run.groups[0].begins, run.groups[0].downloaded) == (100.0, 86_400 + 3_610.0)
    run = would(sites(20), activation=Step(not_before=500.0))
    assert run.groups[0].activated == 600.0
    assert not would(sites(20), until=100.0).in_time
    never = Step(windows=(Window(0, 1),))
    assert would(sites(40), budget=Budget(rate=1), download=never).ends == inf


def test_empty_groups_take_no_time() -> None:
    groups = (Group("none", Areas(frozenset({"nowhere"})), soak_s=1e6), Group("all"))
    late = Step(not_before=5000.0)
    none, every = would(sites(20), groups=groups, activation=late, jitter_s=9.0).groups
    assert (none.dcus, none.ends, every.begins) == (0, 0.0, 0.0)
    later = Step(not_before=7.0)
    run = would(
        sites(20),
        groups=(Group("most", Areas(frozenset({"north", "south"}))), OTHERS),
        download=later,
        ahead=True,
    )
    assert [group.ends for group in run.groups] == [127.0, 127.0]
    assert would(sites(20), groups=groups, download=later).groups[1].begins == 7.0


def test_what_is_left_out_has_a_reason() -> None:
    census = Census(np.arange(4), np.array([0, 0, 1, 1]), np.array([5, 6, 7, 8]))
    fitting = judge(census, [None, "firmware.fit.same"], rows=4)
    where = sites(4, devices=fitting.devices)
    what = campaign(groups=(Group("north", Areas(frozenset({"north"}))),))
    plan = make_plan(what, where)
    run = dry_run(what, where, plan, LOAD, now=0.0, tz=UTC, fitting=fitting)
    assert run.excluded == (
        Excluded("firmware.fit.same", 2, 15),
        Excluded("campaign.no-group", 1, 6),
    )
    run = dry_run(what, where, plan, LOAD, now=0.0, tz=UTC)
    assert run.excluded[0] == Excluded("campaign.no-devices", 2, 0)


def test_dcus_that_wait_for_their_first_device_are_not_counted() -> None:
    run = would(sites(4, devices=[0, 5, 5, 5]), dynamic=True)
    assert (run.dcus, run.groups[0].dcus) == (3, 3)
