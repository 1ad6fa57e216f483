"""Operators who take in a release, plan a campaign, and watch it end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.campaigning import BAD, campaigning
from tests.browser.test_access_browser import audit, walk
from tests.browser.test_workshop_browser import OPEN, STILL
from tests.browser.visits import chromium, needs_chromium, visit

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = list(needs_chromium)

PAGES = (
    "/releases",
    "/releases?state=refused",
    "/releases/new",
    "/releases/2",
    "/campaigns",
    "/campaigns/new?release=2",
    "/meters/M02/upgrades",
    "/dcus/D1/upgrades",
)


def plan(page: Page) -> str:
    """Try a campaign and keep it; return its address."""
    page.get_by_label("Name", exact=True).fill("Autumn")
    page.get_by_label("Release").select_option("2")
    page.get_by_label("Spread over").fill("0")
    page.get_by_label("At how many failures group 1").fill("50%")
    page.get_by_label("How many of group 1 are enough").fill("80%")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="9 devices behind 1 DCU")).to_be_visible()
    expect(page.get_by_role("table", name="Left out")).to_contain_text("has this version already")
    assert page.locator(".plan-bar rect").count() > 0
    page.get_by_role("button", name="Keep as a draft").click()
    page.wait_for_url(re.compile(r"/campaigns/[0-9a-f]{16}$"))
    return "/campaigns/" + page.url.rpartition("/")[2]


def command(page: Page, name: str, campaign: str = "Autumn") -> None:
    """Open what a command asks, and say yes."""
    page.get_by_label(f"{name} {campaign}…").click()
    reason = page.locator("details[open] input[name=why]")
    reason.fill("so")
    page.get_by_role("button", name=f"{name} {campaign}", exact=True).click()
    expect(page.get_by_label(f"{name} {campaign}…")).to_have_count(0)


def test_a_release_is_handed_over_and_a_campaign_watched(tmp_path: Path) -> None:
    """Files become a tar in the browser; the live page moves without a reload."""
    with campaigning(tmp_path) as url, chromium() as browser:
        with visit(browser, url, "/releases/new") as page:
            files = page.get_by_label("manifest.json and the files")
            files.set_input_files([tmp_path / "vendor" / "a.img"])
            page.get_by_role("button", name="Hand over").click()
            expect(page.locator("#problem")).to_contain_text("Choose manifest.json")
            files.set_input_files(sorted((tmp_path / "vendor").iterdir()))
            page.get_by_role("button", name="Hand over").click()
            page.wait_for_url("**/releases/3")
            expect(page.locator("#part .badge").first).to_have_text("verified")
            expect(page.get_by_role("table", name="Otherwise than 1.4.0")).to_contain_text("PR-31")
            page.goto(f"{url}/campaigns/new")
            path = plan(page)
            command(page, "Plan")
            expect(page.get_by_text("another operator approves it")).to_be_visible()
        with visit(browser, url, path, name="boris") as page:
            command(page, "Approve")
            page.evaluate("window.unloaded = false")
            command(page, "Start")
            expect(page.locator(".live")).to_have_attribute("data-state", "open")
            expect(page.locator("#part > section").first).to_contain_text("finished")
            expect(page.locator("[data-say]")).to_contain_text("8 of 9 meters")
            assert page.evaluate("window.unloaded") is False
            failed = page.get_by_role("table", name="Why devices failed")
            expect(failed).to_contain_text("The meter refused the image at its verification.")
            page.get_by_role("link", name="All that failed").click()
            page.get_by_role("link", name=BAD).click()
            expect(page.locator(".mark.bad")).to_contain_text("upgrade.verification")
            page.get_by_role("link", name="its other upgrades").click()
            expect(page.get_by_role("link", name="Autumn")).to_be_visible()


def test_everybody_can_use_the_upgrades(tmp_path: Path) -> None:
    """Contrast in both schemes, names, the Tab key's way, a phone's width; a viewer's pages."""
    phone = {"width": 390, "height": 844}
    with campaigning(tmp_path) as url, chromium() as browser:
        with visit(browser, url, "/campaigns/new", reduced_motion="reduce") as page:
            path = plan(page)
            command(page, "Plan")
            pages = (*PAGES, path, f"{path}/devices", f"{path}/devices/M02", f"{path}/edit")
            for place in pages:
                page.goto(url + place)
                page.evaluate(STILL)
                page.evaluate(OPEN)
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    found = audit(page)
                # A field for a time has a stop for each of its parts.
                if not page.locator("input[type=datetime-local]").count():
                    walk(page, found["controls"])
        with visit(browser, url, path, name="looker", viewport=phone) as page:
            for place in pages:
                if place.endswith("/edit") or "/new" in place:
                    continue
                page.goto(url + place)
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= phone["width"], place
                assert page.locator("[hx-post]").count() == 0, place
