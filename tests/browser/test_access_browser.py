"""Who gets in, and whether everybody can use what they find there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect
from tests.browser.scene import NOW, load_profile, registers, scene
from tests.browser.visits import chromium, needs_chromium, sign_in
from tests.support.headend import PERIOD, meter_status, some_events

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.scene import Dcu

AUDIT = Path(__file__).with_name("audit.js").read_text()
PAGES = (
    "/",
    "/meters",
    "/meters?q=nothing",
    "/meters/M1",
    "/meters/M2",
    "/dcus",
    "/dcus/D1",
    "/events",
    "/meters/none",
)

pytestmark = list(needs_chromium)


def populate(dcu: Dcu) -> None:
    """Report meters in every state, with readings and events."""
    fault = {"code": "transport.timeout", "message": "no answer"}
    states = ("ok", "discovered", "reading", "refused")
    dcu.report(
        meter_status("M1"),
        meter_status("M2", state="unreachable", error=fault),
        *(meter_status(f"S-{state}", state=state) for state in states),
        spool_full=True,
        refused_batches=2,
    )
    first = NOW - 96 * PERIOD
    dcu.upload("b1", load_profile("M1", first, [100] * 95), registers("M1", first))
    dcu.upload("e1", some_events("M1"), kind="events")


def audit(page: Page) -> dict[str, Any]:
    """Return what the page's audit counted, with nothing that failed."""
    found: dict[str, Any] = page.evaluate(AUDIT)
    assert found["failed"] == [], page.url
    assert found["texts"] > 3
    return found


def walk(page: Page, controls: int) -> None:
    """Reach every control once with the Tab key, in the order in which they are read."""
    page.evaluate("document.activeElement?.blur()")
    reached = []
    for _ in range(controls):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const at = document.activeElement; const style = getComputedStyle(at);"
                " return at.dataset.audited && style.outlineStyle !== 'none'"
                " ? Number(at.dataset.audited) : null; }"
            )
        )
    assert reached == list(range(controls)), page.url


def test_the_form_lets_in_who_knows_the_password(tmp_path: Path) -> None:
    with scene(tmp_path) as at, chromium() as browser:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{at.url}/events?meter=M1")
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type("admin")
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")

        # What went wrong is said, and one types on where it did.
        expect(page).to_have_title("Not signed in · openami")
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        password = page.get_by_label("Password")
        expect(password).to_be_focused()
        expect(password).to_have_value("")
        expect(password).to_have_accessible_description("Name or password is wrong.")
        expect(page.get_by_label("Name")).to_have_value("admin")
        assert context.cookies() == []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            audit(page)

        sign_in(page)
        page.wait_for_url(f"{at.url}/events?meter=M1")
        [cookie] = context.cookies()
        assert cookie["httpOnly"]
        assert cookie["secure"]
        assert cookie["sameSite"] == "Strict"
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{at.url}/login")
        assert context.cookies() == []
        page.go_back()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_everybody_can_use_every_page(tmp_path: Path) -> None:
    """Contrast in both schemes, a name for every control, one way of the Tab key to all of them."""
    with scene(tmp_path) as at, at.dcu("D1") as dcu, chromium() as browser:
        populate(dcu)
        context = browser.new_context(ignore_https_errors=True, reduced_motion="reduce")
        page = context.new_page()
        page.goto(at.url)
        sign_in(page)
        page.wait_for_url(f"{at.url}/")
        for path in PAGES:
            page.goto(at.url + path)
            for chart in page.locator(".chart").all():
                expect(chart).to_have_attribute("aria-busy", "false")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = audit(page)
            walk(page, found["controls"])

        # The audit itself: it finds what is pale and what has no name.
        page.evaluate(
            "() => { const odd = document.createElement('button'); document.body.append(odd);"
            " const pale = document.querySelector('p'); pale.style.color = '#777'; }"
        )
        failed = page.evaluate(AUDIT)["failed"]
        assert [found.split(":")[0][:8] for found in failed] == ["contrast", "no name"]


def test_a_page_lives_again_after_the_head_end(tmp_path: Path) -> None:
    """The head-end ends and starts again at the same address; nobody loads the page anew."""
    with chromium() as browser:
        with scene(tmp_path) as at, at.dcu("D1") as dcu:
            populate(dcu)
            address = at.url.removeprefix("https://")
            context = browser.new_context(ignore_https_errors=True)
            page = context.new_page()
            page.goto(f"{at.url}/meters/M1")
            sign_in(page)
            live = page.locator(".live")
            expect(live).to_have_attribute("data-state", "open")
            page.evaluate("window.same = true")
        expect(live).to_have_attribute("data-state", "lost")
        expect(page.locator("#said")).to_have_text("Live updates are lost, trying again.")
        with scene(tmp_path, listen=address) as at, at.dcu("D1") as dcu:
            expect(live).to_have_attribute("data-state", "open")
            expect(page.locator("#said")).to_have_text("Live updates are back.")
            dcu.upload("b2", load_profile("M1", NOW - PERIOD, [437]))
            expect(page.locator("[data-value=last]")).to_contain_text("437")
            assert page.evaluate("window.same")
