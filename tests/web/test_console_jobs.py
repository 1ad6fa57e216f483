"""The console's pages of jobs for DCUs' trees, and of waking a DCU."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import PASSWORD, dcu_client, operator_client
from tests.support.management import Device, change_account, give_account
from tests.support.office import RETRIES, WINDOW
from tests.web.test_console import HTMX, sign_in
from tests.web.test_console_groups import post

from openami.fleet.accounts import AccountRecord, SessionRecord
from openami.fleet.operators import Role
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Command, TaskKind
from openami.headend.management.device_groups import group_scope
from openami.headend.management.tasks import Whom
from openami.headend.management.trees import device_scope
from openami.omadm.objects.ami import AmiListener
from openami.web.console.waking import standing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running


@pytest.fixture
async def device(running: Running, tmp_path: Path) -> AsyncIterator[Device]:
    """A DCU that has been seen."""
    async with dcu_client(running, tmp_path, "D1") as http:
        device = Device("D1", give_account(running, "D1"), http)
        device.tree.watch("./AMI", AmiListener(lambda _: None))
        await device.run()
        yield device


@pytest.fixture
async def csrf(device: Device, browser: httpx.AsyncClient) -> str:
    """A signed-in browser."""
    return await sign_in(browser)


async def start(client: httpx.AsyncClient, csrf: str, **fields: str) -> str:
    """Count, confirm what the page then has in its form, and return the job's address."""
    status, _, page = await post(client, "/jobs/new", csrf, **fields)
    assert status == 200, page
    form = page[page.index('action="/jobs"') :].split("</form>")[0]
    hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    again = {name: html.unescape(value) for name, value in hidden.items()}
    answers = [await client.post("/jobs", data=again) for _ in range(2)]  # a double click
    assert [answer.status_code for answer in answers] == [303, 303], answers[0].text
    where: set[str] = {answer.headers["Location"] for answer in answers}
    assert len(where) == 1
    return where.pop()


async def test_a_job_is_counted_confirmed_and_followed(
    csrf: str, browser: httpx.AsyncClient, running: Running, device: Device
) -> None:
    assert "no job yet" in (await browser.get("/jobs")).text
    page = (await post(browser, "/jobs/new", csrf, kind="get", nodes=WINDOW))[2]
    assert re.search(r"1 DCU: <bdi>every DCU<", page)
    assert running.services.management.tasks.list().items == ()
    where = await start(
        browser, csrf, kind="get", nodes=f"{WINDOW}\n ./AMI/Nothing \n", search="D", why="a look"
    )
    page = (await browser.get(where)).text
    assert "0 of 1 DCU have ended" in page
    assert 'hx-trigger="every 2s"' in page
    assert "a look" in page
    await device.run()
    page = (await browser.get(where)).text
    assert "1 of 1 DCU have ended" in page
    assert "every 2s" not in page
    assert re.search(r"Link/Window</span>\s*<bdi[^>]*><b>1<", page)
    assert re.search(r'Nothing</span>\s*<span class="badge bad">404<', page)
    assert "1 DCU without success" in page
    listed = (await browser.get("/jobs")).text
    assert "Read" in listed
    assert "1 of 1" in listed
    assert where in (await browser.get("/dcus/D1/jobs")).text
    assert (await browser.get("/dcus/none/jobs")).status_code == 404
    assert (await browser.get("/jobs/none")).status_code == 404


async def test_a_failure_has_the_devices_own_words(
    csrf: str, browser: httpx.AsyncClient, device: Device
) -> None:
    where = await start(
        browser, csrf, kind="set", nodes=f"{WINDOW} = 99", unchecked="1", devices="D1"
    )
    await device.run()
    page = (await browser.get(where)).text
    assert "the value is 1 to 7" in page
    failed = (await browser.get(f"{where}?state=failed")).text
    assert "the value is 1 to 7" in failed
    done = (await browser.get(f"{where}?state=done")).text
    assert "None." in done


async def test_what_is_set_may_be_kept(
    csrf: str, browser: httpx.AsyncClient, running: Running, device: Device
) -> None:
    trees = running.services.management.trees
    await start(browser, csrf, kind="set", nodes=f"{RETRIES}=7", devices="D1", keep="1")
    wishes = trees.wishes(device_scope("D1"))
    assert [(w.setting.uri, w.setting.value) for w in wishes] == [(RETRIES, "7")]
    running.services.management.groups.put("north", DeviceFilter(), priority=0, who="x")
    page = (await browser.get("/jobs/new", params={"group": "north", "kind": "exec"})).text
    assert "<option selected>north</option>" in page
    await start(browser, csrf, kind="set", nodes=f"{WINDOW}=3", group="north", keep="1")
    assert trees.wishes(group_scope("north"))[0].setting.value == "3"


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("request.job", {"kind": "dance", "nodes": WINDOW}),
        ("request.uri", {"kind": "get", "nodes": " "}),
        ("request.uri", {"kind": "get", "nodes": "nowhere//at"}),
        ("request.value", {"kind": "set", "nodes": WINDOW}),
        ("request.value", {"kind": "set", "nodes": f"{WINDOW}=99"}),
        ("request.keep", {"kind": "set", "nodes": f"{WINDOW}=3", "keep": "1"}),
        ("request.job", {"kind": "get", "nodes": WINDOW, "expires": "1"}),
        ("request.filter", {"kind": "get", "nodes": WINDOW, "state": "lost"}),
        ("request.devices", {"kind": "get", "nodes": WINDOW, "devices": "D1", "region": "x"}),
        ("request.devices", {"kind": "get", "nodes": WINDOW, "devices": "D1", "group": "x"}),
        ("dm.secret", {"kind": "get", "nodes": "./DMAcc/1/AppAuth/1/AAuthSecret"}),
    ],
)
async def test_what_can_not_be_meant_is_refused(
    csrf: str, browser: httpx.AsyncClient, running: Running, code: str, fields: dict[str, str]
) -> None:
    for path in ("/jobs/new", "/jobs"):
        status, _, page = await post(browser, path, csrf, **fields)
        assert status in {400, 403}
        assert code in page
    assert running.services.management.tasks.list().items == ()
    no_key = await post(browser, "/jobs", csrf, kind="get", nodes=WINDOW)
    assert (no_key[0], "request.key" in no_key[2]) == (400, True)


async def test_results_are_paged_and_a_job_is_cancelled(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    for number in range(60):
        uid = f"E{number:02}"
        running.services.registry.enroll_dcu(uid, who="test")
        give_account(running, uid, digest=f"{number:064x}")
    tasks = running.services.management.tasks
    which = Whom(which=DeviceFilter(search="E"))
    made = tasks.create(TaskKind.EXEC, [Command("./AMI/Operations/Collect")], which, who="anna")
    path = f"/jobs/{made.job.id}"
    first = (await browser.get(path)).text
    assert "Waiting <b>60</b>" in first
    assert len(re.findall(r'id="dcu-E', first)) == 50
    [following] = re.findall(rf'href="({path}\?after=[^"]+)"', first)
    assert len(re.findall(r'id="dcu-E', (await browser.get(following)).text)) == 10
    assert (await browser.get(f"{path}?after=zzz")).status_code == 400
    assert (await post(browser, f"{path}/cancel", csrf, next=path))[:2] == (303, path)
    page = (await browser.get(path)).text
    assert "Cancelled <b>60</b>" in page
    assert "Cancel…" not in page
    for number in range(20):
        tasks.create(TaskKind.GET, [Command(WINDOW)], Whom(devices=("D1",)), who=f"w{number}")
    listed = (await browser.get("/jobs")).text
    assert len(re.findall(r'id="job-', listed)) == 20
    [older] = re.findall(r'href="(/jobs\?after=[^"]+)"', listed)
    assert path in (await browser.get(older)).text


async def test_a_viewer_follows_jobs_and_makes_none(csrf: str, running: Running) -> None:
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    running.services.operators.add("worker", PASSWORD, Role.OPERATOR, who="test")
    tasks = running.services.management.tasks
    made = tasks.create(TaskKind.GET, [Command(WINDOW)], Whom(devices=("D1",)), who="anna")
    path = f"/jobs/{made.job.id}"
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        for page in ("/jobs", path, "/dcus/D1/jobs", "/dcus/D1"):
            answer = await client.get(page)
            assert answer.status_code == 200
            assert "hx-post" not in answer.text
            assert "/jobs/new" not in answer.text
        assert (await client.get("/jobs/new")).status_code == 403
        for act in ("/jobs/new", "/jobs", f"{path}/cancel", "/dcus/D1/wake"):
            refused = await post(client, act, token, kind="get", nodes=WINDOW)
            assert (refused[0], "security.role" in refused[2]) == (403, True), act
    async with operator_client(running) as client:
        token = await sign_in(client, "worker")
        assert (await start(client, token, kind="get", nodes=WINDOW)).startswith("/jobs/")
        assert (
            await client.post("/jobs", data={"kind": "get", "nodes": WINDOW})
        ).status_code == 403


async def test_a_dcu_is_woken_now(
    csrf: str, browser: httpx.AsyncClient, running: Running, device: Device
) -> None:
    page = (await browser.get("/dcus/D1")).text
    assert "not called" in page
    answer = await browser.post("/dcus/D1/wake", data={"csrf_token": csrf}, headers=HTMX)
    assert "waits for its poll" in answer.text
    change_account(running, "D1", wake_url="http://127.0.0.1:9/wake")
    shown = (await browser.get("/fragments/dcus/D1/wake")).text
    assert "being woken" in shown or "no answer yet" in shown
    await device.run(notified=True)
    shown = (await browser.get("/fragments/dcus/D1/wake")).text
    assert ">woken<" in shown
    assert "every 15s" in shown
    assert (await post(browser, "/dcus/D1/wake", csrf))[:2] == (303, "/dcus/D1")
    assert (await post(browser, "/dcus/none/wake", csrf))[0] == 404
    change_account(running, "D1", suspended=True)
    assert "suspended" in (await browser.get("/dcus/D1")).text
    running.services.registry.enroll_dcu("D2", who="test")
    page = (await browser.get("/dcus/D2")).text
    assert "no account" in page
    assert "Wake now" not in page


ACCOUNT = AccountRecord("D1", "d" * 64, last_session=1000.0, wake_url="http://d/wake")
SESSION = SessionRecord(1, "D1", "2A", 1000.0, 1001.0, "done", notified=True)


@pytest.mark.parametrize(
    ("changes", "label", "following"),
    [
        ({}, "woken", (1300.0, "poll")),
        ({"wake_due": 1100.0}, "being woken", (None, "")),
        ({"wake_due": 1100.0, "wake_failures": 2}, "no answer yet", (1100.0, "try")),
        ({"wake_failures": 5}, "did not wake", (1300.0, "poll")),
        ({"wake_due": 1100.0, "wake_url": None}, "waits for its poll", (1300.0, "poll")),
    ],
)
def test_how_a_wake_up_stands(changes: dict[str, Any], label: str, following: Any) -> None:
    found = standing(replace(ACCOUNT, **changes), SESSION, 300.0, 5)
    assert (found.label, (found.next, found.next_is)) == (label, following)


def test_a_wake_up_of_a_dcu_that_nobody_knows_much_about() -> None:
    of_itself = replace(SESSION, notified=False)
    assert standing(ACCOUNT, of_itself, None, 5).label == "not called"
    assert standing(ACCOUNT, of_itself, None, 5).next is None
    dead = standing(replace(ACCOUNT, wake_failures=5, wake_silent=True), of_itself, None, 5)
    assert "the last one reached nobody" in dead.words
    assert "has not come" in standing(replace(ACCOUNT, last_session=None), None, 300.0, 5).words
