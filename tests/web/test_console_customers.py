"""The console's pages of customers: added, invited once in plain sight, given meters, shut out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.demand import street
from tests.support.headend import PASSWORD, operator_client
from tests.web.test_console import HTMX, sign_in
from tests.web.test_console_groups import post

from openami.fleet.operators import Role

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

LOGIN = "kim@example.org"
PLACE = "/customers/kim%40example.org"


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient) -> str:
    """A signed-in browser, two meters and a customer."""
    devices: Any = running.services.registry._devices
    street(devices, "D1", 2)
    token = await sign_in(browser)
    added = await post(browser, "/customers", token, login=LOGIN.upper(), language="ko")
    assert added[:2] == (303, PLACE)
    return token


async def test_a_customer_is_invited_once_in_plain_sight(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    page = (await browser.get("/customers")).text
    assert f">{LOGIN}</a>" in page
    assert 'href="/static/typeface.css' in page  # for names that are Korean
    assert "not invited" in (await browser.get(PLACE)).text
    answer = await browser.post(f"{PLACE}/invite", data={"csrf_token": csrf}, headers=HTMX)
    assert answer.headers["Cache-Control"] == "no-store"
    [code] = re.findall(r'id="code">([^<]+)<', answer.text)
    later = (await browser.get(PLACE)).text
    assert code not in later
    assert "Invited until" in later
    granted = running.services.customers.accept(code, "a long enough word", address="1.2.3.4")
    assert granted.session.customer.language == "ko"
    page = (await browser.get(PLACE)).text
    assert "can come in" in page
    assert "1 place" in page


async def test_meters_are_assigned_and_end(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    path = f"{PLACE}/meters"
    assert (await post(browser, path, csrf, meter="D1-1", starts="2026-01-05T10:00"))[0] == 303
    (mine,) = running.services.customers.tenancies(LOGIN)
    assert "D1-1" in (await browser.get(PLACE)).text
    for fields, code in (
        ({"meter": "D1-1"}, "customer.meter"),
        ({"meter": "D9-9"}, "not-found"),
        ({"meter": ""}, "request.meter"),
        ({"meter": "D1-2", "starts": "soon"}, "request.time"),
    ):
        assert code in (await post(browser, path, csrf, **fields))[2]
    ended = {"meter": "D1-1", "ends": "2026-02-01T00:00"}
    assert "request.sure" in (await post(browser, f"{PLACE}/end", csrf, **ended))[2]
    assert (await post(browser, f"{PLACE}/end", csrf, sure="1", **ended))[0] == 303
    (over,) = running.services.customers.tenancies(LOGIN)
    assert over.ends is not None
    assert over.ends - mine.starts == (26 * 24 + 14) * 3600


async def test_details_and_the_door(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    fields = {"tariff": "kr-residential-high", "language": "en", "discounts": ""}
    assert (await post(browser, PLACE, csrf, **fields))[0] == 303
    assert running.services.customers.get(LOGIN).tariff == "kr-residential-high"
    wrong = await post(browser, PLACE, csrf, **{**fields, "discounts": "none-such"})
    assert "request.customer" in wrong[2]
    assert (await post(browser, f"{PLACE}/door", csrf, to="shut"))[0] == 303
    assert "shut out" in (await browser.get("/customers")).text
    assert "customer.disabled" in (await post(browser, f"{PLACE}/invite", csrf))[2]
    assert (await post(browser, f"{PLACE}/door", csrf, to="open"))[0] == 303
    assert not running.services.customers.get(LOGIN).disabled
    twice = await post(browser, "/customers", csrf, login=LOGIN)
    assert "customer.exists" in twice[2]


async def test_customers_are_not_for_viewers(running: Running, csrf: str) -> None:
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        assert "/customers" not in (await client.get("/")).text
        for path in ("/customers", PLACE):
            assert (await client.get(path)).status_code == 403
        for path in ("", "/invite", "/meters", "/end", "/door"):
            assert (await post(client, PLACE + path, token))[0] == 403
