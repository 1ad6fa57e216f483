"""Who fits, who is in which group, and how the order spreads load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet.campaigns.builders import CANARY, OTHERS, campaign, sites

from openami.fleet.campaigns.model import Areas, Cells, Group, Share
from openami.fleet.campaigns.plan import (
    NOWHERE,
    extended,
    hashed,
    left_out,
    make_plan,
    spread_order,
)
from openami.fleet.campaigns.sites import NO_DEVICES, NO_GROUP, Census, judge

NORTH = Group("north", Areas(frozenset({"north"})))
CELLS = Group("cells", Cells(frozenset({"cell-1", "cell-3", "unheard-of"})))


def census(*entries: tuple[int, int, int]) -> Census:
    return Census(*np.array(entries, np.int64).reshape(-1, 3).T)


def test_devices_are_judged_by_class() -> None:
    found = judge(
        census((0, 0, 5), (0, 1, 2), (1, 0, 3), (2, 2, 7), (3, 0, 9), (3, 1, 1)),
        [None, "firmware.fit.same", None],
        rows=5,
        barred={"campaign.not-reporting": [3], "device.suspended": [3, 4]},
    )
    assert found.devices.tolist() == [5, 3, 7, 0, 0]
    assert found.excluded == {"campaign.not-reporting": 10, "firmware.fit.same": 2}
    rows = {code: where.tolist() for code, where in found.excluded_rows.items()}
    assert rows == {"campaign.not-reporting": [3], "firmware.fit.same": [0]}


def test_two_reasons_of_one_code_are_counted_together() -> None:
    found = judge(census((0, 0, 5), (1, 1, 2)), ["a", "a"], rows=2)
    assert found.excluded == {"a": 7}
    assert found.excluded_rows["a"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dcu": [1, 1]}, "two rows"),
        ({"area": [1]}, "different lengths"),
        ({"devices": [1, -1]}, "negative"),
        ({"rate": [1, 0]}, "negative"),
        ({"line_rate": [-1, 0]}, "negative"),
    ],
)
def test_columns_are_checked(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sites(2, **columns)


def test_every_dcu_is_in_the_first_group_that_takes_it() -> None:
    where = sites(40)
    plan = make_plan(campaign(groups=(CANARY, NORTH, CELLS, OTHERS)), where)
    canary = set(plan.rows(0).tolist())
    assert len(canary) == 4  # 10 %
    assert set(plan.rows(1).tolist()) == set(range(0, 40, 2)) - canary
    assert set(plan.rows(2).tolist()) == set(range(1, 40, 2)) - canary
    assert plan.rows(3).tolist() == []
    assert sorted(plan.order.tolist()) == list(range(40))
    assert plan.place[plan.order].tolist() == list(range(40))


def test_a_share_is_of_devices_and_never_nothing() -> None:
    where = sites(10, devices=[1000, *[1] * 9])
    few = Group("few", Share(1))
    plan = make_plan(campaign(groups=(few, Group("ten", Share(1000)), OTHERS)), where)
    assert len(plan.rows(0)) == 1
    taken = where.devices[plan.rows(0)].sum() + where.devices[plan.rows(1)].sum()
    assert taken >= 101
    assert len(plan.rows(2)) >= 1


def test_what_no_group_takes_is_left_out_with_a_reason() -> None:
    where = sites(8, devices=[0, *[5] * 7])
    plan = make_plan(campaign(groups=(NORTH,)), where)
    out = {code: rows.tolist() for code, rows in left_out(plan, where).items()}
    assert out == {NO_DEVICES: [0], NO_GROUP: [1, 3, 5, 7]}
    assert plan.group.tolist() == [NOWHERE, NOWHERE, 0, NOWHERE, 0, NOWHERE, 0, NOWHERE]
    everyone = make_plan(campaign(groups=(Group("a", Share(1)), Group("b", Share(9999)))), sites(7))
    assert len(everyone.order) == 7
    assert left_out(everyone, sites(7)) == {}


def test_in_a_dynamic_campaign_dcus_without_devices_have_a_group() -> None:
    where = sites(8, devices=[0, 0, *[5] * 6])
    plan = make_plan(campaign(groups=(CANARY, NORTH, OTHERS), dynamic=True), where)
    assert plan.group[:2].tolist() == [1, 2]


def test_late_dcus_come_last_in_the_group_that_fits_or_the_last() -> None:
    what = campaign(groups=(CANARY, NORTH, OTHERS), dynamic=True)
    where = sites(20)
    plan = make_plan(what, where)
    more = where.extended(sites(4, dcu=[1, 2, 3, 4]))
    late = extended(plan, what, more)
    assert late.group[20:].tolist() == [1, 2, 1, 2]
    assert late.rows(0).tolist() == plan.rows(0).tolist()
    assert late.rows(1).tolist() == [*plan.rows(1).tolist(), 20, 22]
    closed = campaign(groups=(NORTH,), dynamic=True)
    assert extended(make_plan(closed, where), closed, more).group[20:].tolist() == [0, -1, 0, -1]


def test_the_order_spreads_every_stretch_over_areas_and_cells() -> None:
    count = 1200
    number = np.arange(count)
    # one area has two thirds of the DCUs; its cells differ in size
    area = (number % 3 == 0).astype(int)
    cell = area * 100 + (number % 7) // 2
    where = sites(count, area=area, cell=cell)
    order = spread_order(where)
    assert sorted(order.tolist()) == list(range(count))
    for column in (area, cell):
        for stretch in (60, 120, 300):
            for begin in range(0, count, stretch):
                part = column[order[begin : begin + stretch]]
                for value in np.unique(column):
                    expected = (column == value).mean() * stretch
                    assert abs((part == value).sum() - expected) <= 4


def test_neighbours_are_of_different_areas() -> None:
    where = sites(100)
    areas = where.area[spread_order(where)]
    assert (areas[1:] != areas[:-1]).all()


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 9), max_size=30))
def test_any_dcus_are_planned_once(cells: list[int], devices: list[int]) -> None:
    count = min(len(cells), len(devices))
    where = sites(count, cell=cells[:count], devices=devices[:count])
    plan = make_plan(campaign(groups=(CANARY, CELLS, OTHERS)), where)
    fitting = [row for row in range(count) if devices[row]]
    assert sorted(plan.order.tolist()) == fitting
    assert plan.starts[0] == 0
    assert plan.starts[-1] == len(fitting)
    if fitting:
        assert len(plan.rows(0))


def test_the_hash_is_the_published_one() -> None:
    # SplitMix64 from seed 0: the first number of the reference implementation
    assert int(hashed(np.array([0]))[0]) == 0xE220A8397B1DCDAF
