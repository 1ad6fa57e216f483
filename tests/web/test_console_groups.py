"""The console's pages of groups of DCUs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import PASSWORD, operator_client
from tests.support.office import RETRIES, WINDOW, manage
from tests.web.test_console import HTMX, sign_in

from openami.core.errors import NotFoundError
from openami.fleet.desired import Setting
from openami.fleet.devices import Contact
from openami.fleet.operators import Role
from openami.fleet.ports import DeviceFilter
from openami.headend.management.device_groups import group_scope
from openami.headend.registry import Description

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient, tmp_path: Path) -> str:
    """A signed-in browser, a DCU that is managed, and a group that it is in."""
    await manage(running, tmp_path)
    management = running.services.management
    management.groups.put("north", DeviceFilter(search="D"), priority=3, who="anna")
    wishes = [Setting(RETRIES, "int", "7"), Setting(WINDOW, "int", "99")]
    management.trees.want(group_scope("north"), wishes, who="anna")
    return await sign_in(browser)


async def post(
    client: httpx.AsyncClient, path: str, csrf: str, **fields: str
) -> tuple[int, str, str]:
    answer = await client.post(path, data={"csrf_token": csrf, **fields})
    return answer.status_code, answer.headers.get("Location", ""), answer.text


async def test_groups_say_how_many_are_otherwise(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    page = (await browser.get("/groups")).text
    assert 'href="/groups/north"' in page
    assert "“D” in serial, label or model" in page
    [figures] = re.findall(r'hx-get="(/fragments/groups/[^"]+)"', page)
    assert "1 of 1 DCU differs" in (await browser.get(figures)).text

    group = (await browser.get("/groups/north")).text
    assert "1 DCU:" in group
    assert "counting…" in group
    counted = (await browser.get("/fragments/groups/north/wanted")).text
    far = re.findall(r'data-label="so at">([^<]+)<', counted)
    assert far == ["1 of 1", "0 of 1"]  # retries as wanted, the window not

    running.services.registry.enroll_dcu("D2", who="test")
    running.services.management.groups.put("all", DeviceFilter(), priority=0, who=HOSTILE)
    page = (await browser.get("/groups")).text
    assert re.findall(r'href="/groups/(\w+)"', page) == ["north", "all"]
    assert "wants nothing" in page
    assert "every DCU" in page
    group = (await browser.get("/groups/all")).text
    assert "2 DCUs:" in group
    assert HOSTILE not in group
    assert (await browser.get("/groups/none")).status_code == 404
    for part in ("figures", "wanted"):
        assert (await browser.get(f"/fragments/groups/none/{part}")).status_code == 404


async def test_the_members_that_differ_are_named(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    """Just these: page by page, with what is known and wanted, and a link to the tree."""
    for number in range(27):
        running.services.registry.enroll_dcu(f"D2-{number:02}", who="test")
    group = (await browser.get("/groups/north")).text
    assert 'href="/groups/north/differing"' in group
    assert 'hx-get="/fragments/groups/north/figures"' in group
    figures = (await browser.get("/fragments/groups/north/figures")).text
    assert 'href="/groups/north/differing"' in figures
    assert "1 of 28 DCUs differs" in figures
    assert "27 to be looked at" in figures
    first = (await browser.get("/groups/north/differing")).text
    assert re.findall(r'class="name"><a href="/dcus/([^/]+)/tree"', first)[:2] == ["D1", "D2-00"]
    row = first[first.index('href="/dcus/D1/tree"') :].split("</tr>")[0]
    assert WINDOW in row
    assert RETRIES not in row
    assert re.search(r"→ <b><bdi[^>]*>99<", row)
    unseen = first[first.index('href="/dcus/D2-00/tree"') :].split("</tr>")[0]
    assert "to be looked at" in unseen
    assert "not seen" in unseen
    assert "not there" not in unseen
    [following] = re.findall(r'href="(/groups/north/differing\?after=[^"]+)"', first)
    second = (await browser.get(following.replace("&amp;", "&"))).text
    assert len(re.findall(r'class="name"', second)) == 3
    assert 'rel="next"' not in second
    assert (await browser.get("/groups/none/differing")).status_code == 404
    trees = running.services.management.trees
    trees.unwant(group_scope("north"), [WINDOW, RETRIES], who="anna")
    running.services.management.groups.put(
        "new", DeviceFilter(search="D2-"), priority=0, who="anna"
    )
    assert "All of them are" in (await browser.get("/groups/new/differing")).text
    assert "27 DCUs as wanted" in (await browser.get("/fragments/groups/new/figures")).text


async def test_dcus_are_found_by_what_a_group_would_find_them_by(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    registry = running.services.registry
    for number in range(60):
        registry.enroll_dcu(f"E{number:02}", who="test")
    registry.describe("dcu-E01", Description(region="north"), who="test")

    async def found(query: str) -> list[str]:
        page = (await browser.get(f"/dcus?{query}")).text
        return re.findall(r'class="name"><a id="dcu-([^"]+)"', page)

    assert await found("search=d1") == ["D1"]
    assert await found("region=north&state=commissioned") == ["E01"]
    assert await found("region=nowhere") == []
    page = (await browser.get("/dcus?search=E&state=commissioned")).text
    assert 'name="search" value="E"' in page
    [following] = re.findall(r'href="(/dcus\?[^"]*after=[^"]+)"', page)
    rest = (await browser.get(following.replace("&amp;", "&"))).text
    assert len(re.findall(r'id="dcu-E', rest)) == 10
    assert "No DCU matches" in (await browser.get("/dcus?search=nobody")).text
    assert (await browser.get("/dcus?state=lost")).status_code == 400


async def test_members_are_shown_with_their_differences(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    """Page by page: a fleet has 120,000 of them."""
    for number in range(30):
        running.services.registry.enroll_dcu(f"D2-{number:02}", who="test")
    first = (await browser.get("/groups/north/devices")).text
    assert re.findall(r'class="name"><a href="/dcus/([^/]+)/tree"', first)[:2] == ["D1", "D2-00"]
    row = first[first.index('href="/dcus/D1/tree"') :].split("</tr>")[0]
    assert WINDOW in row
    assert RETRIES not in row
    assert re.search(r"→ <b><bdi[^>]*>99<", row)
    [following] = re.findall(r'href="(/groups/north/devices\?after=[^"]+)"', first)
    second = (await browser.get(following.replace("&amp;", "&"))).text
    assert len(re.findall(r'class="name"', second)) == 6
    assert 'rel="next"' not in second


async def test_refusals_are_shown(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    await manage(running, tmp_path, "E1")  # its own window is refused; no group finds it
    every = (await browser.get("/refused")).text
    assert 'href="/dcus/E1/tree"' in every
    assert "the value is 1 to 7" in every
    assert "None of them" in (await browser.get("/groups/north/refused")).text
    running.services.management.groups.put("east", DeviceFilter(search="E"), priority=0, who="x")
    assert "the value is 1 to 7" in (await browser.get("/groups/east/refused")).text
    assert (await browser.get("/groups/none/refused")).status_code == 404


async def test_alarms_lead_to_what_they_are_about(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    subjects = ("group:north", "job:28b8", "meter-M1", "releases:root", "audit", f"node:{HOSTILE}")
    for subject in subjects:
        running.services.alarms.about(subject, "dm.refused", "many refuse")
    page = (await browser.get("/alarms")).text
    where = ("/groups/north/refused", "/jobs/28b8?state=failed", "/meters/M1", "/dcus/D1")
    for link in (*where, "/releases", "/audit"):
        assert f'href="{link}"' in page
    assert HOSTILE not in page


async def test_a_group_is_made_changed_and_removed(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    groups, trees = running.services.management.groups, running.services.management.trees
    made = await post(browser, "/groups", csrf, name="south", region="S", priority="-2")
    assert made[:2] == (303, "/groups/south")
    assert (groups.get("south").group.which.region, groups.get("south").group.priority) == ("S", -2)
    bad = (
        {"name": "south"},  # it is there
        {"name": "no/name"},
        {"name": "west", "priority": "high"},
        {"name": "west", "priority": "9" * 9},
        {"name": "west", "state": "lost"},
        {"name": "west", "region": "x" * 129},
    )
    for fields in bad:
        assert (await post(browser, "/groups", csrf, **fields))[0] == 400, fields
    scripted = await browser.post("/groups", data={"csrf_token": csrf, "name": "w"}, headers=HTMX)
    assert (scripted.status_code, scripted.headers["HX-Redirect"]) == (204, "/groups/w")

    seen = DeviceFilter(region="S", contact=Contact.OK)  # what the form has no field for stays
    groups.put("south", seen, priority=-2, who="test")
    unsure = await post(browser, "/groups/south", csrf, region="T")
    assert (unsure[0], "request.sure" in unsure[2]) == (400, True)
    changed = await post(browser, "/groups/south", csrf, state="in service", priority="5", sure="1")
    assert changed[0] == 303
    group = groups.get("south").group
    assert (group.which.region, group.which.state, group.priority) == (None, "in service", 5)
    assert group.which.contact is Contact.OK
    assert (await post(browser, "/groups/none", csrf, sure="1"))[0] == 404

    unsure = await post(browser, "/groups/north/want", csrf, uri=WINDOW, value="3")
    assert (unsure[0], "request.sure" in unsure[2]) == (400, True)
    assert (await post(browser, "/groups/north/want", csrf, uri=WINDOW, value="9", sure="1"))[
        0
    ] == 400
    before = (await browser.get("/fragments/groups/north/wanted")).text
    assert (await post(browser, "/groups/north/want", csrf, uri=WINDOW, value="3", sure="1"))[
        0
    ] == 303
    wanted = {w.setting.uri: w.setting.value for w in trees.wishes(group_scope("north"))}
    assert wanted[WINDOW] == "3"
    after = (await browser.get("/fragments/groups/north/wanted")).text
    assert ">99<" in before
    assert ">3<" in after
    chosen = (await browser.get("/groups/north", params={"set": WINDOW})).text
    assert re.search(r'name="value"[^>]* value="3"', chosen)

    assert (await post(browser, "/groups/north/unwant", csrf, uri=WINDOW))[0] == 303
    assert (await post(browser, "/groups/north/unwant", csrf, uri=WINDOW))[0] == 404
    assert (await post(browser, "/groups/north/remove", csrf))[:2] == (303, "/groups")
    with pytest.raises(NotFoundError):
        groups.get("north")
    said = running.services.registry.audit(subject="group:north").items
    assert {entry.who for entry in said} == {"anna", "admin"}


async def test_a_viewer_looks_at_groups_and_changes_nothing(csrf: str, running: Running) -> None:
    operators = running.services.operators
    operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    operators.add("worker", PASSWORD, Role.OPERATOR, who="test")
    pages = (
        "/groups",
        "/groups/north",
        "/groups/north/devices",
        "/groups/north/refused",
        "/refused",
    )
    acts = (
        "/groups",
        "/groups/north",
        *(f"/groups/north/{a}" for a in ("want", "unwant", "remove")),
    )
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        for path in (*pages, "/fragments/groups/north/wanted"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "hx-post" not in answer.text, path
            assert "<summary" not in answer.text, path
            assert "/jobs/new" not in answer.text, path
        for path in acts:
            refused = await post(client, path, token, sure="1", uri=WINDOW, value="3", name="x")
            assert (refused[0], "security.role" in refused[2]) == (403, True), path
        assert (await client.post("/groups/north/remove")).status_code == 403  # no CSRF token
    async with operator_client(running) as client:
        token = await sign_in(client, "worker")
        done = await post(client, "/groups/north/want", token, uri=WINDOW, value="2", sure="1")
        assert done[0] == 303
