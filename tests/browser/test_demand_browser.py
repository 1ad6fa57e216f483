"""An operator asks meters to use less, watches it and ends it; a customer is let in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect
from tests.browser.demanding import FIRST, METERS, demanding
from tests.browser.test_access_browser import audit, walk
from tests.browser.test_workshop_browser import OPEN, STILL
from tests.browser.visits import chromium, needs_chromium, visit

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = list(needs_chromium)

EVENT = f"/demand/events/{FIRST}"
PAGES = (
    "/demand",
    "/demand?state=cancelled",
    EVENT,
    f"{EVENT}/meters",
    f"{EVENT}/meters?only=refused",
    f"{EVENT}/results",
    "/demand/programs",
    "/demand/notices",
    "/meters/D1-3/demand",
)
FOR_OPERATORS = ("/demand/new?meter=D1-1", "/customers", "/customers/kim%40example.org")


def write(page: Page) -> None:
    """Fill in an event for a region."""
    page.get_by_label("Name", exact=True).fill("Peak")
    page.get_by_label("Program").select_option(label="Summer afternoons")
    page.get_by_label("Regions").fill("Seoul")
    page.get_by_label("Level of interval 1").fill("3")
    page.get_by_label("In English").fill("Please use less until six")


def look(page: Page) -> dict[str, Any]:
    """Audit a page in both schemes."""
    page.emulate_media(color_scheme="light")
    audit(page)
    page.emulate_media(color_scheme="dark")
    return audit(page)


def add_customer(page: Page) -> None:
    """Add one and open their page."""
    page.get_by_label("Login").fill("kim@example.org")
    page.get_by_role("button", name="Add the customer").click()
    page.wait_for_url("**/customers/kim*")


def test_an_event_is_made_watched_and_cancelled(tmp_path: Path) -> None:
    """The live page moves without a reload as the DCU reports."""
    with (
        demanding(tmp_path) as url,
        chromium() as browser,
        visit(browser, url, "/demand/new") as page,
    ):
        write(page)
        page.get_by_role("button", name="Try it").click()
        expect(page.locator("#h-tried")).to_contain_text(f"{METERS} meters behind 1 DCU")
        expect(page.locator(".display").first).to_contain_text("Please use less until six")
        page.get_by_role("button", name=f"Send it to {METERS} meters").click()
        page.wait_for_url(re.compile(r"/demand/events/[0-9a-f]{16}$"))
        page.evaluate("window.unloaded = false")
        expect(page.locator("[data-say]")).to_contain_text("6 of 8 meters have it; 3 take part")
        page.get_by_label("Cancel Peak…").click()
        page.locator("details[open] input[name=why]").fill("the plant is back")
        page.get_by_role("button", name="Cancel Peak", exact=True).click()
        expect(page.locator("#part .card-head .badge").last).to_have_text("cancelled")
        assert page.evaluate("window.unloaded") is False
        page.goto(url + EVENT)
        expect(page.locator("#brought [data-value=saved]")).to_contain_text("Wh")
        assert page.locator("#brought .course-saved").count() > 0
        page.locator("#brought summary").click()
        expect(page.get_by_role("region", name="Mean power as a table")).to_be_visible()
        page.get_by_role("link", name="refused").click()
        expect(page.get_by_role("table")).to_contain_text("response.none")


def test_a_customer_is_added_and_comes_in(tmp_path: Path) -> None:
    """The code that the operator is shown once opens the customer's own pages."""
    with (
        demanding(tmp_path) as url,
        chromium() as browser,
        visit(browser, url, "/customers") as page,
    ):
        add_customer(page)
        page.get_by_label("Meter", exact=True).fill("D1-1")
        page.get_by_role("button", name="Assign it").click()
        expect(page.get_by_role("table", name="Meters")).to_contain_text("D1-1")
        page.get_by_role("button", name="Invite").click()
        code = page.locator("#code").inner_text()
        page.reload()
        expect(page.get_by_text("Invited until")).to_be_visible()
        expect(page.locator("#code")).to_have_count(0)
        page.goto(f"{url}/my/welcome")
        page.locator("input[name=code]").fill(code)
        for field in page.locator("input[type=password]").all():
            field.fill("a long enough word")
        page.locator("form[action='/my/welcome'] button").click()
        page.wait_for_url(re.compile(r"/my(?!/welcome)"))


def test_everybody_can_use_demand_response(tmp_path: Path) -> None:
    """Contrast in both schemes, names, the Tab key's way, a phone's width; a viewer's pages."""
    phone = {"width": 390, "height": 844}
    with demanding(tmp_path) as url, chromium() as browser:
        with visit(browser, url, "/customers", reduced_motion="reduce") as page:
            add_customer(page)
            for place in (*PAGES, *FOR_OPERATORS):
                page.goto(url + place)
                if place == EVENT:
                    expect(page.locator("#results")).to_be_visible()
                page.evaluate(STILL)
                page.evaluate(OPEN)
                found = look(page)
                # A field for a time has a stop for each of its parts.
                if not page.locator("input[type=datetime-local]").count():
                    walk(page, found["controls"])
            page.goto(f"{url}/demand/new")
            write(page)
            page.get_by_label("Kind").select_option("emergency")
            page.get_by_role("button", name="Try it").click()
            expect(page.get_by_text("leave homes in the dark")).to_be_visible()
            page.evaluate(STILL)
            look(page)
            page.set_viewport_size({"width": 390, "height": 844})
            for place in FOR_OPERATORS:
                page.goto(url + place)
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= phone["width"], place
        with visit(browser, url, "/demand", name="looker", viewport=phone) as page:
            for place in PAGES:
                page.goto(url + place)
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= phone["width"], place
                assert page.locator("[hx-post]").count() == 0, place
