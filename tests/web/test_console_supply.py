"""Switching a meter's supply from its page: with a box to tick, a reason, and its orders below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.demand import street
from tests.web.test_console import sign_in
from tests.web.test_console_groups import post

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running


async def test_a_supply_is_switched_with_a_box_and_a_reason(
    running: Running, browser: httpx.AsyncClient
) -> None:
    devices: Any = running.services.registry._devices
    street(devices, "D1", 1)
    csrf = await sign_in(browser)
    page = (await browser.get("/meters/D1-1")).text
    assert 'id="switch-supply"' in page
    wish = {"state": "off", "why": "moved out", "sure": "1"}
    for lacking, code in (("sure", "request.sure"), ("state", "request.state"), ("why", "why")):
        partly = {name: value for name, value in wish.items() if name != lacking}
        assert code in (await post(browser, "/meters/D1-1/supply", csrf, **partly))[2]
    assert (await post(browser, "/meters/D1-1/supply", csrf, **wish))[0] == 303
    page = (await browser.get("/meters/D1-1")).text
    assert "Disconnected: <b>waiting</b>" in page
    again = await post(browser, "/meters/D1-1/supply", csrf, **wish)
    assert "supply.waiting" in again[2]
