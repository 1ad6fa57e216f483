"""An operator who decides on devices, and says how they are to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.scene import office
from tests.browser.test_access_browser import audit, walk
from tests.browser.visits import chromium, needs_chromium, visit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = list(needs_chromium)

PAGES = (
    "/registrations",
    "/registrations?standing=blocked",
    "/registrations?standing=live",
    "/expected",
    "/alarms",
    "/alarms?show=all",
    "/audit",
    "/audit?who=admin&since=2020-01-01T00:00",
    "/certificates",
    "/dcus/L1/certificate",
    "/dcus/D1",
    "/dcus/D1/tree",
    "/dcus/D1/history",
    "/dcus/D1/sessions",
)
WINDOW = "./AMI/Link/Window"
OPEN = "() => document.querySelectorAll('details.act').forEach((it) => { it.open = true; })"


def test_a_person_decides_in_the_browser(tmp_path: Path) -> None:
    """Nothing is loaded anew, what is open is counted, and what is typed is not lost."""
    with (
        office(tmp_path) as url,
        chromium() as browser,
        visit(browser, url, "/registrations") as page,
    ):
        page.evaluate("window.same = true")
        expect(page.locator("#open-registrations")).to_have_text("3 open")
        page.get_by_role("button", name="Approve P1").click()
        expect(page.get_by_role("cell", name="P1")).to_have_count(0)
        expect(page.locator("#open-registrations")).to_have_text("2 open")
        expect(page.locator("#content")).to_be_focused()

        page.locator("summary", has_text="Refuse").first.click()
        page.get_by_role("textbox", name="Reason").fill("sto")
        page.evaluate("htmx.trigger('#part', 'news')")  # as if something had happened
        page.get_by_role("textbox", name="Reason").press_sequentially("len")
        page.get_by_role("textbox", name="Reason").press("Enter")
        expect(page.get_by_text("Nobody waits.")).to_be_visible()

        page.goto(f"{url}/registrations?standing=blocked")
        page.locator("summary", has_text="Keep the first").click()
        page.get_by_role("textbox", name="Reason").fill("seen on its pole")
        page.get_by_role("button", name="Keep the first B1").click()
        expect(page.get_by_text("Nothing is blocked.")).to_be_visible()

        page.goto(f"{url}/alarms")
        for uid in ("B1", "D1"):  # the one was there twice, the other has refused a value
            page.get_by_label(f"Clear alarm of {uid}…").click()
            page.get_by_role("button", name=f"Clear alarm of {uid}").click()
            expect(page.get_by_role("row").filter(has_text=uid)).to_have_count(0)
        expect(page.get_by_text("No alarm is open.")).to_be_visible()
        expect(page.locator("#open-alarms")).to_have_text("")

        page.goto(f"{url}/expected")
        page.evaluate("window.same = true")
        page.get_by_label("File").set_input_files(
            {"name": "l.csv", "mimeType": "text/csv", "buffer": b"uid,label\nN1,new\n"}
        )
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_role("cell", name="N1 new")).to_be_visible()
        assert page.evaluate("window.same")

        page.goto(f"{url}/dcus/D1/tree")
        page.get_by_role("link", name=f"Want a value of {WINDOW}", exact=True).click()
        value = page.get_by_label("Value", exact=True)
        expect(value).to_be_focused()
        expect(value).to_have_value("99")
        value.fill("3")
        value.press("Enter")
        expect(page.locator("p[data-say]")).to_contain_text("0 refused.")

        page.goto(f"{url}/dcus/D1/sessions")
        page.get_by_role("link", name="Read").first.click()
        message = page.locator("details.message").first
        expect(message.get_by_text("VerProto")).to_be_visible()
        message.locator("summary").first.click()
        expect(message.get_by_text("VerProto")).to_be_hidden()


def test_everybody_can_use_the_office(tmp_path: Path) -> None:
    """Contrast in both schemes, names, the Tab key's way, and a phone's width."""
    phone = {"width": 390, "height": 844}
    with office(tmp_path) as url, chromium() as browser:
        options = {"reduced_motion": "reduce"}
        with visit(browser, url, "/registrations", **options) as page:
            for path in PAGES:
                page.goto(url + path)
                page.evaluate(OPEN)
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    found = audit(page)
                if path != "/dcus/D1/tree":  # hundreds of them, all alike
                    walk(page, found["controls"])
        with visit(browser, url, "/registrations", viewport=phone) as page:
            for path in PAGES:
                page.goto(url + path)
                page.evaluate(OPEN)
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= phone["width"], path
