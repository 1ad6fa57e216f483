"""What a store keeps of campaigns: JSON both ways, rows of a plan, and what is named late."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from tests.fleet.campaigns.builders import campaign, engine, said, sites

from openami.fleet.campaigns.codec import (
    campaign_json,
    read_campaign,
    read_run,
    read_site,
    read_sums,
    run_json,
    site_json,
    sums_json,
)
from openami.fleet.campaigns.dispatch import Place, Position
from openami.fleet.campaigns.groups import GroupRun, GroupState
from openami.fleet.campaigns.machine import CampaignState, Run
from openami.fleet.campaigns.model import (
    Areas,
    Budget,
    Campaign,
    Cells,
    DeviceState,
    Group,
    Share,
    Step,
    StepKind,
    Thresholds,
)
from openami.fleet.campaigns.plan import NOWHERE, make_plan
from openami.fleet.campaigns.progress import SiteProgress
from openami.fleet.campaigns.records import (
    Given,
    GroupSum,
    PlannedSite,
    SiteState,
    columns_of,
    number_of,
    plan_of,
    planned_sites,
)
from openami.fleet.campaigns.windows import Window
from openami.fleet.devices import Contact, DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter

D = DeviceState
WHOLE = campaign(
    groups=(
        Group("canary", Share(5), Thresholds(9_000, 100, 3), soak_s=60.0, canary=True),
        Group("north", Areas(frozenset({"n", "m"}))),
        Group("cells", Cells(frozenset({"c"}))),
        Group("rest"),
    ),
    which=DeviceFilter(DeviceKind.METER, LifecycleState.IN_SERVICE, "D1", Contact.OK, "north", "M"),
    kind=DeviceKind.METER,
    zone="Asia/Seoul",
    download=Step(5.0, (Window(60, 300, frozenset({0, 6})), Window(1200, 30))),
    budget=Budget(rate=7, segment_jobs=3),
    activations=4,
    dynamic=True,
    ahead=True,
    until=1e9,
)


def again(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("one", [WHOLE, campaign(), campaign(kind=DeviceKind.DCU)])
def test_a_campaign_is_the_same_after_json(one: Campaign) -> None:
    assert read_campaign(again(campaign_json(one))) == one


def test_a_run_is_the_same_after_json() -> None:
    groups = (
        GroupRun(GroupState.FAILED, 5.0, 3, GroupState.SOAKING, "campaign.errors"),
        GroupRun(),
    )
    run = Run(campaign(), groups, ("ann",), CampaignState.PAUSED, 7.0, "bob", 4, 2, "cause")
    assert read_run(run.campaign, again(run_json(run))) == run


def test_sums_and_sites_are_the_same_after_json() -> None:
    sums = (GroupSum(), GroupSum(3, tuple(range(11)), {"upgrade": 4}))
    assert read_sums(again(sums_json(sums))) == sums
    progress = SiteProgress(7, 2**53, 5.5, tuple(range(11)), {"upgrade": 4})
    positions = {
        StepKind.DOWNLOAD: Position(7, Place.RESTING, 2, 1, 5.0, 6.0, 100, "transport"),
        StepKind.ACTIVATE: Position(7, Place.IDLE),
    }
    given = {StepKind.DOWNLOAD: Given(2, 100, 4.0, math.inf)}
    for state in (
        SiteState(progress, positions, given, 99),
        SiteState(progress, {}, {StepKind.ACTIVATE: Given(1, 0, 4.0, 9.0)}, 0),
    ):
        assert read_site(7, again(site_json(state))) == state


def test_a_plan_comes_back_from_its_rows() -> None:
    what = campaign()
    where = sites(40, devices=np.arange(40) % 4)
    plan = make_plan(what, where)
    serials = [f"D{n}" for n in range(40)]
    names = [(f"area-{n % 2}", f"cell-{n % 4}", f"segment-{n % 2}") for n in range(40)]
    planned = planned_sites(where, plan, serials, names)
    assert [one.row for one in planned] == list(range(30))
    assert all(one.devices for one in planned)
    found, made = columns_of(planned), plan_of(planned, 2)
    assert made.order.tolist() == list(range(30))
    order = [serials[row] for row in plan.order.tolist() if where.devices[row]]
    assert [one.dcu for one in planned] == order
    assert found.areas == {name: number_of(name) for name in ("area-0", "area-1")}
    assert len(made.rows(0)) + len(made.rows(1)) == 30


def test_who_came_late_stands_last_in_its_group() -> None:
    def site(row: int, group: int) -> PlannedSite:
        return PlannedSite(row, f"D{row}", "a", "c", "s", 10, 1, 5, group, row)

    plan = plan_of([site(0, 0), site(1, 1), site(2, 0), site(3, NOWHERE)], 2)
    assert (plan.order.tolist(), plan.starts) == ([0, 2, 1], (0, 2, 3))
    assert plan.place.tolist() == [0, 2, 1, NOWHERE]


@pytest.mark.parametrize("devices", [0, 3, 10, 14])
def test_devices_are_counted_anew_when_they_are_named(devices: int) -> None:
    one = engine()
    (order, *_) = one.work(0.0, most=1).orders
    one.recount(order.row, devices)
    assert one.progress.devices(order.row) == devices
    done = one.position(order.row, StepKind.DOWNLOAD).place is Place.DONE
    assert done is (devices == 0)
    if devices:
        assert one.report(order.row, said(1, {D.VERIFIED: devices}), now=1.0)


def test_the_window_that_is_open_or_next_is_told() -> None:
    one = engine(download=Step(windows=(Window(60, 120),)))
    assert one.stretch(StepKind.DOWNLOAD, 0.0) == (3_600.0, 7_200.0)
    assert one.stretch(StepKind.DOWNLOAD, 4_000.0) == (3_600.0, 7_200.0)
    assert one.stretch(StepKind.ACTIVATE, 5.0) == (5.0, math.inf)
