"""Two homes behind a head-end, for tests of the customers' pages over HTTP."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.support.headend import (
    dcu_client,
    meter_status,
    operator_client,
    report,
    running_headend,
    token_client,
    upload,
)
from tests.support.homes import profile

from openami.core.clock import ManualClock, isoformat, parse_utc
from openami.fleet.operators import Role
from openami.headend.customers import Details
from openami.mdm.readings import join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

KIM, LEE = "kim@example.org", "lee@example.org"
PASSWORD = "a long walk by the river"
DAY = 86_400
NOW = int(parse_utc("2026-05-28T11:20:00Z"))  # 20:20 in Seoul
FIRST = int(parse_utc("2026-03-31T15:00:00Z"))  # midnight of 1 April there
MOVED = int(parse_utc("2026-04-30T15:00:00Z"))  # midnight of 1 May
# No page or file of a quiet home has these figures in it.
LOUD = 7777


@asynccontextmanager
async def two_homes(folder: Path) -> AsyncIterator[Running]:
    """Run a head-end with Kim's home, theirs from 1 May on, and Lee's.

    Kim's misses a quarter of an hour; who lived there before was loud, and so is Lee.
    """
    clock = ManualClock(float(NOW))
    async with running_headend(folder, clock=clock, timezone="Asia/Seoul") as running:
        count = (NOW - 600 - FIRST) // 900
        quiet = np.full(count, 100)
        quiet[: (MOVED - FIRST) // 900] = LOUD
        quiet[-20] = -1
        tables = (
            profile("M1", FIRST, quiet, quiet // 4),
            profile("M2", FIRST, np.full(count, LOUD)),
        )
        async with dcu_client(running, folder, "D1") as dcu:
            await dcu.post("/device/v1/report", json=report(meter_status("M1"), meter_status("M2")))
            answer = await upload(dcu, "b1", join(tables))
            assert answer.json()["status"] == "stored", answer.text
        for login, meter, starts in ((KIM, "M1", MOVED), (LEE, "M2", FIRST)):
            running.services.customers.add(login, Details(), who="test")
            running.services.customers.assign(login, meter, starts=starts, who="test")
        yield running


@asynccontextmanager
async def signed_in(running: Running, login: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of somebody who has just accepted an invitation."""
    code = running.services.customers.invite(login, who="test").code
    form = {"code": code, "password": PASSWORD, "again": PASSWORD}
    async with operator_client(running, headers={"Accept-Language": "en"}) as client:
        answer = await client.post("/my/welcome", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/my"), answer.text
        yield client


def home_of(running: Running, login: str) -> str:
    return f"/my/homes/{running.services.customers.tenancies(login)[0].id}"


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
    assert found, page.text
    return found[1]


async def an_event(
    running: Running,
    *,
    ahead: int,
    meters: tuple[str, ...] = (),
    price: float | None = None,
    named: str = "Turn it down",
    minutes: int = 60,
) -> str:
    """Make an event as an operator does, for some meters or for all."""
    begin = isoformat(running.services.clock.now() + ahead)
    payload = {"type": "SIMPLE", "values": [2]}
    if price is not None:
        payload = {"type": "PRICE", "values": [price]}
    targets = [{"type": "RESOURCE_NAME", "values": list(meters)}] if meters else []
    async with token_client(running, Role.ADMIN, "admin") as admin:
        program = await _made(admin, "programs", programName=f"evenings {ahead}")
        event = await _made(
            admin, "events", programID=program["id"], eventName="peak", targets=targets,
            texts={"en": named},
            intervalPeriod={"start": begin, "duration": f"PT{minutes}M"},
            intervals=[{"id": 0, "payloads": [payload]}],
        )  # fmt: skip
    return str(event["id"])


async def a_notice(running: Running, text: str) -> None:
    """Say something to everybody."""
    async with token_client(running, Role.ADMIN, "admin") as admin:
        await _made(admin, "notices", kind="message", texts={"en": text})


async def _made(admin: httpx.AsyncClient, what: str, **wish: Any) -> Any:
    answer = await admin.post(f"/api/v1/demand/{what}", json=wish)
    assert answer.status_code == 201, answer.text
    return answer.json()
