"""The console's pages of registrations, alarms and certificates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.factory import FactoryDevice, Maker
from tests.support.headend import PASSWORD, operator_client
from tests.support.office import LIST, populate
from tests.web.test_console import HTMX, sign_in

from openami.fleet.operators import Role
from openami.fleet.registration import Standing

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient) -> str:
    """A signed-in browser, with devices that wait, are in, and are blocked."""
    await populate(running)
    return await sign_in(browser)


async def post(
    client: httpx.AsyncClient, path: str, csrf: str, **fields: str
) -> tuple[int, str, str]:
    answer = await client.post(path, data={"csrf_token": csrf, **fields})
    return answer.status_code, answer.headers.get("Location", ""), answer.text


def open_of(page: str) -> list[int]:
    """Return the numbers that the navigation shows."""
    return [int(n) for n in re.findall(r'class="count[^>]*>(\d+)<', page)]


async def test_who_waits_is_approved_or_refused(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    page = (await browser.get("/registrations")).text
    assert re.findall(r'<td class="name">(P\d)', page) == ["P1", "P2"]
    assert "not on the list" in page
    assert open_of(page) == [3, 1]
    assert open_of((await browser.get("/")).text) == [3, 1]
    back = "/registrations?standing=pending"
    done = await post(browser, "/registrations/P1/approve", csrf, next=back)
    assert done[:2] == (303, back)
    no_reason = await post(browser, "/registrations/P2/refuse", csrf)
    assert (no_reason[0], "request.why" in no_reason[2]) == (400, True)
    assert (await post(browser, "/registrations/P2/refuse", csrf, why="stolen"))[0] == 303
    known = running.services.registrations
    assert known.get("P1").registration.standing is Standing.APPROVED
    assert known.get("P2").registration.standing is Standing.REFUSED
    page = (await browser.get("/registrations")).text
    assert "Nobody waits" in page
    assert open_of(page) == [1, 1]
    refused = (await browser.get("/registrations?standing=refused")).text
    assert "refused by an operator" in refused
    assert (await post(browser, "/registrations/P2/approve", csrf))[0] == 303
    said = running.services.registry.audit(subject="dcu-P2").items
    assert {"stolen", "admin"} <= {entry.why for entry in said} | {entry.who for entry in said}


async def test_of_two_one_is_kept(csrf: str, browser: httpx.AsyncClient, running: Running) -> None:
    page = (await browser.get("/registrations?standing=blocked")).text
    assert "The first" in page
    assert "The second" in page
    prints = re.findall(r"Key</dt><dd[^>]*>([0-9a-f ]+)<", page)
    assert len(set(prints)) == 2
    assert (await post(browser, "/registrations/B1/keep", csrf, why="seen"))[0] == 303
    assert running.services.registrations.get("B1").registration.standing is Standing.LIVE
    live = (await browser.get("/registrations?standing=live")).text
    assert re.findall(r'href="/dcus/(\w+)"', live) == ["B1", "L1"]
    again = await post(browser, "/registrations/B1/take-rival", csrf, why="seen")
    assert (again[0], "registration.transition" in again[2]) == (409, True)


async def test_who_asks_to_register_anew_is_shown_with_what_lets_it(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    maker = Maker(running.services.wall.now(), "Other")
    maker.trusted_by(running, "Other")
    running.services.registrations.import_expected("uid\nA1\n", who="test")
    device = FactoryDevice(running, maker, "A1")
    await device.register()
    page = (await browser.get("/registrations")).text
    assert "Asking anew" not in page
    await device.ask_anew()
    for path in ("/registrations", "/expected"):
        page = (await browser.get(path)).text
        assert re.search(r'href="/registrations\?standing=anew">Asking anew <b>1</b>', page), path
    assert open_of(page) == [4, 1]
    live = (await browser.get("/registrations?standing=live")).text
    assert live.count("asks to register anew") == 1
    assert re.findall(r'href="/dcus/(\w+)"', live) == ["A1", "L1"]
    assert "asks to register anew" in (await browser.get("/dcus/A1/certificate")).text
    asking = (await browser.get("/registrations?standing=anew")).text
    assert re.findall(r'href="/dcus/(\w+)"', asking) == ["A1"]
    [act] = re.findall(r'hx-post="([^"]+/reopen)"', asking)
    assert (await post(browser, act, csrf, why="lost its key"))[0] == 303
    asking = (await browser.get("/registrations?standing=anew")).text
    assert "may register anew" in asking
    assert "/reopen" not in asking


async def test_what_another_site_or_a_viewer_sends_is_refused(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    running.services.operators.add("worker", PASSWORD, Role.OPERATOR, who="test")
    anchor = running.services.pki.anchors()[0].fingerprint
    acts = ["/registrations/P1/approve", "/alarms/1/clear", "/expected", "/expected/L1/remove"]
    rules = ["/certificates/anchors", f"/certificates/anchors/{anchor}/remove",
             "/certificates/anchors/lists", "/certificates/1/revoke"]  # fmt: skip
    for path in (*acts, *rules):
        answer = await browser.post(path, data={"why": "x"}, headers=HTMX)
        assert (answer.status_code, answer.headers["HX-Retarget"]) == (403, "#problem"), path
        assert "security.csrf" in answer.text
    for name, paths in (("looker", (*acts, *rules)), ("worker", rules)):
        async with operator_client(running) as client:
            token = await sign_in(client, name)
            for path in paths:
                answer = await client.post(path, data={"csrf_token": token, "why": "x"})
                assert (answer.status_code, "security.role" in answer.text) == (403, True), path
            for path in ("/registrations", "/alarms", "/expected", "/certificates"):
                page = (await client.get(path)).text
                assert ('hx-post="' in page) is (name == "worker" and path != "/certificates")
    assert running.services.registrations.get("P1").registration.standing is Standing.PENDING


async def test_a_list_is_imported_from_a_file(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    async def send(octets: bytes, token: str = csrf) -> httpx.Response:
        files = {"list": ("devices.csv", octets, "text/csv")}
        return await browser.post("/expected", data={"csrf_token": token}, files=files)

    good = (LIST + f"N1,{HOSTILE},,manual,,\n").encode()
    assert (await send(good, "0" * 64)).status_code == 403
    done = await send(good)
    assert (done.status_code, done.headers["Location"]) == (303, "/expected")
    page = (await browser.get("/expected")).text
    assert "N1" in page
    assert HOSTILE not in page
    for octets, words in (
        (good + b"L1,,,,,\n", "line 5"),
        (b"\xff", "text in UTF-8"),
        (b"", "choose a file"),
    ):
        answer = await send(octets)
        assert (answer.status_code, words in answer.text.lower() or words in answer.text) == (
            400, True,
        )  # fmt: skip
    assert (await post(browser, "/expected/N1/remove", csrf))[0] == 303
    assert (await post(browser, "/expected/N1/remove", csrf))[0] == 404
    assert [one.uid for one in running.services.registrations.expected().items] == ["B1", "L1"]


async def test_an_alarm_is_cleared(csrf: str, browser: httpx.AsyncClient, running: Running) -> None:
    page = (await browser.get("/alarms")).text
    assert "registration.twice" in page
    [alarm] = running.services.alarms.list(only_open=True).items
    for path in ("/alarms/x/clear", "/alarms/999/clear", f"/alarms/{'9' * 30}/clear"):
        assert (await post(browser, path, csrf))[0] == 404
    assert (await post(browser, f"/alarms/{alarm.id}/clear", csrf, why="seen"))[0] == 303
    page = (await browser.get("/alarms")).text
    assert "No alarm is open" in page
    assert open_of(page) == [3]
    assert "cleared by admin" in (await browser.get("/alarms?show=all")).text


async def test_manufacturers_are_trusted_and_no_more(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    page = (await browser.get("/certificates")).text
    for name in ("root", "devices", "servers", "operators"):
        assert f'href="/crl/{name}.crl"' in page
        assert (await browser.get(f"/crl/{name}.crl")).status_code == 200
    other = Maker(running.services.wall.now(), "Other")
    files = {"certificate": ("root.pem", other.root.certificate_pem())}
    data = {"csrf_token": csrf, "manufacturer": "Other Works"}
    done = await browser.post("/certificates/anchors", data=data, files=files)
    assert (done.status_code, done.headers["Location"]) == (303, "/certificates")
    assert "Other Works" in (await browser.get("/certificates")).text
    bad = {"certificate": ("root.pem", b"odd")}
    answer = await browser.post("/certificates/anchors", data=data, files=bad)
    assert (answer.status_code, "request.anchor" in answer.text) == (400, True)
    lists = {"crl": ("list.crl", b"odd")}
    answer = await browser.post("/certificates/anchors/lists", data=data, files=lists)
    assert (answer.status_code, "request.crl" in answer.text) == (400, True)
    added = next(a for a in running.services.pki.anchors() if a.manufacturer == "Other Works")
    path = f"/certificates/anchors/{added.fingerprint}/remove"
    assert (await post(browser, path, csrf))[0] == 303
    assert "Other Works" not in (await browser.get("/certificates")).text
    long = await browser.post("/certificates/anchors", data={**data, "manufacturer": "x" * 9000})
    assert (long.status_code, "request.field" in long.text) == (400, True)


async def test_a_certificate_is_revoked(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    page = (await browser.get("/dcus/L1/certificate")).text
    found = re.search(r'action="/certificates/([0-9a-f]+)/revoke"', page)
    assert found is not None
    path, back = f"/certificates/{found[1]}/revoke", "/dcus/L1/certificate"
    assert (await post(browser, path, csrf, reason="keyCompromise"))[0] == 400
    assert (await post(browser, path, csrf, reason="odd", why="x"))[0] == 400
    done = await post(browser, path, csrf, reason="keyCompromise", why="stolen", next=back)
    assert done[:2] == (303, back)
    assert running.services.pki.is_revoked(int(found[1], 16))
    page = (await browser.get(back)).text
    assert "keyCompromise" in page
    assert "/revoke" not in page
    for decision in ("suspend", "resume", "reopen", "retire"):
        fields = {"why": "so", "next": "//evil"}
        done = await post(browser, f"/registrations/L1/{decision}", csrf, **fields)
        assert done[:2] == (303, "/"), decision
    assert (await post(browser, "/registrations/L1/forget", csrf, why="x"))[0] == 404
