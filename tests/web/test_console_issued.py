"""The console's page of all certificates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import PASSWORD, operator_client
from tests.web.test_console import sign_in
from tests.web.test_console_groups import post

from openami.fleet.certificates import CertificateKind
from openami.fleet.operators import Role
from openami.headend.security.authorities import DAY, new_key

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

PAGE = "/certificates/issued"


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient) -> str:
    """A signed-in browser, and certificates that end in ten, a hundred and many days."""
    pki, now = running.services.pki, running.services.wall.now()
    for uid, days in (("D1", 10), ("D2", 100), ("D3", 1000)):
        pki.issue_device(uid, new_key().public_key(), now=now, days=days)
    pki.issue_operator("anna <b>", new_key().public_key(), who="test", now=now)
    return await sign_in(browser)


async def listed(client: httpx.AsyncClient, **query: str) -> set[str]:
    """Return whose certificates the page shows."""
    page = (await client.get(PAGE, params=query)).text
    return set(re.findall(r'<tr><td class="words">(?:<a [^>]*>|<bdi>)([^<]+)<', page))


async def test_certificates_are_found_by_what_they_are(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    every = await listed(browser)
    assert {"D1", "D2", "D3", "anna &lt;b&gt;"} < every
    assert await listed(browser, kind="operator") == {"anna &lt;b&gt;"}
    assert await listed(browser, kind="device", days="30") == {"D1"}
    assert await listed(browser, kind="device", days="365") == {"D1", "D2"}
    assert await listed(browser, subject="D3") == {"D3"}
    assert await listed(browser, state="revoked") == set()
    assert await listed(browser, state="good") == every
    assert await listed(browser, state="over") == set()
    past = running.services.wall.now() - 30 * DAY
    running.services.pki.issue_device("D0", new_key().public_key(), now=past, days=1)
    assert await listed(browser, state="over") == {"D0"}
    assert await listed(browser, state="good") == every
    assert await listed(browser) == {"D0", *every}
    assert await listed(browser, state="odd") == {"D0", *every}
    wrong = [{"days": "x"}, {"days": "99999"}]
    wrong += [{"days": "5", "state": state} for state in ("revoked", "over")]
    for query in wrong:
        assert (await browser.get(PAGE, params=query)).status_code == 400
    page = (await browser.get(PAGE, params={"subject": "D1"})).text
    assert re.search(r"badge warn\">\d+ days left", page)
    assert '<td data-label="by">devices</td>' in page
    [serial] = re.findall(r'action="/certificates/([0-9a-f]+)/revoke"', page)
    done = await post(
        browser, f"/certificates/{serial}/revoke", csrf, reason="superseded", why="new", next=PAGE
    )
    assert done[:2] == (303, PAGE)
    assert await listed(browser, state="revoked") == {"D1"}
    assert "D1" not in await listed(browser, state="good")
    assert running.services.pki.is_revoked(int(serial, 16))


async def test_certificates_come_in_pages(
    csrf: str, browser: httpx.AsyncClient, running: Running
) -> None:
    key, now = new_key().public_key(), running.services.wall.now()
    for number in range(60):
        running.services.pki.issue_device(f"E{number}", key, now=now + number, days=20)
    first = (await browser.get(PAGE, params={"days": "30"})).text
    [following] = re.findall(r'href="([^"]+)" rel="next"', first)
    second = (await browser.get(following.replace("&amp;", "&"))).text
    assert [page.count('<tr><td class="words">') for page in (first, second)] == [50, 11]
    kinds = running.services.pki.certificates(kind=CertificateKind.DEVICE, ending_days=30).items
    assert len(kinds) == 61


async def test_only_administrators_revoke(csrf: str, running: Running) -> None:
    serial = running.services.pki.certificates(subject="D2").items[0].serial
    for name, role in (("looker", Role.VIEWER), ("worker", Role.OPERATOR)):
        running.services.operators.add(name, PASSWORD, role, who="test")
        async with operator_client(running) as client:
            token = await sign_in(client, name)
            page = (await client.get(PAGE)).text
            assert "D2" in page
            assert "Revoke" not in page
            path = f"/certificates/{serial:x}/revoke"
            refused = await post(client, path, token, reason="unspecified", why="x")
            assert (refused[0], "security.role" in refused[2]) == (403, True)
    assert not running.services.pki.is_revoked(serial)
