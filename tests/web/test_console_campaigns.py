"""The console's pages of campaigns: the planner, what is live, devices and what happened to them."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import PASSWORD, START, operator_client
from tests.support.planned import offer, street, tell
from tests.web.test_console import HTMX, sign_in
from tests.web.test_console_groups import post

from openami.fleet.campaigns.dryrun import DryRun, GroupForecast
from openami.fleet.campaigns.engine import Estimate
from openami.fleet.campaigns.groups import GroupState
from openami.fleet.campaigns.model import Budget, DeviceState, Retry
from openami.fleet.campaigns.timeline import Mark
from openami.fleet.devices import DeviceKind, Sighting
from openami.fleet.operators import Role
from openami.fleet.ports import DeviceFilter
from openami.headend.campaigns.views import GroupView
from openami.web.console import campaign_views as views
from openami.web.console.campaign_forms import COLUMNS, form_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"
TYPED = {
    "name": "Autumn",
    "release": "1",
    "zone": "Asia/Seoul",
    "activate_windows": "",
    "canary": "1",
    "jitter": "0",
    "group": ["canary", "rest", ""],
    "which": ["1%", "rest", " "],
    "success": ["95%", "95%", "95%"],
    "error": ["50%", "2%", "2%"],
    "least": ["2", "1", "1"],
    "soak": ["1", "0", "0"],
}


@pytest.fixture
async def dcu(running: Running, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A release, and a DCU with ten meters."""
    offer(running, tmp_path)
    async with street(running, tmp_path) as client:
        yield client


@pytest.fixture
async def csrf(dcu: httpx.AsyncClient, browser: httpx.AsyncClient) -> str:
    """A signed-in browser."""
    return await sign_in(browser)


@pytest.fixture
async def boris(running: Running) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """The browser of a second operator."""
    running.services.operators.add("boris", PASSWORD, Role.OPERATOR, who="test")
    async with operator_client(running) as client:
        yield client, await sign_in(client, "boris")


async def send(
    client: httpx.AsyncClient, path: str, csrf: str, **others: object
) -> tuple[int, str, str]:
    return await post(client, path, csrf, **{**TYPED, **others})  # type: ignore[arg-type]  # lists are fields that come again


async def keep(client: httpx.AsyncClient, csrf: str, **others: object) -> str:
    """Try a campaign, keep what the page then has in its form, and return its address."""
    status, _, page = await send(client, "/campaigns/new", csrf, **others)
    assert status == 200, page
    form = page[page.index('action="/campaigns"') :].split("</form>")[0]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(html.unescape(value))
    answer = await client.post("/campaigns", data=fields)
    assert answer.status_code == 303, answer.text
    where: str = answer.headers["Location"]
    return where


async def act(client: httpx.AsyncClient, csrf: str, path: str, name: str, **more: str) -> int:
    """Push a button of the page as it is now."""
    page = (await client.get(path)).text
    found = re.search(rf'action="{path}/{name}".*?name="number" value="(\d+)"', page)
    assert found is not None, f"no way to {name}"
    fields = {"number": found[1], "why": "so", **more}
    return (await post(client, f"{path}/{name}", csrf, **fields))[0]


async def test_a_campaign_is_tried_kept_and_followed(
    running: Running, csrf: str, browser: httpx.AsyncClient, dcu: httpx.AsyncClient,
    boris: tuple[httpx.AsyncClient, str],
) -> None:  # fmt: skip
    assert "no campaign yet" in (await browser.get("/campaigns")).text
    assert '<option value="1" selected>' in (await browser.get("/campaigns/new?release=1")).text
    page = (await send(browser, "/campaigns/new", csrf))[2]
    assert "9 devices behind 1 DCU" in page
    assert "It has this version already" in page
    assert page.count('name="which"') == 4 + 2  # two groups, two spare rows; two kept
    path = await keep(browser, csrf, success=["50%"] * 3)  # one failure is no pause
    assert "counted when it is planned" in (await browser.get(path)).text
    assert await act(browser, csrf, path, "plan") == 303
    page = (await browser.get(path)).text
    assert "You wrote or planned it" in page
    assert f'action="{path}/approve"' not in page
    other, token = boris
    assert await act(other, token, path, "approve") == 303
    assert await act(browser, csrf, path, "start") == 303
    await running.services.upgrades.rounds.round()
    id_ = path.rpartition("/")[2]
    marks = [
        {"meter": "M02", "state": "verified", "at": START + 5.0, "attempt": 1, "code": None},
        {"meter": "M03", "state": "failed", "at": START + 1.0, "attempt": 1,
         "code": "upgrade.verification", "reason": HOSTILE},
    ]  # fmt: skip
    counts = {"offered": 7, "verified": 1, "failed": 1}
    await tell(dcu, id_, 1, counts=counts, codes={"upgrade.verification": 1}, marks=marks)
    page = (await browser.get(path)).text
    assert "behind 1 DCU confirmed, 1 failed" in page
    assert "The meter refused the image at its verification." in page
    assert re.search(r'class="st-failed" x="88\.\d+%"', page)
    assert 'data-live="/api/v1/live?topic=campaign"' in page
    assert f'href="{path}"' in (await browser.get("/campaigns?state=running")).text
    assert "No campaign is in this state" in (await browser.get("/campaigns?state=paused")).text
    failed = (await browser.get(f"{path}/devices?state=failed&group=canary&dcu=D1")).text
    assert re.findall(rf'href="{path}/devices/(\w+)"', failed) == ["M03"]
    assert "Check that the release" not in failed
    timeline = (await browser.get(f"{path}/devices/M03")).text
    assert HOSTILE not in timeline
    assert "<b>Failed</b>" in timeline
    assert "upgrade.verification" in timeline
    assert f'href="{path}/devices/M03"' in (await browser.get("/meters/M03/upgrades")).text
    assert "/meters/M03/upgrades" in (await browser.get("/meters/M03")).text
    assert "None yet" in (await browser.get("/dcus/D1/upgrades")).text
    release = (await browser.get("/releases/1")).text
    assert f'href="{path}"' in release
    assert "Now: <b><bdi>Autumn</bdi></b>." in release
    assert await act(browser, csrf, path, "stop") == 303
    assert "Now: <b>" not in (await browser.get("/releases/1")).text
    page = (await browser.get(path)).text
    assert "An operator has stopped the campaign." in page
    assert f'action="{path}/' not in page


async def test_a_group_that_failed_says_so_whatever_becomes_of_its_campaign(
    running: Running, csrf: str, browser: httpx.AsyncClient, dcu: httpx.AsyncClient,
    boris: tuple[httpx.AsyncClient, str],
) -> None:  # fmt: skip
    path = await keep(browser, csrf, error=["0%"] * 3, least=["1"] * 3)
    assert await act(browser, csrf, path, "plan") == 303
    other, token = boris
    assert await act(other, token, path, "approve") == 303
    assert await act(browser, csrf, path, "start") == 303
    await running.services.upgrades.rounds.round()
    codes = {"upgrade.verification": 1}
    await tell(dcu, path.rpartition("/")[2], 1, counts={"offered": 8, "failed": 1}, codes=codes)
    await running.services.upgrades.rounds.round()
    group = "Too many of its devices have failed."
    page = (await browser.get(path)).text
    assert "Too many devices of a group have failed, the campaign is paused." in page
    assert group in page
    assert await act(browser, csrf, path, "stop") == 303
    page = (await browser.get(path)).text
    assert "An operator has stopped the campaign." in page
    assert group in page
    assert "is paused" not in page
    assert "resume" not in page.casefold()
    told = (await browser.get(f"/api/v1{path}")).json()["progress"]["groups"][0]["cause"]
    assert told["code"] == "campaign.errors"
    assert "paused" not in told["cause"]
    assert "resume" not in told["step"]


async def test_what_the_form_does_not_show_whole_is_kept(
    running: Running, csrf: str, browser: httpx.AsyncClient
) -> None:
    path = await keep(
        browser, csrf, model="M", attempts="5", retry_first="2.5", retry_most="12", silent="3",
        longest="30", link_rate="20.5", soak=["0.5", "0", "0"],
    )  # fmt: skip
    desk, id_ = running.services.campaigns, path.rpartition("/")[2]
    made = desk.get(id_).campaign
    assert made.which == DeviceFilter(kind=DeviceKind.METER, model="M")
    assert made.retry == Retry(5, 150.0, 43_200.0, 10_800.0, 108_000.0)
    assert [group.thresholds.least for group in made.groups] == [2, 1]
    assert (made.budget.link_rate, made.groups[0].soak_s) == (20_500, 1800.0)
    assert "meters: model M" in (await browser.get(path)).text
    canary = replace(made.groups[0], soak_s=61.0)
    odd = replace(
        made,
        jitter_s=0.25,
        groups=(canary, *made.groups[1:]),
        retry=replace(made.retry, first_s=1.0),
    )
    desk.revise(id_, odd, who="anna", number=1)
    form = form_of(odd, 1)
    columns = {name: [row[name] for row in form.rows] for name in COLUMNS}
    sent = {**form.fields, **columns, "number": "2"}
    assert (await post(browser, f"{path}/revise", csrf, **sent))[0] == 303  # type: ignore[arg-type]  # lists are fields that come again
    assert desk.get(id_).campaign == odd


async def test_the_first_dcus_are_named_in_their_order(
    running: Running, csrf: str, browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    sightings = [
        Sighting(DeviceKind.METER, f"X{n:02}", model="M", firmware="1.3.0", dcu=f"E{n:02}")
        for n in range(60)
    ]
    running.services.registry._devices.sight(sightings, now=START)
    page = (await send(browser, "/campaigns/new", csrf))[2]
    assert "Which DCUs first: 1 to 50 of 61" in page
    more = page[page.index("<details>") :].split("</details>")[0]
    first = re.findall(r'href="/dcus/(\w+)"', more)
    assert 'name="first" value="50"' in more
    page = (await send(browser, "/campaigns/new", csrf, first="50"))[2]
    assert "Which DCUs first: 51 to 61 of 61" in page
    rest = re.findall(r'href="/dcus/(\w+)"', page)
    assert sorted([*first, *rest]) == ["D1", *(f"E{n:02}" for n in range(60))]
    assert "The DCUs after these" not in page


async def test_a_form_that_is_sent_twice_makes_one_campaign(
    running: Running, csrf: str, browser: httpx.AsyncClient
) -> None:
    answers = [await send(browser, "/campaigns", csrf, key="k1") for _ in range(2)]
    assert [status for status, *_ in answers] == [303, 303]
    assert len(running.services.campaigns.list().items) == 1
    changed = await send(browser, "/campaigns", csrf, key="k1", name="Winter")
    assert (changed[0], "campaign.key" in changed[2]) == (422, True)


async def test_what_is_written_is_changed_before_it_is_started(
    running: Running, csrf: str, browser: httpx.AsyncClient
) -> None:
    path = await keep(
        browser, csrf, region="", search="M", download_from="2026-12-01T01:00", rate="5000",
        download_windows="22:00-06:00", activate_windows="01:00-05:00 sat+sun", jobs="3",
        until="2027-01-01T00:00", activations="7", ahead="1", dynamic="1",
    )  # fmt: skip
    page = (await browser.get(f"{path}/edit")).text
    for field, value in {
        "download_from": "2026-12-01T01:00", "download_windows": "22:00-06:00", "rate": "5000",
        "activate_windows": "01:00-05:00 sat+sun", "until": "2027-01-01T00:00", "jobs": "3",
        "activations": "7", "zone": "Asia/Seoul", "search": "M", "soak": "1", "error": "50%",
    }.items():  # fmt: skip
        assert f'name="{field}" value="{value}"' in page, field
    status, _, tried = await send(browser, f"{path}/edit", csrf, name="Winter")
    assert (status, "Keep it so" in tried) == (200, True)
    no_number = await send(browser, f"{path}/revise", csrf, name="Winter")
    assert (no_number[0], "request.number" in no_number[2]) == (400, True)
    assert (await send(browser, f"{path}/revise", csrf, name="Winter", number="1"))[0] == 303
    again = await send(browser, f"{path}/revise", csrf, name="Spring", number="1")
    assert (again[0], "campaign.number" in again[2]) == (409, True)
    found = running.services.campaigns.get(path.rpartition("/")[2]).campaign
    assert (found.name, found.until, found.dynamic) == ("Winter", None, False)
    assert found.which == DeviceFilter(kind=DeviceKind.METER)


@pytest.mark.parametrize(
    ("code", "typed"),
    [
        ("store.not-found", {"release": ""}),
        ("store.not-found", {"release": "99"}),
        ("request.zone", {"zone": "Mars/Olympus"}),
        ("request.campaign", {"name": ""}),
        ("request.campaign", {"which": ["lots"]}),
        ("request.campaign", {"which": ["1%"], "success": ["0%"]}),
        ("request.campaign", {"activate_windows": "at night"}),
        ("request.campaign", {"until": "soon"}),
        ("request.campaign", {"jobs": "many"}),
        ("request.campaign", {"soak": ["-1", "0"]}),
        ("request.campaign", {"which": [], "group": []}),
        ("request.campaign", {"state": "lost"}),
        ("request.field", {"search": "x" * 9000}),
    ],
)
async def test_what_can_not_be_meant_is_refused(
    running: Running, csrf: str, browser: httpx.AsyncClient, code: str, typed: dict[str, object]
) -> None:
    for path in ("/campaigns/new", "/campaigns"):
        status, _, page = await send(browser, path, csrf, **typed)
        assert status in {400, 404}
        assert code in page
    assert running.services.campaigns.list().items == ()


async def test_an_emergency_takes_three_acts(
    running: Running, csrf: str, browser: httpx.AsyncClient, boris: tuple[httpx.AsyncClient, str]
) -> None:
    path = await keep(browser, csrf)
    other, token = boris
    assert await act(browser, csrf, path, "plan") == 303
    assert await act(other, token, path, "approve") == 303
    stop = "/campaigns/emergency-stop"
    for page in ("/campaigns", path, f"{path}/devices"):
        assert f'action="{stop}"' in (await browser.get(page)).text
    unsure = await post(browser, stop, csrf, why="bad")
    assert (unsure[0], "request.sure" in unsure[2]) == (400, True)
    silent = await post(browser, stop, csrf, sure="1")
    assert (silent[0], "request.why" in silent[2]) == (400, True)
    answer = await browser.post(
        stop, data={"csrf_token": csrf, "sure": "1", "why": "clocks"}, headers=HTMX
    )
    assert answer.headers["HX-Redirect"] == "/campaigns?state=emergency-stopped"
    page = (await browser.get(path)).text
    assert "Everything was stopped in an emergency." in page
    assert running.services.campaigns.epoch() == 1


async def test_who_looks_commands_nothing(
    running: Running, csrf: str, browser: httpx.AsyncClient
) -> None:
    path = await keep(browser, csrf)
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        for page in ("/campaigns", path, f"{path}/devices"):
            answer = await client.get(page)
            assert answer.status_code == 200
            assert "hx-post" not in answer.text
        for page in ("/campaigns/new", f"{path}/edit"):
            assert (await client.get(page)).status_code == 403
        for place in ("/campaigns", f"{path}/plan", f"{path}/revise", "/campaigns/emergency-stop"):
            refused = await send(client, place, token, sure="1", why="x", number="1")
            assert (refused[0], "security.role" in refused[2]) == (403, True), place
    for lost in ("/campaigns/none", "/campaigns/none/devices", f"{path}/devices/none",
                 "/campaigns/none/edit", "/meters/none/upgrades", "/dcus/none/upgrades"):  # fmt: skip
        assert (await browser.get(lost)).status_code == 404, lost
    assert (await post(browser, f"{path}/dance", csrf))[0] == 404
    assert (await post(browser, f"{path}/plan", csrf, number="one"))[0] == 400


FOREVER = float("inf")


def test_a_dry_run_as_a_picture() -> None:
    groups = (
        GroupForecast("a", 1, 10, 100.0, 120.0, 150.0, 200.0, "link"),
        GroupForecast("empty", 0, 0, 200.0, 200.0, 200.0, 200.0, "link"),
        GroupForecast("never", 1, 1, 200.0, FOREVER, FOREVER, FOREVER, "link"),
    )
    found = DryRun(2, 11, groups, (), in_time=True)
    first, empty, never = views.forecasts(found, 100.0)
    assert [(bar.key, bar.start, bar.share) for bar in first.bars] == [
        ("load", 0.0, 20.0), ("switch", 20.0, 30.0), ("watch", 50.0, 50.0),
    ]  # fmt: skip
    assert (empty.bars, never.bars) == ((), ())
    assert views.horizon(found, 100.0) == 200.0


def test_a_rate_comes_from_what_was_measured() -> None:
    def group(states: dict[DeviceState, int], estimate: Estimate | None) -> GroupView:
        total = sum(states.values())
        return GroupView("a", GroupState.ACTIVATING, 0.0, None, 1, total, states, {}, estimate)

    half = {DeviceState.CONFIRMED: 50, DeviceState.VERIFIED: 40, DeviceState.FAILED: 10}
    assert views.rate_of(group(half, Estimate(None, 3600.0)), 0.0) == 40.0
    waiting = {DeviceState.WAITING: 60, DeviceState.VERIFIED: 40}
    assert views.rate_of(group(waiting, Estimate(1800.0, None)), 0.0) == 120.0
    for nothing in (None, Estimate(None, None), Estimate(None, -1.0)):
        assert views.rate_of(group(half, nothing), 0.0) is None
    assert views.rate_of(group({DeviceState.CONFIRMED: 5}, Estimate(None, 9.0)), 0.0) is None


def test_words_for_whom_and_how_much() -> None:
    which = DeviceFilter(kind=DeviceKind.METER, dcu="D1", region="north")
    assert views.whom_words(which, "meter") == "meters behind DCU D1, region north"
    assert views.whom_words(DeviceFilter(), "DCU") == "every DCU"
    assert views.budget_words(Budget()) == "as much as there is"
    assert "2 downloads in a segment" in views.budget_words(Budget(segment_jobs=2, jobs=1))


def test_time_between_marks() -> None:
    marks = [Mark(DeviceState.OFFERED, 10.0), Mark(DeviceState.FAILED, 5.0, code="transport")]
    first, second = views.passed(marks, 20.0)
    assert (first.after, second.after) == (None, 0.0)
    assert second.why is not None
    assert second.why.cause == "the link failed"
