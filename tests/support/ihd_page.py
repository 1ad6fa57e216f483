"""A display that answers its local API from tables, so that each state of the page can be seen.

``python -m tests.support.ihd_page SCENE [PORT]`` serves one for a browser.
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
import socket
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.meter.recordings import recording
from openami.web.ihd.page import routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request

NOW: Final = datetime(2026, 11, 22, 14, 32, 10, tzinfo=ZoneInfo("Asia/Seoul")).astimezone(UTC)
STEP_S: Final = 5
DAY: Final = timedelta(days=1)
CODE: Final = "12345678"
HOME: Final = recording("minute").samples
SMALLER: Final = 0.45
OFFSET_S: Final = 9 * 3600

State = dict[str, Any]


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def after(**span: float) -> str:
    return iso(NOW + timedelta(**span))


def watts(at: datetime) -> float:
    """Return what a home draws: one that was recorded by minutes, smaller, and a little restless."""
    minute = int(at.timestamp() + OFFSET_S) // 60
    ripple = 9 * math.sin(at.timestamp() / 7) + 6 * math.sin(at.timestamp() / 23)
    return round(HOME[minute % len(HOME)].active / 1000 * SMALLER + ripple, 1)


def points(first: datetime, last: datetime) -> list[float | None]:
    count = int((last - first).total_seconds() // STEP_S)
    known = min(last, NOW)
    times = (first + timedelta(seconds=STEP_S * place) for place in range(count))
    return [watts(at) if at <= known else None for at in times]


def home() -> State:
    """Return a home on an ordinary afternoon."""
    return {
        "now": iso(NOW),
        "zone": "Asia/Seoul",
        "serial": "OAM00000001",
        "link": {"state": "connected", "since": after(hours=-30), "reason": None, "way": "direct"},
        "live": {
            "at": iso(NOW),
            "voltage_v": [220.4],
            "current_a": [3.17],
            "active_w": 684.0,
            "reactive_var": 122.0,
            "apparent_va": 698.7,
            "power_factor": 0.979,
            "frequency_hz": 60.01,
            "limit_w": None,
            "supply": "connected",
        },
        "energy": {
            "today_wh": 5640,
            "yesterday_wh": 6480,
            "yesterday_total_wh": 12320,
            "month_wh": 231400,
            "last_month_wh": 219800,
            "last_month_total_wh": 312600,
            "total_wh": 12345670,
            "exported_total_wh": 0,
            "today_exported_wh": 0,
        },
        "bill": {
            "currency": "KRW",
            "tariff": "kr-residential-low",
            "so_far": "37150",
            "estimate": {"likely": "58420", "low": "54100", "high": "63270", "method": "mean"},
            "step": {
                "index": 2,
                "of": 3,
                "from_kwh": "200",
                "until_kwh": "400",
                "used_kwh": "231.4",
                "rate": "214.6",
            },
            "price_now": {"per_kwh": "214.6", "reason": "step 2"},
        },
        "carbon": {"today_g": 2340, "month_g": 96031, "g_per_kwh": 415, "source": "KPX 2023"},
        "comparison": {
            "start": "2026-09-30T15:00:00Z",
            "end": "2026-10-31T15:00:00Z",
            "homes": 34,
            "mean_wh": 254000,
            "best_wh": 176000,
            "own_wh": 312600,
        },
        "events": [],
        "notices": [],
        "appliances": [],
        "gaps": {"filling": False, "left_s": 0},
        "settings": {"language": "en", "theme": "auto"},
        "tariffs": [
            {"name": None, "title": "A tariff of a file", "titles": {}},
            *(
                {"name": name, "title": each.title, "titles": dict(each.titles)}
                for name, each in ((name, tariff_named(name)) for name in tariff_names())
            ),
        ],
    }


def appliance(name: str, kind: str, power: float, **more: Any) -> State:
    return {
        "id": kind,
        "name": name,
        "kind": kind,
        "rated_w": 2000,
        "least_w": 0,
        "can": ["off", "reduce"],
        "allow": True,
        "override": None,
        "override_until": None,
        "mode": "normal",
        "limit_w": None,
        "until": None,
        "event": None,
        "prepare": False,
        "why": None,
        "power_w": power,
        "state": "",
        "seen": iso(NOW),
        "silent": False,
        **more,
    }


def event(kind: str, state: str, begins: float, ends: float, **more: Any) -> State:
    return {
        "id": f"{kind}-1",
        "version": 1,
        "program": "autumn",
        "kind": kind,
        "priority": 0 if kind == "emergency" else 5,
        "optional": kind != "emergency",
        "currency": "KRW",
        "texts": {
            "en": "The evening peak is high today. Please use less from 17:00.",
            "ko": "오늘 저녁 전력 수요가 높습니다. 17시부터 사용량을 줄여 주세요.",
        },
        "intervals": [],
        "state": state,
        "answer": None,
        "begins": after(minutes=begins),
        "ends": after(minutes=ends),
        **more,
    }


def solar() -> State:
    state = home()
    state["live"] |= {"active_w": -1840.0, "current_a": [8.4], "apparent_va": 1851.0}
    state["live"]["power_factor"] = -0.994
    state["energy"] |= {"exported_total_wh": 842300, "today_exported_wh": 7900}
    return state


def upcoming() -> State:
    state = home()
    state["events"] = [event("shed", "upcoming", 42.3, 162.3, level=2)]
    return state


def active() -> State:
    state = home()
    shed = event("shed", "active", -20, 100, level=2, answer="accepted")
    state["events"] = [shed]
    told = {"event": shed["id"], "until": shed["ends"], "why": "event"}
    state["appliances"] = [
        appliance("Living room", "air-conditioner", 410, mode="reduce", limit_w=600, **told),
        appliance("Boiler", "water-heater", 0, mode="off", **told),
        appliance("Car", "charger", 2300, allow=False),
        appliance("Dryer", "other", 0, silent=True, seen=after(minutes=-50)),
    ]
    return state


def price() -> State:
    state = home()
    dear = event("price", "active", -10, 50, price="642.0")
    state["events"] = [dear]
    state["bill"]["price_now"] = {"per_kwh": "642.0", "reason": dear["id"]}
    return state


def emergency() -> State:
    state = home()
    state["live"] |= {"active_w": 1420.0, "limit_w": 1500, "apparent_va": 1433.0}
    state["live"]["current_a"] = [6.51]
    texts = {"en": "The grid is short of power.", "ko": "전력 수급이 매우 부족합니다."}
    state["events"] = [event("emergency", "active", -5, 25, limit_w=1500, texts=texts)]
    return state


def lost() -> State:
    state = home()
    state["link"] |= {"state": "lost", "since": after(minutes=-3, seconds=-12)}
    state["live"]["at"] = after(minutes=-3, seconds=-12)
    return state


def filling() -> State:
    state = home()
    state["gaps"] = {"filling": True, "left_s": 5400}
    return state


def full() -> State:
    state = home()
    state["storage"] = {"code": "store.full", "message": "home.sqlite: no room left"}
    return state


def damaged() -> State:
    state = full()
    state["storage"]["code"] = "store.damaged"
    return state


def disconnected() -> State:
    state = home()
    state["live"] |= {"active_w": 0.0, "current_a": [0.0], "apparent_va": 0.0, "power_factor": 1.0}
    state["live"]["supply"] = "disconnected"
    return state


def ready() -> State:
    state = disconnected()
    state["live"]["supply"] = "ready-for-reconnection"
    return state


def notices() -> State:
    state = home()
    words = {
        "n1": (
            "bill",
            {"en": "Your bill of October is here: ₩71,260.", "ko": "10월 요금은 71,260원입니다."},
        ),
        "n2": (
            "outage",
            {
                "en": "Power cut for works on 25 November, 10:00 to 11:30.",
                "ko": "11월 25일 10:00~11:30 공사로 정전됩니다.",
            },
        ),
    }
    state["notices"] = [
        {
            "id": name,
            "kind": kind,
            "at": after(hours=-2 - 40 * place),
            "until": after(days=3),
            "texts": texts,
            "read": place == 1,
        }
        for place, (name, (kind, texts)) in enumerate(words.items())
    ]
    return state


def three_phases() -> State:
    state = home()
    state["live"] |= {"voltage_v": [220.1, 219.8, 221.3], "current_a": [3.2, 14.8, 0.4]}
    state["live"] |= {"active_w": 12345.0, "apparent_va": 12600.0}
    return state


def time_of_use() -> State:
    state = home()
    state["bill"] |= {"step": None, "price_now": {"per_kwh": "188.8", "reason": "peak"}}
    return state


def poor() -> State:
    """Return what a display knows a minute after pairing, without a tariff."""
    state = home()
    state |= {"bill": None, "carbon": None, "comparison": None}
    none = dict.fromkeys(state["energy"], 0)
    state["energy"] = {**none, "today_wh": 12, "month_wh": 12, "total_wh": 12345670}
    return state


def first() -> State:
    state = poor()
    state |= {"serial": None, "live": None}
    state["link"] |= {"state": "unpaired"}
    return state


SCENES: Final[dict[str, Callable[[], State]]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        home,
        solar,
        upcoming,
        active,
        price,
        emergency,
        lost,
        filling,
        full,
        damaged,
        disconnected,
        ready,
        notices,
        three_phases,
        time_of_use,
        poor,
        first,
    )
}
HOLED: Final = frozenset({"lost", "filling"})  # scenes whose day has a gap, and a part filled in


class Fake:
    """The tables, and what the page has sent.

    Attributes:
        asked: what was to be changed: method, path and body.
        opened: how often the stream of news was opened.
        listening: pages whose stream is open.
        drawn: how often the graph's points were asked for.
        mute: streams stay open and say nothing, as over a network that went without a word.
    """

    def __init__(self, scene: str) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.shown = 0
        self.opened = self.listening = self.drawn = 0
        self.mute = False
        self.show(scene)

    def show(self, scene: str, *, language: str = "en", theme: str = "auto") -> None:
        """Show another state, on pages that are open, too."""
        self.scene = scene
        state = SCENES[scene]()
        state["settings"] |= {"language": language, "theme": theme}
        self.state = state
        self.shown += 1

    def routes(self) -> list[Route]:
        def api(path: str, endpoint: Any, *methods: str) -> Route:
            return Route(f"/api/v1/{path}", endpoint, methods=list(methods))

        return [
            api("state", self._state, "GET"),
            api("stream", self._stream, "GET"),
            api("points", self._points, "GET"),
            api("energy", self._energy, "GET"),
            api("energy.csv", self._csv, "GET"),
            api("pair", self._pair, "POST", "DELETE"),
            api("settings", self._settings, "PATCH"),
            api("events/{id}/answer", self._answer, "POST"),
            api("notices/{id}/read", self._read, "POST"),
            api("reconnect", self._reconnect, "POST"),
            api("appliances/{id}", self._appliance, "PATCH", "DELETE"),
        ]

    async def _note(self, request: Request) -> Any:
        body = await request.json()
        self.asked.append((request.method, request.url.path, body))
        return body

    async def _state(self, _request: Request) -> Response:
        return JSONResponse(self.state)

    async def _stream(self, _request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            shown = -1
            self.opened += 1
            self.listening += 1
            try:
                for tick in range(36_000):
                    if shown != self.shown and not self.mute:
                        shown = self.shown
                        yield f"event: state\ndata: {json.dumps(self.state)}\n\n"
                    connected = self.state["link"]["state"] == "connected" and not self.mute
                    if tick % 10 == 0 and self.state["live"] is not None and connected:
                        yield f"event: live\ndata: {json.dumps(self.state['live'])}\n\n"
                    await asyncio.sleep(0.1)
            finally:
                self.listening -= 1

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def _points(self, request: Request) -> Response:
        begin, finish = (
            datetime.fromisoformat(request.query_params[name]) for name in ("from", "to")
        )
        begin = datetime.fromtimestamp(begin.timestamp() // STEP_S * STEP_S, UTC)
        w = [] if self.scene in {"poor", "first"} else points(begin, finish)
        filled = []
        if self.scene == "solar":
            sun = [
                2600 * max(0.0, math.sin(math.pi * (p % 17280 - 11000) / 6200))
                for p in range(len(w))
            ]
            w = [None if v is None else v - s for v, s in zip(w, sun, strict=True)]
        if self.scene in HOLED:
            at = len(w) - 6000
            mean = round(sum(filter(None, w[at : at + 1400])) / 1400)
            w[at : at + 1400] = [mean] * 1400
            filled = [[int(begin.timestamp()) + STEP_S * (at + end) for end in (0, 1400)]]
            hole = slice(at + 3000, at + 4100) if self.scene == "filling" else slice(-40, None)
            w[hole] = [None] * len(w[hole])
        start = int(begin.timestamp())
        self.drawn += 1
        return JSONResponse({"step_s": STEP_S, "start": start, "w": w, "filled": filled})

    async def _energy(self, request: Request) -> Response:
        begin, finish = (
            datetime.fromisoformat(request.query_params[name]) for name in ("from", "to")
        )
        step = {"hour": timedelta(hours=1), "day": DAY, "month": 30.5 * DAY}
        by = request.query_params["by"]
        starts = []
        while begin < finish:
            starts.append(begin)
            begin += step[by]
        scale = {"hour": 1, "day": 13, "month": 390}[by]
        wh = [round(watts(at + step[by] / 3) * scale) if at < NOW else None for at in starts]
        solar_too = self.scene == "solar"
        sent = [value and (value // 2 if solar_too else 0) for value in wh]
        cost = [value and f"{value * 0.2:.0f}" for value in wh]
        times = [int(at.timestamp()) for at in starts]
        return JSONResponse({"start": times, "wh": wh, "exported_wh": sent, "cost": cost})

    async def _csv(self, _request: Request) -> Response:
        return PlainTextResponse("start,wh\n2026-11-22T00:00:00+09:00,310\n", media_type="text/csv")

    async def _pair(self, request: Request) -> Response:
        body = await self._note(request)
        if request.method == "DELETE":
            self.show("first", language=self.state["settings"]["language"])
            if body["history"] == "forget":
                self.state["energy"] = dict.fromkeys(self.state["energy"], 0)
            return Response(status_code=204)
        if body["code"] != CODE:
            said = {"error": {"code": "home.code", "message": "wrong code", "hint": ""}}
            return JSONResponse(said, status_code=403)
        self.show("home", language=self.state["settings"]["language"])
        return Response(status_code=204)

    async def _settings(self, request: Request) -> Response:
        self.state["settings"] |= await self._note(request)
        return JSONResponse(self.state["settings"])

    async def _answer(self, request: Request) -> Response:
        body = await self._note(request)
        for one in self.state["events"]:
            if one["id"] == request.path_params["id"]:
                one["answer"] = body["answer"]
        return Response(status_code=204)

    async def _read(self, request: Request) -> Response:
        await self._note(request)
        for one in self.state["notices"]:
            if one["id"] == request.path_params["id"]:
                one["read"] = True
        return Response(status_code=204)

    async def _reconnect(self, request: Request) -> Response:
        await self._note(request)
        self.state["live"]["supply"] = "connected"
        return Response(status_code=204)

    async def _appliance(self, request: Request) -> Response:
        body = await self._note(request)
        kept = self.state["appliances"]
        found = next(one for one in kept if one["id"] == request.path_params["id"])
        if request.method == "DELETE":
            kept.remove(found)
            return Response(status_code=204)
        found.update(body)
        return JSONResponse(copy.deepcopy(found))


@contextmanager
def fake_display(scene: str = "home", port: int = 0) -> Iterator[tuple[str, Fake]]:
    """Serve a fake display from a thread; yields its address and its tables."""
    fake = Fake(scene)
    app = Starlette(routes=[*routes(), *fake.routes()])
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", fake
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


if __name__ == "__main__":
    with fake_display(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0) as (url, _):
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        threading.Event().wait()
