"""An operator who configures many DCUs, has them do something, and calls one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.test_access_browser import audit, walk
from tests.browser.visits import chromium, needs_chromium, visit
from tests.browser.workshop import DEAD, workshop

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = list(needs_chromium)

WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"
PAGES = (
    "/groups",
    "/groups/pilot",
    "/groups/pilot/differing",
    "/groups/pilot/devices",
    "/groups/pilot/refused",
    "/refused",
    "/jobs",
    "/jobs/new",
    "/jobs/new?kind=set&group=pilot",
    "/jobs/new?kind=exec",
    "/dcus",
    "/dcus/D2",
    "/dcus/D2/jobs",
    "/certificates/issued",
    "/certificates/issued?days=400&state=good",
)
OPEN = "() => document.querySelectorAll('details.act').forEach((it) => { it.open = true; })"
# Pages go on loading parts of themselves: what is looked at is to stand still.
STILL = "() => { document.body.setAttribute('hx-disable', ''); htmx.process(document.body); }"


def row(page: Page, text: str) -> str:
    """Return what stands in the row of a table that has some text."""
    return page.get_by_role("row").filter(has_text=text).first.inner_text()


def test_many_are_told_and_one_is_called(tmp_path: Path) -> None:
    """What DCUs answer comes into the page by itself."""
    with workshop(tmp_path) as url, chromium() as browser, visit(browser, url, "/groups") as page:
        # Two of six are so; the list counts them after it is shown.
        expect(page.get_by_role("row").filter(has_text="pilot")).to_contain_text(
            "2 of 6 DCUs differ"
        )
        page.get_by_role("link", name="pilot").click()
        wanted = page.get_by_role("row").filter(has_text=RETRIES)
        expect(wanted).to_contain_text("of 6")

        # A value is wanted only of whom one has said that it is.
        page.get_by_label("Node", exact=True).fill(WINDOW)
        page.get_by_label("Value", exact=True).fill("3")
        page.get_by_role("button", name="Want it").click()
        assert page.get_by_label("yes, of all 6 DCUs").evaluate("it => it.validity.valueMissing")
        page.get_by_label("yes, of all 6 DCUs").check()
        page.get_by_role("button", name="Want it").click()
        expect(page.get_by_role("row").filter(has_text=WINDOW)).to_contain_text("of 6")
        page.get_by_role("link", name=f"Change {WINDOW}").click()
        expect(page.get_by_label("Value", exact=True)).to_have_value("3")
        page.locator("summary", has_text="Drop").last.click()
        page.get_by_role("button", name=f"Drop {WINDOW}").click()
        expect(page.get_by_role("row").filter(has_text=WINDOW)).to_have_count(0)
        page.get_by_role("link", name="Differing").click()
        expect(page.get_by_role("row").filter(has_text=DEAD)).to_contain_text("3 → 7 by group")
        page.get_by_role("link", name="DCUs", exact=True).last.click()
        expect(page.get_by_role("row").filter(has_text=DEAD)).to_contain_text("→ 7")

        # A job is counted, started, and followed to the words of who refuses.
        page.goto(f"{url}/jobs/new?kind=set")
        page.get_by_label("Nodes, each on a line").fill(f"{WINDOW}=99")
        page.get_by_label("unchecked").check()
        page.get_by_label("Part of serial number").fill("D")
        page.get_by_role("button", name="Count the DCUs").click()
        page.get_by_role("button", name="Set at 6 DCUs").click()
        page.wait_for_url(re.compile(r"/jobs/[0-9a-f]{20}$"))
        page.evaluate("window.same = true")
        expect(page.get_by_role("link", name="Failed 2")).to_be_visible()
        page.get_by_role("link", name="Failed 2").click()
        expect(page.get_by_role("row").filter(has_text="D2")).to_contain_text("the value is 1 to 7")
        page.locator("summary", has_text="Cancel").click()
        page.get_by_role("button", name="Cancel the job").click()
        expect(page.get_by_role("link", name="Cancelled")).to_be_visible()

        # Who is called comes; who is dead does not, and the page says when it is called again.
        page.goto(f"{url}/dcus/D2")
        page.get_by_role("button", name="Wake now").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#wake .badge")).to_have_text("woken")
        expect(page.get_by_role("button", name="Wake now")).to_be_focused()
        with page.expect_response("**/fragments/dcus/D2"):  # as if it had reported
            page.evaluate("htmx.trigger('[data-news]', 'news')")
        expect(page.locator("#wake .badge")).to_have_text("woken")
        page.goto(f"{url}/dcus/{DEAD}")
        page.get_by_role("button", name="Wake now").click()
        expect(page.locator("#wake .badge")).to_have_text("no answer yet")
        expect(page.locator("#wake")).to_contain_text("Next notification")


def test_a_dcus_life_is_told(tmp_path: Path) -> None:
    """Its tree with who may do what, what is wanted, what it refused; history, certificate."""
    with (
        workshop(tmp_path) as url,
        chromium() as browser,
        visit(browser, url, "/dcus/D1/tree") as page,
    ):
        tree = page.get_by_role("table", name="Nodes of ./AMI/Link")
        for cells in (("Retries", "7", "as wanted"), ("Window", "99", "to replace")):
            line = tree.get_by_role("row").filter(has_text=cells[0])
            for text in cells:
                expect(line).to_contain_text(text)
        expect(tree.get_by_role("columnheader", name="ACL")).to_be_visible()
        page.locator("summary", has_text="./DMAcc/1").click()
        expect(page.get_by_role("table", name="Nodes of ./DMAcc/1")).to_contain_text("Get=")
        page.get_by_role("link", name="History").click()
        assert "refused, 500" in row(page, WINDOW)
        page.get_by_role("link", name="Certificate", exact=True).click()
        expect(page.get_by_role("table")).to_contain_text("days left")

        page.goto(f"{url}/certificates/issued")
        page.get_by_label("Ends within days").fill("380")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("link", name="L1")).to_be_visible()
        expect(page.get_by_role("link", name="D1")).to_have_count(0)
        line = page.get_by_role("row").filter(has_text="L1")
        line.locator("summary").click()
        line.get_by_label("In words").fill("stolen")
        line.get_by_role("button", name="Revoke it").click()
        expect(page.get_by_role("link", name="L1")).to_have_count(0)
        page.goto(f"{url}/certificates/issued?state=revoked")
        assert "revoked" in row(page, "L1")


def test_everybody_can_use_the_workshop(tmp_path: Path) -> None:
    """Contrast in both schemes, names, the Tab key's way, a phone's width; a viewer's pages."""
    phone = {"width": 390, "height": 844}
    with workshop(tmp_path) as url, chromium() as browser:
        with visit(browser, url, "/jobs/new", reduced_motion="reduce") as page:
            page.get_by_label("Nodes").fill(f"{WINDOW}\n{RETRIES}")
            page.get_by_role("button", name="Count the DCUs").click()
            page.get_by_role("button", name="Read at").click()
            page.wait_for_url(re.compile(r"/jobs/[0-9a-f]{20}$"))
            job = page.url.removeprefix(url)
            for path in (*PAGES, job):
                page.goto(url + path)
                expect(page.get_by_text("counting…")).to_have_count(0)
                page.evaluate(STILL)
                page.evaluate(OPEN)
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    found = audit(page)
                walk(page, found["controls"])
        with visit(browser, url, "/groups", viewport=phone) as page:
            for path in (*PAGES, job):
                page.goto(url + path)
                page.evaluate(OPEN)
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= phone["width"], path
        with visit(browser, url, "/groups", name="looker") as page:
            for path in (p for p in (*PAGES, job) if not p.startswith("/jobs/new")):
                page.goto(url + path)
                main = page.get_by_role("main")
                buttons = main.get_by_role("button").all_inner_texts()
                assert set(buttons) <= {"Show"}, path
                expect(main.locator("summary, a.button")).to_have_count(0)
