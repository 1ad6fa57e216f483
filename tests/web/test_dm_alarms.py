"""What goes wrong at many devices is seen by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.headend import dcu_client
from tests.support.management import Device, give_account
from tests.web.test_console import sign_in

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

DM = "/api/v1/dm"
WINDOW = "./AMI/Link/Window"


@pytest.fixture
async def csrf(browser: httpx.AsyncClient) -> str:
    return await sign_in(browser)


async def test_what_a_group_wants_and_devices_refuse_is_an_alarm_and_a_figure(
    running: Running,
    operator: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    csrf: str,
    tmp_path: Path,
) -> None:
    async with dcu_client(running, tmp_path, "D1") as http:
        device = Device("D1", give_account(running, "D1"), http)
        await operator.put(f"{DM}/groups/all", json={})
        wish = {"settings": [{"uri": WINDOW, "value": "99", "unchecked": True}]}
        await operator.put(f"{DM}/groups/all/desired", json=wish)
        await operator.put(f"{DM}/devices/D1/desired", json={"settings": [
            {"uri": "./AMI/Link/Retries", "value": "99", "unchecked": True}
        ]})  # fmt: skip
        job = {"kind": "get", "uris": [WINDOW], "devices": ["D1"]}
        await operator.post(f"{DM}/jobs", json=job)
        await device.run()
    found = (await operator.get("/api/v1/alarms")).json()["items"]
    assert {(one["subject"], one["code"]) for one in found} == {
        ("group:all", "dm.refused"), ("dcu-D1", "dm.refused"),
    }  # fmt: skip
    page = (await browser.get("/alarms")).text
    assert 'href="/dcus/D1">D1</a>' in page
    assert 'href="/groups/all/refused">group:all</a>' in page
    figures = (await operator.get("/metrics")).text
    for line in (
        'openami_dm_tasks_total{kind="get",state="sent"} 1.0',
        'openami_dm_tasks_total{kind="get",state="done"} 1.0',
        'openami_dm_refused_values_total{status="5xx"} 2.0',
        'openami_dm_sessions_total{end="done"} 1.0',
        'openami_dm_notifications_under_way{lane="silent"} 0.0',
    ):
        assert line in figures
