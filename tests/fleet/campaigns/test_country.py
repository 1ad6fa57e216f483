"""A whole country is planned: 18 million meters of three kinds behind 120,000 DCUs."""

from __future__ import annotations

from datetime import UTC

import numpy as np
import pytest

from openami.fleet.campaigns.dryrun import Load, dry_run
from openami.fleet.campaigns.model import Budget, Campaign, Group, Share, Step
from openami.fleet.campaigns.plan import make_plan
from openami.fleet.campaigns.sites import Census, Sites, judge
from openami.fleet.campaigns.windows import Window
from openami.fleet.ports import DeviceFilter

DCUS = 120_000
KINDS = (90, 40, 20)  # meters of each kind behind a DCU; the last has the release already
VERDICTS = (None, None, "firmware.fit.same")
IMAGE = 256 << 10
NIGHT = Step(windows=(Window(22 * 60, 5 * 60),))
DAY = 86_400.0

WHAT = Campaign(
    id="country",
    name="Country",
    release="meter-image/openami/2.0.0",
    which=DeviceFilter(),
    groups=(
        Group("canary", Share(5), canary=True, soak_s=DAY),
        Group("half", Share(5000)),
        Group("rest"),
    ),
    download=NIGHT,
    activation=NIGHT,
    budget=Budget(rate=100_000_000, jobs=5_000, segment_rate=4_000_000, segment_jobs=50),
    ahead=True,
)


@pytest.mark.fums("DES-4")
def test_a_country_is_planned_and_upgraded_within_a_month_of_nights() -> None:
    """In columns of a row per DCU, with the traffic of one download for each of them."""
    number = np.arange(DCUS)
    row, kind = np.repeat(number, len(KINDS)), np.tile(np.arange(len(KINDS)), DCUS)
    fitting = judge(Census(row, kind, np.tile(KINDS, DCUS)), VERDICTS, rows=DCUS)
    sites = Sites(
        dcu=number,
        devices=fitting.devices,
        area=number // 480,
        cell=number // 20,
        segment=number // 200,
        rate=np.full(DCUS, 8_000),
        line_rate=np.full(DCUS, 500),
        areas={f"area-{area}": area for area in range(250)},
    )
    plan = make_plan(WHAT, sites)
    found = dry_run(
        WHAT,
        sites,
        plan,
        Load(IMAGE, line_octets=int(IMAGE * 2.5)),
        now=0.0,
        tz=UTC,
        fitting=fitting,
    )
    assert sum(KINDS) * DCUS == 18_000_000
    assert (found.dcus, found.devices) == (DCUS, 130 * DCUS)
    assert sum(group.dcus for group in found.groups) == DCUS
    (left_out,) = found.excluded
    assert (left_out.code, left_out.devices) == ("firmware.fit.same", 20 * DCUS)
    assert found.in_time
    assert 0 < found.groups[-1].ends < 30 * DAY
