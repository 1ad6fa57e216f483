"""Each state of the display's page in Chromium, over tables in place of a display."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from tests.browser import kitchen
from tests.browser.kitchen import pair_in
from tests.browser.visits import chromium, needs_chromium
from tests.support.ihd_page import CODE, NOW, SCENES, fake_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, ViewportSize
    from tests.support.ihd_page import Fake

pytestmark = list(needs_chromium)

AUDIT: Final = (Path(__file__).parent / "audit.js").read_text()
VIEWS: Final = ("now", "usage", "appliances", "messages", "settings")
WALLS: Final[tuple[ViewportSize, ...]] = (
    {"width": 1280, "height": 800},
    {"width": 1024, "height": 600},
    {"width": 800, "height": 480},
)
PHONE: ViewportSize = {"width": 390, "height": 844}
FITS: Final = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
SPILLS: Final = """() => [...document.querySelectorAll('.dial, .tiles .card, .banner')]
    .filter((box) => box.checkVisibility() && (box.scrollWidth > box.clientWidth + 1
        || box.scrollHeight > box.clientHeight + 1)).map((box) => box.className)"""

Shown = tuple[str, "Fake", "Browser"]

# The worker has a test of its own; elsewhere it would fetch the page a second time.
look = partial(kitchen.look, service_workers="block")


@pytest.fixture(scope="module")
def display() -> Iterator[Shown]:
    with fake_display() as (url, fake), chromium() as browser:
        yield url, fake, browser


def settle(page: Page) -> None:
    """Wait until the page has been painted with what the display says."""
    expect(page.locator("body")).to_be_visible()
    page.evaluate("() => document.fonts.ready.then(() => true)")


@pytest.mark.parametrize("scene", SCENES)
def test_every_state_is_readable(display: Shown, scene: str) -> None:
    """Contrast and names hold in both themes and languages; a wall needs no scrolling."""
    url, fake, browser = display
    fake.show(scene)
    with look(browser, url) as page:
        settle(page)
        for language, theme in (("en", "light"), ("ko", "dark")):
            fake.show(scene, language=language, theme=theme)
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
            expect(page.locator("html")).to_have_attribute("lang", language)
            for wall in WALLS:
                page.set_viewport_size(wall)
                assert page.evaluate(FITS) == [wall["width"], wall["height"]]
                assert page.evaluate(SPILLS) == [], wall
            found = page.evaluate(AUDIT)
            assert found["failed"] == []
            page.set_viewport_size(PHONE)
            assert page.evaluate(FITS)[0] == PHONE["width"]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_readable(display: Shown, view: str) -> None:
    """The same of the other views, with much in them."""
    url, fake, browser = display
    fake.show("active", language="ko", theme="dark")
    fake.state["notices"] = SCENES["notices"]()["notices"]
    with look(browser, url, f"/#{view}") as page:
        settle(page)
        expect(page.locator(f".view[data-view={view}]")).to_be_visible()
        for wall in WALLS:
            page.set_viewport_size(wall)
            assert page.evaluate(FITS) == [wall["width"], wall["height"]]
        assert page.evaluate(AUDIT)["failed"] == []
        page.set_viewport_size(PHONE)
        assert page.evaluate(FITS)[0] == PHONE["width"]


def test_the_figures_stand_out(display: Shown) -> None:
    """What is read from two metres has a contrast of at least seven, and is large."""
    url, fake, browser = display
    for theme in ("light", "dark"):
        fake.show("home", theme=theme)
        with look(browser, url) as page:
            settle(page)
            stricter = AUDIT.replace("? 3 : 4.5", "? 7 : 4.5")
            failed = page.evaluate(stricter)["failed"]
            assert not [each for each in failed if any(map(str.isdigit, each.split(": ")[1]))]
            size = "e => parseFloat(getComputedStyle(e).fontSize)"
            assert page.locator("#power").evaluate(size) >= 96
            assert page.locator("#bill").evaluate(size) >= 40


def test_the_graph_says_what_it_does_not_know(display: Shown) -> None:
    """Gaps and what was filled in are marked, and a table says the same by hours."""
    url, fake, browser = display
    fake.show("filling")
    with look(browser, url) as page:
        page.clock.set_fixed_time(NOW)
        expect(page.locator("#day-plot")).to_have_attribute("data-gaps", "1")
        expect(page.locator("#key-filled")).to_be_visible()
        expect(page.locator("#key-gap")).to_be_visible()
        page.locator("#day-switch").click()
        expect(page.locator("#day-sheet tbody tr")).to_have_count(25)
        page.locator("#day-switch").click()
        page.locator("#day-zoom").click()
        expect(page.locator("#day-title")).to_have_text("Last hour")


def test_an_appliance_says_what_it_does(display: Shown) -> None:
    """In its own words, as text and however long; not those of before it fell silent."""
    url, fake, browser = display
    fake.show("active")
    long = "W" * 64
    words = ("cooling, 27.4 °C", "<b>legionella</b>", long, "drying")
    for one, said in zip(fake.state["appliances"], words, strict=True):
        one["state"] = said
    fake.shown += 1
    with look(browser, url, "/#appliances") as page:
        own = page.locator(".appliance .own")
        expect(own).to_have_text(["cooling, 27.4 °C", "<b>legionella</b>", long])
        expect(own.locator("b")).to_have_count(0)
        expect(page.locator(".appliance.reduce")).to_contain_text("at most")
        fake.state["appliances"][0]["state"] = ""
        fake.shown += 1
        expect(own).to_have_text(["<b>legionella</b>", long])
        for shape in (*WALLS, PHONE):
            page.set_viewport_size(shape)
            assert page.evaluate(FITS)[0] == shape["width"]
            for box in page.locator(".appliance").all():
                assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
            for box in own.all():
                assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
        assert page.evaluate(AUDIT)["failed"] == []


def test_the_graph_has_a_point_each_five_seconds_of_a_day(display: Shown) -> None:
    """As many as there are, and as many less as are missing."""
    url, fake, browser = display
    day = 24 * 3600 // 5
    for scene, missing in (("home", 0), ("filling", 1100), ("lost", 40)):
        fake.show(scene)
        with look(browser, url) as page:
            page.clock.install(time=NOW)
            page.clock.pause_at(NOW + timedelta(seconds=1))  # else a point is missing 5 s later
            page.reload()
            expect(page.locator("#day-plot")).to_have_attribute("data-points", str(day - missing))


def test_the_household_decides(display: Shown) -> None:
    """Join and opt out, overrule an appliance, reconnect: each sends what it says."""
    url, fake, browser = display
    fake.show("active")
    fake.asked.clear()
    with look(browser, url) as page:
        page.locator(".banner").get_by_role("button", name="Opt out").click()
        expect(page.locator(".banner")).to_contain_text("You have opted out")
        page.get_by_role("link", name="Appliances").click()
        page.get_by_role("button", name="Run anyway").first.click()
        expect(page.get_by_text("Overruled by you")).to_be_visible()
        page.get_by_role("switch", name="Car").click()
        expect(page.get_by_role("switch", name="Car")).to_have_attribute("aria-checked", "true")
        fake.show("ready")
        page.goto(f"{url}/")
        page.get_by_role("button", name="Switch on").click()
        page.get_by_role("dialog").get_by_role("button", name="Yes").click()
        expect(page.locator(".banner")).to_have_count(0)
    sent = [(path.removeprefix("/api/v1/"), body) for _, path, body in fake.asked]
    assert sent[0] == ("events/shed-1/answer", {"answer": "opted-out"})
    assert sent[1][1]["override"] == "normal"
    assert sent[2] == ("appliances/charger", {"allow": True})
    assert sent[3][0] == "reconnect"


def test_the_first_start_by_keyboard(display: Shown) -> None:
    """Digits are typed or pressed; a wrong code is said, and another try is free."""
    url, fake, browser = display
    fake.show("first")
    with look(browser, url, expected=("403",)) as page:
        pair_in(page, "00000000")
        expect(page.locator(".status")).to_contain_text("not the code of the meter")
        page.keyboard.type(f"9{CODE}"[:1])
        page.keyboard.press("Backspace")
        page.keyboard.type(CODE)
        page.keyboard.press("Enter")
        expect(page.locator("#power")).to_have_text("684")


def test_it_is_an_app(display: Shown) -> None:
    """Chromium finds the manifest in order; without the display the page shows what was last."""
    browser = display[2]
    context = browser.new_context(viewport=kitchen.WALL, locale="en-US")
    page = context.new_page()
    with fake_display("home") as (url, _):
        page.goto(url)
        devtools = context.new_cdp_session(page)
        assert devtools.send("Page.getAppManifest")["errors"] == []
        # Nothing of an incognito window can be installed; beside that there is nothing.
        found = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert {each["errorId"] for each in found} <= {"in-incognito"}
        page.wait_for_function("() => navigator.serviceWorker.controller?.state === 'activated'")
        page.reload()
        expect(page.locator("#power")).to_have_text("684")
        page.wait_for_function("async () => (await (await caches.open('last')).keys()).length >= 2")
    page.reload()
    expect(page.locator(".banner")).to_contain_text("No link to the display")
    expect(page.locator("#power")).to_have_text("684")
    expect(page.locator("#verdict")).to_contain_text("At ")
    with fake_display("home", int(url.rsplit(":", 1)[1])):
        expect(page.locator("#link")).to_have_attribute("data-state", "connected")
        expect(page.locator(".banner")).to_have_count(0)
    context.close()


def test_a_display_that_its_meter_forgot_asks_for_the_code_again(display: Shown) -> None:
    url, fake, browser = display
    fake.show("first")
    fake.state["link"] |= {"code": "home.forgotten", "reason": "the meter does not know it"}
    with look(browser, url) as page:
        settle(page)
        expect(page.locator(".pairing .title")).to_have_text("Pair again")
        expect(page.locator(".pairing .lead")).to_contain_text("no longer knows this display")
        expect(page.locator("#link")).to_have_attribute("data-state", "unpaired")


def test_tariffs_have_titles(display: Shown) -> None:
    """In the page's language, or as their file says; that of no name is chosen by null."""
    url, fake, browser = display
    fake.show("home", language="ko")
    fake.asked.clear()
    with look(browser, url, "/#settings") as page:
        settle(page)
        tariff = page.locator("#tariff")
        expect(tariff.locator("option:checked")).to_have_text("한국전력 주택용 저압")
        expect(tariff.locator("option").first).to_have_text("A tariff of a file")
        with page.expect_response("**/api/v1/settings"):
            tariff.select_option(label="A tariff of a file")
        fake.show("home")
        fake.state["tariffs"][0]["titles"] = {"ko": "파일의 요금제"}
        fake.shown += 1
        expect(tariff.locator("option:checked")).to_have_text("KEPCO residential, low voltage")
        expect(tariff.locator("option").first).to_have_text("A tariff of a file")
        fake.state["settings"]["language"] = "ko"
        fake.shown += 1
        expect(tariff.locator("option").first).to_have_text("파일의 요금제")
    assert ("PATCH", "/api/v1/settings", {"tariff": None}) in fake.asked


@pytest.mark.parametrize("shape", [*WALLS, PHONE], ids=lambda shape: str(shape["width"]))
def test_a_pin_of_sixteen_digits_fits(display: Shown, shape: ViewportSize) -> None:
    """Digits alone are typed: letters are on no tablet's keypad, so no PIN has them."""
    url, fake, browser = display
    fake.show("home")
    said = {"error": {"code": "home.pin", "message": "the household's PIN is wanted"}}
    with look(browser, url, viewport=shape, expected=("401",)) as page:
        page.route("**/api/v1/**", lambda route: route.fulfill(status=401, json=said))
        page.reload()
        expect(page.locator(".pairing .title")).to_have_text("Locked")
        page.keyboard.type("12345678a90123456789")
        expect(page.locator(".cells span.full")).to_have_count(16)
        width, last, keys = page.evaluate(
            """() => [innerWidth, ...['.cells span:last-child', '.keypad'].map(
                (name) => document.querySelector(name).getBoundingClientRect())]"""
        )
        assert last["right"] <= width
        assert last["right"] <= keys["left"] or last["bottom"] <= keys["top"]
        assert page.evaluate(FITS)[0] == width


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until something holds in the fake display."""
    deadline = monotonic() + kitchen.PATIENCE_S
    while not holds():
        assert monotonic() < deadline
        page.wait_for_timeout(50)


def test_a_network_that_goes_without_a_word_is_noticed(display: Shown) -> None:
    """A stream that says nothing for 40 seconds is opened anew, and all is asked for again."""
    url, fake, browser = display
    fake.show("home")
    with look(browser, url) as page:
        page.clock.install()
        page.reload()
        expect(page.locator("#link")).to_have_attribute("data-state", "connected")
        opened = fake.opened
        fake.mute = True
        fake.state = SCENES["lost"]()
        try:
            page.clock.fast_forward(30_000)
            assert fake.opened == opened
            expect(page.locator("#link")).to_have_attribute("data-state", "connected")
            page.clock.fast_forward(15_000)
            expect(page.locator("#link")).to_have_attribute("data-state", "lost")
            page.clock.fast_forward(4_000)
            until(page, lambda: fake.opened > opened)
        finally:
            fake.mute = False


VISIBLE: Final = """(hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_a_tablet_that_sleeps_listens_to_nothing_and_wakes_with_all_of_it(display: Shown) -> None:
    """Six pages that nobody sees would leave a browser no connection for the one that is seen."""
    url, fake, browser = display
    fake.show("home")
    with look(browser, url) as page:
        expect(page.locator("#power")).to_have_text("684")
        until(page, lambda: fake.listening == 1)
        page.evaluate(VISIBLE, True)
        until(page, lambda: fake.listening == 0)
        fake.show("solar")
        drawn = fake.drawn
        page.evaluate(VISIBLE, False)
        expect(page.locator("#power")).to_have_text("−1.84")
        until(page, lambda: fake.listening == 1 and fake.drawn > drawn)


def test_who_moves_out_leaves_nothing(display: Shown) -> None:
    """Unpairing keeps the history for who is paired again; who comes next may erase it."""
    url, fake, browser = display
    fake.show("home")
    fake.asked.clear()
    with look(browser, url, "/#settings") as page:
        settle(page)
        page.get_by_role("button", name="Unpair", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Yes").click()
        expect(page.locator(".leftover")).to_contain_text("still has the history of a home")
        page.get_by_role("button", name="Erase it").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert len(fake.asked) == 1
        page.get_by_role("button", name="Erase it").click()
        page.get_by_role("dialog").get_by_role("button", name="Yes").click()
        expect(page.locator(".leftover")).to_have_count(0)
        expect(page.locator("#said")).to_have_text("All that was kept of the home has been erased.")
        expect(page.locator(".pairing .title")).to_have_text("Welcome")
    assert [body for _, _, body in fake.asked] == [{"history": "keep"}, {"history": "forget"}]


def test_what_is_sent_is_told_apart_from_what_is_used(display: Shown) -> None:
    """A home with a roof of cells: minus in the ring and its words, a second bar with its name."""
    url, fake, browser = display
    fake.show("solar")
    with look(browser, url) as page:
        settle(page)
        expect(page.locator("#power")).to_have_text("−1.84")
        expect(page.locator("#verdict")).to_have_text("Sending to the grid")
        expect(page.locator("#factor")).to_have_text("−0.99")
        expect(page.locator("#today-foot")).to_contain_text("Sent to the grid 7.9")
        page.get_by_role("link", name="Usage").click()
        expect(page.locator("#usage-keys")).to_contain_text("Sent")
        expect(page.locator("#exported")).to_contain_text("842.3")
        assert page.locator("#usage-plot .sent").count() > 10
        fake.show("home")
        page.get_by_role("button", name="Earlier").click()
        expect(page.locator("#usage-keys")).to_be_hidden()


def test_three_phases_have_a_line_each_for_voltage_and_current(display: Shown) -> None:
    url, fake, browser = display
    fake.show("three-phases")
    with look(browser, url) as page:
        settle(page)
        expect(page.locator("#voltage")).to_have_text("220 · 220 · 221\u202fV")
        expect(page.locator("#current")).to_have_text("3.2 · 14.8 · 0.4\u202fA")
        expect(page.locator("#apparent")).to_have_text("12.6\u202fkVA")


CHANGES: Final = {
    "Europe/London": ((2026, 3, 29), (2026, 10, 25)),
    "America/Toronto": ((2026, 3, 8), (2026, 11, 1)),
    "Asia/Seoul": ((2026, 3, 29),),
    "Asia/Kolkata": ((2026, 1, 1),),
}
LENGTHS: Final = """async ([zone, days]) => {
    const format = await import('/static/js/format.js');
    format.setZone(zone);
    return days.map(([y, m, d]) => [format.midnight(y, m, d), format.midnight(y, m, d + 1)]);
}"""


@pytest.mark.parametrize("zone", CHANGES)
def test_days_on_which_the_clocks_change_begin_and_end_at_midnight(
    display: Shown, zone: str
) -> None:
    """The page asks for a day of 23 or 25 hours as the household's clocks have it."""
    url, fake, browser = display
    fake.show("home")
    with look(browser, url) as page:
        settle(page)
        found = page.evaluate(LENGTHS, [zone, CHANGES[zone]])
    at = ZoneInfo(zone)
    for (start, end), day in zip(found, CHANGES[zone], strict=True):
        midnight = datetime(*day, tzinfo=at)
        following = datetime.combine(midnight.date() + timedelta(days=1), time(), tzinfo=at)
        assert (start, end) == (midnight.timestamp() * 1000, following.timestamp() * 1000)
