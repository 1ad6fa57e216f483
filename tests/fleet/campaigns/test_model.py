"""What a campaign may be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fleet.campaigns.builders import CANARY, OTHERS, campaign

from openami.fleet.campaigns.model import (
    MAX_GROUPS,
    WHOLE,
    Areas,
    Budget,
    Cells,
    Group,
    Rest,
    Retry,
    Share,
    Step,
    Thresholds,
)
from openami.fleet.campaigns.windows import Window
from openami.fleet.devices import DeviceKind
from openami.fleet.ports import DeviceFilter


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"zone": "x" * 201}, "name"),
        ({"kind": DeviceKind.IHD}, "for DCUs or for meters"),
        ({"which": DeviceFilter(kind=DeviceKind.DCU)}, "of its kind"),
        ({"jitter_s": -1.0}, "jitter"),
        ({"activations": 0}, "activates"),
        ({"groups": ()}, "groups"),
        ({"groups": tuple(Group(f"{n}", Share(1)) for n in range(MAX_GROUPS + 1))}, "groups"),
        ({"groups": (CANARY, Group("canary"))}, "same name"),
        ({"groups": (Group("a", Share(1)), CANARY)}, "first"),
        ({"groups": (Group("a", Rest()), OTHERS)}, "last"),
        ({"groups": (Group("a", Share(9000)), Group("b", Share(1001)))}, "more than all"),
    ],
)
def test_a_campaign_that_can_not_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        campaign(**changes)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((OTHERS,), True),
        ((CANARY,), False),
        ((Group("a", Share(1)), Group("b", Share(WHOLE - 1))), True),
        ((Group("a", Share(WHOLE)), Group("b", Areas(frozenset({"x"})))), False),
    ],
)
def test_the_last_group_is_open_if_nobody_is_left_out_on_purpose(
    groups: tuple[Group, ...], expected: bool
) -> None:
    assert campaign(groups=groups).open_ended is expected


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (Share, {"parts": 0}),
        (Share, {"parts": WHOLE + 1}),
        (Areas, {"names": frozenset()}),
        (Areas, {"names": frozenset({""})}),
        (Cells, {"names": frozenset(str(n) for n in range(10_001))}),
        (Thresholds, {"success": 0}),
        (Thresholds, {"error": WHOLE + 1}),
        (Thresholds, {"least": 0}),
        (Group, {"name": "a", "soak_s": -1}),
        (Step, {"windows": (Window(1, 2),) * 33}),
        (Budget, {"rate": 0}),
        (Budget, {"segment_jobs": -1}),
        (Retry, {"attempts": 0}),
        (Retry, {"first_s": 0}),
        (Retry, {"first_s": 5, "most_s": 4}),
        (Retry, {"lease_s": 0}),
        (Retry, {"lease_s": 5, "longest_s": 4}),
    ],
)
def test_parts_of_a_campaign_are_checked(make: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make(**values)


def test_thresholds_are_exact() -> None:
    thresholds = Thresholds(success=9_500, error=200, least=2)
    assert [thresholds.needed(n) for n in (0, 1, 20, 21, 18_000_000)] == [0, 1, 19, 20, 17_100_000]
    assert not thresholds.too_many(1, 10)  # 10 %, but only one
    assert thresholds.too_many(2, 100)
    assert not thresholds.too_many(2, 101)


def test_the_narrowest_part_decides_the_rate() -> None:
    assert Budget().rate_of(1000) == 1000
    assert Budget(rate=500).rate_of(1000) == 500
    assert Budget(rate=500, segment_rate=400, link_rate=300).rate_of(1000) == 300


def test_rests_double_up_to_the_longest() -> None:
    retry = Retry(first_s=10, most_s=75)
    assert [retry.rest(failures) for failures in (1, 2, 3, 4, 1000)] == [10, 20, 40, 75, 75]
