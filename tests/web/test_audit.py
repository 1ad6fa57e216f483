"""The audit log over the REST API and in the console."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sqlalchemy import text
from tests.support.headend import PASSWORD, operator_client
from tests.web.test_console import sign_in

from openami.firmware.keys import ImageKey
from openami.fleet.audit import read_head
from openami.fleet.audit_check import Verifier
from openami.fleet.devices import AuditEntry
from openami.fleet.operators import Role

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

API = "/api/v1/audit"


async def test_an_export_is_verified_with_the_key_and_a_head(
    running: Running, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    running.services.audit.seal()
    key = ImageKey.from_pem((await viewer.get(f"{API}/key")).content)
    said = (await viewer.get(f"{API}/head")).json()
    kept = read_head(said["line"] + "\n")
    assert (said["number"], said["waiting"], said["fault"]) == (kept.number, 0, None)
    for number in range(1200):
        running.services.audit.log.add(AuditEntry("anna", float(number), "did", "it"))
    answer = await admin.get(f"{API}/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    verifier = Verifier(key, kept=kept)
    lines = answer.text.splitlines(keepends=True)
    for line in lines:
        verifier.take(line)
    assert verifier.finish().number == kept.number + 1200 == len(lines) - 2
    part = (await admin.get(f"{API}/export", params={"after": kept.number})).text.splitlines()
    assert part[1:-1] == [line.rstrip("\n") for line in lines[kept.number + 1 : -1]]
    page = (await admin.get(API, params={"limit": 1})).json()["items"][0]
    assert (page["number"], page["hash"]) == (verifier.number, json.loads(lines[-2])["hash"])


async def test_what_was_done_is_for_admins_and_how_far_it_goes_for_all(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for path in (API, f"{API}/export"):
        assert [(await one.get(path)).status_code for one in (viewer, operator, admin)] == [
            403,
            403,
            200,
        ]
    assert (await admin.get(f"{API}/export", params={"after": 99_999})).status_code == 404


async def test_the_page_shows_the_chain_and_what_is_asked_for(
    running: Running, browser: httpx.AsyncClient
) -> None:
    await sign_in(browser)
    for number in range(60):
        entry = AuditEntry("carla <b>", 1.7e9 + number, f"did.{number % 2}", "thing", "so")
        running.services.audit.log.add(entry)
    running.services.audit.seal()

    async def found(**asked: str) -> tuple[int, str]:
        page = (await browser.get("/audit", params={"who": "carla <b>", **asked})).text
        assert "carla &lt;b&gt;" in page
        return len(re.findall("<bdi>thing</bdi></td>", page)), page

    count, page = await found()
    assert 'rel="next"' in page
    assert f"{running.services.audit.head().number} entries" in page
    assert (await found(what="did.1", until="2023-11-14T22:13:30"))[0] == 5
    assert (await found(what="did.1", since="2023-11-14T22:14:10"))[0] == 5
    assert (await found(subject="other"))[0] == 0
    assert count > 5
    assert (await browser.get("/audit", params={"since": "noon"})).status_code == 400


async def test_a_broken_chain_shows(running: Running, browser: httpx.AsyncClient) -> None:
    running.services.audit.seal()
    store = running.services.audit.log
    with store._transactions.writing() as session:  # type: ignore[attr-defined]  # what nobody may do
        session.execute(text("UPDATE audit_head SET signature = x'00'"))
    await sign_in(browser)
    running.services.audit.log.add(AuditEntry("anna", 1.0, "did", "it"))
    running.services.audit.export()
    answer = await browser.get(f"{API}/head")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "audit.signature")
    assert "the head&#39;s signature is wrong" in (await browser.get("/audit")).text


async def test_others_than_admins_see_no_audit_log(running: Running) -> None:
    running.services.operators.add("olga", PASSWORD, Role.OPERATOR, who="test")
    async with operator_client(running) as client:
        await sign_in(client, "olga")
        assert (await client.get("/audit")).status_code == 403
        assert 'href="/audit"' not in (await client.get("/")).text
