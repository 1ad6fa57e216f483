"""The local API of appliances over real HTTP, and simulated appliances that obey it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ihd_appliances import Home, shed
from tests.support.ihd_appliances_web import served

from openami.core.errors import ConfigError
from openami.ihd.appliance_rules import Kind, Mode
from openami.ihd.simulated.agent import FORGET_S, Agent
from openami.ihd.simulated.physics import MODELS, Command, registration
from openami.ihd.simulated.tokens import FILE, Token, Tokens
from openami.transport.http import HttpClient
from openami.web.ihd.appliances_api import BODY_OCTETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from openami.transport.http import HttpAnswer

ASKED = {"name": "Car", "kind": "charger", "rated_w": 7000, "least_w": 1400, "can": ["shift"]}
BASE = "/api/v1/appliances"


@asynccontextmanager
async def asking(home: Home) -> AsyncIterator[HttpClient]:
    async with served(home) as url, HttpClient(url) as client:
        yield client


def code(answer: HttpAnswer) -> Any:
    said = answer.json()
    return said.get("error", said)["code"]


async def registered(client: HttpClient) -> tuple[str, dict[str, str]]:
    answer = await client.post(BASE, json_body=ASKED)
    assert answer.status == 201
    given = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    return f"{BASE}/{given['id']}", {"Authorization": f"Bearer {given['token']}"}


async def test_an_appliance_registers_waits_and_reports() -> None:
    home = Home(trusting=False)
    async with asking(home) as client:
        one, shown = await registered(client)
        first = (await client.get(f"{one}/work", headers=shown)).json()
        assert {k: first[k] for k in ("mode", "limit_w", "until", "event", "prepare", "why")} == {
            "mode": "normal",
            "limit_w": None,
            "until": None,
            "event": None,
            "prepare": False,
            "why": None,
        }
        params = {"wait": "30", "revision": first["revision"]}
        waiting = asyncio.ensure_future(client.get(f"{one}/work", headers=shown, params=params))
        home.look(shed(2))
        allowed = await client.request("PATCH", one, json_body={"allow": True})
        assert (allowed.json()["allow"], allowed.json()["mode"]) == (True, "off")
        assert (await waiting).json()["mode"] == "off"
        said = await client.post(
            f"{one}/report", json_body={"power_w": 12.5, "state": "waiting"}, headers=shown
        )
        assert said.status == 204
        (found,) = (await client.get(BASE)).json()["appliances"]
        assert (found["power_w"], found["state"], found["silent"]) == (12.5, "waiting", False)
        assert (await client.request("DELETE", one)).status == 204
        assert code(await client.get(f"{one}/work", headers=shown)) == "appliance.token"
        assert (await client.get(BASE)).json() == {"appliances": []}


async def test_who_hangs_up_waits_no_more() -> None:
    home = Home()
    async with asking(home) as client:
        one, shown = await registered(client)
        first = (await client.get(f"{one}/work", headers=shown)).json()
        params = {"wait": "30", "revision": first["revision"]}
        gone = asyncio.ensure_future(client.get(f"{one}/work", headers=shown, params=params))
        await asyncio.sleep(0.05)
        gone.cancel()
        again = await client.get(f"{one}/work", headers=shown)
        assert again.json() == first


async def test_overrides_over_http() -> None:
    home = Home()
    async with asking(home) as client:
        one, _ = await registered(client)
        until = {"override": "off", "override_until": "2024-07-03T12:00:00+02:00"}
        said = (await client.request("PATCH", one, json_body=until)).json()
        assert (said["mode"], said["override_until"]) == ("off", "2024-07-03T10:00:00Z")
        for far in ("9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00Z"):
            refused = await client.request("PATCH", one, json_body=until | {"override_until": far})
            assert (refused.status, refused.json()["error"]["code"]) == (422, "appliance.invalid")
        assert (await client.get("/api/v1/appliances")).json()["appliances"][0] == said
        said = (await client.request("PATCH", one, json_body={"override": None})).json()
        assert (said["mode"], said["override"]) == ("normal", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        ASKED | {"kind": "reactor"},
        ASKED | {"rated_w": 0},
        ASKED | {"rated_w": 1e9},
        ASKED | {"name": "x" * 65},
        ASKED | {"can": ["fly"]},
        ASKED | {"more": 1},
    ],
)
async def test_a_registration_that_is_none_is_refused(body: dict[str, Any]) -> None:
    home = Home()
    async with asking(home) as client:
        answer = await client.post(BASE, json_body=body)
        assert (answer.status, code(answer)) == (422, "appliance.invalid")
        assert home.store.records == {}


async def test_what_is_not_json_or_too_much_is_refused() -> None:
    home = Home()
    async with asking(home) as client:
        plain = await client.post(BASE, content=b"{}", headers={"Content-Type": "text/plain"})
        assert code(plain) == "appliance.invalid"
        long = b'{"name":"' + b"x" * BODY_OCTETS + b'"}'
        much = await client.post(BASE, content=long, headers={"Content-Type": "application/json"})
        assert (much.status, code(much)) == (413, "appliance.too-large")
        one, shown = await registered(client)
        nan = b'{"power_w": NaN}'
        json = {"Content-Type": "application/json"}
        assert (await client.post(f"{one}/report", content=nan, headers=shown | json)).status == 422
        for wait in ("x", "-1", "1000", "1e1"):
            answer = await client.get(f"{one}/work", headers=shown, params={"wait": wait})
            assert code(answer) == "appliance.invalid"
        assert (await client.request("PATCH", one, json_body={})).status == 422
        assert (
            await client.request("PATCH", f"{BASE}/no", json_body={"allow": True})
        ).status == 404
        assert (await client.request("DELETE", f"{BASE}/no")).status == 404


@pytest.mark.parametrize("header", ["", "Bearer", "Basic abc", f"Bearer {'x' * 129}", "Bearer no"])
async def test_without_its_token_an_appliance_is_told_nothing(header: str) -> None:
    home = Home()
    async with asking(home) as client:
        one, _ = await registered(client)
        shown = {"Authorization": header} if header else {}
        for answer in (
            await client.get(f"{one}/work", headers=shown),
            await client.post(f"{one}/report", json_body={"power_w": 1}, headers=shown),
        ):
            assert (answer.status, code(answer)) == (401, "appliance.token")


# Simulated appliances


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not reached():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def obeying(
    url: str, home: Home, tokens: Tokens, retry_s: tuple[float, float] = (0.02, 0.1), **more: Any
) -> AsyncIterator[Agent]:
    async with HttpClient(url) as client:
        asked = registration(MODELS[Kind.CHARGER], "Simulated charger")
        agent = Agent(client, asked, tokens, "charger", clock=home.clock, retry_s=retry_s, **more)
        running = asyncio.ensure_future(agent.run())
        try:
            yield agent
        finally:
            running.cancel()
            await asyncio.wait([running])


async def test_a_simulated_appliance_obeys_and_says_what_it_draws(tmp_path: Path) -> None:
    home = Home()
    async with served(home) as url, obeying(url, home, Tokens(tmp_path)) as agent:
        agent.says(6900.0, "charging")  # is told once it is registered
        await until(lambda: [one["power_w"] for one in home.appliances.states()] == [6900.0])
        home.look(shed(1))
        await until(lambda: agent.command.limit_w == 3500)
        assert agent.command.mode is Mode.REDUCE
        agent.says(3500.0, "charging")
        await until(lambda: home.appliances.states()[0]["power_w"] == 3500.0)
        home.clock.advance(600)
        assert agent.command == Command()  # the event is over, whatever the display says
    kept = tmp_path / FILE
    assert kept.stat().st_mode & 0o077 == 0


async def test_it_finds_back_to_a_display_and_keeps_its_token(tmp_path: Path) -> None:
    home, tokens = Home(), Tokens(tmp_path)
    async with served(home) as url, obeying(url, home, tokens):
        await until(lambda: tokens.get(url, "charger"))  # it was answered, too
    port = int(url.rpartition(":")[2])
    async with obeying(url, home, Tokens(tmp_path)) as agent:
        agent.says(1.0, "")
        await asyncio.sleep(0.05)  # nobody is there
        assert agent.command == Command()
        home.look(shed(3))
        async with served(home, port):
            await until(lambda: agent.command.mode is Mode.OFF)
            assert len(home.appliances.states()) == 1
            home.appliances.remove(home.appliances.states()[0]["id"])
            await until(home.appliances.states)  # and asks to be let in anew


async def test_an_order_without_an_end_is_forgotten_when_the_display_is_away() -> None:
    home, tick = Home(), [0.0]
    async with (
        served(home) as url,
        obeying(url, home, Tokens(None), tick=lambda: tick[0]) as agent,
    ):
        # Of one that was not heard yet nothing is known, and no limit is shared with it.
        await until(lambda: [one for one in home.appliances.states() if not one["silent"]])
        home.look(limit_w=1000)  # of the meter's limiter
        await until(lambda: agent.command.mode is Mode.OFF)
        tick[0] += FORGET_S
        assert agent.command.mode is Mode.OFF
        tick[0] += 1
        assert agent.command == Command()


async def test_one_that_was_removed_does_not_come_back_at_once() -> None:
    home, tokens = Home(), Tokens(None)
    async with served(home) as url, obeying(url, home, tokens, (0.02, 60.0)):
        await until(lambda: tokens.get(url, "charger"))
        home.appliances.remove(home.appliances.states()[0]["id"])
        await until(lambda: tokens.get(url, "charger") is None)
        await asyncio.sleep(0.2)  # ten times as long as before another try
        assert not home.appliances.states()


def test_tokens_that_are_none_are_told(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.put("http://a", "charger", Token("1", "secret"))
    assert "secret" not in repr(tokens.get("http://a", "charger"))
    assert Tokens(tmp_path).get("http://a", "charger") == Token("1", "secret")
    tokens.put("http://a", "charger", None)
    assert Tokens(tmp_path).get("http://a", "charger") is None
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(ConfigError):
        Tokens(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigError):
        Tokens(tmp_path)
    with pytest.raises(ConfigError):
        tokens.put("http://a", "charger", Token("1", "2"))
    Tokens(None).put("http://a", "charger", Token("1", "2"))
