"""One customer cannot reach another's data by any URL, nor their own meter's from before them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from starlette.routing import Route
from tests.support.headend import login, operator_client
from tests.support.portal import (
    KIM,
    LEE,
    LOUD,
    PASSWORD,
    a_notice,
    an_event,
    home_of,
    signed_in,
    token_in,
)

from openami.core.clock import ManualClock
from openami.web import portal
from openami.web.auth import COOKIE as OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from openami.headend.server import Running

CUSTOMERS = "__Host-openami-home"
# 77.77 Wh a quarter of an hour, an hour, a day, and as pages write them; the other's names.
SECRETS = (str(LOUD), str(4 * LOUD), "31.1", "746.", "M2", LEE)
DATES = ("2026-04-30", "2026-04-01", "2025-05-28", "2026-05-29", "2099-12-31", "1000-01-01", "x")

looks = pytest.mark.asyncio(loop_scope="module")


def paths(running: Running, home: str, event: str) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route of the customers' pages, for a home of theirs or not."""
    values = {"home": home, "event": event, "path": f"homes/{home}", "file": "readings"}
    for route in portal.routes(running.services):
        assert isinstance(route, Route)
        path = route.path.replace(":path", "")
        for file in ("readings", "days") if "{file}" in path else ("",):
            filled = path.format(**{**values, "file": file or "x"})
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, filled


def clean(answer: httpx.Response) -> bool:
    """Whether nothing of the other home is in an answer, beyond the path that was asked for."""
    said = answer.text.replace(f'value="{answer.request.url.path}"', "") + str(answer.headers)
    return not any(secret in said for secret in SECRETS)


@looks
async def test_no_route_gives_another_home(shared: Running, looker: httpx.AsyncClient) -> None:
    theirs = home_of(shared, LEE).rsplit("/", 1)[1]
    event = await an_event(shared, ahead=3600, meters=("M2",))
    token = token_in(await looker.get("/my/account"))
    walked = 0
    for home in (theirs, "M2", "M1", "0", "-1", f"0{theirs}", "999999", f"{theirs}%2e", "%2e%2e"):
        for method, path in paths(shared, home, event):
            if home not in path:
                continue
            answer = await looker.request(
                method, path, data={"csrf_token": token, "answer": "opt-out"} if method == "POST"
                else None,
            )  # fmt: skip
            walked += 1
            assert answer.status_code == 404, (method, path, answer.status_code)
            assert clean(answer), (method, path)
    assert walked >= 60
    mine = home_of(shared, KIM)
    wrong = await looker.post(
        f"{mine}/events/{event}", data={"csrf_token": token, "answer": "opt-out"}
    )
    assert wrong.status_code == 404
    found = {one.event.id: one for one in shared.services.demand.for_meter("M2")}
    seen = found[event]
    assert not seen.standing.opted_out


@looks
async def test_every_page_of_ones_own_home_is_clean(
    shared: Running, looker: httpx.AsyncClient
) -> None:
    event = await an_event(shared, ahead=3660, meters=("M2",))
    mine = home_of(shared, KIM).rsplit("/", 1)[1]
    for method, path in paths(shared, mine, event):
        if method == "GET":
            answer = await looker.get(path)
            assert answer.status_code in {200, 303, 404}, path
            assert clean(answer), path
    for by in ("day", "week", "month", "year"):
        answer = await looker.get(f"/my/homes/{mine}", params={"by": by})
        assert answer.status_code == 200
        assert clean(answer), by


@looks
async def test_no_date_reaches_behind_a_move(shared: Running, looker: httpx.AsyncClient) -> None:
    home = home_of(shared, KIM)
    for day in DATES:
        answer = await looker.get(home, params={"on": day})
        assert (answer.status_code, clean(answer)) == (404, True), day
        for file in ("readings", "days"):
            answer = await looker.get(f"{home}/{file}.csv", params={"from": day, "to": day})
            assert (answer.status_code, clean(answer)) == (404, True), day
    # What is partly theirs is theirs from the move on: the week of 27 April, the year, a file.
    for query in ({"by": "week", "on": "2026-04-27"}, {"by": "year", "on": "2026-01-01"}):
        answer = await looker.get(home, params=query)
        assert (answer.status_code, clean(answer)) == (200, True), query
    for file in ("readings", "days"):
        span = {"from": "2026-04-01", "to": "2026-05-02"}
        answer = await looker.get(f"{home}/{file}.csv", params=span)
        assert answer.status_code == 200
        assert clean(answer)
        assert "2026-04" not in answer.text
    for month in ("2026-04", "2025-05", "2026-06", "2026-13", "x"):
        answer = await looker.get(f"{home}/bill", params={"month": month})
        assert (answer.status_code, clean(answer)) == (404, True), month
    for by in ("hour", "M2", "../M2"):
        assert (await looker.get(home, params={"by": by})).status_code == 404


async def test_what_came_before_a_move_is_not_told(
    running: Running, kim: httpx.AsyncClient
) -> None:
    """Events and messages of whoever lived there are theirs."""
    await an_event(running, ahead=600, meters=("M1",))
    customers = running.services.customers
    home = home_of(running, KIM)
    assert "Turn it down" in (await kim.get(f"{home}/news")).text
    customers.end(KIM, "M1", who="test")
    await a_notice(running, "The power will be off")
    for page in (home, f"{home}/news"):
        gone = await kim.get(page)
        assert gone.status_code == 200
        assert "Turn it down" not in gone.text
        assert "The power will be off" not in gone.text
    customers.assign(LEE, "M1", starts=running.services.clock.now() + 3600, who="test")
    async with signed_in(running, LEE) as lee:
        early = await lee.get(home_of(running, LEE))
        assert early.status_code == 404  # it is not theirs yet
        before = customers.end(LEE, "M2", who="test")
        assert (await lee.get("/my")).headers["location"] == f"/my/homes/{before.id}"
    assert (await kim.get(home_of(running, LEE))).status_code == 404


async def test_another_site_sends_no_form_of_ours(running: Running) -> None:
    """Neither signs somebody in as somebody else, nor uses up an invitation, nor sets a language."""
    code = running.services.customers.invite(KIM, who="test").code
    form = {"code": code, "password": PASSWORD, "again": PASSWORD, "language": "ko"}
    for origin in ("https://elsewhere.example", "null"):
        async with operator_client(running, headers={"Origin": origin}) as client:
            for path in ("/my/login", "/my/welcome", "/my/language"):
                answer = await client.post(path, data=form)
                assert answer.status_code in {401, 403}, (path, origin)
                assert not client.cookies
    async with operator_client(running, headers={"Origin": running.url}) as client:
        assert (await client.post("/my/welcome", data=form)).status_code == 303


async def test_an_event_under_way_at_a_move_is_told_and_what_was_said_to_it_is_not(
    running: Running, kim: httpx.AsyncClient
) -> None:
    """Kim leaves in the middle of an event; Lee, who moves in, has not answered it."""
    services, clock = running.services, running.services.clock
    assert isinstance(clock, ManualClock)
    over = await an_event(running, ahead=60, meters=("M1",), named="over before Lee", minutes=1)
    event = await an_event(running, ahead=120, meters=("M1",), minutes=120)
    gone = await an_event(running, ahead=180, meters=("M1",), named="not after all", minutes=120)
    await a_notice(running, "Kim's bill is there")
    home = home_of(running, KIM)
    token = token_in(await kim.get(f"{home}/news"))
    for each in (over, event, gone):
        form = {"csrf_token": token, "answer": "opt-out"}
        await kim.post(f"{home}/events/{each}", data=form)
    clock.advance(3600)
    services.demand.events.cancel(gone, who="ann", why="rain")
    services.customers.end(KIM, "M1", who="test")
    ended = services.customers.tenancies(KIM)[0].ends
    assert ended is not None
    services.customers.assign(LEE, "M1", starts=ended, who="test")
    assert ended <= clock.now() < ended + 1800
    async with signed_in(running, LEE) as lee:
        theirs = home_of(running, LEE)
        walked = 0
        for page in (theirs, f"{theirs}/news"):
            said = (await lee.get(page)).text
            assert "Turn it down" in said
            walked += 1
            for secret in ("over before Lee", "not after all", "Kim", "You do not take part",
                           'aria-pressed="true"', KIM):  # fmt: skip
                assert secret not in said, (page, secret)
        assert walked == 2
        for each in (over, gone):
            form = {"csrf_token": token_in(await lee.get(f"{theirs}/news")), "answer": "accept"}
            sent = await lee.post(f"{theirs}/events/{each}", data=form)
            assert sent.status_code in {404, 409}
        # The same answer, now their own.
        for answer, words in (("opt-out", "You do not take part."), ("accept", "You take part.")):
            clock.advance(1)
            await lee.post(f"{theirs}/events/{event}", data={**form, "answer": answer})
            assert words in (await lee.get(f"{theirs}/news")).text
        [seen] = [one for one in services.demand.for_meter("M1") if one.event.id == event]
        assert (seen.standing.who, seen.standing.opted_out) == (LEE, False)
    left = (await kim.get(f"{home}/news")).text
    assert "Turn it down" not in left
    assert "You take part" not in left


@looks
async def test_an_operators_cookie_opens_nothing_here_and_the_other_way(
    shared: Running, looker: httpx.AsyncClient
) -> None:
    async with operator_client(shared) as operator:
        await login(operator)
        secret = operator.cookies[OPERATORS]
        mine = home_of(shared, KIM).rsplit("/", 1)[1]
        for method, path in paths(shared, mine, "e1"):
            answer = await operator.request(method, path)
            assert answer.status_code != 200 or re.fullmatch("/my/(login|welcome)", path), path
            assert "9.60" not in answer.text
    async with operator_client(shared, cookies={CUSTOMERS: secret}) as disguised:
        answer = await disguised.get(home_of(shared, KIM))
        assert (answer.status_code, answer.headers["location"]) == (303, "/my/login")
    secret = looker.cookies[CUSTOMERS]
    async with (
        operator_client(shared, cookies={OPERATORS: secret}) as disguised,
        operator_client(shared, headers={"Authorization": f"Bearer {secret}"}) as bearer,
    ):
        for client in (disguised, bearer, looker):
            for path in ("/", "/meters", "/meters/M1", "/events"):
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login")
            for path in ("/api/v1/overview", "/api/v1/meters/M1/readings", "/api/v1/customers"):
                assert (await client.get(path)).status_code == 401
