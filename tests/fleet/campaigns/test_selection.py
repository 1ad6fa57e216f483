"""Who is in a campaign, as devices report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from openami.fleet.campaigns.selection import Shift, selects, shifts
from openami.fleet.devices import Contact, Device, DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter

METER = Device(
    DeviceKind.METER,
    "A1",
    LifecycleState.IN_SERVICE,
    model="OA-1P",
    dcu="D1",
    contact=Contact.OK,
    region="north",
    label="Mill Lane 5",
)


def old(device: Device) -> bool:
    return device.firmware != "2.0"


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({}, True),
        ({"kind": DeviceKind.METER, "state": LifecycleState.IN_SERVICE, "dcu": "D1"}, True),
        ({"contact": Contact.OK, "region": "north"}, True),
        ({"region": "south"}, False),
        ({"kind": DeviceKind.DCU}, False),
        ({"model": "OA-1P"}, True),
        ({"model": "oa-1p"}, False),
        ({"search": "mill"}, True),
        ({"search": "oa-1p"}, True),
        ({"search": "a1"}, True),
        ({"search": "%"}, False),
        ({"search": ""}, True),
    ],
)
def test_a_filter_finds_what_the_registry_finds(which: dict[str, Any], expected: bool) -> None:
    assert selects(DeviceFilter(**which), METER) is expected


NORTH = DeviceFilter(region="north")


@pytest.mark.parametrize(
    ("counted", "device", "expected"),
    [
        (None, METER, (Shift("D1", 1),)),
        ("D1", METER, ()),
        ("D1", replace(METER, firmware="2.0"), ()),  # upgraded: it stays in
        ("D1", replace(METER, region="south"), ()),
        (None, replace(METER, firmware="2.0"), ()),
        (None, replace(METER, region="south"), ()),
        ("D1", replace(METER, dcu="D2"), (Shift("D1", -1), Shift("D2", 1))),
        ("D1", replace(METER, dcu="D2", firmware="2.0"), (Shift("D1", -1),)),
        ("D1", replace(METER, dcu=None), (Shift("D1", -1),)),
        ("D1", replace(METER, state=LifecycleState.RETIRED), (Shift("D1", -1),)),
        ("D1", None, (Shift("D1", -1),)),
        (None, None, ()),
        (None, Device(DeviceKind.DCU, "D7", region="north"), (Shift("D7", 1),)),
    ],
)
def test_a_report_shifts_counts(
    counted: str | None, device: Device | None, expected: tuple[Shift, ...]
) -> None:
    assert shifts(NORTH, counted, device, fits=old) == expected
