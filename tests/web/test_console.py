"""The console's pages and fragments, over the real listener."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import (
    PASSWORD,
    PERIOD,
    START,
    day,
    meter_status,
    operator_client,
    report,
    running_headend,
    some_events,
    upload,
)

from openami.fleet.operators import Role
from openami.mdm.readings import events_table
from openami.web.console.signing import local_path
from openami.web.console.values import describe_event

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"
PAGES = ("/", "/meters", "/meters/M1", "/dcus", "/dcus/D1", "/events", "/events?meter=M1")
PARTS = (
    "/fragments/figures",
    "/fragments/events",
    "/fragments/dcus/D1",
    "/fragments/meters/M1/figures",
)
HTMX = {"HX-Request": "true", "HX-Current-URL": "https://here/meters/M1?x=1"}


async def sign_in(client: httpx.AsyncClient, name: str = "admin") -> str:
    """Sign in by the form and return the CSRF token of the pages."""
    form = {"name": name, "password": PASSWORD, "next": "/meters"}
    answer = await client.post("/login", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/meters")
    found = re.search(r'name="csrf_token" value="(\w+)"', (await client.get("/meters")).text)
    assert found is not None
    return found[1]


@pytest.fixture
async def csrf(browser: httpx.AsyncClient, dcu: httpx.AsyncClient) -> str:
    """A signed-in browser and a meter with a day of readings."""
    hostile = meter_status("M1", model=HOSTILE, firmware=HOSTILE, address=HOSTILE)
    await dcu.post("/device/v1/report", json=report(hostile))
    await upload(dcu, "b1", day(["M1"]))
    await upload(dcu, "e1", some_events("M1"), "events")
    return await sign_in(browser)


async def test_every_page_is_whole_and_escaped(csrf: str, browser: httpx.AsyncClient) -> None:
    for path in (*PAGES, *PARTS):
        answer = await browser.get(path)
        assert answer.status_code == 200, path
        assert HOSTILE not in answer.text, path
        assert answer.headers["Cache-Control"] == "no-store"
        assert ("<h1" in answer.text) == (path in PAGES), path
    page = (await browser.get("/meters/M1")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "9.600\u202fkWh" in page


async def test_details_of_events_are_escaped(
    csrf: str, browser: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    event = {"meter": "M1", "log": "0.0.99.98.0.255", "time": START, "code": 40, "ordinal": 7}
    await upload(dcu, "e2", events_table([{**event, "detail": HOSTILE}]), "events")
    page = (await browser.get("/events?meter=M1")).text
    assert "Terminal cover opened" in page
    assert HOSTILE not in page


async def test_who_is_not_signed_in_sees_the_form(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/meters?q=a")
    assert answer.headers["Location"] == "/login?next=%2Fmeters%3Fq%3Da"
    part = await browser.get("/fragments/figures", headers=HTMX)
    assert part.headers["HX-Redirect"] == "/login?next=%2Fmeters%2FM1%3Fx%3D1"
    data = await browser.get("/charts/fleet", headers={"Accept": "application/json"})
    assert (data.status_code, data.json()["error"]["code"]) == (401, "security.session")
    assert (await browser.post("/logout")).headers["Location"] == "/login"


async def test_a_wrong_password_keeps_the_name(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", data={"name": "admin", "password": "wrong"})
    assert answer.status_code == 401
    assert 'value="admin"' in answer.text
    assert 'role="alert"' in answer.text


async def test_who_has_to_wait_is_told_on_the_form(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, login_attempts=1) as running,
        operator_client(running) as browser,
    ):
        wrong = {"name": "admin", "password": "wrong"}
        assert (await browser.post("/login", data=wrong)).status_code == 401
        waits = await browser.post("/login", data=wrong)
        assert (waits.status_code, waits.headers["Content-Type"][:9]) == (429, "text/html")
        assert int(waits.headers["Retry-After"]) > 0
        assert "Too many failed log-ins; wait" in waits.text


async def test_a_form_that_can_not_be_read_is_no_incident(browser: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await browser.post("/login", content=b"--y\r\nodd", headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (400, "text/html")
    assert "<h1>Not understood</h1>" in answer.text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2, "Power up"),
        (4, "Clock set: the time before"),
        (77, "Undervoltage on L2"),
        (47, "Parameters changed"),
        (199, "Event 199"),
    ],
)
def test_events_are_told_in_words(code: int, text: str) -> None:
    assert describe_event(code) == text


@pytest.mark.parametrize(
    "target",
    ["//evil", "/\\evil", "https://evil", "/\t/evil", "evil", "", "/a b", "/" + "a" * 3000],
)
def test_next_is_a_path_of_ours(target: str) -> None:
    assert local_path(target) == "/"
    assert local_path("/meters/M1?x=1") == "/meters/M1?x=1"


async def test_signing_out_takes_the_csrf_token(csrf: str, browser: httpx.AsyncClient) -> None:
    for form in ({}, {"csrf_token": "0" * 64}):
        assert (await browser.post("/logout", data=form)).status_code == 403
    assert (await browser.get("/")).status_code == 200
    assert (await browser.post("/logout", data={"csrf_token": csrf})).status_code == 303
    assert (await browser.get("/")).status_code == 303


async def test_a_reading_is_followed(
    csrf: str, browser: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    refused = await browser.post("/meters/M1/read", headers=HTMX)
    assert (refused.status_code, refused.headers["HX-Retarget"]) == (403, "#problem")
    headers = {**HTMX, "X-CSRF-Token": csrf}
    first = (await browser.post("/meters/M1/read", headers=headers)).text
    again = (await browser.post("/meters/M1/read", headers=headers)).text
    found = [re.findall(r"/fragments/jobs/\w+", text) for text in (first, again)]
    assert found[0] == found[1] != []
    [job] = (await dcu.get("/device/v1/work")).json()["jobs"]
    read = {**job["attributes"][1], "value": 123_456, "scaler": -1, "unit": 30}
    odd = {**job["attributes"][0], "value": HOSTILE}
    said = {"state": "done", "progress": 1, "results": [read, odd]}
    await dcu.post(f"/device/v1/jobs/{job['id']}", json=said)
    done = (await browser.get(found[0][0], headers=HTMX)).text
    assert "12\u202f345.6" in done
    assert "hx-trigger" not in done
    assert HOSTILE not in done


async def test_a_viewer_reads_no_meter(running: Running, csrf: str, dcu: httpx.AsyncClient) -> None:
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        assert "Read now" not in (await client.get("/meters/M1")).text
        answer = await client.post("/meters/M1/read", data={"csrf_token": token})
        assert answer.status_code == 403
        assert "security.role" in answer.text


async def test_charts_say_what_they_show(csrf: str, browser: httpx.AsyncClient) -> None:
    chart = (await browser.get("/charts/meters/M1?range=day")).json()
    assert (len(chart["time"]), chart["interval"]) == (96, PERIOD)
    assert chart["series"][0] == [100] * 96
    assert "Imported 9.6\u202fkWh" in chart["words"]
    assert (await browser.get("/charts/meters/M1?range=odd")).json()["start"] == chart["start"]
    fleet = (await browser.get("/charts/fleet")).json()
    # Whole hours: the two intervals before the first are left out.
    assert sum(value or 0 for value in fleet["series"][0]) == pytest.approx(9.4)


async def test_lists_have_pages_and_filters(
    csrf: str, browser: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    many = [meter_status(f"N{n:02}", state="refused" if n == 7 else "ok") for n in range(60)]
    await dcu.post("/device/v1/report", json=report(*many))
    for path in ("/meters?q=N", "/dcus/D1"):
        page = (await browser.get(path)).text
        following = re.search(r'href="([^"]+)" rel="next"', page)
        assert following is not None, path
        rest = (await browser.get(following[1].replace("&amp;", "&"))).text
        assert 'href="/meters/N00"' in page
        assert 'href="/meters/N59"' in rest
        assert 'href="/meters/N00"' not in rest
    refused = (await browser.get("/meters?state=refused")).text
    assert re.findall(r'href="/meters/(\w+)"', refused) == ["N07"]


async def test_a_dcus_troubles_are_shown(
    csrf: str, browser: httpx.AsyncClient, dcu: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert 'class="alert"' not in (await browser.get("/dcus/D1")).text
    said = report()
    said["dcu"] |= {"spool_full": True, "refused_batches": 1}
    conflicts = {str(address): HOSTILE for address in range(17, 24)}
    said["dcu"]["line"] |= {"up": False, "conflicts": conflicts}
    assert (await dcu.post("/device/v1/report", json=said)).status_code == 200
    page = (await browser.get("/dcus/D1")).text
    for words in (
        "<b>Line down:</b>",
        "<b>Spool full:</b>",
        "1 batch that this head-end",
        "<b>Conflict at address 17:</b>",
        "at 2 more addresses",
    ):
        assert words in page
    assert HOSTILE not in page
    figures = (await admin.get("/api/v1/dcus/D1")).json()["figures"]
    assert (figures["spool_full"], figures["refused_batches"], figures["line_up"]) == (
        True,
        1,
        False,
    )
    assert figures["line_conflicts"] == conflicts


async def test_errors_are_pages_for_people(csrf: str, browser: httpx.AsyncClient) -> None:
    for path, status in (("/meters/none", 404), ("/nope", 404), ("/meters?after=odd", 400)):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["Content-Type"][:9]) == (status, "text/html")
        assert "<h1>" in answer.text
    program = await browser.get("/api/v1/nope")
    assert (program.status_code, program.json()["error"]["code"]) == (404, "request.unknown-path")
    chart = await browser.get("/charts/meters/none", headers={"Accept": "application/json"})
    assert chart.json()["error"]["code"] == "store.not-found"
