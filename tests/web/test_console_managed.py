"""The console's pages of how a DCU is managed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import PASSWORD, dcu_client, operator_client
from tests.support.management import Device, give_account
from tests.support.office import RETRIES, WINDOW, manage
from tests.web.test_console import sign_in

from openami.fleet.operators import Role
from openami.headend.management.trees import device_scope

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient, tmp_path: Path) -> str:
    """A signed-in browser, and a device that is managed."""
    await manage(running, tmp_path)
    return await sign_in(browser)


async def test_a_tree_says_what_is_and_what_is_wanted(
    csrf: str, browser: httpx.AsyncClient
) -> None:
    page = (await browser.get("/dcus/D1/tree")).text
    assert "1 refused" in page
    assert "refused, 500" in page
    assert "the value is 1 to 7" in page
    assert "1 to change" in page
    assert "as wanted" in page
    assert "by device:D1, test" in page
    assert "AAuthSecret" not in page
    chosen = (await browser.get("/dcus/D1/tree", params={"set": RETRIES})).text
    assert re.search(rf'name="uri"[^>]* value="{re.escape(RETRIES)}"', chosen)
    assert re.search(r'name="value"[^>]* value="7"', chosen)


async def test_a_value_is_wanted_and_wanted_no_more(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    async def post(act: str, **fields: str) -> tuple[int, str]:
        data = {"csrf_token": csrf, **fields}
        answer = await browser.post(f"/dcus/D1/tree/{act}", data=data)
        return answer.status_code, answer.text

    def wanted() -> dict[str, str]:
        wishes = running.services.management.trees.wishes(device_scope("D1"))
        return {wish.setting.uri: wish.setting.value for wish in wishes}

    assert (await post("want", uri=WINDOW, value="3"))[0] == 303
    assert wanted()[WINDOW] == "3"
    bad = await post("want", uri=WINDOW, value="99")
    assert (bad[0], "request.value" in bad[1]) == (400, True)
    assert (await post("want", uri=WINDOW, value="99", unchecked="1"))[0] == 303
    secret = await post("want", uri="./DMAcc/1/AppAuth/1/AAuthSecret", value="x")
    assert (secret[0], "dm.secret" in secret[1]) == (403, True)
    assert (await post("unwant", uri=WINDOW))[0] == 303
    assert WINDOW not in wanted()
    assert (await post("unwant", uri=WINDOW))[0] == 404
    assert (await post("want", uri="./AMI/Meters/7", absent="1"))[0] == 303
    for act in ("retry", "refresh"):
        assert (await post(act))[0] == 303
    assert "The next session looks" in (await browser.get("/dcus/D1/tree")).text
    for page in ("tree", "history", "sessions", "certificate"):
        assert (await browser.get(f"/dcus/none/{page}")).status_code == 404


async def test_history_and_sessions_are_told(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    history = (await browser.get("/dcus/D1/history")).text
    assert RETRIES in history
    assert "refused, 500" in history
    sessions = (await browser.get("/dcus/D1/sessions")).text
    found = re.findall(r'href="(/dcus/D1/sessions/\d+)"', sessions)
    assert len(found) == 3
    session = (await browser.get(found[1])).text
    assert "Device to head-end" in session
    assert "<b>SyncHdr</b>" in session
    assert RETRIES in session
    for path in ("/dcus/D1/sessions/x", "/dcus/D1/sessions/1", f"/dcus/D1/sessions/{'9' * 30}"):
        assert (await browser.get(path)).status_code == 404
    running.services.registry.enroll_dcu("D2", who="test")
    assert (await browser.get(found[0].replace("D1", "D2"))).status_code == 404
    by_hand = (await browser.get("/dcus/D1/certificate")).text
    assert "enrolled by hand" in by_hand


async def test_what_an_account_accepts_is_shown_and_changed(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    page = (await browser.get("/dcus/D1/certificate")).text
    assert "mac-sha256, digest-sha256" in page
    assert ">weak</span>" not in page
    assert 'action="/dcus/D1/account"' in page
    form = {"basic": "1", "why": "it knows nothing else"}
    running.services.operators.add("anna", PASSWORD, Role.OPERATOR, who="test")
    async with operator_client(running) as client:  # an operator is no administrator
        token = await sign_in(client, "anna")
        assert 'action="/dcus/D1/account"' not in (await client.get("/dcus/D1/certificate")).text
        answer = await client.post("/dcus/D1/account", data={**form, "csrf_token": token})
        assert (answer.status_code, "security.role" in answer.text) == (403, True)
    answer = await browser.post("/dcus/D1/account", data={**form, "csrf_token": csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, "/dcus/D1/certificate")
    none = {"csrf_token": csrf, "why": "nothing ticked"}
    answer = await browser.post("/dcus/D1/account", data=none)
    assert (answer.status_code, "request.proofs" in answer.text) == (400, True)
    page = (await browser.get("/dcus/D1/certificate")).text
    assert 'name="basic" value="1" checked' in page
    assert 'name="mac-sha256" value="1">' in page
    assert ">weak</span>" in page
    assert "no: it comes by itself" in page
    wake = (await browser.get("/fragments/dcus/D1/wake")).text
    assert "only polls" in wake
    assert "Wake now" not in wake
    running.services.registry.enroll_dcu("D2", who="test")
    assert "h-account" not in (await browser.get("/dcus/D2/certificate")).text


async def test_a_session_says_why_its_messages_are_missing(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    async with dcu_client(running, tmp_path, "E1") as http:
        device = Device("E1", give_account(running, "E1"), http)
        await device.run()
        await device.run()
    sessions = (await browser.get("/dcus/E1/sessions")).text
    poll, first = re.findall(r'href="(/dcus/E1/sessions/\d+)"', sessions)
    page = (await browser.get(poll)).text
    assert "Nothing was ordered and nothing told: its messages are not kept." in page
    assert "2 messages, 0 commands" in page
    assert "are not kept" not in (await browser.get(first)).text


async def test_a_viewer_sees_and_does_nothing(csrf: str, running: Running) -> None:
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        for page in ("tree", "history", "sessions", "certificate"):
            answer = await client.get(f"/dcus/D1/{page}")
            assert answer.status_code == 200
            assert "hx-post" not in answer.text
            assert "/sessions/" not in answer.text
        for act in ("want", "unwant", "retry", "refresh"):
            form = {"csrf_token": token, "uri": WINDOW, "value": "3"}
            answer = await client.post(f"/dcus/D1/tree/{act}", data=form)
            assert (answer.status_code, "security.role" in answer.text) == (403, True)
        number = running.services.management.log.list(uid="D1").items[0].id
        assert (await client.get(f"/dcus/D1/sessions/{number}")).status_code == 403
