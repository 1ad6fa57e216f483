"""The customers' pages over HTTP."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import operator_client
from tests.support.portal import (
    DAY,
    KIM,
    MOVED,
    PASSWORD,
    a_notice,
    an_event,
    home_of,
    signed_in,
    token_in,
)

from openami.core.clock import ManualClock, parse_utc
from openami.core.errors import StoreFullError
from openami.dlms.cosem.said import Comparison
from openami.headend.customers import Details
from openami.headend.demand.facade import Demand
from openami.headend.similar import Similar

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

looks = pytest.mark.asyncio(loop_scope="module")


@looks
async def test_signing_in_and_out(shared: Running, looker: httpx.AsyncClient) -> None:
    async with operator_client(shared, headers={"Accept-Language": "en"}) as client:
        for path in ("/my", home_of(shared, KIM), "/my/account"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/my/login")
        part = await client.get(home_of(shared, KIM), headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/my/login")
        wrong = await client.post("/my/login", data={"login": KIM, "password": "wrong password"})
        assert wrong.status_code == 401
        assert "is wrong" in wrong.text
        foreign = await client.post(
            "/my/login", data={"login": KIM, "password": PASSWORD},
            headers={"Origin": "https://elsewhere.example"},
        )  # fmt: skip
        assert foreign.status_code == 401
        right = await client.post("/my/login", data={"login": KIM.upper(), "password": PASSWORD})
        assert right.status_code == 303
        cookie = right.headers["set-cookie"]
        assert cookie.startswith("__Host-openami-home=")
        assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))
        assert (await client.get("/my/login")).headers["location"] == "/my"
        page = await client.get("/my/account")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["cache-control"] == "no-store"
        assert (await client.post("/my/logout")).status_code == 403  # without the token
        kept = dict(client.cookies)
        out = await client.post("/my/logout", data={"csrf_token": token_in(page)})
        assert out.headers["location"] == "/my/login"
        assert not client.cookies
        client.cookies.update(kept)  # as a thief has it
        assert (await client.get("/my/account")).status_code == 303
    assert (await looker.get("/my/account")).status_code == 200


async def test_too_many_wrong_passwords(running: Running) -> None:
    async with operator_client(running, headers={"Accept-Language": "ko"}) as client:
        for _ in range(5):
            await client.post("/my/login", data={"login": KIM, "password": "wrong password"})
        answer = await client.post("/my/login", data={"login": KIM, "password": PASSWORD})
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert "5분 뒤에" in answer.text


@looks
@pytest.mark.parametrize("path", ["/my/login", "/my/welcome", "/login"])
async def test_octets_that_are_no_text_let_nobody_in(shared: Running, path: str) -> None:
    """A zero octet, and half a character, such as a form of its own making may bring."""
    names = ("login", "name", "code", "password", "again")
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nkim\\ud800 at home\r\n'
        for name in names
    )
    odd = {"Content-Type": "multipart/form-data; boundary=b; charset=raw_unicode_escape"}
    async with operator_client(shared) as client:
        answer = await client.post(path, content=f"{parts}--b--\r\n", headers=odd)
        assert answer.status_code == 401, answer.text
        for name in (KIM, f"{KIM}\0"):
            form = dict.fromkeys(names, name) | {
                "password": f"{PASSWORD}\0",
                "again": f"{PASSWORD}\0",
            }
            assert (await client.post(path, data=form)).status_code == 401
        long = dict.fromkeys(names, "x" * 3000)
        assert (await client.post(path, data=long)).status_code == 400


async def test_an_invitation_that_fails(running: Running) -> None:
    code = running.services.customers.invite(KIM, who="test").code
    async with operator_client(running, headers={"Accept-Language": "en"}) as client:
        assert (await client.get("/my/welcome")).status_code == 200
        for form, status, words in (
            ({"code": code, "password": PASSWORD, "again": "x"}, 400, "not the same"),
            ({"code": code, "password": "short", "again": "short"}, 400, "8 to 256"),
            ({"code": "XXXXX", "password": PASSWORD, "again": PASSWORD}, 401, "not known"),
        ):
            answer = await client.post("/my/welcome", data=form)
            assert (answer.status_code, words in answer.text) == (status, True), answer.text


@looks
async def test_the_page_of_a_home(shared: Running, looker: httpx.AsyncClient) -> None:
    home = home_of(shared, KIM)
    assert (await looker.get("/my")).headers["location"] == home
    page = (await looker.get(home)).text
    # 20 hours of 400 Wh each, less the quarter that is missing; what a day and what a month costs.
    assert "7.90\u202fkWh" in page
    assert "One reading is missing" in page
    assert "Thu 28 May, 15:00 to 15:15" in page
    assert "3 of 4" in page
    assert "0 of 0" not in page  # of hours to come
    assert "Thu 28 May 2026" in page
    assert "Step 2 of 3" in page
    assert "Given to the grid" in page
    for by, words in (("week", "Mon 25 May"), ("month", "May 2026"), ("year", "2026")):
        answer = await looker.get(home, params={"by": by})
        assert answer.status_code == 200
        assert words in answer.text
    assert "This home is yours since Fri 1 May 2026" in answer.text
    yesterday = (await looker.get(home, params={"on": "2026-05-27"})).text
    assert "9.60\u202fkWh" in yesterday
    assert "As much as the day before" in yesterday
    first = (await looker.get(home, params={"on": "2026-05-01"})).text
    assert "nothing to compare" in first  # the day before was somebody else's


@looks
async def test_a_bill_with_each_line(shared: Running, looker: httpx.AsyncClient) -> None:
    home = home_of(shared, KIM)
    page = (await looker.get(f"{home}/bill")).text
    assert "Bill, May 2026" in page
    assert "Expected for the whole month" in page
    assert "most likely between" not in page  # each day was like the last: both ends are the same
    for words in ("Basic charge", "Step 1: up to 200 kWh", "200 kWh × ₩120", "Value added tax",
                  "10 % of", "cut to 1", "Source:"):  # fmt: skip
        assert words in page, words
    assert "One reading of this month is missing" in page
    korean = await looker.get(f"{home}/bill", headers={"Accept-Language": "ko"})
    assert "한국전력 주택용 저압" in korean.text
    for words in ("기본요금", "1단계: 200kWh 이하", "부가가치세", "1 단위로 버림"):
        assert words in korean.text, words
    assert (await looker.get(f"{home}/bill", params={"month": "soon"})).status_code == 404


@looks
async def test_files_have_every_interval_and_say_what_is_missing(
    shared: Running, looker: httpx.AsyncClient
) -> None:
    home = home_of(shared, KIM)
    span = {"from": "2026-05-27", "to": "2026-05-28"}
    answer = await looker.get(f"{home}/readings.csv", params=span)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == (
        'attachment; filename="M1-readings-2026-05-27-2026-05-28.csv"'
    )
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert rows[0] == {
        "start": "2026-05-27T00:00:00+09:00", "end": "2026-05-27T00:15:00+09:00",
        "imported_wh": "100", "exported_wh": "25", "intervals": "1", "missing": "0",
    }  # fmt: skip
    assert len(rows) == 96 + 81
    [gap] = [row for row in rows if row["missing"] == "1" and row["end"] < "2026-05-28T20:10"]
    assert gap["imported_wh"] == ""
    days = list(csv.DictReader(StringIO((await looker.get(f"{home}/days.csv", params=span)).text)))
    assert [row["imported_wh"] for row in days] == ["9600", "7900"]
    safe = re.compile(r"[0-9T:+.-]*")
    assert all(safe.fullmatch(cell) for row in (*rows, *days) for cell in row.values())
    for wrong in ({"from": "2020-01-01"}, {"from": "x"}, {"from": "2026-05-28", "to": "2026-05-01"},
                  {"from": "1999-01-01"}):  # fmt: skip
        assert (await looker.get(f"{home}/days.csv", params=wrong)).status_code == 404, wrong
    assert (await looker.get(f"{home}/other.csv")).status_code == 404


async def test_a_language_is_chosen_and_kept(running: Running, kim: httpx.AsyncClient) -> None:
    page = await kim.get("/my/account")
    form = {"language": "ko", "next": "/my/account", "csrf_token": token_in(page)}
    answer = await kim.post("/my/language", data=form)
    assert answer.headers["location"] == "/my/account"
    assert running.services.customers.get(KIM).language == "ko"
    assert '<html lang="ko">' in (await kim.get("/my/account")).text
    assert (await kim.post("/my/language", data={"language": "en"})).status_code == 403
    for onward in ("https://elsewhere.example/", "//elsewhere.example", "/login", "/my/../login"):
        sent = await kim.post("/my/language", data={**form, "next": onward})
        assert sent.headers["location"] == "/my"
    async with operator_client(running) as stranger:
        await stranger.post("/my/language", data={"language": "ko"})
        assert "비밀번호" in (await stranger.get("/my/login")).text
        await stranger.post("/my/language", data={"language": "xx"})
        assert "비밀번호" in (await stranger.get("/my/login")).text


async def test_a_password_is_changed(running: Running, kim: httpx.AsyncClient) -> None:
    async with operator_client(running) as other:
        await other.post("/my/login", data={"login": KIM, "password": PASSWORD})
        token = token_in(await kim.get("/my/account"))
        new = "another long password"
        for form, status in (
            ({"old": PASSWORD, "password": new, "again": "x"}, 400),
            ({"old": "wrong password", "password": new, "again": new}, 403),
            ({"old": PASSWORD, "password": "short", "again": "short"}, 400),
            ({"old": PASSWORD, "password": new, "again": new}, 200),
        ):
            answer = await kim.post("/my/account", data={**form, "csrf_token": token})
            assert answer.status_code == status, answer.text
        assert (await other.get("/my/account")).status_code == 303
        assert (await kim.get("/my/account")).status_code == 200


@looks
async def test_somebody_without_a_meter(shared: Running) -> None:
    shared.services.customers.add("park@example.org", Details(), who="test")
    async with signed_in(shared, "park@example.org") as client:
        page = await client.get("/my")
        assert page.status_code == 200
        assert "No meter yet" in page.text
        assert (await client.get("/my/account")).status_code == 200


async def test_after_a_move_the_past_stays_and_nothing_comes(
    running: Running, kim: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(running, KIM)
    found = Comparison(MOVED, MOVED + 20 * DAY, 9, 300_000, 200_000, 123_400)
    monkeypatch.setattr(Similar, "of", lambda _self, _serial: found)
    assert "Homes like yours" in (await kim.get(home)).text
    ends = parse_utc("2026-05-19T15:00:00Z")  # midnight before 20 May
    running.services.customers.end(KIM, "M1", ends=ends, who="test")
    page = await kim.get(home)
    assert "Tue 19 May 2026" in page.text
    assert "9.60\u202fkWh" in page.text
    assert "Price of the next" not in page.text
    assert "Homes like yours" not in page.text
    assert (await kim.get(home, params={"on": "2026-05-20"})).status_code == 404
    assert (await kim.get(f"{home}/days.csv", params={"from": "2026-05-20"})).status_code == 404
    month = (await kim.get(home, params={"by": "month"})).text
    assert "182.4\u202fkWh" in month  # nineteen days
    bill = (await kim.get(f"{home}/bill")).text
    assert "Only the days on which this home is yours" in bill


async def test_a_home_that_was_given_back_at_once_is_not_shown(
    running: Running, kim: httpx.AsyncClient
) -> None:
    customers = running.services.customers
    customers.end(KIM, "M1", ends=MOVED + DAY, who="test")  # theirs for one day
    customers.assign(KIM, "M1", who="test")
    given_back = customers.end(KIM, "M1", who="test")
    assert given_back.starts == given_back.ends
    assert (await kim.get(f"/my/homes/{given_back.id}")).status_code == 404
    page = (await kim.get("/my/account")).text
    assert page.count("Meter M1") == 1
    assert "<dd>on Fri 1 May 2026</dd>" in page
    home = (await kim.get("/my")).headers["location"]
    assert "This home is yours on Fri 1 May 2026" in (await kim.get(home)).text


@looks
@pytest.mark.parametrize(("since", "shown"), [(MOVED, True), (MOVED - DAY, False)])
async def test_homes_like_theirs_stand_beside_their_own_figure_if_all_of_it_is_theirs(
    shared: Running, looker: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, since: int,
    *, shown: bool,
) -> None:  # fmt: skip
    """The chore that compares may have looked before somebody moved in."""
    found = Comparison(since, since + 20 * DAY, 9, 300_000, 200_000, 123_400)
    monkeypatch.setattr(Similar, "of", lambda _self, _serial: found)
    page = (await looker.get(home_of(shared, KIM))).text
    assert "300.0\u202fkWh" in page
    assert ("123.4\u202fkWh" in page) is shown
    assert ("Your own figure appears once" in page) is not shown


async def test_an_event_sets_the_price(running: Running, kim: httpx.AsyncClient) -> None:
    home = home_of(running, KIM)
    await an_event(running, ahead=30, price=512.5)
    assert "512.5" not in (await kim.get(home)).text.split("Price of the next kWh")[1][:200]
    clock = running.services.clock
    assert isinstance(clock, ManualClock)
    clock.advance(60)
    page = (await kim.get(home)).text
    assert "₩512.5" in page.split("Price of the next kWh")[1][:200]
    assert "During an event" in page


async def test_an_event_that_was_seen_is_acknowledged_once(
    running: Running, kim: httpx.AsyncClient
) -> None:
    clock = running.services.clock
    assert isinstance(clock, ManualClock)
    ids = [await an_event(running, ahead=600 * (6 - place)) for place in range(5)]
    home = home_of(running, KIM)

    def seen() -> dict[str, float | None]:
        found = running.services.demand.for_meter("M1")
        return {one.event.id: one.standing.acknowledged for one in found}

    await kim.get(home)  # has the first three of them
    first = clock.now()
    assert seen() == dict.fromkeys(ids, None) | dict.fromkeys(ids[:3], first)
    clock.advance(10)
    await kim.get(f"{home}/news")
    assert seen() == dict.fromkeys(ids, clock.now()) | dict.fromkeys(ids[:3], first)
    assert "You have seen this." in (await kim.get(f"{home}/news")).text
    standings = [one.standing for one in running.services.demand.for_meter("M1")]
    assert {one.who for one in standings} == {KIM}
    assert not running.services.demand.for_meter("M2")[0].standing.reached


async def test_a_full_disk_hides_no_event(
    running: Running, kim: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_event(running, ahead=600)

    def full(*_: Any, **__: Any) -> None:
        raise StoreFullError("no room")

    monkeypatch.setattr(Demand, "answer", full)
    for path in ("", "/news"):
        answer = await kim.get(home_of(running, KIM) + path)
        assert (answer.status_code, "Turn it down" in answer.text) == (200, True)


async def test_an_event_is_answered(running: Running, kim: httpx.AsyncClient) -> None:
    event = await an_event(running, ahead=3600)
    home = home_of(running, KIM)
    page = await kim.get(f"{home}/news")
    assert "Turn it down" in page.text
    form = {"csrf_token": token_in(page), "answer": "opt-out"}
    assert (await kim.post(f"{home}/events/{event}", data={"answer": "opt-out"})).status_code == 403
    answer = await kim.post(f"{home}/events/{event}", data=form)
    assert answer.headers["location"] == f"{home}/news"
    assert "You do not take part." in (await kim.get(f"{home}/news")).text
    [seen] = running.services.demand.for_meter("M1")
    assert seen.standing.opted_out
    assert seen.standing.who == KIM
    await a_notice(running, "The bill is there")
    assert "The bill is there" in (await kim.get(home)).text
    for path, said in (("nothing", "accept"), (event, "maybe")):
        wrong = await kim.post(f"{home}/events/{path}", data={**form, "answer": said})
        assert wrong.status_code == 404


async def test_carbon_dioxide_by_an_official_figure_or_not_at_all(running: Running) -> None:
    """Korea's is told with its source; of Ontario none is known here, and the page says so."""
    async with signed_in(running, KIM) as client:
        url = home_of(running, KIM)
        page = (await client.get(url)).text
        assert "national emission factor" in page
        assert "no official figure" not in page
        running.services.customers.change(KIM, Details(tariff="ca-ontario-tou"), who="test")
        page = (await client.get(url)).text
        assert "national emission factor" not in page
        assert "no official figure" in page
