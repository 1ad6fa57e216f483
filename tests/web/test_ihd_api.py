"""The display's local API over a real socket, with a meter that stands in."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.datastructures import Headers
from tests.ihd.test_display import KOREA, NOW, profile
from tests.ihd.test_saying import event
from tests.support.ihd import PAIRED, StandIn, live_at, pair_folder, until

from openami.core.clock import ManualClock
from openami.core.errors import ConfigError
from openami.dlms.cosem.response import Answer, Notice, Said
from openami.ihd.display import Display
from openami.ihd.hub import MOST
from openami.ihd.run import check_listening
from openami.ihd.settings import DisplaySettings
from openami.transport.home import HomeTarget
from openami.transport.web import serve
from openami.web.ihd.app import create_app
from openami.web.ihd.guard import COOKIE, COOKIE_S, TRIES, Household
from openami.web.ihd.page import STATIC
from openami.web.ihd.stream import QUIET_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "token-of-the-folder"
PIN = "271828"
JSON = {"Content-Type": "application/json"}


class Page:
    """A browser's page of a display."""

    def __init__(self, display: Display, meter: StandIn, client: httpx.AsyncClient) -> None:
        self.display = display
        self.meter = meter
        self.client = client
        self.root = str(client.base_url).removesuffix("/api/v1/")

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """Return status and code of an answer that is an error."""
        answer = await self.client.request(method, path, **options)
        return answer.status_code, answer.json()["error"]["code"]


@asynccontextmanager
async def page(folder: Path, *, paired: bool = True, **fields: Any) -> AsyncIterator[Page]:
    meter = StandIn(profile(NOW - 86_400, NOW))
    notice = Notice("n1", NOW, "message", NOW + 9000, {"en": "Hello"})
    meter.now_said = Said(1, (event(start=NOW), event("firm", NOW, optional=False)), (notice,))
    if paired:
        pair_folder(folder)
    settings = DisplaySettings(folder, KOREA, clock=ManualClock(NOW + 100), **fields)
    async with Display(settings, connect=meter.link) as display:
        server = await serve(create_app(display, TOKEN))
        base = f"{server.url}/api/v1/"
        async with server, httpx.AsyncClient(base_url=base, timeout=60) as client:
            if paired:
                meter.pushes.put_nowait(live_at(NOW + 100, imported=5000, revision=1))
                await until(lambda: display.told.events and not display.filler.left_s)
            yield Page(display, meter, client)
            display.hub.close()


async def test_state_is_the_contract(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        state = await tab.get("state")
        assert list(state) == [
            "now", "zone", "serial", "link", "live", "energy", "bill", "carbon", "comparison",
            "events", "notices", "appliances", "gaps", "storage", "settings", "tariffs",
        ]  # fmt: skip
        assert state["zone"] == "Asia/Seoul"
        assert state["serial"] == PAIRED.serial
        assert state["link"]["state"] == "connected"
        assert state["link"]["way"] == "direct"
        assert set(state["energy"]) == {
            "today_wh", "yesterday_wh", "yesterday_total_wh", "month_wh", "last_month_wh",
            "last_month_total_wh", "total_wh", "exported_total_wh", "today_exported_wh",
        }  # fmt: skip
        assert set(state["bill"]) == {
            "currency", "tariff", "so_far", "estimate", "step", "price_now"
        }  # fmt: skip
        assert set(state["live"]) >= {
            "at", "voltage_v", "current_a", "active_w", "reactive_var", "apparent_va",
            "power_factor", "frequency_hz", "limit_w", "supply",
        }  # fmt: skip
        assert state["live"]["supply"] == "connected"
        assert state["notices"][0]["read"] is False
        assert {each["id"] for each in state["events"]} == {"dr-1", "firm"}
        assert (
            json.dumps(state).lower().find(PAIRED.keys.guek.hex() if PAIRED.keys.guek else "") < 0
        )


async def test_points_and_energy_and_their_export(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        points = await tab.get("points")
        assert len(points["w"]) == 17_280
        assert points["step_s"] == 5
        span = {"from": "2026-09-20T00:00:00Z", "to": "2026-09-23T00:00:00Z"}
        hours = await tab.get("energy", by="hour", **span)
        days = await tab.get("energy", by="day", **span)
        months = await tab.get("energy", by="month", **span)
        assert sum(hours["wh"]) == sum(days["wh"]) == sum(months["wh"]) > 9600 - 1
        answer = await tab.client.get("energy.csv", params={"by": "hour", **span})
        assert answer.headers["content-type"].startswith("text/csv")
        lines = answer.text.splitlines()
        assert lines[0] == "start,end,wh,exported_wh,cost_KRW"
        assert lines[1].startswith("2026-09-20T09:00:00+09:00,2026-09-20T10:00:00+09:00,")
        assert [int(line.split(",")[2]) for line in lines[1:]] == hours["wh"]


@pytest.mark.parametrize(
    "path",
    [
        "points?from=yesterday",
        "points?from=2026-09-23T00:00:00Z&to=2026-09-20T00:00:00Z",
        "points?from=2020-09-23T00:00:00Z",
        "energy?by=week",
        "energy?by=hour&from=2020-01-01",
        "energy.csv?by=day&from=2000-01-01",
    ],
)
async def test_spans_are_checked(tmp_path: Path, path: str) -> None:
    async with page(tmp_path / "home") as tab:
        assert await tab.refused("GET", path) == (422, "request.invalid")


async def test_what_a_household_does(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        send = tab.client.post
        assert (await send("events/dr-1/answer", json={"answer": "opted-out"})).status_code == 204
        assert (await send("notices/n1/read", headers=JSON)).status_code == 204
        assert (await send("reconnect", headers=JSON)).status_code == 204
        chosen = await tab.client.patch("settings", json={"language": "ko", "theme": "dark"})
        assert chosen.json() == {"language": "ko", "theme": "dark"}
        await until(lambda: len(tab.meter.answers) == 2)
        assert ("dr-1", Answer.OPTED_OUT) in tab.meter.answers
        state = await tab.get("state")
        assert state["events"][0]["answer"] == "opted-out"
        assert state["notices"][0]["read"] is True
        wrong = [
            ("POST", "events/firm/answer", {"answer": "opted-out"}, (409, "home.event-firm")),
            ("POST", "events/none/answer", {"answer": "accepted"}, (404, "home.event")),
            ("POST", "events/dr-1/answer", {"answer": "perhaps"}, (422, "request.invalid")),
            ("POST", "notices/none/read", {}, (404, "home.notice")),
            ("PATCH", "settings", {"theme": "pink"}, (422, "home.settings")),
            ("PATCH", "settings", {"colour": "pink"}, (422, "request.invalid")),
            ("PATCH", "settings", {"tariff": "none"}, (422, "home.settings")),
            ("POST", "pair", {"code": "1" * 5000}, (413, "request.too-large")),
            ("POST", "pair", {"code": "12345678", "meter": "http://x"}, (422, "config.url")),
            ("POST", "nothing", {}, (404, "request.unknown-path")),
            ("PUT", "pair", {}, (405, "request.method")),
        ]
        for method, path, body, expected in wrong:
            assert await tab.refused(method, path, json=body) == expected, path


async def test_a_wrong_code_is_never_repeated_in_an_answer(tmp_path: Path) -> None:
    async with page(tmp_path / "home", paired=False) as tab:
        assert await tab.refused("POST", "pair", json={"code": "87654321"}) == (409, "home.where")
        answer = await tab.client.post("pair", json={"code": ["87654321"]})
        assert "87654321" not in answer.text
        assert (await tab.get("state"))["link"]["state"] == "unpaired"


async def test_who_does_not_reach_the_meter_is_told(tmp_path: Path) -> None:
    async with page(tmp_path / "home", paired=False, target=HomeTarget("127.0.0.1", 1)) as tab:
        status, code = await tab.refused("POST", "pair", json={"code": "12345678"})
        assert status == 502
        assert code.startswith("transport.")
        assert await tab.refused("POST", "reconnect", json={}) == (503, "home.lost")


async def test_the_pairing_ends(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        assert (await tab.client.delete("pair")).status_code == 204
        await until(lambda: tab.display.keeper.status.state == "unpaired")
        state = await tab.get("state")
        assert state["link"]["state"] == "unpaired"
        assert state["energy"]["yesterday_total_wh"] > 0
        body = json.dumps({"history": "forget"})
        gone = await tab.client.request("DELETE", "pair", content=body, headers=JSON)
        assert gone.status_code == 204
        assert (await tab.get("state"))["energy"]["yesterday_total_wh"] == 0


# Who may ask


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "evil.example"}, (421, "home.host")),
        ({"Host": "evil.example:80"}, (421, "home.host")),
        ({"Host": ""}, (421, "home.host")),
        ({"Origin": "http://evil.example", **JSON}, (403, "home.origin")),
        ({"Origin": "null", **JSON}, (403, "home.origin")),
        ({"Sec-Fetch-Site": "cross-site", **JSON}, (403, "home.origin")),
        ({"Sec-Fetch-Site": "same-site", **JSON}, (403, "home.origin")),
        ({"Content-Type": "text/plain"}, (415, "request.type")),
        ({"Content-Type": "application/x-www-form-urlencoded"}, (415, "request.type")),
    ],
)
async def test_what_other_sites_send_is_refused(
    tmp_path: Path, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async with page(tmp_path / "home") as tab:
        asked = await tab.refused("POST", "notices/n1/read", headers=headers, content=b"{}")
        assert asked == expected
        assert tab.display.told.read == ()


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "[::1]:80", "192.0.2.7", "Kitchen.lan"]
)
async def test_names_of_its_own_are_answered(tmp_path: Path, host: str) -> None:
    async with page(tmp_path / "home", hosts=("kitchen.lan",)) as tab:
        answer = await tab.client.get("state", headers={"Host": host})
        assert answer.status_code == 200


async def test_every_answer_has_the_headers(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        for path in ("state", "nothing", f"{tab.root}/", f"{tab.root}/static/none.js"):
            headers = (await tab.client.get(path)).headers
            assert "'unsafe" not in headers["content-security-policy"]
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["x-content-type-options"] == "nosniff"
        assert (await tab.client.get("state")).headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


async def test_a_pin_lets_in(tmp_path: Path) -> None:
    async with page(tmp_path / "home", pin=PIN) as tab:
        asked = [tab.refused("GET", path) for path in ("state", "stream", "points", "energy.csv")]
        assert set(await asyncio.gather(*asked)) == {(401, "home.pin")}
        assert (await tab.client.get(f"{tab.root}/")).status_code == 200  # it asks for the PIN
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await tab.client.get("state", headers=bearer)).status_code == 200
        assert await tab.refused("GET", "state", headers={"Authorization": "Bearer x"}) == (
            401,
            "home.pin",
        )
        opened = await tab.client.post("unlock", json={"pin": PIN})
        assert opened.status_code == 204
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert PIN not in cookie
        assert (await tab.client.get("state")).status_code == 200
        value = opened.cookies["openami-ihd"]
        forged = value[:-1] + ("0" if value[-1] != "0" else "1")
        tab.client.cookies.clear()
        assert await tab.refused("GET", "state", headers={"Cookie": f"openami-ihd={forged}"}) == (
            401,
            "home.pin",
        )
        for _ in range(TRIES):
            assert await tab.refused("POST", "unlock", json={"pin": "000000"}) == (401, "home.pin")
        assert await tab.refused("POST", "unlock", json={"pin": PIN}) == (429, "home.pin-throttled")
    async with page(tmp_path / "home", pin="other-pin") as tab:
        asked_again = tab.refused("GET", "state", headers={"Cookie": f"openami-ihd={value}"})
        assert await asked_again == (401, "home.pin")


async def test_appliances_show_their_own_token(tmp_path: Path) -> None:
    async with page(tmp_path / "home", pin=PIN) as tab:
        wanted = {"name": "Heater", "kind": "water-heater", "rated_w": 2000, "can": ["off"]}
        made = (await tab.client.post("appliances", json=wanted)).json()
        bearer = {"Authorization": f"Bearer {made['token']}"}
        work = await tab.client.get(f"appliances/{made['id']}/work", headers=bearer)
        assert work.json()["mode"] == "normal"
        assert await tab.refused("GET", f"appliances/{made['id']}/work") == (401, "appliance.token")
        assert await tab.refused("GET", "appliances", headers=bearer) == (401, "home.pin")
        assert await tab.refused("DELETE", f"appliances/{made['id']}", headers=bearer) == (
            401,
            "home.pin",
        )
        await tab.client.post("unlock", json={"pin": PIN})
        state = await tab.get("state")
        assert [each["name"] for each in state["appliances"]] == ["Heater"]


def test_beyond_this_machine_a_certificate_and_a_pin_are_wanted(tmp_path: Path) -> None:
    here = DisplaySettings(tmp_path, KOREA, listen=("127.0.0.1", 0))
    check_listening(here)
    everywhere = DisplaySettings(tmp_path, KOREA, listen=("0.0.0.0", 0))
    with pytest.raises(ConfigError) as refused:
        check_listening(everywhere)
    assert refused.value.code == "home.open"
    pair = tmp_path / "c", tmp_path / "k"
    check_listening(DisplaySettings(tmp_path, KOREA, listen=("::", 0), certificate=pair, pin=PIN))
    assert PIN not in repr(DisplaySettings(tmp_path, KOREA, pin=PIN))


# The stream


class Stream:
    """Events of one tab."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self._lines = answer.aiter_lines()

    async def next(self, kind: str) -> Any:
        """Return the next event of a kind."""
        async for line in self._lines:
            if line == f"event: {kind}":
                return json.loads((await anext(self._lines)).removeprefix("data: "))
        raise AssertionError("the stream is over")


@asynccontextmanager
async def streaming(tab: Page) -> AsyncIterator[Stream]:
    async with tab.client.stream("GET", "stream", timeout=30) as answer:
        yield Stream(answer)


async def test_two_tabs_see_the_same(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab, streaming(tab) as one, streaming(tab) as other:
        for stream in (one, other):
            assert (await stream.next("state"))["serial"] == PAIRED.serial
            assert (await stream.next("live"))["active_w"] == 500
        tab.meter.pushes.put_nowait(live_at(NOW + 101, watts=1500, imported=5001, revision=1))
        for stream in (one, other):
            assert (await stream.next("live"))["active_w"] == 1500
        await tab.client.post("events/dr-1/answer", json={"answer": "accepted"})
        for stream in (one, other):
            while (await stream.next("state"))["events"][0]["answer"] != "accepted":
                pass


async def test_a_slow_tab_gets_the_newest_and_holds_nobody_up(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab, streaming(tab) as slow, streaming(tab) as quick:
        await quick.next("live")
        for second in range(1, 3000):
            tab.display.saw(live_at(NOW + 100 + second, watts=second, revision=1))
            if second % 500 == 0:
                while (await quick.next("live"))["active_w"] != second:
                    pass
        seen = [(await slow.next("live"))["active_w"]]
        while seen[-1] != 2999:
            seen.append((await slow.next("live"))["active_w"])
        assert len(seen) < 3000


async def test_a_tab_that_hears_no_news_hears_that_the_line_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page and display agree how long silence may last: it is well below what the page waits."""
    monkeypatch.setattr("openami.web.ihd.stream.QUIET_S", 0.05)
    async with page(tmp_path / "home") as tab, streaming(tab) as stream:
        await stream.next("live")
        assert await stream.next("alive") == {}
    code = (STATIC / "js" / "api.js").read_text(encoding="utf-8")
    silent = re.search(r"SILENT_MS = ([\d_]+);", code)
    assert silent is not None
    assert int(silent[1]) > 2 * 1000 * QUIET_S


async def test_there_is_room_for_so_many_tabs(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        with ExitStack() as stack:
            for _ in range(MOST):
                stack.enter_context(tab.display.hub.watch())
            assert await tab.refused("GET", "stream") == (503, "home.watchers")


async def test_who_has_gone_leaves_room(tmp_path: Path) -> None:
    async with page(tmp_path / "home") as tab:
        async with streaming(tab) as stream:
            await stream.next("state")
            assert tab.display.hub
        for number in range(1, 100):
            tab.display.saw(live_at(NOW + 100 + number, revision=1))
        await until(lambda: not tab.display.hub)


def test_a_cookie_ends_with_its_time_and_with_its_pin() -> None:
    clock = ManualClock(1_790_000_000)

    def household(pin: str) -> Household:
        return Household(pin, b"secret" * 6, "token", clock)

    cookie = household(PIN).unlock(PIN)
    headers = Headers({"cookie": f"{COOKIE}={cookie}"})
    assert household(PIN).knows(headers)
    assert not household("161803").knows(headers)
    clock.set(1_790_000_000 + COOKIE_S)
    assert not household(PIN).knows(headers)
