"""The console in Debian's Chromium, before a head-end in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.scene import NOW, load_profile, registers, scene
from tests.browser.visits import chromium, needs_chromium, visit
from tests.support.headend import PERIOD, meter_status

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = list(needs_chromium)


def test_a_meters_page_lives(tmp_path: Path) -> None:
    """One head-end and one browser for all of it: starting them takes the time."""
    with (
        scene(tmp_path, timezone="Asia/Seoul") as at,
        at.dcu("D1") as dcu,
        chromium() as browser,
    ):
        dcu.report(meter_status("M1"), meter_status("X" * 32, model="<script>alert(1)</script>"))
        first = NOW - 96 * PERIOD
        dcu.upload("b1", load_profile("M1", first, [100] * 95), registers("M1", first))
        with visit(browser, at.url) as page:
            # The chart is drawn, and told in words.
            chart = page.locator("#profile")
            expect(chart).to_have_attribute("data-points", "95")
            painted = page.locator("#profile canvas").evaluate(
                "c => c.getContext('2d').getImageData(0, 0, c.width, c.height)"
                ".data.filter((v, i) => i % 4 === 3 && v).length"
            )
            assert painted > 1000
            expect(page.locator("#profile-words")).to_contain_text("95 intervals of 15")
            page.get_by_role("button", name="Week").click()
            page.get_by_text("As a table").click()
            expect(page.locator("details tbody tr")).to_have_count(95)

            # An upload changes the figures and the chart without a reload.
            expect(page.locator(".live")).to_have_attribute("data-state", "open")
            expect(page.locator("[data-value=last]")).to_contain_text("100")
            dcu.upload("b2", load_profile("M1", NOW - PERIOD, [437]))
            expect(page.locator("[data-value=last]")).to_contain_text("437")
            expect(chart).to_have_attribute("data-points", "96")

            # "Read now" is followed to its end, and the focus stays.
            page.get_by_role("button", name="Read now").focus()
            page.keyboard.press("Enter")
            expect(page.locator("progress")).to_be_visible()
            [job] = dcu.work()
            dcu.answer(job["id"], state="running", progress=0.5)
            expect(page.locator("progress")).to_have_attribute("value", "55")
            read = {**job["attributes"][1], "value": 123_456, "scaler": -1, "unit": 30}
            dcu.answer(job["id"], state="done", progress=1, results=[read])
            expect(page.locator("#job")).to_contain_text("12\u202f345.6 Wh")
            expect(page.get_by_role("button", name="Read now")).to_be_focused()
            expect(page.locator("#said")).to_contain_text("The meter has answered.")

            # The chosen scheme is kept.
            page.get_by_role("button", name="Switch between light and dark").click()
            page.reload()
            expect(page.locator("html")).to_have_attribute("data-theme", "dark")

        phone = {"width": 390, "height": 844}
        with visit(browser, at.url, viewport=phone, color_scheme="dark") as page:
            expect(page.locator("body")).to_have_css("background-color", "rgb(17, 22, 28)")
            for path in (
                "/",
                "/meters",
                "/meters/M1",
                f"/meters/{'X' * 32}",
                "/dcus/D1",
                "/events",
            ):
                page.goto(at.url + path)
                wide = page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= phone["width"], path
