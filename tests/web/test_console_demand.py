"""The console's pages of demand response: what runs, an event from its form to what it brought."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.browser.demanding import begun
from tests.support.demand import LIMIT, event, moved_out, street
from tests.support.headend import LOAD_PROFILE, PASSWORD, operator_client, upload
from tests.web.test_console import sign_in
from tests.web.test_console_groups import post

from openami.core.clock import isoformat, utc
from openami.fleet.demand.model import (
    EventKind,
    Interval,
    Program,
    ReportKind,
    Target,
    TargetKind,
)
from openami.fleet.demand.standing import Answer, Counts
from openami.fleet.operators import Role
from openami.headend.demand.results import NO_COURSE, Course
from openami.mdm.readings import ChannelValues, profile_table
from openami.web.console import demand_pictures as pictures
from openami.web.console import demand_views as views
from openami.web.console.demand_forms import as_revised, form_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"
AREA = (Target(TargetKind.REGION, frozenset({"Seoul"})),)
STEP = 900


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient) -> str:
    """A signed-in browser, three meters and a program."""
    devices: Any = running.services.registry._devices
    street(devices, "D1", 3, region="Seoul")
    running.services.demand.events.add_program(Program("p1", "summer"), who="test")
    return await sign_in(browser)


@pytest.fixture
async def boris(running: Running) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """The browser of an operator who is no administrator."""
    running.services.operators.add("boris", PASSWORD, Role.OPERATOR, who="test")
    async with operator_client(running) as client:
        yield client, await sign_in(client, "boris")


def wish(running: Running, key: str = "a" * 16, **changes: Any) -> dict[str, Any]:
    """Return a form as it is sent, with an event that begins in ten minutes."""
    start = utc(running.services.clock.now() + 600)
    return {
        "key": key,
        "name": "Peak",
        "program": "p1",
        "kind": "shed",
        "start": f"{start:%Y-%m-%dT%H:%M}",
        "region": "Seoul, Busan",
        "optional": "1",
        "minutes": ["30", "15", " "],
        "level": ["2", "1", ""],
        "limit": ["", "", ""],
        "price": ["", "", ""],
        "text_en": "Please use less",
        "text_ko": "줄여 주세요",
        **changes,
    }


async def test_an_event_is_tried_before_it_is_sent(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    page = (await browser.get("/demand/new?meter=D1-1")).text
    assert re.search(r'name="key" value="[0-9a-f]{16}"', page)
    assert ">D1-1</textarea>" in page
    status, _, tried = await post(browser, "/demand/new", csrf, **wish(running))
    assert status == 200
    assert re.search(r"It would reach <span[^>]*>3 meters</span> behind 1 DCU", tried)
    assert "Please use less" in tried
    assert "줄여 주세요" in tried
    assert "level 1, a little less" in tried
    assert not running.services.demand.events.list().items
    for again in range(2):  # the same form twice is one event
        sent = await post(browser, "/demand/events", csrf, act="send", **wish(running))
        assert sent[:2] == (303, f"/demand/events/{'a' * 16}"), again
    (record,) = running.services.demand.events.list().items
    assert (record.state, record.meters) == ("scheduled", 3)
    lengths = [one.duration for one in record.event.intervals]
    assert lengths == [1800, 900]
    listed = (await browser.get("/demand")).text
    assert "Peak" in listed
    assert "Nothing is asked of anybody" in listed
    assert "run-shed" in listed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"start": "soon"}, "request.event"),
        ({"key": "x"}, "request.event"),
        ({"level": ["9", "", ""]}, "request.event"),
        ({"level": ["much", "", ""]}, "request.event"),
        ({"minutes": ["1.5", "", ""]}, "request.event"),
        ({"kind": "price"}, "request.event"),
        ({"program": "p9"}, "not-found"),
        ({"start": "2020-01-01T00:00"}, "demand.past"),
        ({"kind": "price", "tariff": "none-such"}, "tariff.unknown"),
    ],
)
async def test_what_can_not_be_is_refused(
    running: Running, browser: httpx.AsyncClient, csrf: str, changes: dict[str, Any], code: str
) -> None:
    for path in ("/demand/new", "/demand/events"):
        act = {"act": "send"} if path.endswith("events") else {}
        answer = await post(browser, path, csrf, **{**wish(running, **changes), **act})
        assert answer[0] >= 400
        assert code in answer[2]
    states = {one.state.value for one in running.services.demand.events.list().items}
    assert states <= {"cancelled"}


async def test_prices_are_a_tariffs(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    form = wish(running, kind="price", tariff="kr-residential-low", used="250")
    tried = (await post(browser, "/demand/new", csrf, **form))[2]
    assert "KRW/kWh" in tried
    assert "level" not in tried.split("<form")[0]
    # In Jeju the peak begins at 16: at 7 UTC, which the pages show.
    form |= {"tariff": "kr-residential-tou-jeju", "start": "2026-06-15T06:30"}
    tried = (await post(browser, "/demand/new", csrf, **form))[2]
    rows = re.findall(r'datetime="([^"]+)".*?<td>(.*?)</td><td class="words">([0-9.]+)', tried)
    assert rows == [
        ("2026-06-15T06:30:00Z", "30&#8239;min", "188.209"),
        ("2026-06-15T07:00:00Z", "15&#8239;min", "228.5556"),
    ]


async def test_an_emergency_takes_an_administrator_a_reason_and_a_tick(
    running: Running,
    browser: httpx.AsyncClient,
    csrf: str,
    boris: tuple[httpx.AsyncClient, str],
) -> None:
    other, token = boris
    form = wish(running, kind="emergency", limit=["2.5", "2.5", ""], act="send")
    assert "role admin sends it" in (await post(other, "/demand/new", token, **form))[2]
    assert "security.role" in (await post(other, "/demand/events", token, **form))[2]
    tried = (await post(browser, "/demand/new", csrf, **form))[2]
    assert "leave homes in the dark" in tried
    path = "/demand/events"
    assert "request.sure" in (await post(browser, path, csrf, why="x", **form))[2]
    assert "request.why" in (await post(browser, path, csrf, sure="1", **form))[2]
    kept = await post(other, path, token, **{**form, "act": "keep"})
    place = f"/demand/events/{'a' * 16}"
    assert kept[:2] == (303, place)
    page = (await other.get(place)).text
    assert "A draft" in page
    assert "sent by who has the role admin" in page
    refused = await post(other, f"{place}/publish", token, sure="1")
    assert "security.role" in refused[2]
    assert (await post(browser, f"{place}/publish", csrf, sure="1", why="x"))[0] == 303
    cancelled = await post(other, f"{place}/cancel", token, why="it is over")
    assert cancelled[0] == 303
    assert running.services.demand.events.get("a" * 16).record.state == "cancelled"
    audit = (await browser.get("/audit?subject=event:" + "a" * 16)).text
    assert "demand.event cancelled" in audit
    assert "it is over" in audit


def filled(page: str) -> dict[str, Any]:
    """Return what the form of an event says as it was served, as a browser would send it."""
    part = page.partition('aria-label="Event"')[2].partition("</form>")[0]
    found: dict[str, Any] = {}
    for name, value in re.findall(
        r'<input[^>]*? name="(\w+)"(?: lang="ko")? value="([^"]*)"', part
    ):
        found.setdefault(name, []).append(html.unescape(value))
    found |= {
        name: re.findall(r'<option value="([^"]*)" selected', inner)[:1]
        for name, inner in re.findall(r'<select name="(\w+)"[^>]*>(.*?)</select>', part)
        if " selected" in inner
    }
    (found["meter"],) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", part)
    if not re.search(r'name="optional"[^>]* checked', part):
        del found["optional"]
    del found["csrf_token"]
    return found


async def test_a_draft_and_an_event_on_its_way_are_changed_by_the_form(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    desk, place = running.services.demand.events, f"/demand/events/{'a' * 16}"
    await post(browser, "/demand/events", csrf, act="keep", **wish(running, random="5"))
    before = desk.get("a" * 16).record.event
    assert f'href="{place}/revise"' in (await browser.get(place)).text
    form = filled((await browser.get(f"{place}/revise")).text)
    assert form["version"] == ["1"]
    tried = (await post(browser, f"{place}/revise", csrf, **form))[2]
    assert "3 meters</span> behind 1 DCU" in tried
    assert "nobody is told by changing it" in tried
    assert desk.get("a" * 16).record.event == before, "trying changes nothing"
    assert (await post(browser, f"{place}/revised", csrf, **form))[:2] == (303, place)
    after = desk.get("a" * 16).record.event
    assert after == replace(before, version=2), "a form that is sent as it was says the same"
    stale = await post(browser, f"{place}/revised", csrf, **form)
    assert "demand.moved" in stale[2]
    assert "demand.moved" in (await post(browser, f"{place}/revise", csrf, **form))[2]

    desk.publish("a" * 16, who="t")
    told = running.services.demand.uplink.revision("D1")
    form = filled((await browser.get(f"{place}/revise")).text)
    changes: dict[str, Any] = {**form, "name": "Later", "region": "", "meter": "D1-2"}
    changes |= {"minutes": ["45"], "level": ["3"], "limit": [""], "price": [""]}
    tried = (await post(browser, f"{place}/revise", csrf, **changes))[2]
    assert "1 meter</span> behind 1 DCU" in tried
    assert "It was sent to 3 meters" in tried
    assert "level 2, much less … level 1, a little less" in tried
    answer = await post(browser, f"{place}/revised", csrf, why="cooler", **changes)
    assert answer[:2] == (303, place)
    record = desk.get("a" * 16).record
    assert (record.event.name, record.event.version, record.meters) == ("Later", 3, 1)
    assert [one.duration for one in record.event.intervals] == [2700]
    assert record.event.random_s == 300
    assert running.services.demand.uplink.revision("D1") != told
    assert "cooler" in (await browser.get("/audit?subject=event:" + "a" * 16)).text
    nobody = {**changes, "version": "3", "meter": "D9-1"}
    assert "demand.nobody" in (await post(browser, f"{place}/revised", csrf, **nobody))[2]
    await post(browser, f"{place}/cancel", csrf, why="rain")
    assert f"{place}/revise" not in (await browser.get(place)).text
    assert "demand.transition" in (await browser.get(f"{place}/revise")).text
    over = {**changes, "version": "3"}
    for path in ("revise", "revised"):
        assert "demand.transition" in (await post(browser, f"{place}/{path}", csrf, **over))[2]


async def test_what_can_leave_homes_in_the_dark_is_changed_by_an_administrator(
    running: Running,
    browser: httpx.AsyncClient,
    csrf: str,
    boris: tuple[httpx.AsyncClient, str],
) -> None:
    other, token = boris
    desk, place = running.services.demand.events, f"/demand/events/{'a' * 16}"
    grave = wish(running, kind="emergency", limit=["2.5", "2.5", ""])
    await post(other, "/demand/events", token, act="keep", **grave)
    form = {**grave, "version": "1", "name": "Colder"}
    assert f"{place}/revise" not in (await other.get(place)).text
    assert "security.role" in (await post(other, f"{place}/revised", token, **form))[2]
    assert "Keep the draft so" in (await post(browser, f"{place}/revise", csrf, **form))[2]
    assert (await post(browser, f"{place}/revised", csrf, **form))[0] == 303, "nobody is told"
    desk.publish("a" * 16, who="t")
    form = {**form, "version": "2"}
    assert f"{place}/revise" not in (await other.get(place)).text
    tried = (await post(other, f"{place}/revise", token, **form))[2]
    assert "Who has the role admin makes this of it" in tried
    for said in (form, {**form, "kind": "shed"}):  # neither what it was nor what it is to be
        answer = await post(other, f"{place}/revised", token, why="x", sure="1", **said)
        assert "security.role" in answer[2]
    path = f"{place}/revised"
    assert "request.sure" in (await post(browser, path, csrf, why="x", **form))[2]
    assert "request.why" in (await post(browser, path, csrf, sure="1", **form))[2]
    tried = (await post(browser, f"{place}/revise", csrf, **form))[2]
    assert "Change it at 3 meters" in tried
    assert (await post(browser, path, csrf, sure="1", why="colder", **form))[0] == 303
    assert desk.get("a" * 16).record.event.version == 3


@pytest.mark.parametrize(
    "unsayable",
    [
        {"start": 1_790_000_010},
        {"random_s": 90},
        {"targets": (Target(TargetKind.GROUP, frozenset({"north, upper"})),)},
        {"intervals": (Interval(0, 1_790_000_040, 90, (LIMIT,)),)},
        {"id_": "not-ours"},
    ],
)
def test_a_form_that_can_not_say_all_of_an_event_is_none(unsayable: dict[str, Any]) -> None:
    zone = ZoneInfo("Asia/Seoul")
    plain: dict[str, Any] = {"id_": "a" * 16, "start": 1_790_000_040, "random_s": 60}
    said = event(**plain, reports=frozenset({ReportKind.USAGE}), version=4)
    form = form_of(said, zone)
    assert form is not None
    assert as_revised(form.event(zone), said) == replace(said, version=1)
    assert form_of(event(**{**plain, **unsayable}), zone) is None


async def test_an_event_that_the_form_can_not_say_is_left_to_the_api(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    del csrf
    start = int(running.services.clock.now()) // 60 * 60 + 610
    running.services.demand.events.draft(event("b" * 16, start=start, program="p1"), who="t")
    page = await browser.get(f"/demand/events/{'b' * 16}/revise")
    assert page.status_code == 400
    assert "change it by the API" in page.text


async def test_a_live_event_says_who_is_how_far_and_what_it_brought(
    running: Running, browser: httpx.AsyncClient, csrf: str, dcu: httpx.AsyncClient
) -> None:
    clock: Any = running.services.clock
    begin = int(clock.now()) // 86_400 * 86_400 + 12 * 3600
    clock.set(begin - 600.0)
    desk = running.services.demand.events
    desk.draft(event("e1", name=HOSTILE, start=begin, program="p1", targets=AREA), who="t")
    place = "/demand/events/e1"
    assert "the event has not begun" in (await browser.get(f"{place}/results")).text.lower()
    desk.publish("e1", who="t")
    page = (await browser.get(place)).text
    assert "DCU has not asked since" in page
    assert 'href="/dcus/D1"' in page
    assert HOSTILE not in page
    at = isoformat(clock.now())
    news = (("D1-1", "delivered"), ("D1-1", "accepted"), ("D1-2", "delivered"))
    reports: list[dict[str, Any]] = [
        {"number": n, "meter": meter, "event": "e1", "what": what, "at": at}
        for n, (meter, what) in enumerate(news, 1)
    ]
    refused = {"code": "response.none", "reason": "no <b>object"}
    reports.append({**reports[0], **refused, "number": 9, "meter": "D1-3", "what": "refused"})
    assert (await dcu.post("/device/v1/demand", json={"reports": reports})).status_code == 200
    ends = np.arange(begin - 30 * 86_400, begin + 3600 + STEP, STEP, dtype=np.int64)
    wh = np.full(len(ends), 100, np.int64)
    wh[(ends > begin) & (ends <= begin + 3600)] = 60
    table = profile_table(
        "D1-1", LOAD_PROFILE, time=ends, status=np.zeros(len(ends), np.uint8),
        channels=[ChannelValues("1.0.1.29.0.255", 0, 30, wh)],
    )  # fmt: skip
    assert (await upload(dcu, "b1", table)).status_code == 200
    clock.set(begin + 3000.0)
    await begun(running, "e1")

    page = html.unescape((await browser.get(place)).text)
    assert "2</b> of 3 meters have it" in page
    assert "1 take part, 0 opted out" in page
    assert "DCU has not asked" not in page
    assert "ends in" in page
    assert "run-shed" in (await browser.get("/demand")).text
    meters = (await browser.get(f"{place}/meters")).text
    assert "No &lt;b&gt;object" in meters
    only = (await browser.get(f"{place}/meters?only=accepted")).text
    assert ("D1-1/demand" in only, "D1-2/demand" in only, "D1-3/demand" in only) == (
        True,
        False,
        False,
    )
    refusals = (await browser.get(f"{place}/meters?only=refused")).text
    assert ("D1-1/demand" in refusals, "D1-3/demand" in refusals) == (False, True)
    assert "No meter is so" in (await browser.get(f"{place}/meters?only=opted-out")).text
    assert f'href="{place}/meters?only=silent"' not in page, "all were heard of"
    assert "No meter is so" in (await browser.get(f"{place}/meters?only=silent")).text
    results = (await browser.get(f"{place}/results")).text
    assert "+120 Wh" in results
    assert "+40.0\u202f%" in results
    assert "course-saved" in results
    assert "nothing was measured" in results
    mine = (await browser.get("/meters/D1-1/demand")).text
    assert "accepted" in mine
    assert 'href="/meters/D1-1/demand"' in (await browser.get("/meters/D1-1")).text


async def test_who_was_not_reached_is_listed_with_why_page_by_page(
    running: Running, browser: httpx.AsyncClient, csrf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del csrf
    monkeypatch.setattr("openami.web.console.demand.PAGE", 2)
    start, desk = int(running.services.clock.now()) + 600, running.services.demand.events
    desk.draft(event("e1", start=start, program="p1"), who="t")
    desk.publish("e1", who="t")
    here = "/demand/events/e1/meters?only=silent"
    assert f'href="{here}"' in (await browser.get("/demand/events/e1")).text
    first = (await browser.get(here)).text
    assert 'href="/meters/D1-1"' in first
    assert "Its DCU has not asked since the event was sent" in first
    assert 'href="/dcus/D1"' in first
    (link,) = set(re.findall(r'href="(/demand/events/e1/meters\?[^"]*after=[^"]*)"', first))
    last = (await browser.get(html.unescape(link))).text
    assert ("D1-1" in last, "D1-3" in last, "after=" in last) == (False, True, False)


async def test_displays_that_are_not_forgotten_are_on_the_meters_page_until_somebody_saw_to_them(
    running: Running, browser: httpx.AsyncClient, csrf: str, boris: tuple[httpx.AsyncClient, str]
) -> None:
    customers: Any = running.services.customers
    moved_out(customers._customers, running.services.clock.now(), "D1-1")
    place = "/meters/D1-1/demand"
    page = (await browser.get(place)).text
    assert "nothing was heard of it through D1" in page
    assert "Displays of who moved out" not in (await browser.get("/meters/D1-2/demand")).text
    path = "/meters/D1-1/displays/done"
    assert "request.why" in (await post(browser, path, csrf))[2]
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        assert "displays/done" not in (await client.get(place)).text
        assert (await post(client, path, token, why="x"))[0] == 403
    other, token = boris
    assert (await post(other, path, token, why="at the door"))[:2] == (303, place)
    assert "Displays of who moved out" not in (await browser.get(place)).text


async def test_programs_and_notices_are_written(
    running: Running, browser: httpx.AsyncClient, csrf: str
) -> None:
    fields: dict[str, Any] = {"name": "winter", "payload": ["SIMPLE"], "binding": "1"}
    assert (await post(browser, "/demand/programs", csrf, **fields))[0] == 303
    page = (await browser.get("/demand/programs")).text
    assert "winter" in page
    assert "not possible" in page
    lacking = await post(browser, "/demand/programs", csrf, name="none")
    assert "request.program" in lacking[2]
    assert "demand.program-name" in (await post(browser, "/demand/programs", csrf, **fields))[2]

    notice = {"kind": "outage", "days": "2", "text_en": "No power at nine", "region": "Seoul"}
    path = "/demand/notices"
    assert "request.sure" in (await post(browser, path, csrf, **notice))[2]
    for changes in ({"text_en": ""}, {"days": "many"}, {"region": "Nowhere"}):
        answer = await post(browser, path, csrf, sure="1", **{**notice, **changes})
        assert "request.notice" in answer[2]
    assert (await post(browser, path, csrf, sure="1", **notice))[0] == 303
    assert "No power at nine" in (await browser.get("/meters/D1-1/demand")).text
    (record,) = running.services.demand.events.notices().items
    withdrawn = await post(browser, f"{path}/{record.notice.id}/withdraw", csrf, why="it is back")
    assert withdrawn[0] == 303
    assert "withdrawn" in (await browser.get(path)).text


async def test_viewers_look_and_do_nothing(running: Running, csrf: str) -> None:
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    running.services.demand.events.draft(event("e1", program="p1"), who="t")
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        for path in ("", "/programs", "/notices", "/events/e1", "/events/e1/meters"):
            page = await client.get("/demand" + path)
            assert page.status_code == 200
            assert "hx-post" not in page.text
        for path in ("/demand/new", "/demand/events/e1/revise"):
            assert (await client.get(path)).status_code == 403
        for path in (
            "new",
            "events",
            "programs",
            "notices",
            "events/e1/cancel",
            "events/e1/publish",
            "events/e1/revise",
            "events/e1/revised",
        ):
            assert (await post(client, f"/demand/{path}", token, why="x"))[0] == 403
    async with operator_client(running) as stranger:
        assert (await stranger.get("/demand")).headers["Location"].startswith("/login")
        assert (await stranger.post("/demand/events", data={})).status_code in {303, 401, 403}


def test_every_meter_is_in_one_part_of_the_bar() -> None:
    counts = Counts(10, delivered=7, acknowledged=5, accepted=2, opted_out=1, refused=1)
    found = {one.key: one.count for one in views.pieces(counts)}
    assert found == {
        "accepted": 2, "acknowledged": 2, "delivered": 2, "opted-out": 1, "refused": 1,
        "silent": 2,
    }  # fmt: skip
    assert sum(one.share for one in views.pieces(counts)) == pytest.approx(100)


def test_words() -> None:
    assert views.asks(event(kind=EventKind.EMERGENCY)) == "at most 2.5\u202fkW"
    assert views.whom(()) == "every meter"
    many = Target(TargetKind.METER, frozenset(map(str, range(7))))
    assert views.whom((many,)) == "meters 0, 1, 2, 3, 4 and 2 more"
    grave = views.display(event(kind=EventKind.EMERGENCY, payloads=(LIMIT,)), "en")
    assert grave.answers == ["Everybody takes part"]
    assert views.payload_words(LIMIT.type, Decimal("0.5"), "KRW") == "at most 0.5\u202fkW"
    assert Answer.OPTED_OUT in views._ANSWERS


def test_pictures() -> None:
    assert pictures.picture(NO_COURSE, 0) is None
    course = Course(1, 20, STEP, (100.0,) * 21 + (300.0,), (150.0, 200.0))
    found = pictures.picture(course, 20 * STEP)
    assert found is not None
    assert len(found.columns) == 8 + 2
    assert found.columns[8].saved > 0
    assert found.columns[9].over > 0
    assert (found.start, found.end) == (20 * STEP, 22 * STEP)
    assert "used more by" in found.words
