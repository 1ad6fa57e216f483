"""The console's tester of C12.22 nodes: who may, whom it reaches, what it shows."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from tests.support.c1222_defects import KEY, NODE, PASSWORD, START, USER, HealthyNode
from tests.support.headend import PASSWORD as ACCOUNT
from tests.support.headend import operator_client, running_headend
from tests.web.test_console import sign_in
from tests.web.test_console_groups import post

from openami.c1222.conformance import CASES
from openami.c1222.native import NativeAddress
from openami.core.errors import NotFoundError
from openami.fleet.nodes import MeterNode, NodeStanding
from openami.fleet.operators import Role
from openami.headend.credentials import KIND
from openami.headend.node_tests import Asked
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

PAGE = "/node-tests"


class Place:
    """Where a node is, and a head-end that knows it."""

    def __init__(self, running: Running, port: int) -> None:
        self.running = running
        self.port = port
        self.where = f"127.0.0.1:{port}"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    config = EndpointConfig(listen=(("127.0.0.1", 0),))
    async with Endpoint(HealthyNode(), config, clock=SystemClock()) as endpoint:
        port = endpoint.listening[0].port
        assert port is not None
        allowed = (f"127.0.0.1:{port}",)
        async with running_headend(tmp_path, c1222_test_allowed=allowed) as running:
            yield Place(running, port)


@pytest.fixture
async def browser_of(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_client(place.running) as client:
        yield client


def register(place: Place, *, native: NativeAddress | None = None) -> None:
    """Let meter M1 be that node, registered from where it is, or says that it is."""
    tests = place.running.services.node_tests
    for name, secret in (("c1222.2", KEY), ("c1222.3", bytes(16)), ("c1222.password", PASSWORD)):
        tests._vault.put(KIND, "M1", name, secret)
    at = native or NativeAddress.of("127.0.0.1", place.port)
    standing = NodeStanding(
        str(NODE), "1.2.3", at.encode(), 0x20, 0x30, b"OAMI", START, START + 3600
    )
    tests._nodes.put(MeterNode("M1", str(NODE.absolute()), 2, USER))
    tests._nodes.register({"M1": standing})


async def test_a_service_is_tested_and_shown_as_octets(
    place: Place, browser_of: httpx.AsyncClient
) -> None:
    client, csrf = browser_of, await sign_in(browser_of)
    assert 'href="/node-tests"' in (await client.get("/meters")).text
    page = (await client.get(PAGE)).text
    for service in ("Register", "Identify", "Security", "Trace", "Whole test"):
        assert f">{service}</button>" in page
    asked = {"where": place.where, "title": ".123.8437", "service": "Identify"}
    status, location, _ = await post(client, PAGE, csrf, **asked)
    assert status == 303
    shown = await ended(client, location)
    assert "nothing found" in shown
    assert "Request" in shown
    assert re.search(r"<b>Identified</b>", shown)
    assert re.search(r"BE [0-9A-F]{2} 28", shown)
    audited = place.running.services.audit.log.list(what="node tested").items
    assert [(each.who, each.subject) for each in audited] == [("admin", place.where)]
    assert "Identify" in audited[0].why


async def ended(client: httpx.AsyncClient, location: str) -> str:
    """Return a test's page once the test has ended."""
    fragment = f"/fragments{location}"
    while "hx-get" in (await client.get(fragment)).text:
        await asyncio.sleep(0.05)
    return (await client.get(location)).text


async def test_a_registered_node_is_tested_with_its_keys(
    place: Place, browser_of: httpx.AsyncClient
) -> None:
    register(place)
    client, csrf = browser_of, await sign_in(browser_of)
    assert "M1 · " in (await client.get(PAGE)).text
    _, location, _ = await post(client, PAGE, csrf, where="M1", service="")
    page = await ended(client, location)
    quiet = sum(not case.disturbs for case in CASES)
    assert f"{quiet} pass, 0 fail, 0 not supported, {len(CASES) - quiet} skipped." in page
    assert "Cases" in page
    assert "<b>Security</b>" in (await client.get(f"{location}?case=security-sessionless")).text
    html = await client.get(f"{location}/report.html")
    assert html.headers["Content-Disposition"] == 'attachment; filename="c1222-test.html"'
    found = json.loads((await client.get(f"{location}/report.json")).text)
    assert found["counts"]["fail"] == 0
    assert found["mode"] == 2
    junit = await client.get(f"{location}/report.xml")
    assert ET.fromstring(junit.content).tag == "testsuites"
    for text in (page, html.text, json.dumps(found), junit.text):
        plain = re.sub(r"\s", "", text).upper()
        assert KEY.hex().upper() not in plain
        assert PASSWORD.decode() not in text
        assert PASSWORD.hex().upper() not in plain
    assert (await client.get(f"{location}/report.exe")).status_code == 404


async def test_nobody_is_reached_who_is_not_a_node(
    place: Place, browser_of: httpx.AsyncClient
) -> None:
    client, csrf = browser_of, await sign_in(browser_of)
    for where in ("127.0.0.1:22", "localhost:8443", "169.254.169.254:80", "M1", ""):
        status, _, text = await post(client, PAGE, csrf, where=where, title=".1")
        assert (status, "request.test-where" in text) == (400, True), where
    inward = ("127.0.0.1", "169.254.169.254", "224.0.2.4", "0.0.0.0", "::1", "::ffff:127.0.0.1")
    for host in inward:
        register(place, native=NativeAddress.of(host, 8080))
        status, _, text = await post(client, PAGE, csrf, where="M1")
        assert (status, "request.test-where" in text) == (400, True), host
    asked = {"where": "M1", "csrf_token": csrf}
    told = await client.post(PAGE, data=asked, headers={"HX-Request": "true"})
    assert "c1222_test_allowed names [::ffff:7f00:1]:8080" in told.text, "what to do about it"
    tests = place.running.services.node_tests
    tests._hosts = {"::1"}  # as the setting [::1]:* says
    register(place, native=NativeAddress.of("127.0.0.1", 8080))
    assert (await post(client, PAGE, csrf, where="M1"))[0] == 400
    wrong = [{"mode": "3"}, {"mode": "2"}, {"title": "x"}, {"service": "frobnicate"}]
    for fields in wrong:
        asked = {"where": place.where, "title": ".123.8437", **fields}
        assert (await post(client, PAGE, csrf, **asked))[0] == 400
    assert place.running.services.node_tests.latest() == []


async def test_viewers_test_nothing_and_operators_disturb_nothing(place: Place) -> None:
    asked = {"where": place.where, "title": ".123.8437", "service": "Wait"}
    for name, role in (("looker", Role.VIEWER), ("worker", Role.OPERATOR)):
        place.running.services.operators.add(name, ACCOUNT, role, who="test")
        async with operator_client(place.running) as client:
            csrf = await sign_in(client, name)
            seen = (await client.get(PAGE)).status_code
            status, location, _ = await post(client, PAGE, csrf, **asked)
            refused, _, text = await post(client, PAGE, csrf, **asked, intrusive="1")
            assert (refused, "security.role" in text) == (403, True)
            if role is Role.VIEWER:
                assert (seen, status) == (403, 403)
            else:
                assert (seen, status) == (200, 303)
                await ended(client, location)


async def test_who_does_not_answer_is_told(place: Place, browser_of: httpx.AsyncClient) -> None:
    client, csrf = browser_of, await sign_in(browser_of)
    tests = place.running.services.node_tests
    with pytest.raises(NotFoundError):
        tests.get("x")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tests.allowed = (*tests.allowed, f"127.0.0.1:{port}")
    test = await tests.begin(Asked(f"127.0.0.1:{port}", ".1"), who="admin")
    page = await ended(client, f"{PAGE}/{test.id}")
    assert "error[c1222.unanswered]" in page
    assert (await client.get(f"{PAGE}/{test.id}/report.html")).status_code == 404
    server.close()
    await server.wait_closed()
    del csrf


async def test_registered_nodes_may_be_on_hosts_that_are_named(tmp_path: Path) -> None:
    config = EndpointConfig(listen=(("127.0.0.1", 0),))
    async with (
        Endpoint(HealthyNode(), config, clock=SystemClock()) as endpoint,
        running_headend(tmp_path, c1222_test_allowed=("127.0.0.1:*",)) as running,
        operator_client(running) as client,
    ):
        port = endpoint.listening[0].port
        assert port is not None
        register(Place(running, port))
        csrf = await sign_in(client)
        _, location, _ = await post(client, PAGE, csrf, where="M1", service="Identify")
        assert "nothing found" in await ended(client, location)
        for where in ("127.0.0.1:*", f"127.0.0.1:{port}"):  # nobody types an address of it
            assert (await post(client, PAGE, csrf, where=where, title=".1"))[0] == 400
