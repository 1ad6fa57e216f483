"""The console's tester of C12.22 nodes in Chromium, before a real node."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect
from tests.browser.scene import scene
from tests.browser.visits import chromium, needs_chromium, visit
from tests.support.c1222_defects import HealthyNode, WrongInvocationId

from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = list(needs_chromium)
PAGE: Final = "/node-tests"


@contextmanager
def serving(*nodes: HealthyNode) -> Iterator[list[str]]:
    """Run nodes in a thread of their own: Playwright has the loop of the test's."""
    places: list[str] = []
    began, ending = threading.Event(), threading.Event()

    async def work() -> None:
        config = EndpointConfig(listen=(("127.0.0.1", 0),))
        ends = [Endpoint(node, config, clock=SystemClock()) for node in nodes]
        for each in ends:
            await each.__aenter__()
            places.append(f"127.0.0.1:{each.listening[0].port}")
        began.set()
        await asyncio.to_thread(ending.wait)
        for each in ends:
            await each.__aexit__()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        began.wait()
        yield places
    finally:
        ending.set()
        thread.join()


def test_a_node_is_tested_by_the_push_of_a_button(tmp_path: Path) -> None:
    with (
        serving(HealthyNode(), WrongInvocationId()) as places,
        scene(tmp_path, c1222_test_allowed=places) as at,
        chromium() as browser,
    ):
        with visit(browser, at.url, PAGE) as page:
            page.get_by_label("ApTitle").fill(".123.8437")
            page.get_by_role("button", name="Identify").click()
            result = page.locator("#result")
            expect(result).to_contain_text("nothing found")
            expect(result.locator("article")).to_have_count(1)
            expect(result.locator("pre").first).to_contain_text("BE 07 28 05 81 03 80 01 20")
            expect(result).to_contain_text("Identified")

            page.locator("select[name=where]").select_option(places[1])
            page.get_by_role("button", name="Whole test").click()
            expect(result).to_contain_text("1 found")
            expect(result.locator("article")).to_have_count(1)
            expect(result.locator("article")).to_contain_text("c1222.test.invocation-id")
            with page.expect_download() as download:
                page.get_by_role("link", name="Report (HTML)").click()
            report = tmp_path / "report.html"
            download.value.save_as(report)
            assert "c1222.test.invocation-id" in report.read_text()
            page.get_by_role("link", name="read-checksum").click()
            expect(page.locator("article h2")).to_have_text("Read: read-checksum")
            location = page.url.removeprefix(at.url)

        phone = {"width": 390, "height": 844}
        with visit(browser, at.url, location, viewport=phone, color_scheme="dark") as page:
            fits(page, phone["width"])
            page.goto(f"{at.url}{location.partition('?')[0]}")
            expect(page.locator("article")).to_have_count(1)
            fits(page, phone["width"])


def fits(page: Page, width: int) -> None:
    """See that the page is not wider than the phone."""
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
