"""The customers' pages in Debian's Chromium: from the invitation to opting out of an event."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from playwright.sync_api import expect
from tests.browser.scene import NOW, scene
from tests.browser.test_access_browser import audit, walk
from tests.browser.visits import chromium, needs_chromium, watched
from tests.support.headend import PERIOD, meter_status
from tests.support.homes import profile

from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from tests.browser.scene import Scene

pytestmark = list(needs_chromium)

KIM = "kim@example.org"
PASSWORD = "a long walk by the river"
DAYS = 40
START = NOW - DAYS * 86_400


def furnish(at: Scene) -> str:
    """Give a customer a meter with some weeks of readings; return the path of an invitation."""
    count = DAYS * 96
    used = 100 + 80 * (np.arange(count) % 96 > 70)
    used[-30:-25] = -1
    given = np.where((np.arange(count) % 96 > 40) & (np.arange(count) % 96 < 56), 60, 0)
    with at.dcu("D1") as dcu:
        dcu.report(meter_status("M1"))
        dcu.upload("b1", profile("M1", START // PERIOD * PERIOD, used, given))
    customers = "/api/v1/customers"
    made(at, customers, login=KIM)
    made(at, f"{customers}/{KIM}/meters", meter="M1", starts=isoformat(START))
    path: str = made(at, f"{customers}/{KIM}/invitations", days=1)["path"]
    return path


def made(at: Scene, path: str, **wish: Any) -> dict[str, Any]:
    answer = at.admin.post(path, json=wish)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def an_event(at: Scene) -> None:
    program = made(at, "/api/v1/demand/programs", programName="evenings")
    made(
        at, "/api/v1/demand/events", programID=program["id"], eventName="peak",
        texts={"en": "Please turn down the heating", "ko": "난방을 줄여 주세요"},
        intervalPeriod={"start": isoformat(NOW + 3600), "duration": "PT1H"},
        intervals=[{"id": 0, "payloads": [{"type": "SIMPLE", "values": [2]}]}],
    )  # fmt: skip


@contextmanager
def visit(browser: Browser, at: Scene, path: str, **options: Any) -> Iterator[Page]:
    with watched(browser, at.url, **options) as page:
        page.goto(at.url + path)
        yield page


def painted(page: Page) -> int:
    found: int = page.locator(".chart canvas").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.filter((v, i) => i % 4 === 3 && v).length"
    )
    return found


def test_a_family_looks_at_its_energy(tmp_path: Path) -> None:
    """One head-end and one browser for all of it: starting them takes the time."""
    with scene(tmp_path, timezone="Asia/Seoul") as at, chromium() as browser:
        link = furnish(at)
        an_event(at)
        with visit(browser, at, link, locale="en-GB") as page:
            accept(page)
            look(page)
            switch_language(page)
            opt_out(page)
        phone = {"width": 390, "height": 844}
        with visit(
            browser,
            at,
            "/my/login",
            locale="ko-KR",
            viewport=phone,
            color_scheme="dark",
            reduced_motion="reduce",
        ) as page:
            page.get_by_label("이메일 주소").fill(KIM)
            page.get_by_label("비밀번호").fill(PASSWORD)
            page.get_by_role("button", name="로그인").click()
            on_a_phone(page, phone["width"])


def accept(page: Page) -> None:
    """The link fills in the code, which then stands in the address no more."""
    expect(page.get_by_label("Invitation code")).to_have_value(re.compile(r"[0-9A-Z-]{23}"))
    assert "#" not in page.url
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password once more").fill(PASSWORD)
    page.get_by_role("button", name="Set password and sign in").click()
    expect(page.locator(".chart")).to_have_attribute("data-bars", "24")
    assert painted(page) > 1000


def look(page: Page) -> None:
    """Day, week, month and year; the day before; the table; a file."""
    for by, bars in (("Week", "7"), ("Month", "31"), ("Year", "12")):
        page.get_by_role("link", name=by, exact=True).click()
        expect(page.locator("#view [aria-current]")).to_have_text(by)
        expect(page.locator(".chart")).to_have_attribute("data-bars", bars)
        assert painted(page) > 1000
    expect(page.locator(".gaps")).to_contain_text("5 readings are missing")
    page.get_by_role("link", name="Day", exact=True).click()
    expect(page.locator(".chart")).to_have_attribute("data-bars", "24")
    page.get_by_role("link", name="The day before").click()
    expect(page.locator(".period")).to_have_text("Fri 29 May 2026")
    page.get_by_text("As a table").click()
    expect(page.locator("#view tbody tr")).to_have_count(24)
    page.locator(".chart .u-over").hover()
    expect(page.locator(".readout")).to_contain_text("kWh")
    with page.expect_download() as loading:
        page.get_by_role("link", name="Each reading (CSV)").click()
    lines = loading.value.path().read_text().splitlines()
    assert lines[0] == "start,end,imported_wh,exported_wh,intervals,missing"
    assert len(lines) == 1 + 96
    assert "M1-readings-2026-05-29" in loading.value.suggested_filename
    page.get_by_role("link", name="Bill", exact=True).click()
    expect(page.locator("h1")).to_have_text("Bill, May 2026")
    page.locator("summary").first.click()
    expect(page.locator(".lines details[open]")).to_contain_text("Rounding")


def switch_language(page: Page) -> None:
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("h1")).to_have_text("요금, 2026년 5월")
    loaded = page.evaluate(
        "async () => { await document.fonts.ready;"
        " return [...document.fonts].filter(f => f.status === 'loaded').map(f => f.family) }"
    )
    assert "Pretendard" in loaded
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Bill, May 2026")


def opt_out(page: Page) -> None:
    page.get_by_role("link", name="Messages").click()
    event = page.locator(".event")
    expect(event).to_contain_text("Please turn down the heating")
    event.get_by_role("button", name="I do not take part").click()
    expect(page.locator(".event")).to_contain_text("You do not take part.")
    expect(page.get_by_role("button", name="I do not take part")).to_have_attribute(
        "aria-pressed", "true"
    )


def on_a_phone(page: Page, width: int) -> None:
    """Nothing is wider than the screen or pale; keys reach all; the switch to light is kept."""
    # They chose English last, which is kept with them.
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("body")).to_have_css("background-color", "rgb(16, 23, 21)")
    home = page.url.split("?")[0]
    for path in (home, f"{home}?by=week", f"{home}?by=month", f"{home}?by=year", f"{home}/bill", f"{home}/news",
                 home.rsplit("/homes", 1)[0] + "/account"):  # fmt: skip
        page.goto(path)
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= width, path
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        for table in page.locator(".scroll").all():  # a week's table needs no second hand
            assert table.evaluate("t => t.scrollWidth <= t.clientWidth"), path
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = audit(page)
        # A field for a day has a stop for each of its parts.
        if not page.locator("input[type=date]").count():
            walk(page, found["controls"])
    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
