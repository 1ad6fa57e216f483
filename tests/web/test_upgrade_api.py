"""What DCUs and head-end say of meters' upgrades, over real mutual TLS, and across a kill."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.headend.test_server import dcu_of, enrolled
from tests.support.campaigns import Office, campaign, offer, register
from tests.support.headend import dcu_client, running_headend, settings_in
from tests.support.headend_process import process

from openami.core.clock import ManualClock
from openami.dcu.headend import HeadEnd
from openami.dcu.upgrade.reports import Mark, StepFailure, report
from openami.fleet.campaigns.machine import Act, CampaignState
from openami.fleet.campaigns.model import DeviceState, Group, StepKind
from openami.headend.bus import LocalBus
from openami.headend.installation import open_installation
from openami.headend.metrics import Metrics
from openami.headend.services import Context, build
from openami.headend.stores import open_stores
from openami.transport.clock import SystemClock
from openami.transport.http import HttpClient
from openami.transport.tls import client_context

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

ALL = (Group("all"),)
UPGRADE = "/device/v1/upgrade"


@pytest.fixture
def release(running: Running, tmp_path: Path) -> str:
    services = running.services
    devices: Any = services.registry._devices
    store = type("Only", (), {"devices": devices})
    register(store, {"D1": 3}, now=services.clock.now())  # type: ignore[arg-type]  # asks no more
    return offer(services, tmp_path)


def begin(running: Running, release: str) -> str:
    """Start a campaign; the orders come with the head-end's next round."""
    campaigns = running.services.campaigns
    id_ = campaigns.draft(campaign(release, groups=ALL), who="ann").id
    for number, (act, who) in enumerate(
        ((Act.PLAN, "ann"), (Act.APPROVE, "bob"), (Act.START, "ann")), 1
    ):
        campaigns.command(id_, act, who=who, number=number)
    return id_


async def told(dcu: httpx.AsyncClient, *reports: dict[str, Any]) -> Any:
    answer = await dcu.post(UPGRADE, json={"epoch": 0, "reports": list(reports)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_dcu_that_waits_for_work_is_told_of_its_orders_at_once(
    running: Running, dcu: httpx.AsyncClient, release: str
) -> None:
    nothing = await told(dcu)
    assert (nothing["epoch"], nothing["orders"]) == (0, [])
    work = {"wait": "20", "upgrade": str(nothing["revision"])}
    poll = asyncio.create_task(dcu.get("/device/v1/work", params=work))
    id_ = await asyncio.to_thread(begin, running, release)
    found = (await poll).json()
    assert found["jobs"] == []
    answer = await told(dcu)
    assert answer["revision"] == found["upgrade"] != nothing["revision"]
    (order,) = answer["orders"]
    download = order["download"]
    assert order == {
        "campaign": id_, "epoch": 0, "release": release, "meters": ["D1-1", "D1-2", "D1-3"],
        "directive": "go", "until": None, "activate": None, "download": download,
    }  # fmt: skip
    assert set(download) == {"attempt", "rate", "begin", "end", "until"}
    # who knows the revision waits; who knows another is answered at once
    assert (await dcu.get("/device/v1/work", params={"upgrade": "1", "wait": "20"})).json()[
        "upgrade"
    ] == answer["revision"]


@pytest.mark.fums("DES-3")
async def test_what_a_dcu_reports_moves_the_campaign_and_an_emergency_reaches_it(
    running: Running, dcu: httpx.AsyncClient, release: str
) -> None:
    nothing = await told(dcu)
    work = {"wait": "20", "upgrade": str(nothing["revision"])}
    poll = asyncio.create_task(dcu.get("/device/v1/work", params=work))
    id_ = await asyncio.to_thread(begin, running, release)
    await poll
    mark = {"meter": "D1-1", "state": "self-tested", "at": 5.0, "attempt": 1, "reason": "x"}
    report = {
        "campaign": id_, "number": 7, "counts": {"verified": 2, "self-tested": 1},
        "codes": {}, "failed": None, "marks": [mark], "more": "of a newer DCU",
    }  # fmt: skip
    assert (await told(dcu, report))["taken"] == {id_: 7}
    view = running.services.campaigns.get(id_)
    assert view.states == {DeviceState.VERIFIED: 2, DeviceState.SELF_TESTED: 1}
    timeline = running.services.campaigns.timeline(id_, "D1-1")
    assert timeline.device.state is DeviceState.SELF_TESTED
    known = (await told(dcu))["revision"]
    poll = asyncio.create_task(
        dcu.get("/device/v1/work", params={"wait": "20", "upgrade": str(known)})
    )
    await asyncio.to_thread(running.services.campaigns.emergency, who="ann", why="smoke")
    assert (await poll).json()["upgrade"] != known
    stopped = await told(dcu)
    assert (stopped["epoch"], stopped["orders"]) == (1, [])


@pytest.mark.parametrize(
    "bad",
    [
        {"epoch": -1},
        {"reports": [{"campaign": "c", "number": 0}]},
        {"reports": [{"campaign": "c", "number": 1, "counts": {"waiting": 1}}]},
        {"reports": [{"campaign": "c", "number": 1, "counts": {"verified": 5000}}]},
        {"reports": [{"campaign": "c", "number": 1, "marks": [{"meter": "M", "state": "on"}]}]},
        {"reports": [{"campaign": "c", "number": n} for n in range(1, 66)]},
    ],
)
async def test_what_is_no_report_is_refused(dcu: httpx.AsyncClient, bad: dict[str, Any]) -> None:
    assert (await dcu.post(UPGRADE, json=bad)).status_code == 422


async def test_a_revision_is_a_number(dcu: httpx.AsyncClient) -> None:
    answer = await dcu.get("/device/v1/work", params={"upgrade": "new"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request.upgrade")


async def test_a_dcus_own_client_means_the_same(
    running: Running, release: str, tmp_path: Path
) -> None:
    issued = running.services.registry.enroll_dcu("D1", who="test")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(issued.key + issued.certificate)
    tls = client_context(running.home.authority, certificate=chain, key=chain)
    async with HttpClient(running.device_url, tls=tls) as client:
        headend = HeadEnd(client)
        nothing = await headend.upgrade({"epoch": 0, "reports": []})
        poll = asyncio.create_task(headend.work(20.0, upgrade=nothing.revision))
        id_ = await asyncio.to_thread(begin, running, release)
        offer = await poll
        said = await headend.upgrade({"epoch": 0, "reports": []})
        assert said.revision == offer.upgrade != nothing.revision
        (order,) = said.orders
        assert (order.campaign, str(order.package), order.directive) == (id_, release, "go")
        assert order.download is not None
        failed = StepFailure(StepKind.DOWNLOAD, order.download.attempt, "download.network")
        marks = [Mark("D1-1", "offered", 5.0, 1)]
        told = report(id_, 1, [], failed=failed, marks=marks)
        said = await headend.upgrade({"epoch": 0, "reports": [told]})
        assert said.taken == {id_: 1}
        assert said.orders[0].download is None  # it rests
    found = running.services.campaigns.timeline(id_, "D1-1")
    assert [mark.state for mark in found.marks] == [DeviceState.OFFERED]
    assert found.device.why.code == "campaign.retry"


async def test_another_dcu_is_told_nothing_of_it(
    running: Running, dcu: httpx.AsyncClient, release: str, tmp_path: Path
) -> None:
    id_ = await asyncio.to_thread(begin, running, release)
    async with dcu_client(running, tmp_path, "D2") as other:
        report = {"campaign": id_, "number": 1, "counts": {"confirmed": 3}}
        answer = await told(other, report)
    assert (answer["orders"], answer["taken"]) == ([], {id_: 1})
    assert DeviceState.CONFIRMED not in running.services.campaigns.get(id_).states


@pytest.mark.fums("UMS-3")
async def test_what_was_taken_is_there_after_a_kill(tmp_path: Path) -> None:
    """A real process is killed as soon as it has said that a report is taken."""
    chain = enrolled(tmp_path)
    home = open_installation(settings_in(tmp_path).state)
    clock, wall = ManualClock(1_780_086_600.0), ManualClock(SystemClock().now())
    with open_stores(home) as stores:
        context = Context(settings_in(tmp_path), home, clock, wall, LocalBus(), Metrics())
        services = build(context, stores)
        register(stores, {"D1": 3}, now=clock.now())
        office = Office(services, wall)
        id_ = office.started(offer(services, tmp_path), groups=ALL)
        await services.upgrades.uplink.stop()
        await services.ingest.stop()
    report = {"campaign": id_, "number": 3, "counts": {"verified": 3}, "marks": [
        {"meter": "D1-2", "state": "verified", "at": 9.0}]}  # fmt: skip
    async with process(tmp_path) as running, dcu_of(running, chain) as dcu:
        first = await told(dcu)
        assert len(first["orders"]) == 1
        assert (await told(dcu, report))["taken"] == {id_: 3}
        await running.kill()
    async with process(tmp_path) as running, dcu_of(running, chain) as dcu:
        revision = (await told(dcu, report))["revision"]
        poll = {"wait": "20", "upgrade": str(revision)}
        if (await told(dcu))["orders"][0]["activate"] is None:
            await dcu.get("/device/v1/work", params=poll)
        (order,) = (await told(dcu))["orders"]
        assert (order["download"], order["activate"]["attempt"]) == (None, 1)
        done = {"campaign": id_, "number": 4, "counts": {"confirmed": 3}}
        assert (await told(dcu, done))["taken"] == {id_: 4}
        await running.terminate()
    async with running_headend(tmp_path) as again:
        view = again.services.campaigns.get(id_)
        assert view.states == {DeviceState.CONFIRMED: 3}
        assert view.run.state in {CampaignState.RUNNING, CampaignState.FINISHED}
        marks = again.services.campaigns.timeline(id_, "D1-2").marks
        assert [mark.at for mark in marks] == [9.0]
